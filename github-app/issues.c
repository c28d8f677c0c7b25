/* Issues, comments and reactions (pull requests are issues here). */
#include "bot/base/json.h"
#include "github-app/names.h"
#include "github-app/rest.h"
#include "github-app/state.h"

#include <limits.h>

#define COMMENT_PAGES 30 /* of 100 */
#define POST_TRIES    3

static bool issue_path(const struct github_repo *repo, int number, const char *rest,
                       struct buf *path, struct err *err)
{
    if (number <= 0)
        return err_set(err, ERR_INPUT, "%d is not an issue number", number);
    if (!name_repo_path(repo, path, err))
        return false;
    buf_printf(path, "/issues/%d%s", number, rest);
    return true;
}

static bool has_label(const json_t *issue, const char *label)
{
    const json_t *labels = json_at(issue, "labels");
    for (size_t i = 0; label && i < json_array_size(labels); i++) {
        const json_t *one = json_array_get(labels, i);
        const char *name = json_is_string(one) ? json_string_value(one) : json_cstr(one, "name");
        if (str_eq_nocase(str_of(name), str_of(label)))
            return true;
    }
    return false;
}

bool github_issue_get(struct github *g, const struct github_repo *repo, int number,
                      const char *label, const struct call *call, struct arena *arena,
                      struct github_issue *out, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!issue_path(repo, number, "", &path, err))
        return false;
    struct rest q = {.method = "GET",
                     .path = buf_cstr(&path),
                     .label = "GET /repos/*/issues/*",
                     .repo = repo,
                     .need = GITHUB_WRITE,
                     .patient = true};
    if (!rest_call(g, &q, call, &a, err))
        return false;
    if (json_int(a.json, "number", 0) != number)
        return rest_bad_answer("issue of that number", err);
    *out = (struct github_issue){
        .number = number,
        .title = arena_str(arena, json_str(a.json, "title")),
        .body = arena_str(arena, json_str(a.json, "body")),
        .state = arena_str(arena, json_str(a.json, "state")),
        .user = arena_str(arena, json_str(a.json, "user.login")),
        .is_pull_request = json_is_object(json_at(a.json, "pull_request")),
        .has_label = has_label(a.json, label),
    };
    return true;
}

/* ------------------------------------------------------------------------------- comments */

static bool comment_edit(struct github *g, const struct github_repo *repo, int64_t id,
                         const json_t *body, const struct call *call, int *status, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!name_repo_path(repo, &path, err))
        return false;
    buf_printf(&path, "/issues/comments/%lld", (long long)id);
    struct rest q = {.method = "PATCH",
                     .path = buf_cstr(&path),
                     .label = "PATCH /repos/*/issues/comments/*",
                     .repo = repo,
                     .need = GITHUB_WRITE,
                     .body = body,
                     .repeatable = true};
    bool ok = rest_call(g, &q, call, &a, err);
    *status = a.status;
    return ok;
}

/* Anybody can write our marker, so only our own comments count. */
static bool is_ours(const json_t *comment, const struct github_self *self, const char *marker)
{
    bool by_us = json_int(comment, "user.id", 0) == self->user_id;
    return by_us && str_starts(json_str(comment, "body"), str_of(marker));
}

/* The oldest of ours with the marker; *id = 0 when there is none. */
static bool comment_find(struct github *g, const struct github_repo *repo, int issue,
                         const char *marker, const struct call *call, int64_t *id, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    AUTO(mem_freep) char *page = NULL;
    const struct github_self *self;
    *id = 0;
    if (!github_self(g, call, &self, err) ||
        !issue_path(repo, issue, "/comments?per_page=100", &path, err))
        return false;
    page = buf_take(&path);
    for (int i = 0; page && i < COMMENT_PAGES; i++) {
        struct rest q = {.method = "GET",
                         .path = page,
                         .label = "GET /repos/*/issues/*/comments",
                         .repo = repo,
                         .need = GITHUB_WRITE};
        if (!rest_call(g, &q, call, &a, err))
            return false;
        for (size_t n = 0; n < json_array_size(a.json); n++) {
            const json_t *comment = json_array_get(a.json, n);
            if (is_ours(comment, self, marker)) {
                *id = json_int(comment, "id", 0);
                return *id > 0 || rest_bad_answer("comment id", err);
            }
        }
        free(page);
        page = a.next;
        a.next = NULL;
        rest_answer_done(&a);
    }
    return true;
}

