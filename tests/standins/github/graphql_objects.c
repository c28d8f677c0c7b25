/* The objects that GraphQL shows, with the fields that bots, octokit and gh ask for. Costly fields
 * (differences, mergeability) are made only when they are selected. */
#include "tests/standins/github/graphql.h"

#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <ctype.h>

bool gql_wants(const json_t *sel, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(sel, i, row)
    {
        const char *own = json_cstr(row, "name");
        if (own ? strcmp(own, name) == 0 : gql_wants(json_object_get(row, "sel"), name))
            return true;
    }
    return false;
}

static json_t *upper(const char *text)
{
    AUTO(mem_freep) char *copy = mem_strdup(text);
    for (char *c = copy; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return json_string(copy);
}

json_t *gql_user(const struct user *u)
{
    if (!u)
        return json_null();
    json_t *o = json_pack("{s:s, s:s, s:I, s:s}", "__typename", u->type, "login", u->login,
                          "databaseId", (json_int_t)u->id, "email", u->email ? u->email : "");
    jset(o, "id", jnode(strcmp(u->type, "Bot") == 0 ? "BOT" : "U", u->id));
    jset(o, "name", jtext(u->name));
    jsetf(o, "url", "%s/%s", S.base, u->login);
    jsetf(o, "avatarUrl", "%s/avatars/u/%lld?v=4", S.base, (long long)u->id);
    return o;
}

static json_t *users_of(const struct list *users)
{
    json_t *all = json_array();
    for (size_t i = 0; i < users->n; i++)
        json_array_append_new(all, gql_user(users->at[i]));
    return all;
}

static json_t *label_of(const struct repo *r, const struct label *l)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s}", "__typename", "Label", "name", l->name, "color", l->color);
    jset(o, "id", jnode("LA", l->id));
    jset(o, "description", jtext(l->description ? l->description : ""));
    jsetf(o, "url", "%s/%s/labels/%s", S.base, r->full, l->name);
    return o;
}

static json_t *labels_of(const struct repo *r, const struct list *labels)
{
    json_t *all = json_array();
    for (size_t i = 0; i < labels->n; i++)
        json_array_append_new(all, label_of(r, labels->at[i]));
    return all;
}

static json_t *reaction_groups(int64_t subject)
{
    static const char *const names[][2] = {
        {"+1",       "THUMBS_UP"  },
        {"-1",       "THUMBS_DOWN"},
        {"laugh",    "LAUGH"      },
        {"hooray",   "HOORAY"     },
        {"confused", "CONFUSED"   },
        {"heart",    "HEART"      },
        {"rocket",   "ROCKET"     },
        {"eyes",     "EYES"       },
    };
    json_t *all = json_array();
    for (size_t k = 0; k < COUNT(names); k++) {
        json_t *users = json_array();
        for (size_t i = 0; i < S.reactions.n; i++) {
            const struct reaction *r = S.reactions.at[i];
            if (r->subject == subject && strcmp(r->content, names[k][0]) == 0)
                json_array_append_new(users, gql_user(r->user));
        }
        json_array_append_new(all, json_pack("{s:s, s:s, s:o}", "__typename", "ReactionGroup",
                                             "content", names[k][1], "users", users));
    }
    return all;
}

json_t *gql_comment(const struct comment *c)
{
    const struct issue *i = c->issue;
    json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:b, s:b, s:n, s:b, s:o, s:o, s:o}", "__typename",
                          c->path ? "PullRequestReviewComment" : "IssueComment", "databaseId",
                          (json_int_t)c->id, "body", c->body, "authorAssociation",
                          association(i->repo, c->user), "includesCreatedEdit", 0, "isMinimized", 0,
                          "minimizedReason", "viewerDidAuthor", 0, "author", gql_user(c->user),
                          "createdAt", jtime(c->created), "updatedAt", jtime(c->updated));
    jset(o, "id", jnode(c->path ? "PRRC" : "IC", c->id));
    jset(o, "reactionGroups", reaction_groups(c->id));
    jsetf(o, "url", "%s/%s/%s/%lld#%s%lld", S.base, i->repo->full, i->pull ? "pull" : "issues",
          (long long)i->number, c->path ? "discussion_r" : "issuecomment-", (long long)c->id);
    if (c->path) {
        jset(o, "path", json_string(c->path));
        jset(o, "line", json_integer(c->line));
        jset(o, "diffHunk", jtext(c->hunk));
    }
    return o;
}

