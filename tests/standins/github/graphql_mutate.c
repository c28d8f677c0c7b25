/* Mutations. Most are the REST call of the same meaning, made inside the request as the same actor,
 * so that permissions, effects and webhooks are the same; what REST does not have is done here. */
#include "tests/standins/github/graphql.h"

#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/events.h"
#include "tests/standins/github/write.h"

struct mutation {
    const char *name;
    json_t *(*run)(struct gql *g, const json_t *input, const json_t *sel);
};

static const struct {
    int status;
    const char *type;
} error_types[] = {
    {401, "FORBIDDEN"    },
    {403, "FORBIDDEN"    },
    {404, "NOT_FOUND"    },
    {409, "STALE_DATA"   },
    {405, "UNPROCESSABLE"},
};

/* The REST call; null with an error added when it did not succeed. */
static json_t *rest(struct gql *g, const char *field, const char *method, const char *path,
                    json_t *body)
{
    json_t *out = NULL;
    int status = api_inside(g->q, method, path, body, &out);
    if (status < 300)
        return out ? out : json_object();
    const char *type = "UNPROCESSABLE";
    for (size_t i = 0; i < COUNT(error_types); i++)
        if (error_types[i].status == status)
            type = error_types[i].type;
    const char *detail = json_cstr(json_array_get(json_object_get(out, "errors"), 0), "message");
    gql_error(g, type, field, "%s", detail ? detail : json_cstr(out, "message"));
    json_decref(out);
    return NULL;
}

/* The selection below payload{thing{…}}. */
static const json_t *below(const json_t *sel, const char *thing)
{
    size_t i;
    json_t *row;
    json_array_foreach(sel, i, row)
    {
        if (str_eq(json_str(row, "name"), str_of(thing)))
            return json_object_get(row, "sel");
    }
    return NULL;
}

static json_t *payload_of(struct gql *g, const json_t *input, const json_t *sel, struct issue *i)
{
    const char *key = i->pull ? "pullRequest" : "issue";
    json_t *id = json_object_get(input, "clientMutationId");
    return json_pack("{s:o, s:o}", key, gql_issue(g, i, below(sel, key)), "clientMutationId",
                     id ? json_incref(id) : json_null());
}

static struct issue *subject(struct gql *g, const json_t *input, const char *key)
{
    const char *id = json_cstr(input, key);
    struct issue *i = gql_issue_of(id);
    if (i && actor_sees(&g->q->who, i->repo))
        return i;
    gql_error(g, "NOT_FOUND", key, "Could not resolve to a node with the global id of '%s'.",
              id ? id : "");
    return NULL;
}

static bool allowed(struct gql *g, const struct repo *r, const char *perm, const char *field)
{
    if (actor_may(&g->q->who, r, perm, "write"))
        return true;
    gql_error(g, "FORBIDDEN", field, "Resource not accessible by integration");
    return false;
}

/* ---- drafts, auto-merge, queue ---- */

static json_t *set_draft(struct gql *g, const json_t *input, const json_t *sel, bool draft)
{
    const char *field = draft ? "convertPullRequestToDraft" : "markPullRequestReadyForReview";
    struct issue *i = subject(g, input, "pullRequestId");
    if (!i || !i->pull || !allowed(g, i->repo, "pull_requests=write", field))
        return json_null();
    if (i->pull->draft != draft) {
        i->pull->draft = draft;
        i->updated = now_ms();
        event_issue(i, draft ? "converted_to_draft" : "ready_for_review", g->q->who.user, NULL);
    }
    return payload_of(g, input, sel, i);
}

static json_t *to_draft(struct gql *g, const json_t *input, const json_t *sel)
{
    return set_draft(g, input, sel, true);
}

static json_t *to_ready(struct gql *g, const json_t *input, const json_t *sel)
{
    return set_draft(g, input, sel, false);
}

