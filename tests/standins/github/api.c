/* The frame around every REST call: which route, which repository, may this actor, then the
 * handler, then what GitHub puts around every answer (request id, versions, ETag, pages, limits).
 */
#include "tests/standins/github/api.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/graphql.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define BODY_MAX_BYTES ((size_t)128 * 1024 * 1024)
#define PATH_PARTS     64
#define DOCS           "https://docs.github.com/rest"

static const struct route *const tables[] = {
    routes_app,     routes_repo,   routes_git,    routes_contents, routes_pulls,
    routes_reviews, routes_issues, routes_checks, routes_misc,
};

static const char *const versions[] = {"2022-11-28", "2026-03-10"};

/* ---- answers ---- */

void reply(struct req *q, int status, json_t *body)
{
    json_decref(q->out);
    q->status = status;
    q->out = body;
}

void reply_list(struct req *q, json_t *array)
{
    reply(q, 200, array);
    q->list = true;
}

void reply_counted(struct req *q, const char *key, json_t *array)
{
    reply(q, 200,
          json_pack("{s:I, s:o}", "total_count", (json_int_t)json_array_size(array), key, array));
    q->list = true;
}

void fail(struct req *q, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    json_t *message = json_vsprintf(fmt, ap);
    va_end(ap);
    json_t *body = json_pack("{s:o, s:s}", "message", message, "documentation_url", DOCS);
    jsetf(body, "status", "%d", status);
    reply(q, status, body);
}

void not_found(struct req *q)
{
    fail(q, 404, "Not Found");
}

void invalid(struct req *q, const char *resource, const char *field, const char *code,
             const char *message)
{
    json_t *row = json_pack("{s:s, s:s}", "resource", resource, "code", code);
    if (field)
        jset(row, "field", json_string(field));
    if (message)
        jset(row, "message", json_string(message));
    fail(q, 422, "Validation Failed");
    jset(q->out, "errors", json_pack("[o]", row));
}

void set_header(struct req *q, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    json_object_set_new(q->headers, name, json_vsprintf(fmt, ap));
    va_end(ap);
}

/* ---- the request ---- */

const char *body_text(const struct req *q, const char *key)
{
    return json_string_value(json_object_get(q->body, key));
}

char *query_text(struct req *q, const char *name)
{
    struct buf b = {0};
    if (!http_query(q->x, name, 0, &b)) {
        buf_done(&b);
        return NULL;
    }
    buf_puts(&b, "");
    char *text = mem_strdup(buf_cstr(&b));
    buf_done(&b);
    return text;
}

int64_t query_int(struct req *q, const char *name, int64_t fallback)
{
    AUTO(mem_freep) char *text = query_text(q, name);
    int64_t n = fallback;
    if (text && !str_to_i64(str_of(text), 0, INT64_MAX, &n))
        n = fallback;
    return n;
}

bool accepts(struct req *q, const char *piece)
{
    struct str accept = http_header(q->x, "Accept");
    return str_find(accept, str_of(piece), 0) < accept.n;
}

int64_t part_id(const struct req *q, size_t index)
{
    int64_t id = 0;
    if (!q->part[index] || !str_to_i64(str_of(q->part[index]), 1, INT64_MAX, &id))
        return 0;
    return id;
}

struct issue *want_issue(struct req *q, size_t index)
{
    struct issue *i = issue_find(q->repo, part_id(q, index));
    if (!i)
        not_found(q);
    else if (i->deleted)
        fail(q, 410, "This issue was deleted");
    return i && !i->deleted ? i : NULL;
}

struct issue *want_pull(struct req *q, size_t index)
{
    struct issue *i = issue_find(q->repo, part_id(q, index));
    if (i && i->pull)
        return i;
    not_found(q);
    return NULL;
}

bool via_app(const struct req *q)
{
    return q->who.kind == ACTOR_INSTALLATION;
}

bool may(const struct req *q, const char *perm)
{
    return actor_may(&q->who, q->repo, perm, "write");
}

/* ---- routes ---- */

struct split {
    char *part[PATH_PARTS];
    size_t n;
};

static bool path_split(const char *path, struct split *out)
{
    struct str rest = str_of(path + 1);
    struct str piece;
    while (str_split(&rest, '/', &piece)) {
        struct buf b = {0};
        if (piece.n == 0 || out->n == PATH_PARTS || !enc_unpercent(piece, &b)) {
            buf_done(&b);
            return false;
        }
        out->part[out->n++] = mem_strdup(buf_cstr(&b));
        buf_done(&b);
    }
    return true;
}