json_t *gql_thread(const struct comment *top)
{
    json_t *comments = json_array();
    const struct repo *r = top->issue->repo;
    for (size_t k = 0; k < r->review_comments.n; k++) {
        const struct comment *c = r->review_comments.at[k];
        if (c == top || c->reply_to == top->id)
            json_array_append_new(comments, gql_comment(c));
    }
    json_t *o = json_pack("{s:s, s:b, s:b, s:b, s:s, s:I, s:n, s:s, s:o}", "__typename",
                          "PullRequestReviewThread", "isResolved", top->resolved, "isOutdated",
                          strcmp(top->commit, top->issue->pull->head_sha) != 0, "isCollapsed",
                          top->resolved, "path", top->path, "line", (json_int_t)top->line,
                          "startLine", "diffSide", top->side, "comments", comments);
    jset(o, "id", jnode("PRRT", top->id));
    return o;
}

static json_t *signature_of(const json_t *commit)
{
    if (!json_cstr(commit, "signature"))
        return json_null();
    return json_pack("{s:s, s:b, s:s}", "__typename", "GpgSignature", "isValid", 1, "state",
                     "VALID");
}

static json_t *rollup(const struct repo *r, const char *sha)
{
    json_t *contexts = json_array();
    const char *state = "SUCCESS";
    for (size_t i = 0; i < r->checks.n; i++) {
        const struct check *c = r->checks.at[i];
        if (strcmp(c->sha, sha) != 0)
            continue;
        AUTO(json_decrefp) json_t *run = obj_check(c);
        const char *conclusion = json_cstr(run, "conclusion");
        json_t *o = json_pack(
            "{s:s, s:O, s:o, s:o, s:O, s:O, s:O, s:n}", "__typename", "CheckRun", "name",
            json_object_get(run, "name"), "status", upper(json_cstr(run, "status")), "conclusion",
            conclusion ? upper(conclusion) : json_null(), "startedAt",
            json_object_get(run, "started_at"), "completedAt", json_object_get(run, "completed_at"),
            "detailsUrl", json_object_get(run, "details_url"), "checkSuite");
        jset(o, "databaseId", json_integer(c->id));
        jset(o, "checkSuite", json_pack("{s:n}", "workflowRun"));
        json_array_append_new(contexts, o);
        if (!conclusion)
            state = "PENDING";
        else if (strcmp(conclusion, "failure") == 0)
            state = "FAILURE";
    }
    if (json_array_size(contexts) == 0) {
        json_decref(contexts);
        return json_null();
    }
    return json_pack("{s:s, s:s, s:o}", "__typename", "StatusCheckRollup", "state", state,
                     "contexts", contexts);
}

json_t *gql_commit(const struct repo *r, const char *sha)
{
    json_t *c = git_commit_read(r->dir, sha);
    if (!c)
        return json_null();
    struct str message = json_str(c, "message");
    struct str head = {NULL, 0};
    struct str rest = message;
    (void)str_line(&rest, &head);
    json_t *o = json_pack("{s:s, s:s, s:O, s:o, s:o, s:O, s:o, s:o}", "__typename", "Commit", "oid",
                          sha, "message", json_object_get(c, "message"), "messageHeadline",
                          json_text(head), "messageBody", json_text(str_trim(rest)),
                          "committedDate", json_at(c, "committer.date"), "signature",
                          signature_of(c), "statusCheckRollup", rollup(r, sha));
    jset(o, "authoredDate", json_incref(json_at(c, "author.date")));
    jset(o, "id", json_sprintf("C_kwDO%llx_%s", (long long)r->id, sha));
    jset(o, "abbreviatedOid", json_sprintf("%.7s", sha));
    jset(o, "author",
         json_pack("{s:O, s:O, s:n}", "name", json_at(c, "author.name"), "email",
                   json_at(c, "author.email"), "user"));
    jset(o, "authors", json_pack("[O]", json_object_get(o, "author")));
    jsetf(o, "url", "%s/%s/commit/%s", S.base, r->full, sha);
    json_decref(c);
    return o;
}

/* ---- repositories ---- */

static json_t *ref_of(const struct repo *r, const char *ref)
{
    char sha[SHA_TEXT];
    if (!ref_read(r->dir, ref, sha))
        return json_null();
    json_t *o = json_pack("{s:s, s:s, s:s, s:o}", "__typename", "Ref", "name",
                          strncmp(ref, "refs/heads/", 11) == 0 ? ref + 11 : ref, "prefix",
                          "refs/heads/", "target", gql_commit(r, sha));
    jset(o, "id", jnode("REF", r->id));
    jset(o, "branchProtectionRule", json_null());
    return o;
}

