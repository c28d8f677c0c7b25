/* Pull requests, reviews and their comments as GitHub shows them, and whether one can be merged. */
#include "tests/standins/github/objects.h"

#include "bot/base/json.h"
#include "bot/base/mem.h"

static bool checks_green(const struct issue *i, const json_t *rule)
{
    size_t k;
    json_t *want;
    json_array_foreach(json_at(rule, "parameters.required_status_checks"), k, want)
    {
        const char *name = json_cstr(want, "context");
        bool green = false;
        for (size_t c = 0; c < i->repo->checks.n; c++) {
            const struct check *run = i->repo->checks.at[c];
            struct str conclusion = json_str(run->fields, "conclusion");
            if (strcmp(run->sha, i->pull->head_sha) == 0 &&
                str_eq(json_str(run->fields, "name"), str_of(name)))
                green = str_eq(conclusion, STR("success")) || str_eq(conclusion, STR("neutral")) ||
                        str_eq(conclusion, STR("skipped"));
        }
        size_t s;
        json_t *status;
        json_array_foreach(i->repo->statuses, s, status)
        {
            if (str_eq(json_str(status, "sha"), str_of(i->pull->head_sha)) &&
                str_eq(json_str(status, "context"), str_of(name)))
                green = str_eq(json_str(status, "state"), STR("success"));
        }
        if (!green)
            return false;
    }
    return true;
}

static int64_t approvals(const struct issue *i)
{
    struct list yes = {0};
    for (size_t k = 0; k < i->repo->reviews.n; k++) {
        struct review *r = i->repo->reviews.at[k];
        if (r->issue != i || strcmp(r->state, "COMMENTED") == 0)
            continue;
        (void)list_remove(&yes, r->user);
        if (strcmp(r->state, "APPROVED") == 0)
            list_add(&yes, r->user);
    }
    free(yes.at);
    return (int64_t)yes.n;
}

static bool any_check_failed(const struct issue *i)
{
    for (size_t c = 0; c < i->repo->checks.n; c++) {
        const struct check *run = i->repo->checks.at[c];
        if (strcmp(run->sha, i->pull->head_sha) == 0 &&
            (str_eq(json_str(run->fields, "conclusion"), STR("failure")) ||
             !str_eq(json_str(run->fields, "status"), STR("completed"))))
            return true;
    }
    return false;
}

static bool can_merge(const struct issue *i, const char *base)
{
    struct pull *p = i->pull;
    char tree[SHA_TEXT];
    if (strcmp(p->tried_base, base) != 0 || strcmp(p->tried_head, p->head_sha) != 0) {
        p->merges = git_merge_tree(i->repo->dir, base, p->head_sha, tree);
        sha_copy(p->tried_base, base);
        sha_copy(p->tried_head, p->head_sha);
    }
    return p->merges;
}

const char *pull_merge_state(const struct issue *i, bool *mergeable)
{
    const struct repo *r = i->repo;
    char base[SHA_TEXT];
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", i->pull->base_ref);
    *mergeable = ref_read(r->dir, ref, base) && can_merge(i, base);
    if (!*mergeable)
        return "dirty";
    if (i->pull->draft)
        return "draft";
    const json_t *reviews = branch_rule(r, i->pull->base_ref, "pull_request");
    const json_t *checks = branch_rule(r, i->pull->base_ref, "required_status_checks");
    if (reviews &&
        approvals(i) < json_int(reviews, "parameters.required_approving_review_count", 0))
        return "blocked";
    if (checks && !checks_green(i, checks))
        return "blocked";
    if (checks && json_bool(checks, "parameters.strict_required_status_checks_policy", false) &&
        !git_is_ancestor(r->dir, base, i->pull->head_sha))
        return "behind";
    return any_check_failed(i) ? "unstable" : "clean";
}

bool pull_base_of_diff(const struct issue *i, char sha[SHA_TEXT])
{
    return git_merge_base(i->repo->dir, i->pull->base_sha, i->pull->head_sha, sha);
}

static json_t *side(const struct repo *r, const char *ref, const char *sha)
{
    json_t *o = json_pack("{s:s, s:s, s:o, s:o}", "ref", ref, "sha", sha, "user",
                          obj_user(r->owner), "repo", r->deleted ? json_null() : obj_repo(r, NULL));
    jsetf(o, "label", "%s:%s", r->owner->login, ref);
    return o;
}

