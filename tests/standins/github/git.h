/* The git program as a library: every object and ref of a stand-in repository lives in a bare
 * repository on disk and is made, merged and compared by real git. Any thread; the caller keeps
 * two writers of one repository apart (state lock). */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define SHA_TEXT 41 /* 40 hex digits and NUL */
#define ZERO_SHA "0000000000000000000000000000000000000000"
#define GIT_ARGS 24

/* Copies a SHA that is known to be one; anything longer is cut. */
static inline void sha_copy(char to[SHA_TEXT], const char *from)
{
    size_t n = strnlen(from, SHA_TEXT - 1);
    memmove(to, from, n);
    to[n] = '\0';
}

struct child {
    pid_t pid;
    int in;  /* its standard input, we write; -1 = /dev/null */
    int out; /* its standard output, we read */
};
/* argv[0] is looked up in PATH. The child leads its own process group. */
bool child_start(const char *const *argv, const char *const *envp, bool with_input,
                 struct child *out) MUST_CHECK;
int child_end(struct child *c); /* closes, waits: exit status, or 128 + signal */

/* git -C dir ARGS…; true when it exited with 0. out (may be NULL) gets standard output. */
bool git_run(const char *dir, struct buf *out, ... /* const char *, NULL */)
    __attribute__((sentinel));
/* The same with an input, additions to the environment ("K=V", NULL-terminated or NULL), and the
 * exit status itself. */
int git_feed(const char *dir, struct str in, const char *const *env, struct buf *out,
             const char *const *args);

bool git_init_bare(const char *dir, const char *branch) MUST_CHECK;

/* Refs are read from the files themselves: no process. False when there is none. */
bool ref_read(const char *dir, const char *ref, char sha[SHA_TEXT]) MUST_CHECK;
bool ref_write(const char *dir, const char *ref, const char *sha) MUST_CHECK; /* create or move */
bool ref_delete(const char *dir, const char *ref) MUST_CHECK;
bool ref_name_ok(const char *ref) MUST_CHECK;
/* Object {"refs/heads/x": "sha"} of every ref that starts with prefix, sorted. */
json_t *ref_list(const char *dir, const char *prefix);

/* Any revision (branch, tag, SHA, HEAD) to the commit's SHA. */
bool git_resolve(const char *dir, const char *rev, char sha[SHA_TEXT]) MUST_CHECK;
/* "commit", "tree", "blob", "tag"; false when the object is not there. */
bool git_type(const char *dir, const char *sha, char type[16], int64_t *size) MUST_CHECK;
bool git_is_ancestor(const char *dir, const char *older, const char *newer);
bool git_merge_base(const char *dir, const char *a, const char *b, char sha[SHA_TEXT]) MUST_CHECK;
int64_t git_count(const char *dir, const char *from, const char *to); /* commits in from..to */

/* A parsed commit: {sha, tree, parents[], author{name,email,date}, committer{…}, message,
 * signature|null}; NULL when there is no such commit. Dates are RFC 3339, UTC. */
json_t *git_commit_read(const char *dir, const char *sha);
/* Newest first, commits of range ("A..B" or a revision), at most limit, after skip. */
json_t *git_commit_list(const char *dir, const char *range, const char *path, int64_t skip,
                        int64_t limit);

/* Who a commit is by, and when (RFC 3339 or git's own form; NULL = now). */
struct git_person {
    const char *name;
    const char *email;
    const char *date;
};
bool git_commit_make(const char *dir, const char *tree, const char *const *parents,
                     const char *message, const struct git_person *author,
                     const struct git_person *committer, char sha[SHA_TEXT]) MUST_CHECK;
bool git_blob_make(const char *dir, struct str content, char sha[SHA_TEXT]) MUST_CHECK;
/* A tree from base (may be NULL) and rows {path, mode, sha|null}; null deletes. */
bool git_tree_make(const char *dir, const char *base, const json_t *rows,
                   char sha[SHA_TEXT]) MUST_CHECK;

/* The tree of merging theirs into ours; false on conflict. */
bool git_merge_tree(const char *dir, const char *ours, const char *theirs,
                    char tree[SHA_TEXT]) MUST_CHECK;

/* Rows {filename, status, additions, deletions, sha, previous_filename?, patch?} of the change
 * from tree-ish a to b. */
json_t *git_diff(const char *dir, const char *a, const char *b);