json_t *gql_repo(struct gql *g, struct repo *r)
{
    static const char *const switches[][2] = {
        {"hasIssuesEnabled",      "has_issues"            },
        {"hasWikiEnabled",        "has_wiki"              },
        {"hasProjectsEnabled",    "has_projects"          },
        {"hasDiscussionsEnabled", "has_discussions"       },
        {"mergeCommitAllowed",    "allow_merge_commit"    },
        {"squashMergeAllowed",    "allow_squash_merge"    },
        {"rebaseMergeAllowed",    "allow_rebase_merge"    },
        {"autoMergeAllowed",      "allow_auto_merge"      },
        {"deleteBranchOnMerge",   "delete_branch_on_merge"},
    };
    const struct req *q = g->q;
    json_t *o = json_pack("{s:s, s:I, s:I, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:o}", "__typename",
                          "Repository", "__repo", (json_int_t)r->id, "databaseId",
                          (json_int_t)r->id, "name", r->name, "nameWithOwner", r->full, "isPrivate",
                          r->is_private, "isArchived", r->archived, "isFork", r->parent != NULL,
                          "isEmpty", 0, "isTemplate", 0, "owner", gql_user(r->owner));
    for (size_t i = 0; i < COUNT(switches); i++)
        jset(o, switches[i][0], json_boolean(repo_flag(r, switches[i][1])));
    AUTO(mem_freep) char *main_ref = mem_printf("refs/heads/%s", r->default_branch);
    const char *role = q->who.kind == ACTOR_USER ? repo_role(r, q->who.user)
                       : actor_may(&q->who, r, "contents=write", "write") ? "write"
                                                                          : "read";
    jset(o, "id", jnode("R", r->id));
    jset(o, "description", json_incref(json_object_get(r->settings, "description")));
    jset(o, "visibility", json_string(r->is_private ? "PRIVATE" : "PUBLIC"));
    jset(o, "defaultBranchRef", ref_of(r, main_ref));
    jset(o, "viewerPermission", upper(role));
    jset(o, "viewerCanAdminister", json_boolean(role_rank(role) >= role_rank("admin")));
    jset(o, "parent", r->parent ? gql_repo(g, r->parent) : json_null());
    jset(o, "createdAt", jtime(r->created));
    jset(o, "updatedAt", jtime(r->updated));
    jset(o, "pushedAt", jtime(r->pushed));
    jsetf(o, "url", "%s/%s", S.base, r->full);
    jsetf(o, "sshUrl", "git@%s:%s.git", strstr(S.base, "//") + 2, r->full);
    jset(o, "issueTemplates", json_array());
    jset(o, "pullRequestTemplates", json_array());
    jset(o, "milestones", json_array());
    jset(o, "projects", json_array());
    return o;
}

/* ---- issues and pulls ---- */

static json_t *comments_of(const struct issue *i)
{
    json_t *all = json_array();
    for (size_t k = 0; k < i->repo->comments.n; k++) {
        const struct comment *c = i->repo->comments.at[k];
        if (c->issue == i)
            json_array_append_new(all, gql_comment(c));
    }
    return all;
}