static json_t *lower(const char *text)
{
    AUTO(mem_freep) char *copy = mem_strdup(text ? text : "merge");
    for (char *c = copy; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return json_string(copy);
}

static json_t *auto_merge_on(struct gql *g, const json_t *input, const json_t *sel)
{
    static const char field[] = "enablePullRequestAutoMerge";
    struct issue *i = subject(g, input, "pullRequestId");
    const char *expected = json_cstr(input, "expectedHeadOid");
    bool mergeable;
    if (!i || !i->pull || !allowed(g, i->repo, "pull_requests=write", field))
        return json_null();
    if (!repo_flag(i->repo, "allow_auto_merge"))
        return gql_error(g, "UNPROCESSABLE", field,
                         "Auto merge is not allowed for this repository");
    if (expected && strcmp(expected, i->pull->head_sha) != 0)
        return gql_error(g, "STALE_DATA", field, "Head sha didn't match expected");
    if (strcmp(pull_merge_state(i, &mergeable), "clean") == 0)
        return gql_error(g, "UNPROCESSABLE", field, "Pull request is in clean status");
    json_decref(i->pull->auto_merge);
    i->pull->auto_merge = json_pack(
        "{s:o, s:o, s:s, s:s}", "enabled_by", obj_user(g->q->who.user), "merge_method",
        lower(json_cstr(input, "mergeMethod")), "commit_title",
        json_cstr(input, "commitHeadline") ? json_cstr(input, "commitHeadline") : "",
        "commit_message", json_cstr(input, "commitBody") ? json_cstr(input, "commitBody") : "");
    event_issue(i, "auto_merge_enabled", g->q->who.user, NULL);
    return payload_of(g, input, sel, i);
}

static json_t *auto_merge_off(struct gql *g, const json_t *input, const json_t *sel)
{
    struct issue *i = subject(g, input, "pullRequestId");
    if (!i || !i->pull ||
        !allowed(g, i->repo, "pull_requests=write", "disablePullRequestAutoMerge"))
        return json_null();
    if (i->pull->auto_merge) {
        json_decref(i->pull->auto_merge);
        i->pull->auto_merge = NULL;
        event_issue(i, "auto_merge_disabled", g->q->who.user,
                    json_pack("{s:s}", "reason", "Auto-merge was disabled"));
    }
    return payload_of(g, input, sel, i);
}

static json_t *enqueue(struct gql *g, const json_t *input, const json_t *sel)
{
    struct issue *i = subject(g, input, "pullRequestId");
    (void)sel;
    if (!i || !i->pull)
        return json_null();
    return gql_error(g, "UNPROCESSABLE", "enqueuePullRequest",
                     "The base branch doesn't have a merge queue");
}

static json_t *update_branch(struct gql *g, const json_t *input, const json_t *sel)
{
    struct issue *i = subject(g, input, "pullRequestId");
    json_t *expected = json_object_get(input, "expectedHeadOid");
    if (!i)
        return json_null();
    AUTO(mem_freep)
    char *path =
        mem_printf("/repos/%s/pulls/%lld/update-branch", i->repo->full, (long long)i->number);
    json_t *done =
        rest(g, "updatePullRequestBranch", "PUT", path,
             expected ? json_pack("{s:O}", "expected_head_sha", expected) : json_object());
    if (!done)
        return json_null();
    json_decref(done);
    return payload_of(g, input, sel, i);
}

/* ---- review threads and comments ---- */

static json_t *resolve(struct gql *g, const json_t *input, const char *field, bool on)
{
    const char *id = json_cstr(input, "threadId");
    struct comment *top = id && strncmp(id, "PRRT", 4) == 0 ? gql_comment_of(id) : NULL;
    if (!top || !actor_sees(&g->q->who, top->issue->repo))
        return gql_error(g, "NOT_FOUND", field,
                         "Could not resolve to a node with the global id of '%s'.", id ? id : "");
    if (!allowed(g, top->issue->repo, "pull_requests=write", field))
        return json_null();
    const struct repo *r = top->issue->repo;
    json_t *comments = json_array();
    top->resolved = on;
    for (size_t k = 0; k < r->review_comments.n; k++) {
        const struct comment *c = r->review_comments.at[k];
        if (c == top || c->reply_to == top->id)
            json_array_append_new(comments, obj_review_comment(c));
    }
    event_repo(r, "pull_request_review_thread", on ? "resolved" : "unresolved", g->q->who.user,
               json_pack("{s:{s:o, s:o}, s:o}", "thread", "node_id", jnode("PRRT", top->id),
                         "comments", comments, "pull_request", obj_pull(top->issue, false, false)));
    return json_pack("{s:o}", "thread", gql_thread(top));
}

static json_t *resolve_on(struct gql *g, const json_t *input, const json_t *sel)
{
    (void)sel;
    return resolve(g, input, "resolveReviewThread", true);
}

static json_t *resolve_off(struct gql *g, const json_t *input, const json_t *sel)
{
    (void)sel;
    return resolve(g, input, "unresolveReviewThread", false);
}

static json_t *thread_reply(struct gql *g, const json_t *input, const json_t *sel)
{
    struct comment *top = gql_comment_of(json_cstr(input, "pullRequestReviewThreadId"));
    (void)sel;
    if (!top)
        return gql_error(g, "NOT_FOUND", "addPullRequestReviewThreadReply",
                         "Could not resolve to a node.");
    AUTO(mem_freep)
    char *path = mem_printf("/repos/%s/pulls/%lld/comments/%lld/replies", top->issue->repo->full,
                            (long long)top->issue->number, (long long)top->id);
    json_t *body = json_object_get(input, "body");
    json_t *done = rest(g, "addPullRequestReviewThreadReply", "POST", path,
                        body ? json_pack("{s:O}", "body", body) : json_object());
    if (!done)
        return json_null();
    const char *id = json_cstr(done, "node_id");
    json_t *out = json_pack("{s:o}", "comment", gql_comment(gql_comment_of(id)));
    json_decref(done);
    return out;
}

static json_t *minimize(struct gql *g, const json_t *input, const json_t *sel)
{
    const struct comment *c = gql_comment_of(json_cstr(input, "subjectId"));
    (void)sel;
    if (!c)
        return gql_error(g, "NOT_FOUND", "minimizeComment", "Could not resolve to a node.");
    if (!allowed(g, c->issue->repo, "issues=write; pull_requests=write", "minimizeComment"))
        return json_null();
    json_t *comment = gql_comment(c);
    jset(comment, "isMinimized", json_true());
    jset(comment, "minimizedReason", lower(json_cstr(input, "classifier")));
    return json_pack("{s:o}", "minimizedComment", comment);
}

static json_t *add_comment(struct gql *g, const json_t *input, const json_t *sel)
{
    struct issue *i = subject(g, input, "subjectId");
    (void)sel;
    if (!i)
        return json_null();
    AUTO(mem_freep)
    char *path = mem_printf("/repos/%s/issues/%lld/comments", i->repo->full, (long long)i->number);
    json_t *body = json_object_get(input, "body");
    json_t *done = rest(g, "addComment", "POST", path,
                        body ? json_pack("{s:O}", "body", body) : json_object());
    if (!done)
        return json_null();
    json_t *node = gql_comment(gql_comment_of(json_cstr(done, "node_id")));
    json_decref(done);
    return json_pack("{s:{s:o}, s:o}", "commentEdge", "node", node, "subject",
                     gql_issue(g, i, NULL));
}

/* ---- issues and pulls ---- */

static struct repo *repo_of(struct gql *g, const json_t *input, const char *field)
{
    int64_t id = 0;
    const char *node = json_cstr(input, "repositoryId");
    struct repo *r = node && node_id_read(node, "R", &id) ? repo_by_id(id) : NULL;
    if (r && actor_sees(&g->q->who, r))
        return r;
    gql_error(g, "NOT_FOUND", field, "Could not resolve to a node with the global id of '%s'.",
              node ? node : "");
    return NULL;
}

/* Label ids to names, user ids to logins: what REST wants. */
static json_t *names_of(const struct repo *r, const json_t *ids, const char *type)
{
    json_t *names = json_array();
    size_t i;
    json_t *id;
    json_array_foreach(ids, i, id)
    {
        int64_t n = 0;
        if (!node_id_read(json_string_value(id), type, &n))
            continue;
        for (size_t k = 0; k < r->labels.n; k++) {
            const struct label *l = r->labels.at[k];
            if (l->id == n)
                json_array_append_new(names, json_string(l->name));
        }
        const struct user *u = user_by_id(n);
        if (u)
            json_array_append_new(names, json_string(u->login));
    }
    return names;
}

static json_t *create_issue(struct gql *g, const json_t *input, const json_t *sel)
{
    struct repo *r = repo_of(g, input, "createIssue");
    if (!r)
        return json_null();
    AUTO(mem_freep) char *path = mem_printf("/repos/%s/issues", r->full);
    json_t *body = json_pack("{s:O?, s:O?, s:o, s:o}", "title", json_object_get(input, "title"),
                             "body", json_object_get(input, "body"), "labels",
                             names_of(r, json_object_get(input, "labelIds"), "LA"), "assignees",
                             names_of(r, json_object_get(input, "assigneeIds"), "U"));
    json_t *done = rest(g, "createIssue", "POST", path, body);
    if (!done)
        return json_null();
    struct issue *i = issue_find(r, json_int(done, "number", 0));
    json_decref(done);
    return payload_of(g, input, sel, i);
}

static json_t *create_pull(struct gql *g, const json_t *input, const json_t *sel)
{
    struct repo *r = repo_of(g, input, "createPullRequest");
    if (!r)
        return json_null();
    AUTO(mem_freep) char *path = mem_printf("/repos/%s/pulls", r->full);
    json_t *body = json_pack(
        "{s:O?, s:O?, s:O?, s:O?, s:O?}", "title", json_object_get(input, "title"), "body",
        json_object_get(input, "body"), "head", json_object_get(input, "headRefName"), "base",
        json_object_get(input, "baseRefName"), "draft", json_object_get(input, "draft"));
    json_t *done = rest(g, "createPullRequest", "POST", path, body);
    if (!done)
        return json_null();
    struct issue *i = issue_find(r, json_int(done, "number", 0));
    json_decref(done);
    return payload_of(g, input, sel, i);
}

static json_t *change(struct gql *g, const json_t *input, const json_t *sel, const char *field,
                      const char *key, json_t *body)
{
    struct issue *i = subject(g, input, key);
    if (!i) {
        json_decref(body);
        return json_null();
    }
    AUTO(mem_freep)
    char *path = mem_printf("/repos/%s/%s/%lld", i->repo->full, i->pull ? "pulls" : "issues",
                            (long long)i->number);
    json_t *done = rest(g, field, "PATCH", path, body);
    if (!done)
        return json_null();
    json_decref(done);
    return payload_of(g, input, sel, i);
}

static json_t *close_issue(struct gql *g, const json_t *input, const json_t *sel)
{
    const char *reason = json_cstr(input, "stateReason");
    json_t *body = json_pack("{s:s}", "state", "closed");
    if (reason)
        jset(body, "state_reason", lower(reason));
    return change(g, input, sel, "closeIssue", "issueId", body);
}

static json_t *reopen_issue(struct gql *g, const json_t *input, const json_t *sel)
{
    return change(g, input, sel, "reopenIssue", "issueId", json_pack("{s:s}", "state", "open"));
}

static json_t *close_pull(struct gql *g, const json_t *input, const json_t *sel)
{
    return change(g, input, sel, "closePullRequest", "pullRequestId",
                  json_pack("{s:s}", "state", "closed"));
}

static json_t *merge_one(struct gql *g, const json_t *input, const json_t *sel)
{
    struct issue *i = subject(g, input, "pullRequestId");
    json_t *expected = json_object_get(input, "expectedHeadOid");
    if (!i)
        return json_null();
    AUTO(mem_freep)
    char *path = mem_printf("/repos/%s/pulls/%lld/merge", i->repo->full, (long long)i->number);
    json_t *body = json_pack("{s:o}", "merge_method", lower(json_cstr(input, "mergeMethod")));
    if (json_is_string(expected))
        json_object_set(body, "sha", expected);
    json_t *done = rest(g, "mergePullRequest", "PUT", path, body);
    if (!done)
        return json_null();
    json_decref(done);
    return payload_of(g, input, sel, i);
}

static json_t *add_labels(struct gql *g, const json_t *input, const json_t *sel)
{
    struct issue *i = subject(g, input, "labelableId");
    if (!i)
        return json_null();
    AUTO(mem_freep)
    char *path = mem_printf("/repos/%s/issues/%lld/labels", i->repo->full, (long long)i->number);
    json_t *done = rest(
        g, "addLabelsToLabelable", "POST", path,
        json_pack("{s:o}", "labels", names_of(i->repo, json_object_get(input, "labelIds"), "LA")));
    if (!done)
        return json_null();
    json_decref(done);
    return json_pack("{s:o}", "labelable", gql_issue(g, i, below(sel, "labelable")));
}

/* ---- commits and refs ---- */

static bool changes_rows(struct gql *g, const json_t *input, json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_at(input, "fileChanges.additions"), i, row)
    {
        AUTO(buf_done) struct buf raw = {0};
        char sha[SHA_TEXT];
        if (!enc_unbase64(json_str(row, "contents"), &raw) ||
            !git_blob_make(g->q->repo->dir, buf_str(&raw), sha))
            return false;
        json_array_append_new(rows,
                              json_pack("{s:O, s:s, s:s}", "path", json_object_get(row, "path"),
                                        "mode", "100644", "sha", sha));
    }
    json_array_foreach(json_at(input, "fileChanges.deletions"), i, row)
    {
        json_array_append_new(rows,
                              json_pack("{s:O, s:n}", "path", json_object_get(row, "path"), "sha"));
    }
    return true;
}

