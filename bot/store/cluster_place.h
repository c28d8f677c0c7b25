/* Internal to bot/store: where the private cluster lives, which programs run it and as whom. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct cluster_place {
    char bin[PATH_MAX];    /* folder of initdb and postgres */
    char dir[PATH_MAX];    /* DATA_DIR/pg where possible; what follows is in it */
    char data[PATH_MAX];   /* the cluster */
    char log[PATH_MAX];    /* what the server writes to stderr */
    char socket[PATH_MAX]; /* folder of the socket; elsewhere when the path would be too long */
    bool as_other_user;    /* we are root: the server runs as uid and gid */
    uid_t uid;
    gid_t gid;
};

/* Finds the programs and the user and makes the folders, but not the cluster. */
bool cluster_place_find(const char *data_dir, struct cluster_place *p, struct err *err) MUST_CHECK;
/* initdb, unless the cluster exists. Blocks for a second or two. */
bool cluster_place_init(const struct cluster_place *p, struct err *err) MUST_CHECK;

/* Starts bin/argv[0] in p->data's parent as the server's user, in a process group of its own, with
 * a clean environment and output to p->log. */
bool cluster_spawn(const struct cluster_place *p, const char *const *argv, pid_t *pid,
                   struct err *err) MUST_CHECK;

/* The last line of the log that says why a program ended. */
struct buf;
void cluster_log_tail(const struct cluster_place *p, struct buf *out);
