/* Reviews and comments on the diff. Route order: "pulls/comments/:" stands before "pulls/:/…" would
 * match it, because the tables are walked in order and the literal one is longer. */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"

#include <strings.h>

static void list_reviews(struct req *q)
{
    const struct issue *i = want_pull(q, 0);
    json_t *all = json_array();
    for (size_t k = 0; i && k < q->repo->reviews.n; k++)
        if (((struct review *)q->repo->reviews.at[k])->issue == i)
            json_array_append_new(all, obj_review(q->repo->reviews.at[k], false));
    if (i)
        reply_list(q, json_incref(all));
    json_decref(all);
}

static struct comment *remark_new(struct req *q, struct issue *i, const json_t *from)
{
    const char *side = json_cstr(from, "side");
    const char *commit = json_cstr(from, "commit_id");
    struct comment *c = mem_alloc(sizeof(*c));
    c->id = state_id(ID_ISSUE);
    c->issue = i;
    c->user = q->who.user;
    c->via_app = via_app(q);
    c->body = mem_strdup(json_cstr(from, "body"));
    c->path = mem_strdup(json_cstr(from, "path"));
    c->side = mem_strdup(side ? side : "RIGHT");
    c->line = json_int(from, "line", 1);
    c->start_line = json_int(from, "start_line", 0);
    c->hunk = mem_printf("@@ -%lld,1 +%lld,1 @@", (long long)c->line, (long long)c->line);
    if (!commit || !str_copy(c->commit, SHA_TEXT, str_of(commit)))
        memcpy(c->commit, i->pull->head_sha, SHA_TEXT);
    c->created = c->updated = now_ms();
    list_add(&q->repo->review_comments, c);
    return c;
}

static const struct {
    const char *event;
    const char *state;
} verdicts[] = {
    {"APPROVE",         "APPROVED"         },
    {"REQUEST_CHANGES", "CHANGES_REQUESTED"},
    {"COMMENT",         "COMMENTED"        },
};

static void create_review(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    const char *event = body_text(q, "event");
    const char *state = NULL;
    size_t k;
    json_t *row;
    if (!i)
        return;
    for (k = 0; k < COUNT(verdicts); k++)
        if (event && strcmp(event, verdicts[k].event) == 0)
            state = verdicts[k].state;
    if (!state) {
        fail(q, 422, "event must be one of APPROVE, REQUEST_CHANGES, COMMENT");
        return;
    }
    if (q->who.user == i->user && strcmp(state, "COMMENTED") != 0) {
        fail(q, 422, "Can not %s your own pull request",
             strcmp(state, "APPROVED") == 0 ? "approve" : "request changes on");
        return;
    }
    struct review *r = mem_alloc(sizeof(*r));
    r->id = state_id(ID_ISSUE);
    r->issue = i;
    r->user = q->who.user;
    r->body = mem_strdup(body_text(q, "body") ? body_text(q, "body") : "");
    r->state = mem_strdup(state);
    memcpy(r->commit, i->pull->head_sha, SHA_TEXT);
    r->submitted = now_ms();
    list_add(&q->repo->reviews, r);
    (void)list_remove(&i->pull->reviewers, r->user);
    json_array_foreach(json_object_get(q->body, "comments"), k, row)
    {
        struct comment *c = remark_new(q, i, row);
        c->review = r;
        event_comment(c, "created", q->who.user, NULL);
    }
    event_repo(q->repo, "pull_request_review", "submitted", q->who.user,
               json_pack("{s:o, s:o}", "review", obj_review(r, true), "pull_request",
                         obj_pull(i, false, false)));
    reply(q, 200, obj_review(r, false));
}

static void dismiss_review(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    for (size_t k = 0; i && k < q->repo->reviews.n; k++) {
        struct review *r = q->repo->reviews.at[k];
        if (r->issue != i || r->id != part_id(q, 1))
            continue;
        text_set(&r->state, "DISMISSED");
        event_repo(q->repo, "pull_request_review", "dismissed", q->who.user,
                   json_pack("{s:o, s:o}", "review", obj_review(r, true), "pull_request",
                             obj_pull(i, false, false)));
        reply(q, 200, obj_review(r, false));
        return;
    }
    if (i)
        not_found(q);
}

