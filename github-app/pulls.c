/* Pull requests: read, find by branch, open. The list by head branch is filtered again here,
 * because GitHub ignores a head that it does not understand and then lists everything, and because
 * a fork may have a branch of the same name. */
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "github-app/names.h"
#include "github-app/rest.h"
#include "github-app/state.h"

#include <limits.h>
#include <strings.h>

#define OPEN_TRIES 4
#define LIST_PAGES 10 /* of 100 */

static bool pull_read(const json_t *j, struct arena *arena, struct github_pull *out,
                      struct err *err)
{
    int64_t number = json_int(j, "number", 0);
    const char *head_repo = json_cstr(j, "head.repo.full_name");
    if (number <= 0 || number > INT_MAX || !json_cstr(j, "state") || !json_cstr(j, "head.sha"))
        return rest_bad_answer("pull request", err);
    *out = (struct github_pull){
        .number = (int)number, /* checked above */
        .url = arena_str(arena, json_str(j, "html_url")),
        .state = arena_str(arena, json_str(j, "state")),
        .draft = json_bool(j, "draft", false),
        /* Lists have no "merged". */
        .merged = json_bool(j, "merged", false) || json_cstr(j, "merged_at"),
        .head_sha = arena_str(arena, json_str(j, "head.sha")),
        .head_branch = arena_str(arena, json_str(j, "head.ref")),
        .head_repo = head_repo ? arena_str(arena, str_of(head_repo)) : NULL,
        .base_branch = arena_str(arena, json_str(j, "base.ref")),
        .user_id = json_int(j, "user.id", 0),
    };
    return true;
}

bool github_pull_get(struct github *g, const struct github_repo *repo, int number,
                     const struct call *call, struct arena *arena, struct github_pull *out,
                     struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_printf(&path, "/pulls/%d", number);
    struct rest q = {.method = "GET",
                     .path = buf_cstr(&path),
                     .label = "GET /repos/*/pulls/*",
                     .repo = repo,
                     .need = GITHUB_WRITE,
                     .patient = true};
    return rest_call(g, &q, call, &a, err) && pull_read(a.json, arena, out, err);
}

/* ------------------------------------------------------------------------ list by branch */

struct search {
    const char *branch;
    const char *state; /* open, all */
    bool as_base;      /* else as head */
    int except;        /* a number that does not count */
};

static bool search_path(const struct github_repo *repo, const struct search *s, struct buf *path,
                        struct err *err)
{
    if (!name_repo_path(repo, path, err))
        return false;
    buf_printf(path, "/pulls?state=%s&sort=created&direction=desc&per_page=100&%s", s->state,
               s->as_base ? "base=" : "head=");
    if (!s->as_base) {
        enc_percent(path, name_owner(repo), false);
        buf_puts(path, "%3A");
    }
    return name_branch_path(s->branch, false, path, err);
}

static bool is_match(const json_t *pull, const struct github_repo *repo, const struct search *s)
{
    if (json_int(pull, "number", 0) == s->except)
        return false;
    if (!str_eq(json_str(pull, s->as_base ? "base.ref" : "head.ref"), str_of(s->branch)))
        return false;
    if (s->as_base)
        return true;
    int64_t id = json_int(pull, "head.repo.id", 0);
    if (id > 0 && repo->id > 0)
        return id == repo->id;
    return str_eq_nocase(json_str(pull, "head.repo.full_name"), str_of(repo->full_name));
}

/* The first match as a new reference; NULL when there is none. */
static bool search(struct github *g, const struct github_repo *repo, const struct search *s,
                   const struct call *call, json_t **out, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    AUTO(mem_freep) char *page = NULL;
    *out = NULL;
    if (!search_path(repo, s, &path, err))
        return false;
    page = buf_take(&path);
    for (int i = 0; page && i < LIST_PAGES; i++) {
        struct rest q = {.method = "GET",
                         .path = page,
                         .label = "GET /repos/*/pulls",
                         .repo = repo,
                         .need = GITHUB_WRITE};
        if (!rest_call(g, &q, call, &a, err))
            return false;
        for (size_t n = 0; n < json_array_size(a.json); n++) {
            json_t *pull = json_array_get(a.json, n);
            if (is_match(pull, repo, s)) {
                *out = json_incref(pull);
                return true;
            }
        }
        free(page);
        page = a.next;
        a.next = NULL;
        rest_answer_done(&a);
    }
    return true;
}

bool github_pull_of_branch(struct github *g, const struct github_repo *repo, const char *branch,
                           const struct call *call, struct arena *arena, struct github_pull *out,
                           bool *found, struct err *err)
{
    AUTO(json_decrefp) json_t *pull = NULL;
    struct search s = {.branch = branch, .state = "all"};
    if (!search(g, repo, &s, call, &pull, err) || (pull && !pull_read(pull, arena, out, err)))
        return false;
    *found = pull != NULL;
    return true;
}

