/* Takes the agent's work out of a bundle, distrusting every byte: pre-scan, quarantine folder with
 * the fetched base pack beside it, own validator of commits and trees, policy, then commits made
 * anew by us with stored times (a repeat gives the same ids), and a pack of just the new objects.
 * Blocking; one thread a call; `dir` belongs to the call. Owns libgit2. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/git/refname.h"

#include <stdbool.h>
#include <stdint.h>

void git_engine_init(void); /* by the first git_import() itself; on any thread */
void git_engine_done(void); /* at the end, when no other thread imports */

struct git_identity {
    const char *name;
    const char *email;
};
struct git_import_spec {
    const char *dir; /* work folder, ours: base.pack (+ .idx made here), quarantine/, out.pack */
    const char *bundle_path;    /* inside dir */
    const char *base_oid;       /* from our database: the only allowed prerequisite */
    const char *ref;            /* refs/heads/task-12: the only allowed ref */
    struct git_identity author; /* author and committer of all new commits */
    int64_t time_s;             /* of the first new commit; each next one a second later */
    const char *title;          /* fall-back subject (already a valid Conventional Commit) */
    const char *trailers; /* "Refs: #12\nCo-authored-by: …", appended to each message; may be "" */
};
struct git_commit_info {
    char oid[GIT_OID_HEX + 1];
    char *subject;
    bool reworded; /* the agent's own message was not a valid Conventional Commit */
};
struct git_import_result {
    char tip[GIT_OID_HEX + 1];
    struct git_commit_info *commits; /* oldest first */
    int commits_n;
    int files, insertions, deletions; /* base..tip */
    struct buf diffstat;              /* "path | +3 -1" lines, at most 50, then how many more */
    struct buf patch;                 /* mbox series that `git am` applies onto base_oid */
    char pack_path[1024];             /* dir/out.pack */
};
void git_import_result_done(struct git_import_result *r);
/* ERR_POLICY with a code word first ("tree.dotgit: …") when the work breaks a rule; ERR_INPUT when
 * the bundle is not one. */
bool git_import(const struct git_import_spec *spec, const struct call *call,
                struct git_import_result *out, struct err *err) MUST_CHECK;
