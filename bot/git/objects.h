/* Reading untrusted objects: by type, with a ceiling, parsed by ourselves. Any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/str.h"
#include "bot/git/refname.h"

#include <git2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMIT_MAX_BYTES ((size_t)1024 * 1024)
#define TREE_MAX_BYTES   ((size_t)32 * 1024 * 1024)

enum tree_mode {
    MODE_TREE = 0040000,
    MODE_FILE = 0100644,
    MODE_EXECUTABLE = 0100755,
    MODE_SYMLINK = 0120000,
    MODE_GITLINK = 0160000
};

/* ERR_POLICY object.missing, object.type, object.size. *out: git_odb_object_free(). */
bool object_read(git_odb *odb, const git_oid *oid, git_object_t type, size_t max,
                 git_odb_object **out, struct err *err) MUST_CHECK;
bool object_check(git_odb *odb, const git_oid *oid, git_object_t type, size_t *size,
                  struct err *err) MUST_CHECK;
static inline struct str object_str(const git_odb_object *o)
{
    git_odb_object *mutable_o;
    memcpy(&mutable_o, &o, sizeof(o)); /* libgit2's getters take no const */
    return (struct str){git_odb_object_data(mutable_o), git_odb_object_size(mutable_o)};
}

struct commit_parts { /* slices of the object */
    git_oid tree;
    git_oid parent; /* the first; of a root commit null */
    int parents;
    struct str message;
};
bool commit_parse(struct str raw, struct commit_parts *out, struct err *err) MUST_CHECK;

struct tree_entry { /* name: slice of the object */
    uint32_t mode;
    bool padded; /* the mode began with a zero, as some old programs wrote it */
    struct str name;
    git_oid oid;
};
/* The next entry of *rest. TREE_BAD: err is set. */
enum tree_step { TREE_END, TREE_ENTRY, TREE_BAD };
enum tree_step tree_next(struct str *rest, struct tree_entry *out, struct err *err) MUST_CHECK;
bool tree_is_folder(const struct tree_entry *e);
/* In git's order: as if folders' names ended in a slash. */
int tree_compare(const struct tree_entry *a, const struct tree_entry *b);