bool github_branch_in_use(struct github *g, const struct github_repo *repo, const char *branch,
                          int except, const struct call *call, bool *out, struct err *err)
{
    bool used = false;
    for (int as_base = 0; as_base < 2 && !used; as_base++) {
        AUTO(json_decrefp) json_t *pull = NULL;
        struct search s = {
            .branch = branch, .state = "open", .as_base = as_base == 1, .except = except};
        if (!search(g, repo, &s, call, &pull, err))
            return false;
        used = pull != NULL;
    }
    *out = used;
    return true;
}

/* ----------------------------------------------------------------------------------- open */

static bool pull_update(struct github *g, const struct github_repo *repo, const json_t *pull,
                        const struct github_pull_text *text, const struct call *call,
                        struct arena *arena, struct github_pull *out, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    AUTO(json_decrefp) json_t *body = json_object();
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_printf(&path, "/pulls/%lld", (long long)json_int(pull, "number", 0));
    json_object_set_new(body, "title", json_text(str_of(text->title)));
    json_object_set_new(body, "body", json_text(str_of(text->body)));
    if (!str_eq(json_str(pull, "base.ref"), str_of(text->base)))
        json_object_set_new(body, "base", json_text(str_of(text->base)));
    struct rest q = {.method = "PATCH",
                     .path = buf_cstr(&path),
                     .label = "PATCH /repos/*/pulls/*",
                     .repo = repo,
                     .need = GITHUB_WRITE,
                     .body = body,
                     .repeatable = true};
    return rest_call(g, &q, call, &a, err) && pull_read(a.json, arena, out, err);
}

/* What a refusal with 422 leaves to try. */
enum refusal { REFUSED, REFUSED_LAG, REFUSED_DRAFT };

/* The head may not be visible yet right after the push: then "head" is the invalid field. A draft
 * that the plan does not allow is refused without naming any field. */
static enum refusal refusal_of(const struct rest_answer *a, bool draft)
{
    const json_t *errors = json_at(a->json, "errors");
    bool base_invalid = false;
    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *one = json_array_get(errors, i);
        if (str_eq(json_str(one, "field"), STR("head")) &&
            str_eq(json_str(one, "code"), STR("invalid")))
            return REFUSED_LAG;
        base_invalid = base_invalid || str_eq(json_str(one, "field"), STR("base"));
    }
    return draft && !base_invalid ? REFUSED_DRAFT : REFUSED;
}

static bool pull_post(struct github *g, const struct github_repo *repo,
                      const struct github_pull_text *text, bool draft, const struct call *call,
                      struct rest_answer *a, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(json_decrefp) json_t *body = json_object();
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_puts(&path, "/pulls");
    json_object_set_new(body, "title", json_text(str_of(text->title)));
    json_object_set_new(body, "body", json_text(str_of(text->body)));
    json_object_set_new(body, "head", json_text(str_of(text->head)));
    json_object_set_new(body, "base", json_text(str_of(text->base)));
    json_object_set_new(body, "draft", json_boolean(draft));
    struct rest q = {.method = "POST",
                     .path = buf_cstr(&path),
                     .label = "POST /repos/*/pulls",
                     .repo = repo,
                     .need = GITHUB_WRITE,
                     .body = body,
                     .content = true};
    return rest_call(g, &q, call, a, err);
}

/* Every round looks before it posts, so that neither a lost answer nor another of us makes a second
 * pull request. */
bool github_pull_open(struct github *g, const struct github_repo *repo,
                      const struct github_pull_text *text, const struct call *call,
                      struct arena *arena, struct github_pull *out, struct err *err)
{
    struct search mine = {.branch = text->head, .state = "open"};
    bool draft = text->draft;
    for (int i = 1;; i++) {
        AUTO(json_decrefp) json_t *pull = NULL;
        AUTO(rest_answer_done) struct rest_answer a = {0};
        struct err why;
        if (!search(g, repo, &mine, call, &pull, err))
            return false;
        if (pull)
            return pull_update(g, repo, pull, text, call, arena, out, err);
        if (pull_post(g, repo, text, draft, call, &a, &why))
            return pull_read(a.json, arena, out, err);
        if (err)
            *err = why;
        enum refusal r = a.status == 422 ? refusal_of(&a, draft) : REFUSED;
        bool lost = rest_is_ambiguous(&why);
        bool again = lost || a.status == 422;
        if (!again || i == OPEN_TRIES)
            return false;
        /* 422 may mean that one is open already, which the next look finds. */
        if (r == REFUSED && !lost && i > 1)
            return false;
        draft = draft && r != REFUSED_DRAFT;
        if ((lost || r == REFUSED_LAG) && !g->wait(call, 1000 * i, err))
            return false;
    }
}
