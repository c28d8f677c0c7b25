/* Judges the agent's commits: the chain, every tree and file that they change, every message. One
 * thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/git/oidset.h"
#include "bot/git/quarantine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORK_COMMITS_MAX 50
#define WORK_DEPTH_MAX   64    /* of folders */
#define WORK_PATH_MAX    1024  /* bytes */
#define WORK_PATHS_MAX   50000 /* changed, over all commits */
#define WORK_ENTRIES_MAX                                                                           \
    20000000 /* of trees looked at: ends trees that hold each other many times */
#define WORK_SCAN_MAX ((uint64_t)2 * 1024 * 1024 * 1024) /* bytes of files looked at */

struct work_commit {
    git_oid tree;
    char *message; /* as it came, terminated */
    size_t message_n;
};
struct work {
    struct work_commit commits[WORK_COMMITS_MAX]; /* oldest first */
    int n;
    struct oidset objects; /* trees and files that the repository does not have */
    uint64_t bytes;        /* of changed files, before and after, over all commits */
};
/* ERR_POLICY with a code word: commit.…, tree.…, path.…, symlink.…, object.…, limit.…, secret.… */
bool work_validate(const struct quarantine *q, const git_oid *base, const git_oid *tip,
                   const struct call *call, struct work *out, struct err *err) MUST_CHECK;
void work_done(struct work *w);