static const struct {
    const char *key;
    const char *link;
    bool issues; /* under /issues/, not /pulls/ */
    const char *tail;
} pull_urls[] = {
    {"url",                 "self",            false, ""         },
    {"issue_url",           "issue",           true,  ""         },
    {"commits_url",         "commits",         false, "/commits" },
    {"review_comments_url", "review_comments", false, "/comments"},
    {"comments_url",        "comments",        true,  "/comments"},
};

static void add_urls(json_t *o, const struct issue *i)
{
    const char *full = i->repo->full;
    long long n = (long long)i->number;
    json_t *links = json_object();
    for (size_t k = 0; k < COUNT(pull_urls); k++)
        jsetf(o, pull_urls[k].key, "%s/repos/%s/%s/%lld%s", S.api, full,
              pull_urls[k].issues ? "issues" : "pulls", n, pull_urls[k].tail);
    jsetf(o, "html_url", "%s/%s/pull/%lld", S.base, full, n);
    jsetf(o, "diff_url", "%s/%s/pull/%lld.diff", S.base, full, n);
    jsetf(o, "patch_url", "%s/%s/pull/%lld.patch", S.base, full, n);
    jsetf(o, "review_comment_url", "%s/repos/%s/pulls/comments{/number}", S.api, full);
    jsetf(o, "statuses_url", "%s/repos/%s/statuses/%s", S.api, full, i->pull->head_sha);
    for (size_t k = 0; k < COUNT(pull_urls); k++)
        jset(links, pull_urls[k].link,
             json_pack("{s:O}", "href", json_object_get(o, pull_urls[k].key)));
    jset(links, "html", json_pack("{s:O}", "href", json_object_get(o, "html_url")));
    jset(links, "statuses", json_pack("{s:O}", "href", json_object_get(o, "statuses_url")));
    jset(links, "review_comment",
         json_pack("{s:O}", "href", json_object_get(o, "review_comment_url")));
    jset(o, "_links", links);
}

static void count(const struct issue *i)
{
    struct pull *p = i->pull;
    char base[SHA_TEXT];
    if (strcmp(p->counted_base, p->base_sha) == 0 && strcmp(p->counted_head, p->head_sha) == 0)
        return;
    AUTO(json_decrefp)
    json_t *rows =
        pull_base_of_diff(i, base) ? git_diff(i->repo->dir, base, p->head_sha) : json_array();
    size_t k;
    json_t *row;
    p->additions = p->deletions = 0;
    json_array_foreach(rows, k, row)
    {
        p->additions += json_int(row, "additions", 0);
        p->deletions += json_int(row, "deletions", 0);
    }
    p->files = (int64_t)json_array_size(rows);
    p->commits = git_count(i->repo->dir, p->base_sha, p->head_sha);
    sha_copy(p->counted_base, p->base_sha);
    sha_copy(p->counted_head, p->head_sha);
}

static void add_counts(json_t *o, const struct issue *i)
{
    const struct repo *r = i->repo;
    int64_t remarks = 0;
    count(i);
    for (size_t k = 0; k < r->review_comments.n; k++)
        remarks += ((struct comment *)r->review_comments.at[k])->issue == i;
    jset(o, "comments", json_integer(issue_comments(i)));
    jset(o, "review_comments", json_integer(remarks));
    jset(o, "commits", json_integer(i->pull->commits));
    jset(o, "additions", json_integer(i->pull->additions));
    jset(o, "deletions", json_integer(i->pull->deletions));
    jset(o, "changed_files", json_integer(i->pull->files));
}

static void add_state(json_t *o, const struct issue *i, bool known)
{
    bool mergeable = false;
    const char *state = known && !i->pull->merged ? pull_merge_state(i, &mergeable) : "unknown";
    known = known && !i->pull->merged;
    jset(o, "merged", json_boolean(i->pull->merged));
    jset(o, "merged_by", obj_user(i->pull->merged_by));
    jset(o, "mergeable", known ? json_boolean(mergeable) : json_null());
    jset(o, "rebaseable", known ? json_boolean(mergeable) : json_null());
    jset(o, "mergeable_state", json_string(state));
    jset(o, "maintainer_can_modify", json_boolean(i->pull->modify));
}