static bool comment_post(struct github *g, const struct github_repo *repo, int issue,
                         const json_t *body, const struct call *call, int64_t *id, struct err *err)
{
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!issue_path(repo, issue, "/comments", &path, err))
        return false;
    struct rest q = {.method = "POST",
                     .path = buf_cstr(&path),
                     .label = "POST /repos/*/issues/*/comments",
                     .repo = repo,
                     .need = GITHUB_WRITE,
                     .body = body,
                     .content = true,
                     .patient = true};
    if (!rest_call(g, &q, call, &a, err))
        return false;
    *id = json_int(a.json, "id", 0);
    return *id > 0 || rest_bad_answer("comment id", err);
}

/* Edits ours if there is one, else posts; after an answer that was lost, looks again first. */
static bool comment_find_or_post(struct github *g, const struct github_repo *repo, int issue,
                                 const char *marker, const json_t *body, const struct call *call,
                                 int64_t *id, struct err *err)
{
    int64_t found = 0;
    int status;
    for (int i = 1;; i++) {
        struct err why;
        if (!comment_find(g, repo, issue, marker, call, &found, err))
            return false;
        if (found > 0 && !comment_edit(g, repo, found, body, call, &status, err))
            return false;
        if (found > 0 || comment_post(g, repo, issue, body, call, &found, &why)) {
            *id = found;
            return true;
        }
        if (err)
            *err = why;
        /* A second for GitHub to show the comment that it may have made. */
        if (!rest_is_ambiguous(&why) || i == POST_TRIES || !g->wait(call, 1000 * i, err))
            return false;
    }
}

bool github_comment_put(struct github *g, const struct github_repo *repo, int issue,
                        const char *marker, const char *body, const struct call *call,
                        int64_t *comment_id, struct err *err)
{
    AUTO(json_decrefp) json_t *json = json_object();
    int status = 0;
    json_object_set_new(json, "body", json_text(str_of(body)));
    if (*comment_id > 0) {
        if (comment_edit(g, repo, *comment_id, json, call, &status, err))
            return true;
        if (status != 404 && status != 410) /* else somebody deleted it */
            return false;
    }
    return comment_find_or_post(g, repo, issue, marker, json, call, comment_id, err);
}

bool github_react(struct github *g, const struct github_repo *repo, int issue, int64_t comment_id,
                  const char *content, const struct call *call, struct err *err)
{
    static const char *const contents[] = {"+1",    "-1",     "laugh",  "confused",
                                           "heart", "hooray", "rocket", "eyes"};
    AUTO(buf_done) struct buf path = {0};
    AUTO(rest_answer_done) struct rest_answer a = {0};
    AUTO(json_decrefp) json_t *body = json_pack("{s:s}", "content", content);
    bool is_known = false;
    for (size_t i = 0; i < COUNT(contents); i++)
        is_known = is_known || str_eq(str_of(content), str_of(contents[i]));
    if (!is_known)
        return err_set(err, ERR_BUG, "GitHub has no such reaction");
    if (comment_id > 0) {
        if (!name_repo_path(repo, &path, err))
            return false;
        buf_printf(&path, "/issues/comments/%lld/reactions", (long long)comment_id);
    } else if (!issue_path(repo, issue, "/reactions", &path, err)) {
        return false;
    }
    struct rest q = {.method = "POST",
                     .path = buf_cstr(&path),
                     .label = comment_id > 0 ? "POST /repos/*/issues/comments/*/reactions"
                                             : "POST /repos/*/issues/*/reactions",
                     .repo = repo,
                     .need = GITHUB_WRITE,
                     .body = body,
                     .repeatable = true, /* the same reaction again is the same reaction */
                     .patient = true};
    return rest_call(g, &q, call, &a, err);
}