static json_t *reviews_of(const struct issue *i)
{
    json_t *all = json_array();
    for (size_t k = 0; k < i->repo->reviews.n; k++) {
        const struct review *r = i->repo->reviews.at[k];
        if (r->issue != i)
            continue;
        json_t *o =
            json_pack("{s:s, s:I, s:s, s:s, s:o, s:o, s:b, s:s, s:o}", "__typename",
                      "PullRequestReview", "databaseId", (json_int_t)r->id, "state", r->state,
                      "body", r->body, "author", gql_user(r->user), "submittedAt",
                      jtime(r->submitted), "includesCreatedEdit", 0, "authorAssociation",
                      association(i->repo, r->user), "reactionGroups", reaction_groups(r->id));
        jset(o, "id", jnode("PRR", r->id));
        jset(o, "commit", json_pack("{s:s}", "oid", r->commit));
        jsetf(o, "url", "%s/%s/pull/%lld#pullrequestreview-%lld", S.base, i->repo->full,
              (long long)i->number, (long long)r->id);
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *threads_of(const struct issue *i)
{
    json_t *all = json_array();
    for (size_t k = 0; k < i->repo->review_comments.n; k++) {
        const struct comment *c = i->repo->review_comments.at[k];
        if (c->issue == i && !c->reply_to)
            json_array_append_new(all, gql_thread(c));
    }
    return all;
}

/* "Closes #3" and so on, among the issues of the same repository. */
static json_t *closing_of(struct gql *g, const struct issue *i)
{
    static const char *const words[] = {"closes #", "fixes #", "resolves #",
                                        "close #",  "fix #",   "resolve #"};
    json_t *all = json_array();
    for (size_t n = 0; i->body && n < i->repo->issues.n; n++) {
        struct issue *other = i->repo->issues.at[n];
        for (size_t k = 0; !other->pull && k < COUNT(words); k++) {
            AUTO(mem_freep)
            char *promise = mem_printf("%s%lld", words[k], (long long)other->number);
            const char *at = strcasestr(i->body, promise);
            if (at && !isdigit((unsigned char)at[strlen(promise)])) {
                json_array_append_new(all, gql_issue(g, other, NULL));
                break;
            }
        }
    }
    return all;
}

static const char *decision_of(const struct issue *i)
{
    const char *decision = NULL;
    for (size_t k = 0; k < i->repo->reviews.n; k++) {
        const struct review *r = i->repo->reviews.at[k];
        if (r->issue == i &&
            (strcmp(r->state, "APPROVED") == 0 || strcmp(r->state, "CHANGES_REQUESTED") == 0))
            decision = r->state;
    }
    if (!decision && branch_rule(i->repo, i->pull->base_ref, "pull_request"))
        return "REVIEW_REQUIRED";
    return decision;
}

static void add_costly(json_t *o, struct issue *i, const json_t *sel)
{
    struct pull *p = i->pull;
    if (gql_wants(sel, "mergeable") || gql_wants(sel, "mergeStateStatus")) {
        bool mergeable = false;
        bool known = p->unknown_reads <= 0 && !p->merged;
        const char *state = known ? pull_merge_state(i, &mergeable) : "unknown";
        p->unknown_reads -= p->unknown_reads > 0;
        jset(o, "mergeable",
             json_string(!known      ? "UNKNOWN"
                         : mergeable ? "MERGEABLE"
                                     : "CONFLICTING"));
        jset(o, "mergeStateStatus", upper(state));
    }
    if (gql_wants(sel, "additions") || gql_wants(sel, "files") || gql_wants(sel, "changedFiles") ||
        gql_wants(sel, "deletions")) {
        AUTO(json_decrefp) json_t *full = obj_pull(i, true, false);
        static const char *const names[][2] = {
            {"additions",    "additions"    },
            {"deletions",    "deletions"    },
            {"changedFiles", "changed_files"}
        };
        for (size_t k = 0; k < COUNT(names); k++)
            jset(o, names[k][0], json_incref(json_object_get(full, names[k][1])));
    }
    if (gql_wants(sel, "files")) {
        char base[SHA_TEXT];
        json_t *rows =
            pull_base_of_diff(i, base) ? git_diff(i->repo->dir, base, p->head_sha) : json_array();
        size_t k;
        json_t *row;
        json_array_foreach(rows, k, row)
        {
            jset(row, "path", json_incref(json_object_get(row, "filename")));
        }
        jset(o, "files", rows);
    }
    if (gql_wants(sel, "commits")) {
        AUTO(mem_freep) char *range = mem_printf("%s..%s", p->base_sha, p->head_sha);
        AUTO(json_decrefp) json_t *list = git_commit_list(i->repo->dir, range, ".", 0, 250);
        json_t *all = json_array();
        for (size_t k = json_array_size(list); k > 0; k--)
            json_array_append_new(
                all, json_pack("{s:s, s:o}", "__typename", "PullRequestCommit", "commit",
                               gql_commit(i->repo, json_cstr(json_array_get(list, k - 1), "sha"))));
        jset(o, "commits", all);
    }
}

static void add_pull(struct gql *g, json_t *o, struct issue *i, const json_t *sel)
{
    const struct pull *p = i->pull;
    json_t *requests = json_array();
    for (size_t k = 0; k < p->reviewers.n; k++)
        json_array_append_new(requests,
                              json_pack("{s:s, s:o}", "__typename", "ReviewRequest",
                                        "requestedReviewer", gql_user(p->reviewers.at[k])));
    jset(o, "isDraft", json_boolean(p->draft));
    jset(o, "merged", json_boolean(p->merged));
    jset(o, "mergedAt", jtime(p->merged));
    jset(o, "mergedBy", gql_user(p->merged_by));
    jset(o, "mergeCommit", p->merge_sha[0] ? gql_commit(i->repo, p->merge_sha) : json_null());
    jset(o, "potentialMergeCommit", json_null());
    jset(o, "baseRefName", json_string(p->base_ref));
    jset(o, "headRefName", json_string(p->head_ref));
    jset(o, "baseRefOid", json_string(p->base_sha));
    jset(o, "headRefOid", json_string(p->head_sha));
    jset(o, "headRepository", gql_repo(g, p->head_repo));
    jset(o, "headRepositoryOwner", gql_user(p->head_repo->owner));
    jset(o, "isCrossRepository", json_boolean(p->head_repo != i->repo));
    jset(o, "maintainerCanModify", json_boolean(p->modify));
    jset(o, "reviewDecision", jtext(decision_of(i)));
    jset(o, "reviewRequests", requests);
    json_t *reviews = reviews_of(i);
    jset(o, "reviews", reviews);
    jset(o, "latestReviews", json_incref(reviews));
    jset(o, "autoMergeRequest",
         p->auto_merge ? json_pack("{s:o, s:o}", "mergeMethod",
                                   upper(json_cstr(p->auto_merge, "merge_method")), "enabledAt",
                                   jtime(i->updated))
                       : json_null());
    if (gql_wants(sel, "reviewThreads"))
        jset(o, "reviewThreads", threads_of(i));
    if (gql_wants(sel, "closingIssuesReferences"))
        jset(o, "closingIssuesReferences", closing_of(g, i));
    jset(o, "statusCheckRollup", rollup(i->repo, p->head_sha));
    add_costly(o, i, sel);
}

json_t *gql_issue(struct gql *g, struct issue *i, const json_t *sel)
{
    const char *state = i->pull && i->pull->merged ? "MERGED" : i->closed ? "CLOSED" : "OPEN";
    json_t *o = json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:b, s:b, s:n, s:[], s:[], s:n}",
                          "__typename", i->pull ? "PullRequest" : "Issue", "number",
                          (json_int_t)i->number, "databaseId", (json_int_t)i->id, "title", i->title,
                          "body", i->body ? i->body : "", "state", state, "authorAssociation",
                          association(i->repo, i->user), "closed", i->closed, "locked", i->locked,
                          "milestone", "projectCards", "projectItems", "activeLockReason");
    jset(o, "id", jnode(i->pull ? "PR" : "I", i->id));
    jset(o, "author", gql_user(i->user));
    jset(o, "stateReason", i->reason ? upper(i->reason) : json_null());
    jset(o, "labels", labels_of(i->repo, &i->labels));
    jset(o, "assignees", users_of(&i->assignees));
    jset(o, "createdAt", jtime(i->created));
    jset(o, "updatedAt", jtime(i->updated));
    jset(o, "closedAt", jtime(i->closed_at));
    jset(o, "reactionGroups", reaction_groups(i->id));
    jsetf(o, "url", "%s/%s/%s/%lld", S.base, i->repo->full, i->pull ? "pull" : "issues",
          (long long)i->number);
    if (gql_wants(sel, "comments"))
        jset(o, "comments", comments_of(i));
    if (gql_wants(sel, "repository") || gql_wants(sel, "baseRepository")) {
        jset(o, "repository", gql_repo(g, i->repo));
        jset(o, "baseRepository", gql_repo(g, i->repo));
    }
    if (i->pull)
        add_pull(g, o, i, sel);
    return o;
}