/* write_…() leave their refusal in q: it becomes a GraphQL error. */
static json_t *refused(struct gql *g, const char *field)
{
    const char *message = json_cstr(g->q->out, "message");
    const char *type = g->q->status == 403 ? "FORBIDDEN" : "UNPROCESSABLE";
    return gql_error(g, type, field, "%s", message ? message : "cannot write");
}

static json_t *create_commit(struct gql *g, const json_t *input, const json_t *sel)
{
    static const char field[] = "createCommitOnBranch";
    const char *full = json_cstr(input, "branch.repositoryNameWithOwner");
    const char *branch = json_cstr(input, "branch.branchName");
    const char *expected = json_cstr(input, "expectedHeadOid");
    const char *slash = full ? strchr(full, '/') : NULL;
    bool moved;
    char old[SHA_TEXT];
    char tree[SHA_TEXT];
    char sha[SHA_TEXT];
    (void)sel;
    AUTO(mem_freep)
    char *owner = slash ? str_dup((struct str){full, (size_t)(slash - full)}) : NULL;
    g->q->repo = owner ? repo_find(owner, slash + 1, &moved) : NULL;
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", branch ? branch : "");
    if (!g->q->repo || !actor_sees(&g->q->who, g->q->repo) || !ref_read(g->q->repo->dir, ref, old))
        return gql_error(g, "NOT_FOUND", field, "No ref found for branch");
    if (!allowed(g, g->q->repo, "contents=write", field))
        return json_null();
    if (!expected || strcmp(expected, old) != 0)
        return gql_error(g, "STALE_DATA", field,
                         "Expected branch to point to \"%s\" but it did not. Pull and try again.",
                         expected ? expected : "");
    AUTO(json_decrefp) json_t *rows = json_array();
    const char *headline = json_cstr(input, "message.headline");
    const char *text = json_cstr(input, "message.body");
    AUTO(mem_freep)
    char *message =
        mem_printf("%s%s%s", headline ? headline : "", text ? "\n\n" : "", text ? text : "");
    const char *const parents[] = {old, NULL};
    if (!changes_rows(g, input, rows) || !git_tree_make(g->q->repo->dir, old, rows, tree))
        return gql_error(g, "UNPROCESSABLE", field, "fileChanges are not valid");
    if (!write_commit(g->q, tree, parents, message, NULL, NULL, sha) ||
        !write_ref(g->q, ref, old, sha, false))
        return refused(g, field);
    return json_pack("{s:o}", "commit", gql_commit(g->q->repo, sha));
}

