/* The files of a sandbox, seen from outside: every path is resolved by the kernel below the jail's
 * root (openat2 with RESOLVE_IN_ROOT), so that a link in the sandbox cannot reach the host. The box
 * must be entered. Functions set errno when they fail. */
#pragma once

#include "bot/base/mem.h"
#include "tests/standins/e2b/world.h"

#include <fcntl.h>
#include <sys/stat.h>

/* An absolute path without ".", ".." and double slashes, from an absolute one, one below the
 * user's home, or "~…". Empty = the home. */
char *fs_absolute(struct arena *arena, const struct box_user *user, struct str path);
int fs_open(const struct box *b, const char *path, int flags, mode_t mode); /* -1: errno */
bool fs_is_dir(const struct box *b, const char *path);
const char *fs_name(const char *path);                    /* the last part; "/" of the root */
bool fs_make_dirs(const struct box *b, const char *path); /* parents too; existing is fine */
bool fs_make_parents(const struct box *b, const char *path);
bool fs_remove(const struct box *b, const char *path); /* recursive; a missing path is fine */
bool fs_move(const struct box *b, const char *from, const char *to);
/* EntryInfo, or NULL with errno. New reference. */
json_t *fs_entry(const struct box *b, const char *path);
/* Adds the entries below path, sorted by name, down to depth. */
bool fs_list(const struct box *b, const char *path, int64_t depth, json_t *entries);
