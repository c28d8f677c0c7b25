/* Files, folders and child processes. Descriptors are close-on-exec. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

void fd_close(int *fd); /* closes and sets -1; for AUTO(fd_close) int fd = -1; */
bool fd_write_all(int fd, struct str data, struct err *err) MUST_CHECK;
bool file_read(const char *path, size_t max, struct buf *out, struct err *err) MUST_CHECK;
/* Temporary file, fsync, rename: readers see the old or the new content. */
bool file_write(const char *path, struct str data, mode_t mode, struct err *err) MUST_CHECK;
bool file_exists(const char *path);
bool dir_make(const char *path, mode_t mode, struct err *err) MUST_CHECK; /* parents too */
bool dir_remove(const char *path,
                struct err *err) MUST_CHECK; /* recursive, links not followed; absent is fine */

/* Who the child runs as; NULL = as we are. */
struct proc_user {
    uid_t uid;
    gid_t gid;
};
struct proc_result {
    int exit_code;  /* 128 + signal when killed by one */
    struct buf out; /* stdout and stderr together, at most out.max */
};
/* Runs argv (NULL-terminated, argv[0] is looked up in PATH), no shell, stdin = /dev/null. envp may
 * be NULL = ours. True when it ran to an end, whatever its status; the group is killed when the
 * call ends early. */
bool proc_run(const char *const *argv, const char *const *envp, const struct proc_user *user,
              const struct call *call, struct proc_result *result, struct err *err) MUST_CHECK;
/* First of name in PATH or the extra folders (NULL-terminated, may be NULL); false when nowhere. */
bool proc_find(const char *name, const char *const *folders, char *out, size_t out_size) MUST_CHECK;