/* All or none, each only from the expected value. */
static json_t *update_refs(struct gql *g, const json_t *input, const json_t *sel)
{
    static const char field[] = "updateRefs";
    struct repo *r = repo_of(g, input, field);
    const json_t *updates = json_object_get(input, "refUpdates");
    size_t i;
    json_t *row;
    (void)sel;
    if (!r || !allowed(g, r, "contents=write", field))
        return json_null();
    g->q->repo = r;
    json_array_foreach(updates, i, row)
    {
        char now[SHA_TEXT] = ZERO_SHA;
        const char *name = json_cstr(row, "name");
        const char *before = json_cstr(row, "beforeOid");
        bool exists = name && ref_read(r->dir, name, now);
        if (!name || !json_cstr(row, "afterOid") ||
            (before && strcmp(before, exists ? now : ZERO_SHA) != 0))
            return gql_error(g, "STALE_DATA", field, "%s is not at the expected object",
                             name ? name : "a ref");
    }
    json_array_foreach(updates, i, row)
    {
        char now[SHA_TEXT] = ZERO_SHA;
        const char *name = json_cstr(row, "name");
        if (!ref_read(r->dir, name, now))
            sha_copy(now, ZERO_SHA);
        if (!write_ref(g->q, name, now, json_cstr(row, "afterOid"), json_bool(row, "force", false)))
            return refused(g, field);
    }
    return json_pack("{s:n}", "clientMutationId");
}