static char *join(const struct split *s, size_t from)
{
    struct buf b = {0};
    for (size_t i = from; i < s->n; i++)
        buf_printf(&b, "%s%s", i > from ? "/" : "", s->part[i]);
    return buf_take(&b);
}

static void parts_free(char **part, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(part[i]);
        part[i] = NULL;
    }
}

static bool pattern_match(const char *pattern, const struct split *s, char *out[REQ_PARTS + 2])
{
    struct str rest = str_of(pattern);
    struct str piece;
    size_t i = 0;
    size_t taken = 0;
    while (str_split(&rest, '/', &piece)) {
        if (i >= s->n)
            return parts_free(out, taken), false;
        if (str_eq(piece, STR("*"))) {
            out[taken] = join(s, i);
            return true;
        }
        if (str_eq(piece, STR(":")))
            out[taken++] = mem_strdup(s->part[i]);
        else if (!str_eq(piece, str_of(s->part[i])))
            return parts_free(out, taken), false;
        i++;
    }
    if (i == s->n)
        return true;
    parts_free(out, taken);
    return false;
}

/* The route, with the first two parts of a repository's path taken out as owner and name. */
static const struct route *route_find(struct req *q, const struct split *s, char **owner,
                                      char **name, bool *other_method)
{
    for (size_t t = 0; t < COUNT(tables); t++) {
        for (const struct route *r = tables[t]; r->method; r++) {
            char *part[REQ_PARTS + 2] = {NULL};
            if (!pattern_match(r->pattern, s, part))
                continue;
            if (!str_eq(q->method, str_of(r->method))) {
                *other_method = true;
                parts_free(part, REQ_PARTS + 2);
                continue;
            }
            size_t skip = strncmp(r->pattern, "repos/:/:", 9) == 0 ? 2 : 0;
            if (skip) {
                *owner = part[0];
                *name = part[1];
            }
            memcpy(q->part, part + skip, REQ_PARTS * sizeof(char *));
            return r;
        }
    }
    return NULL;
}

static bool is_read(const struct req *q)
{
    return str_eq(q->method, STR("GET")) || str_eq(q->method, STR("HEAD"));
}

/* The repository, seen and allowed; else the answer is in q. */
static bool enter_repo(struct req *q, const struct route *r, const char *owner, const char *name,
                       const struct split *s)
{
    bool moved = false;
    q->repo = repo_find(owner, name, &moved);
    if (!q->repo || !actor_sees(&q->who, q->repo))
        return not_found(q), false;
    if (moved) {
        AUTO(mem_freep) char *tail = join(s, 3);
        AUTO(mem_freep)
        char *url = mem_printf("%s/repositories/%lld%s%s", S.api, (long long)q->repo->id,
                               tail && *tail ? "/" : "", tail ? tail : "");
        set_header(q, "Location", "%s", url);
        reply(q, 301,
              json_pack("{s:s, s:s, s:s}", "message", "Moved Permanently", "url", url,
                        "documentation_url", DOCS));
        return false;
    }
    if (!is_read(q) && q->who.kind == ACTOR_NONE)
        return fail(q, 401, "Requires authentication"), false;
    if (r->perm && !actor_may(&q->who, q->repo, r->perm, r->role ? r->role : "read")) {
        set_header(q, "X-Accepted-GitHub-Permissions", "%s", r->perm);
        fail(q, 403, "%s",
             q->who.kind == ACTOR_USER && q->who.token->permissions
                 ? "Resource not accessible by personal access token"
             : q->who.kind == ACTOR_USER ? "Must have admin rights to Repository."
                                         : "Resource not accessible by integration");
        return false;
    }
    if (!is_read(q) && q->repo->archived && strncmp(r->pattern, "repos/:/:/", 10) == 0)
        return fail(q, 403, "Repository was archived so is read-only."), false;
    return true;
}

/* ---- around the answer ---- */

static json_t **paged_array(struct req *q, json_t **slot)
{
    *slot = NULL;
    if (json_is_array(q->out)) {
        *slot = q->out;
        return slot;
    }
    const char *key;
    json_t *value;
    json_object_foreach(q->out, key, value)
    {
        if (json_is_array(value))
            *slot = value;
    }
    return slot;
}

static void add_link(struct req *q, struct buf *link, int64_t page, const char *rel)
{
    struct str rest = http_query_raw(q->x);
    struct str pair;
    buf_printf(link, "%s<%s" STR_FMT "?", link->len ? ", " : "", S.base, STR_ARG(http_path(q->x)));
    while (str_split(&rest, '&', &pair))
        if (pair.n > 0 && !str_starts(pair, STR("page=")))
            buf_printf(link, STR_FMT "&", STR_ARG(pair));
    buf_printf(link, "page=%lld>; rel=\"%s\"", (long long)page, rel);
}