struct issue *gql_issue_of(const char *id)
{
    int64_t n = 0;
    if (!id || (!node_id_read(id, "PR", &n) && !node_id_read(id, "I", &n)))
        return NULL;
    for (size_t r = 0; r < S.repos.n; r++) {
        const struct repo *repo = S.repos.at[r];
        for (size_t i = 0; i < repo->issues.n; i++)
            if (((struct issue *)repo->issues.at[i])->id == n)
                return repo->issues.at[i];
    }
    return NULL;
}

struct comment *gql_comment_of(const char *id)
{
    int64_t n = 0;
    if (!id || (!node_id_read(id, "IC", &n) && !node_id_read(id, "PRRC", &n) &&
                !node_id_read(id, "PRRT", &n)))
        return NULL;
    for (size_t r = 0; r < S.repos.n; r++) {
        const struct repo *repo = S.repos.at[r];
        const struct list *lists[] = {&repo->comments, &repo->review_comments};
        for (size_t l = 0; l < COUNT(lists); l++)
            for (size_t i = 0; i < lists[l]->n; i++)
                if (((struct comment *)lists[l]->at[i])->id == n)
                    return lists[l]->at[i];
    }
    return NULL;
}

/* ---- fields with arguments ---- */

static bool state_in(const json_t *states, const struct issue *i)
{
    const char *own = i->pull && i->pull->merged ? "MERGED" : i->closed ? "CLOSED" : "OPEN";
    size_t k;
    json_t *s;
    if (json_is_string(states))
        return strcmp(json_string_value(states), own) == 0;
    if (!json_is_array(states) || json_array_size(states) == 0)
        return true;
    json_array_foreach(states, k, s)
    {
        if (strcmp(json_string_value(s), own) == 0)
            return true;
    }
    return false;
}