json_t *obj_pull(const struct issue *i, bool full, bool known)
{
    const struct pull *p = i->pull;
    json_t *o = json_pack("{s:I, s:I, s:s, s:o, s:b, s:n, s:n, s:b, s:[]}", "id", (json_int_t)i->id,
                          "number", (json_int_t)i->number, "state", i->closed ? "closed" : "open",
                          "title", jtext(i->title), "locked", i->locked, "active_lock_reason",
                          "milestone", "draft", p->draft, "requested_teams");
    add_urls(o, i);
    jset(o, "node_id", jnode("PR", i->id));
    jset(o, "body", jtext(i->body));
    jset(o, "user", obj_user(i->user));
    jset(o, "labels", obj_labels(i));
    jset(o, "assignee", obj_user(i->assignees.n ? i->assignees.at[0] : NULL));
    jset(o, "assignees", jlogins(&i->assignees));
    jset(o, "requested_reviewers", jlogins(&p->reviewers));
    jset(o, "created_at", jtime(i->created));
    jset(o, "updated_at", jtime(i->updated));
    jset(o, "closed_at", jtime(i->closed_at));
    jset(o, "merged_at", jtime(p->merged));
    jset(o, "merge_commit_sha", p->merge_sha[0] ? json_string(p->merge_sha) : json_null());
    jset(o, "head", side(p->head_repo, p->head_ref, p->head_sha));
    jset(o, "base", side(i->repo, p->base_ref, p->base_sha));
    jset(o, "author_association", jtext(association(i->repo, i->user)));
    jset(o, "auto_merge", p->auto_merge ? json_incref(p->auto_merge) : json_null());
    if (full) {
        add_counts(o, i);
        add_state(o, i, known);
    }
    return o;
}

json_t *obj_review(const struct review *r, bool lower_state)
{
    const struct issue *i = r->issue;
    json_t *o = json_pack("{s:I, s:o, s:o, s:s}", "id", (json_int_t)r->id, "user",
                          obj_user(r->user), "body", jtext(r->body), "commit_id", r->commit);
    AUTO(mem_freep) char *state = mem_strdup(r->state);
    for (char *c = state; lower_state && *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    jset(o, "state", jtext(state));
    jset(o, "node_id", jnode("PRR", r->id));
    jsetf(o, "html_url", "%s/%s/pull/%lld#pullrequestreview-%lld", S.base, i->repo->full,
          (long long)i->number, (long long)r->id);
    jsetf(o, "pull_request_url", "%s/repos/%s/pulls/%lld", S.api, i->repo->full,
          (long long)i->number);
    jset(o, "submitted_at", jtime(r->submitted));
    jset(o, "updated_at", jtime(r->submitted));
    jset(o, "author_association", jtext(association(i->repo, r->user)));
    jset(o, "_links",
         json_pack("{s:{s:O}, s:{s:O}}", "html", "href", json_object_get(o, "html_url"),
                   "pull_request", "href", json_object_get(o, "pull_request_url")));
    return o;
}

json_t *obj_review_comment(const struct comment *c)
{
    const struct issue *i = c->issue;
    AUTO(mem_freep)
    char *url =
        mem_printf("%s/repos/%s/pulls/comments/%lld", S.api, i->repo->full, (long long)c->id);
    json_t *o =
        json_pack("{s:I, s:s, s:o, s:o, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:i, s:i}", "id",
                  (json_int_t)c->id, "url", url, "body", jtext(c->body), "user", obj_user(c->user),
                  "path", c->path, "commit_id", c->commit, "original_commit_id", c->commit, "line",
                  (json_int_t)c->line, "original_line", (json_int_t)c->line, "side", c->side,
                  "subject_type", "line", "position", 1, "original_position", 1);
    json_t *start = c->start_line ? json_integer(c->start_line) : json_null();
    jset(o, "start_line", start);
    jset(o, "original_start_line", json_incref(start));
    jset(o, "start_side", c->start_line ? json_string(c->side) : json_null());
    jset(o, "diff_hunk", jtext(c->hunk ? c->hunk : ""));
    jset(o, "node_id", jnode("PRRC", c->id));
    jset(o, "pull_request_review_id", c->review ? json_integer(c->review->id) : json_null());
    if (c->reply_to)
        jset(o, "in_reply_to_id", json_integer(c->reply_to));
    jsetf(o, "html_url", "%s/%s/pull/%lld#discussion_r%lld", S.base, i->repo->full,
          (long long)i->number, (long long)c->id);
    jsetf(o, "pull_request_url", "%s/repos/%s/pulls/%lld", S.api, i->repo->full,
          (long long)i->number);
    jset(o, "created_at", jtime(c->created));
    jset(o, "updated_at", jtime(c->updated));
    jset(o, "author_association", jtext(association(i->repo, c->user)));
    jset(o, "reactions", obj_reactions(c->id, url));
    jset(o, "_links",
         json_pack("{s:{s:O}, s:{s:O}, s:{s:O}}", "self", "href", json_object_get(o, "url"), "html",
                   "href", json_object_get(o, "html_url"), "pull_request", "href",
                   json_object_get(o, "pull_request_url")));
    return o;
}
