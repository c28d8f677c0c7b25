/* One sandbox's processes and folders: a bubblewrap jail with our own process 1 in it (inside.c).
 * The jail sees the host's /usr read-only, a little of /etc, a root folder of its own and no other
 * file of the host; ids are 1000 inside. Thread-safe, but jail_stop() must be the last
 * call: the caller counts who still uses the jail. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct jail;
/* Called on the jail's reader thread when a started command has ended. */
typedef void (*jail_exited)(void *arg, uint64_t token, int wait_status);

struct jail_spec {
    const char *dir;     /* becomes "/"; made and filled when absent */
    const char *bin_dir; /* shown as /usr/local/sbin, first in PATH; may be NULL */
    bool network;        /* false: loopback only */
    jail_exited exited;
    void *arg;
};
bool jail_start(const struct jail_spec *spec, struct jail **out, struct err *err) MUST_CHECK;
/* Kills everything inside and waits for it. After it no `exited` is called any more. */
void jail_stop(struct jail *j);

int jail_root(const struct jail *j); /* O_PATH descriptor of "/"; borrowed */

struct jail_command {
    const char *const *argv; /* NULL-terminated */
    const char *const *env;
    const char *cwd;
    int fds[3]; /* the command's own ends; stay the caller's */
    bool pty;
    uint64_t token;
};
bool jail_spawn(struct jail *j, const struct jail_command *command, int *pid,
                struct err *err) MUST_CHECK;
/* pid -1 = everything. False: no such process. */
bool jail_signal(struct jail *j, int pid, int number);
void jail_signal_unanswered(struct jail *j, int pid, int number); /* does not wait */