static const json_t *node_selection(const json_t *field)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(field, "sel"), i, row)
    {
        const char *name = json_cstr(row, "name");
        if (name && strcmp(name, "nodes") == 0)
            return json_object_get(row, "sel");
        if (name && strcmp(name, "edges") == 0)
            return node_selection(row);
        if (name && strcmp(name, "node") == 0)
            return json_object_get(row, "sel");
    }
    return NULL;
}

static json_t *many(struct gql *g, struct repo *r, const json_t *field, bool pulls)
{
    const json_t *args = json_object_get(field, "args");
    const json_t *sel = node_selection(field);
    const char *head = json_cstr(args, "headRefName");
    const char *base = json_cstr(args, "baseRefName");
    bool rising = str_eq(json_str(args, "orderBy.direction"), STR("ASC"));
    json_t *all = json_array();
    for (size_t k = 0; k < r->issues.n; k++) {
        struct issue *i = r->issues.at[rising ? k : r->issues.n - 1 - k];
        if ((i->pull != NULL) != pulls || i->deleted ||
            !state_in(json_object_get(args, "states"), i))
            continue;
        if (pulls && ((head && strcmp(head, i->pull->head_ref) != 0) ||
                      (base && strcmp(base, i->pull->base_ref) != 0)))
            continue;
        json_array_append_new(all, gql_issue(g, i, sel));
    }
    return all;
}

static json_t *one(struct gql *g, struct repo *r, const json_t *field, const char *name)
{
    int64_t number = json_int(json_object_get(field, "args"), "number", 0);
    struct issue *i = issue_find(r, number);
    bool any = strcmp(name, "issueOrPullRequest") == 0;
    bool pull = strcmp(name, "pullRequest") == 0;
    if (i && (any || (i->pull != NULL) == pull))
        return gql_issue(g, i, json_object_get(field, "sel"));
    return gql_error(g, "NOT_FOUND", name, "Could not resolve to %s with the number of %lld.",
                     any    ? "an issue or pull request"
                     : pull ? "a PullRequest"
                            : "an Issue",
                     (long long)number);
}

json_t *gql_repo_field(struct gql *g, struct repo *r, const json_t *field)
{
    const char *name = json_cstr(field, "name");
    const json_t *args = json_object_get(field, "args");
    if (strcmp(name, "pullRequests") == 0 || strcmp(name, "issues") == 0)
        return many(g, r, field, name[0] == 'p');
    if (strcmp(name, "pullRequest") == 0 || strcmp(name, "issue") == 0 ||
        strcmp(name, "issueOrPullRequest") == 0)
        return one(g, r, field, name);
    if (strcmp(name, "labels") == 0)
        return labels_of(r, &r->labels);
    if (strcmp(name, "label") == 0) {
        const struct label *l =
            label_find(r, json_cstr(args, "name") ? json_cstr(args, "name") : "");
        return l ? label_of(r, l) : json_null();
    }
    if (strcmp(name, "ref") == 0)
        return ref_of(r, json_cstr(args, "qualifiedName") ? json_cstr(args, "qualifiedName") : "");
    if (strcmp(name, "object") == 0) {
        char sha[SHA_TEXT];
        const char *expression = json_cstr(args, "expression");
        return expression && git_resolve(r->dir, expression, sha) ? gql_commit(r, sha)
                                                                  : json_null();
    }
    if (strcmp(name, "assignableUsers") == 0) {
        struct list people = {0};
        for (size_t i = 0; i < S.users.n; i++) {
            struct user *u = S.users.at[i];
            if (u == r->owner || json_object_get(r->roles, u->login))
                list_add(&people, u);
        }
        json_t *all = users_of(&people);
        free(people.at);
        return all;
    }
    return NULL;
}
