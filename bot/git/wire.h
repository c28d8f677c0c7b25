/* Git's smart HTTP protocol on bot/net: what a fetch of one commit with limited depth and a push of
 * one ref need. Protocol v2 for ls-refs and fetch, v0 for receive-pack. No redirects, every answer
 * bounded, all calls with deadline and cancel. Protocol facts: gitprotocol-v2(5), -pack(5),
 * -http(5). */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/base/secret.h"
#include "bot/git/refname.h"
#include "bot/net/http.h"

#include <stdbool.h>
#include <stdint.h>

struct git_remote { /* borrowed for the call */
    struct http *http;
    const char *url;            /* https://HOST/OWNER/REPO.git */
    const struct secret *token; /* user x-access-token; NULL = anonymous */
};

struct git_ref {
    char name[256]; /* refs/heads/main; HEAD too */
    char oid[GIT_OID_HEX + 1];
    char symref[256]; /* target of HEAD; "" otherwise */
};
/* Refs whose names start with one of the prefixes (NULL-terminated). *out: free(). */
bool git_ls_refs(const struct git_remote *r, const char *const *prefixes, const struct call *call,
                 struct git_ref **out, int *n, struct err *err) MUST_CHECK;

struct git_fetched {
    int64_t pack_bytes;
    int objects;
    struct buf shallow; /* content for .git/shallow: one oid a line; empty = whole history */
};
typedef void (*git_progress_fn)(void *arg, struct str line); /* side-band 2, may be NULL */
/* Writes the pack of `oids` (n of them) with `depth` commits of history (0 = all) to fd as it came.
 * ERR_LIMIT over max_bytes; ERR_AUTH / ERR_GONE / ERR_DENIED by the server's answer. */
bool git_fetch_pack(const struct git_remote *r, const char *const *oids, int n, int depth, int fd,
                    int64_t max_bytes, const struct call *call, git_progress_fn progress,
                    void *progress_arg, struct git_fetched *out, struct err *err) MUST_CHECK;

enum git_push_result {
    GIT_PUSHED,
    GIT_PUSH_STALE,     /* the ref is not at old_oid any more: somebody else was first */
    GIT_PUSH_PROTECTED, /* protected branch, GH006 */
    GIT_PUSH_RULE,      /* repository rule, GH013; secret push protection */
    GIT_PUSH_WORKFLOW,  /* workflow file without the permission */
    GIT_PUSH_LARGE,     /* GH001 */
    GIT_PUSH_REFUSED    /* any other "ng" or hook */
};
const char *git_push_result_name(enum git_push_result r);
/* Compare-and-swap of one ref with the pack in pack_fd (from its start). old_oid NULL = must not
 * exist yet. True when the server answered the ref command: *result says how, and `message` holds
 * the server's own words (side-band and ng line, cleaned, one paragraph). A ref that is at new_oid
 * already counts as pushed: an earlier try may have arrived. False: no answer; the effect is
 * unknown, read the ref. */
bool git_push(const struct git_remote *r, const char *ref, const char *old_oid, const char *new_oid,
              int pack_fd, const struct call *call, enum git_push_result *result,
              struct buf *message, struct err *err) MUST_CHECK;