static void list_remarks(struct req *q)
{
    const struct issue *i = want_pull(q, 0);
    json_t *all = json_array();
    for (size_t k = 0; i && k < q->repo->review_comments.n; k++)
        if (((struct comment *)q->repo->review_comments.at[k])->issue == i)
            json_array_append_new(all, obj_review_comment(q->repo->review_comments.at[k]));
    if (i)
        reply_list(q, json_incref(all));
    json_decref(all);
}

static struct comment *remark_find(const struct repo *r, int64_t id)
{
    for (size_t k = 0; k < r->review_comments.n; k++) {
        struct comment *c = r->review_comments.at[k];
        if (c->id == id)
            return c;
    }
    return NULL;
}

static void create_remark(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    if (!i)
        return;
    if (!body_text(q, "body") || !body_text(q, "path")) {
        invalid(q, "PullRequestReviewComment", body_text(q, "body") ? "path" : "body",
                "missing_field", NULL);
        return;
    }
    struct comment *c = remark_new(q, i, q->body);
    event_comment(c, "created", q->who.user, NULL);
    reply(q, 201, obj_review_comment(c));
}

static void reply_remark(struct req *q)
{
    struct issue *i = want_pull(q, 0);
    const struct comment *top = i ? remark_find(q->repo, part_id(q, 1)) : NULL;
    if (!i)
        return;
    if (!top || top->issue != i || top->reply_to) {
        not_found(q);
        return;
    }
    if (!body_text(q, "body")) {
        invalid(q, "PullRequestReviewComment", "body", "missing_field", NULL);
        return;
    }
    AUTO(json_decrefp)
    json_t *row = json_pack("{s:s, s:s, s:s, s:I}", "body", body_text(q, "body"), "path", top->path,
                            "side", top->side, "line", (json_int_t)top->line);
    struct comment *c = remark_new(q, i, row);
    c->reply_to = top->id;
    event_comment(c, "created", q->who.user, NULL);
    reply(q, 201, obj_review_comment(c));
}

static void get_remark(struct req *q)
{
    const struct comment *c = remark_find(q->repo, part_id(q, 0));
    if (c)
        reply(q, 200, obj_review_comment(c));
    else
        not_found(q);
}

static void patch_remark(struct req *q)
{
    struct comment *c = remark_find(q->repo, part_id(q, 0));
    if (!c || !body_text(q, "body")) {
        not_found(q);
        return;
    }
    json_t *changes = json_pack("{s:{s:{s:s}}}", "changes", "body", "from", c->body);
    text_set(&c->body, body_text(q, "body"));
    c->updated = now_ms();
    event_comment(c, "edited", q->who.user, changes);
    reply(q, 200, obj_review_comment(c));
}

static void delete_remark(struct req *q)
{
    struct comment *c = remark_find(q->repo, part_id(q, 0));
    if (!c) {
        not_found(q);
        return;
    }
    event_comment(c, "deleted", q->who.user, NULL);
    (void)list_remove(&q->repo->review_comments, c);
    reply(q, 204, NULL);
}

const struct route routes_reviews[] = {
    {"GET",          "repos/:/:/pulls/comments/:", get_remark, "pull_requests=read", NULL},
    {"PATCH",    "repos/:/:/pulls/comments/:", patch_remark, "pull_requests=write", "write"},
    {"DELETE",          "repos/:/:/pulls/comments/:", delete_remark, "pull_requests=write", "write"},
    {"GET",        "repos/:/:/pulls/:/reviews", list_reviews, "pull_requests=read", NULL},
    {"POST",  "repos/:/:/pulls/:/reviews", create_review, "pull_requests=write", "read"},
    {"PUT",       "repos/:/:/pulls/:/reviews/:/dismissals", dismiss_review, "pull_requests=write",
     "write"},
    {"GET",       "repos/:/:/pulls/:/comments", list_remarks, "pull_requests=read", NULL},
    {"POST", "repos/:/:/pulls/:/comments", create_remark, "pull_requests=write", "read"},
    {"POST",       "repos/:/:/pulls/:/comments/:/replies", reply_remark, "pull_requests=write", "read"},
    {0         },
};