static void cut_page(struct req *q)
{
    json_t *all;
    int64_t per_page = query_int(q, "per_page", 30);
    int64_t page = query_int(q, "page", 1);
    AUTO(buf_done) struct buf link = {0};
    if (!*paged_array(q, &all))
        return;
    per_page = per_page < 1 ? 30 : per_page > 100 ? 100 : per_page;
    page = page < 1 ? 1 : page;
    int64_t total = (int64_t)json_array_size(all);
    int64_t last = (total + per_page - 1) / per_page;
    json_t *cut = json_array();
    for (int64_t i = (page - 1) * per_page; i < page * per_page && i < total; i++)
        json_array_append(cut, json_array_get(all, (size_t)i));
    if (page > 1)
        add_link(q, &link, page - 1, "prev");
    if (page < last) {
        add_link(q, &link, page + 1, "next");
        add_link(q, &link, last, "last");
    }
    if (page > 1)
        add_link(q, &link, 1, "first");
    if (link.len)
        set_header(q, "Link", "%s", buf_cstr(&link));
    json_array_clear(all);
    json_array_extend(all, cut);
    json_decref(cut);
}

/* What API version 2026-03-10 no longer has. */
static void strip_removed(json_t *j)
{
    static const char *const gone[] = {"merge_commit_sha", "assignee", "has_downloads",
                                       "use_squash_pr_title_as_default"};
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_object(j)) {
        for (i = 0; i < COUNT(gone); i++)
            json_object_del(j, gone[i]);
        json_object_foreach(j, key, value)
        {
            strip_removed(value);
        }
    }
    json_array_foreach(j, i, value)
    {
        strip_removed(value);
    }
}

static const char *version_of(struct req *q)
{
    struct str asked = http_header(q->x, "X-GitHub-Api-Version");
    if (asked.n == 0)
        return versions[0];
    for (size_t i = 0; i < COUNT(versions); i++)
        if (str_eq(asked, str_of(versions[i])))
            return versions[i];
    return NULL;
}

/* ETags hang on the token as well: after an hourly token change everything is a 200 again. */
static bool not_modified(struct req *q, const struct buf *body)
{
    unsigned char sum[SHA256_BYTES];
    AUTO(buf_done) struct buf all = {0};
    AUTO(buf_done) struct buf tag = {0};
    buf_add_str(&all, buf_str(body));
    buf_puts(&all, q->who.token ? q->who.token->text : "");
    sha256(all.data, all.len, sum);
    buf_puts(&tag, "W/\"");
    enc_hex(&tag, sum, sizeof(sum));
    buf_putc(&tag, '"');
    http_set(q->x, "ETag", buf_cstr(&tag));
    struct str have = http_header(q->x, "If-None-Match");
    return have.n > 0 && (str_eq(have, STR("*")) || str_find(have, buf_str(&tag), 0) < have.n);
}

static void common_headers(struct req *q, const char *version)
{
    char id[33];
    char date[64];
    const char *name;
    json_t *value;
    time_t now = (time_t)clock_wall_s();
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    random_hex(id, 32);
    http_set(q->x, "Date", date);
    http_set(q->x, "Server", "github.com");
    state_lock();
    if (S.enterprise)
        http_set(q->x, "X-GitHub-Enterprise-Version", S.enterprise);
    state_unlock();
    http_setf(q->x, "X-GitHub-Request-Id", "%.4s:%.6s:%.6s:%.8s", id, id + 4, id + 10, id + 16);
    http_set(q->x, "X-GitHub-Media-Type", "github.v3; format=json");
    http_set(q->x, "X-GitHub-Api-Version-Selected", version ? version : versions[0]);
    http_set(q->x, "Cache-Control", "private, max-age=60, s-maxage=60");
    http_set(q->x, "Vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept");
    json_object_foreach(q->headers, name, value)
    {
        http_set(q->x, name, json_string_value(value));
    }
}

/* ---- one request ---- */

static const char *prefix_skip(const char *path)
{
    return strncmp(path, "/api/v3/", 8) == 0 ? path + 7 : path;
}

static bool body_read(struct req *q)
{
    struct str bytes;
    struct err err;
    if (!http_body(q->x, BODY_MAX_BYTES, &bytes))
        return false;
    if (bytes.n == 0)
        return true;
    if (!json_parse(bytes, &q->body, &err))
        return fail(q, 400, "Problems parsing JSON"), true;
    if (!json_is_object(q->body) && !json_is_array(q->body))
        return fail(q, 400, "Body should be a JSON object"), true;
    /* A bare array of labels is allowed for …/labels: seen as {"labels": […]}. */
    if (json_is_array(q->body))
        q->body = json_pack("{s:o}", "labels", q->body);
    return true;
}