static const struct mutation mutations[] = {
    {"convertPullRequestToDraft",       to_draft      },
    {"markPullRequestReadyForReview",   to_ready      },
    {"enablePullRequestAutoMerge",      auto_merge_on },
    {"disablePullRequestAutoMerge",     auto_merge_off},
    {"enqueuePullRequest",              enqueue       },
    {"updatePullRequestBranch",         update_branch },
    {"resolveReviewThread",             resolve_on    },
    {"unresolveReviewThread",           resolve_off   },
    {"addPullRequestReviewThreadReply", thread_reply  },
    {"minimizeComment",                 minimize      },
    {"addComment",                      add_comment   },
    {"createIssue",                     create_issue  },
    {"closeIssue",                      close_issue   },
    {"reopenIssue",                     reopen_issue  },
    {"createPullRequest",               create_pull   },
    {"closePullRequest",                close_pull    },
    {"mergePullRequest",                merge_one     },
    {"addLabelsToLabelable",            add_labels    },
    {"createCommitOnBranch",            create_commit },
    {"updateRefs",                      update_refs   },
};

json_t *gql_mutate(struct gql *g, const char *name, const json_t *input, const json_t *sel)
{
    for (size_t i = 0; i < COUNT(mutations); i++)
        if (strcmp(mutations[i].name, name) == 0)
            return mutations[i].run(g, input, sel);
    return NULL;
}
