/* The bridge between a loop and the workers. What a call may need is copied, because the client may
 * leave while a worker is at it; nobody then waits for the answer, but the effect stands.
 *
 * Query parameters are strict: unknown, repeated or badly encoded ones are refused by name, so that
 * a misspelt filter does not silently list everything. */
#include "bot/web/api.h"

#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/log.h"
#include "bot/base/metrics.h"
#include "bot/web/reply.h"

#define BODY_MAX_BYTES ((size_t)1024 * 1024)

struct outcome { /* carried from the worker to the loop */
    bool ok;
    struct err err;
};

struct call {
    struct api_call api;
    struct outcome outcome;
};

static struct str query_of(const h2o_req_t *req)
{
    if (req->query_at == SIZE_MAX)
        return (struct str){0};
    return str_sub(web_str(req->path), req->query_at + 1, req->path.len);
}

static bool is_listed(const char *names, struct str name)
{
    struct str rest = str_of(names), one;
    while (str_split(&rest, ',', &one))
        if (one.n > 0 && str_eq(one, name))
            return true;
    return false;
}

static bool check_query(const char *names, struct str query, struct err *err)
{
    struct str pair;
    while (str_split(&query, '&', &pair)) {
        struct str name;
        if (pair.n == 0)
            continue;
        if (!str_split(&pair, '=', &name) || !is_listed(names, name))
            return err_set(err, ERR_INPUT, "unknown parameter %.*s", (int)str_utf8_floor(name, 64),
                           name.n ? name.p : "");
    }
    return true;
}

bool api_query_ok(h2o_req_t *req, const struct route *route)
{
    struct err err = {0};
    if (check_query(route->query, query_of(req), &err))
        return true;
    reply_failure(req, route->path, &err);
    return false;
}

bool api_param(struct api_call *call, const char *name, const char **out, struct err *err)
{
    struct str query = call->query, pair, key;
    const char *found = NULL;
    while (str_split(&query, '&', &pair)) {
        if (!str_split(&pair, '=', &key) || !str_eq(key, str_of(name)))
            continue;
        AUTO(buf_done) struct buf text = {0};
        char *raw = arena_str(call->arena, pair);
        for (char *c = raw; *c; c++)
            if (*c == '+')
                *c = ' ';
        if (found)
            return err_set(err, ERR_INPUT, "%s: given twice", name);
        if (!enc_unpercent(str_of(raw), &text) || !str_is_utf8(buf_str(&text)) ||
            (text.len && memchr(text.data, 0, text.len)))
            return err_set(err, ERR_INPUT, "%s: badly encoded", name);
        found = arena_str(call->arena, buf_str(&text));
    }
    *out = found;
    return true;
}

/* The calls of today take no body; an empty object is as good as none. */
static bool check_body(struct str body, struct err *err)
{
    AUTO(json_decrefp) json_t *j = NULL;
    body = str_trim(body);
    if (body.n == 0)
        return true;
    if (body.n > BODY_MAX_BYTES)
        return err_set(err, ERR_INPUT, "the body is over 1 MiB");
    if (!json_parse(body, &j, err))
        return err_wrap(err, "body");
    if (!json_is_object(j))
        return err_set(err, ERR_INPUT, "body: want an object");
    const char *name = json_object_iter_key(json_object_iter(j));
    return !name || err_set(err, ERR_INPUT, "unknown field %.64s", name);
}

static void send_answer(struct loop *loop, struct mail *mail)
{
    (void)loop;
    struct call *c = H2O_STRUCT_FROM_MEMBER(struct call, api.ticket.mail, mail);
    struct api_call *a = &c->api;
    h2o_req_t *req = ticket_take(&a->ticket);
    if (req && c->outcome.ok) {
        const char *location = NULL;
        if (a->location)
            location = h2o_strdup(&req->pool, a->location, SIZE_MAX).base;
        reply_send(req, a->route->path,
                   &(struct reply){.status = a->status,
                                   .content_type = a->content_type,
                                   .body = buf_str(&a->answer),
                                   .location = location});
    } else if (req) {
        reply_failure(req, a->route->path, &c->outcome.err);
    }
    buf_done(&a->answer);
    arena_free(a->arena);
    free(c);
}

static void run_call(struct job *job)
{
    struct call *c = H2O_STRUCT_FROM_MEMBER(struct call, api.job, job);
    struct api_call *a = &c->api;
    struct err *err = &c->outcome.err;
    c->outcome.ok = check_body(a->body, err) && a->route->on_worker(a, err);
    if (c->outcome.ok && a->answer.overflow)
        c->outcome.ok = err_set(err, ERR_LIMIT, "the answer is too long");
    if (!c->outcome.ok) {
        const struct err_policy *policy = err_policy(err->kind);
        if (policy->retry || !policy->user_visible) {
            metric_add(M_ERRORS, policy->name, NULL, 1);
            log_err(LOG_ERROR, a->route->path, err);
        }
    }
    web_post(a->ticket.loop, &a->ticket.mail);
}

void api_run(h2o_req_t *req, const struct route *route, struct str id)
{
    struct web *w = web_loop_of(req)->web;
    struct str query = query_of(req), body = web_str(req->entity);
    if (!api_query_ok(req, route))
        return;
    if (body.n > BODY_MAX_BYTES) {
        reply_error(req, route->path, 413, ERR_INPUT, "the body is over 1 MiB");
        return;
    }
    struct call *c = mem_alloc(sizeof(*c));
    struct api_call *a = &c->api;
    a->route = route;
    a->store = w->config.store;
    a->arena = arena_new();
    a->query = str_of(arena_str(a->arena, query));
    a->body = (struct str){arena_str(a->arena, body), body.n};
    a->status = 200;
    a->content_type = "application/json";
    a->job.run = run_call;
    bool fits = str_copy(a->id, sizeof(a->id), id);
    ticket_init(&a->ticket, req, send_answer);
    if (fits && crew_add(w->crew, &a->job, false))
        return;
    ticket_take(&a->ticket);
    arena_free(a->arena);
    free(c);
    reply_error(req, route->path, 503, ERR_LIMIT, "too many calls are waiting");
}
