/* Everything that reaches a handler passes here, in this order: is the raw head beyond doubt
 * (head.h), does a row match path and method exactly, may this client ask it.
 *
 * h2o hands over a path with dots and escapes resolved. None of our paths needs either, so a path
 * that is not already in that form is unknown: nothing can reach a route by a second spelling. */
#include "bot/web/route.h"

#include "bot/base/enc.h"
#include "bot/web/guest.h"
#include "bot/web/handlers.h"
#include "bot/web/head.h"
#include "bot/web/reply.h"

#define TASK "/api/v1/tasks/{id}"

static const struct route routes[] = {
    {"POST", "/webhooks/github", ROUTE_OPEN,   hook_github,   NULL,         NULL                                 },
    {"GET",  "/healthz",         ROUTE_OPEN,   probe_health,  NULL,         NULL                                 },
    {"GET",  "/readyz",          ROUTE_OPEN,   probe_ready,   NULL,         NULL                                 },
    {"GET",  "/metrics",         ROUTE_OPEN,   probe_metrics, NULL,         NULL                                 },
    {"GET",  "/api/v1/tasks",    ROUTE_BEARER, NULL,          tasks_list,   "state,repository,squad,limit,cursor"},
    {"GET",  TASK,               ROUTE_BEARER, NULL,          tasks_get,    ""                                   },
    {"POST", TASK "/cancel",     ROUTE_BEARER, NULL,          tasks_cancel, ""                                   },
    {"POST", TASK "/retry",      ROUTE_BEARER, NULL,          tasks_retry,  ""                                   },
    {"GET",  TASK "/patch",      ROUTE_BEARER, NULL,          tasks_patch,  ""                                   },
    {"GET",  TASK "/log",        ROUTE_BEARER, stream_log,    NULL,         ""                                   },
    {"GET",  TASK "/events",     ROUTE_BEARER, stream_events, NULL,         ""                                   },
};

/* ---------------------------------------------------------------------------------------- the head
 */

/* The head lies at the start of the connection's buffer until the request is answered. */
static bool check_head(h2o_req_t *req, struct head *head)
{
    const h2o_buffer_t *input = req->conn->callbacks->get_socket(req->conn)->input;
    size_t size;
    if (!head_check((struct str){input->bytes, input->size}, head, &size))
        return false;
    /* h2o has to agree on where the head and the body end. */
    bool agreed = head->chunked              ? req->entity.base != NULL
                  : head->content_length < 0 ? req->entity.base == NULL
                                             : req->entity.base == input->bytes + size &&
                                                   (size_t)head->content_length == req->entity.len;
    head->why = "ambiguous body length";
    return agreed;
}

static void refuse_head(h2o_req_t *req, const struct head *head)
{
    AUTO(buf_done) struct buf body = {0};
    reply_error_body(&body, ERR_INPUT, str_of(head->why));
    reply_send(req, "other",
               &(struct reply){.status = head->too_large ? 431 : 400,
                               .content_type = "application/json",
                               .body = buf_str(&body),
                               .close = true});
}

/* -------------------------------------------------------------------------------------- the table
 */

static bool is_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return s.n > 0 && s.n <= ROUTE_ID_MAX;
}

static bool matches(const char *pattern, struct str path, struct str *id)
{
    struct str want = str_of(pattern);
    size_t at = str_find(want, STR("{id}"), 0);
    if (at == want.n)
        return str_eq(path, want);
    struct str behind = str_sub(want, at + 4, want.n);
    if (!str_starts(path, str_sub(want, 0, at)))
        return false;
    struct str rest = str_sub(path, at, path.n);
    size_t end = str_find(rest, STR("/"), 0);
    *id = str_sub(rest, 0, end);
    return is_id(*id) && str_eq(str_sub(rest, end, rest.n), behind);
}

/* GET routes answer HEAD too, except streams, which have no end to describe. */
static bool takes(const struct route *r, struct str method)
{
    return str_eq(method, str_of(r->method)) ||
           (str_eq(method, STR("HEAD")) && str_eq(STR("GET"), str_of(r->method)) &&
            (!r->on_loop || r->auth == ROUTE_OPEN));
}