static void dispatch(struct req *q, const char *path)
{
    struct split s = {.n = 0};
    AUTO(mem_freep) char *owner = NULL;
    AUTO(mem_freep) char *name = NULL;
    bool other = false;
    const struct route *r =
        path_split(prefix_skip(path), &s) ? route_find(q, &s, &owner, &name, &other) : NULL;
    if (s.n > 1 && strcmp(s.part[0], "repositories") == 0) {
        /* /repositories/ID/… is the same as /repos/OWNER/NAME/… */
        int64_t id = 0;
        struct repo *repo =
            str_to_i64(str_of(s.part[1]), 1, INT64_MAX, &id) ? repo_by_id(id) : NULL;
        AUTO(mem_freep) char *tail = join(&s, 2);
        AUTO(mem_freep)
        char *real = repo ? mem_printf("/repos/%s%s%s", repo->full, tail && *tail ? "/" : "",
                                       tail ? tail : "")
                          : NULL;
        parts_free(s.part, s.n);
        if (real)
            dispatch(q, real);
        else
            not_found(q);
        return;
    }
    if (!r)
        not_found(q);
    else if (!owner || enter_repo(q, r, owner, name, &s))
        r->run(q);
    if (r && q->status == 0)
        fail(q, 500, "The stand-in's handler of %s gave no answer", r->pattern);
    parts_free(s.part, s.n);
}

static void answer(struct req *q, const char *version)
{
    AUTO(buf_done) struct buf body = {.max = BODY_MAX_BYTES * 2};
    if (q->list && q->status == 200)
        cut_page(q);
    if (version == versions[1])
        strip_removed(q->out);
    common_headers(q, version);
    if (q->raw_type)
        buf_add_str(&body, buf_str(&q->raw));
    else if (q->out)
        json_write(&body, q->out);
    bool same = q->status == 200 && is_read(q) && not_modified(q, &body);
    limits_leave(q, !same);
    limits_headers(q);
    if (same)
        http_answer(q->x, 304, NULL, (struct str){NULL, 0});
    else if (q->raw_type)
        http_answer(q->x, q->status, q->raw_type, buf_str(&body));
    else
        http_answer(q->x, q->status, q->out ? "application/json; charset=utf-8" : NULL,
                    buf_str(&body));
}

static void note(struct req *q, struct faults *f, uint64_t entry)
{
    static const char *const kinds[] = {"nobody", "user", "app", "installation"};
    faults_note(f, entry, "actor", json_string(kinds[q->who.kind]));
    faults_note(f, entry, "login", q->who.user ? json_string(q->who.user->login) : json_null());
    if (q->who.inst)
        faults_note(f, entry, "installation", json_integer(q->who.inst->id));
}

int api_inside(struct req *q, const char *method, const char *path, json_t *body, json_t **out)
{
    struct req inner = {
        .x = q->x, .method = str_of(method), .who = q->who, .body = body, .headers = json_object()};
    dispatch(&inner, path);
    parts_free(inner.part, REQ_PARTS);
    json_decref(inner.body);
    json_decref(inner.headers);
    buf_done(&inner.raw);
    *out = inner.out;
    return inner.status;
}

/* http_answer() copies to the socket and may block on a slow client: not under the lock. */
void api_serve(struct http_exchange *x, struct faults *f, uint64_t entry, const char *path)
{
    struct req q = {.x = x, .method = http_method(x), .headers = json_object()};
    const char *version = version_of(&q);
    bool graphql = strcmp(path, "/graphql") == 0 || strcmp(path, "/api/graphql") == 0;
    if (!body_read(&q)) {
        json_decref(q.headers);
        return;
    }
    state_lock();
    if (q.status == 0 && http_header(x, "User-Agent").n == 0)
        fail(&q, 403,
             "Request forbidden by administrative rules. Please make sure your request has "
             "a User-Agent header (https://docs.github.com/en/rest/overview/"
             "resources-in-the-rest-api#user-agent-required). Check "
             "https://developer.github.com for other possible causes.");
    if (q.status == 0 && !version)
        fail(&q, 400, "The API version you specified is not supported.");
    if (q.status == 0 && auth_request(&q) && limits_enter(&q)) {
        if (graphql)
            graphql_serve(&q);
        else
            dispatch(&q, path);
        if (!is_read(&q))
            merge_waiting(&q);
    }
    note(&q, f, entry);
    state_unlock();
    answer(&q, version);
    parts_free(q.part, REQ_PARTS);
    json_decref(q.body);
    json_decref(q.out);
    json_decref(q.headers);
    buf_done(&q.raw);
}