static void refuse_method(h2o_req_t *req, const struct route *r)
{
    AUTO(buf_done) struct buf body = {0};
    reply_error_body(&body, ERR_INPUT, STR("method not allowed"));
    bool head = takes(r, STR("HEAD"));
    reply_send(req, r->path,
               &(struct reply){.status = 405,
                               .content_type = "application/json",
                               .body = buf_str(&body),
                               .allow = head ? "GET, HEAD" : r->method});
}

/* ------------------------------------------------------------------------------------ who may ask
 */

static struct str header_of(const h2o_req_t *req, struct str name, int *count)
{
    struct str value = {0};
    *count = 0;
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *h = &req->headers.entries[i];
        if (!str_eq(web_str(*h->name), name))
            continue;
        value = web_str(h->value);
        ++*count;
    }
    return value;
}

static bool has_header(const h2o_req_t *req, struct str name)
{
    int n;
    header_of(req, name, &n);
    return n > 0;
}

static bool token_matches(const h2o_req_t *req, const struct secret *token)
{
    int n;
    struct str value = header_of(req, STR("authorization"), &n), scheme;
    if (n != 1 || !str_split(&value, ' ', &scheme) || !str_eq_nocase(scheme, STR("bearer")))
        return false;
    unsigned char want[SHA256_BYTES], have[SHA256_BYTES];
    value = str_trim(value);
    /* Digests, so that not even the length can be told from the time. */
    sha256(token->p, token->n, want);
    sha256(value.p, value.n, have);
    return bytes_eq_consttime(want, have, sizeof(want));
}

static bool host_is_local(struct str host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct str name = str_of(names[i]);
        if (str_starts(host, name) && (host.n == name.n || host.p[name.n] == ':'))
            return true;
    }
    return false;
}

/* A program on this machine: not somebody behind a proxy on this machine, and not a web page in a
 * browser on this machine (which says Origin, or was led here under a name of its own). */
static bool is_local_program(h2o_req_t *req)
{
    return guest_is_loopback(req) && host_is_local(web_str(req->input.authority)) &&
           !has_header(req, STR("x-forwarded-for")) && !has_header(req, STR("forwarded")) &&
           !has_header(req, STR("via")) && !has_header(req, STR("origin"));
}

static bool allowed(h2o_req_t *req, const struct route *r)
{
    const struct secret *token = atomic_load(&web_loop_of(req)->web->api_token);
    if (token && secret_is_set(token)) {
        if (token_matches(req, token))
            return true;
        reply_error(req, r->path, 401, ERR_DENIED, "the API token is missing or wrong");
        return false;
    }
    if (is_local_program(req))
        return true;
    reply_error(req, r->path, 403, ERR_DENIED,
                "without SQUADBOT_API_TOKEN only programs on this machine may call the API");
    return false;
}

/* ------------------------------------------------------------------------------------------- entry
 */

static void run(h2o_req_t *req, const struct route *r, struct str id)
{
    if (r->auth == ROUTE_BEARER && !allowed(req, r))
        return;
    if (r->on_loop && r->query && req->query_at != SIZE_MAX && !api_query_ok(req, r))
        return;
    if (r->on_loop)
        r->on_loop(req, r, id);
    else
        api_run(req, r, id);
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
    (void)self;
    struct head head;
    if (!check_head(req, &head)) {
        refuse_head(req, &head);
        return 0;
    }
    /* A chunked body was decoded in place, so its framing cannot be looked at any more. */
    if (head.chunked)
        req->http1_is_persistent = 0;
    if (req->entity.len > WEB_BODY_MAX_BYTES) {
        reply_error(req, "other", 413, ERR_INPUT, "the body is over 25 MiB");
        return 0;
    }
    struct str path = web_str(req->path_normalized);
    size_t sent = req->query_at != SIZE_MAX ? req->query_at : req->path.len;
    bool plain = str_eq(path, (struct str){req->path.base, sent});
    const struct route *other = NULL;
    for (size_t i = 0; plain && i < COUNT(routes); i++) {
        struct str id = {0};
        if (!matches(routes[i].path, path, &id))
            continue;
        if (takes(&routes[i], web_str(req->method))) {
            run(req, &routes[i], id);
            return 0;
        }
        other = &routes[i];
    }
    if (other)
        refuse_method(req, other);
    else
        reply_error(req, "other", 404, ERR_GONE, "no such path");
    return 0;
}

void route_register(h2o_pathconf_t *path)
{
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_req;
}
