/* Writing answers with h2o 2.2. It neither copies header values nor sets a length for us, and it
 * closes after an answer without length whose status is not 200: so each has its Content-Length.
 *
 * h2o refuses some requests before any handler sees them (a body over the limit, broken chunks). It
 * does so in plain text and may close while the client still sends, which would make the client's
 * system drop our answer: a filter on those turns the text into our JSON and has the connection
 * linger. */
#include "bot/web/reply.h"

#include "bot/base/enc.h"
#include "bot/base/metrics.h"
#include "bot/web/guest.h"
#include "bot/web/web.h"

#include <stdio.h>

#define JSON "application/json"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"                             },
    {201, "Created"                        },
    {202, "Accepted"                       },
    {204, "No Content"                     },
    {400, "Bad Request"                    },
    {401, "Unauthorized"                   },
    {402, "Payment Required"               },
    {403, "Forbidden"                      },
    {404, "Not Found"                      },
    {405, "Method Not Allowed"             },
    {409, "Conflict"                       },
    {413, "Content Too Large"              },
    {415, "Unsupported Media Type"         },
    {422, "Unprocessable Content"          },
    {429, "Too Many Requests"              },
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"          },
    {503, "Service Unavailable"            },
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < COUNT(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Error";
}

static void add_header(h2o_req_t *req, const h2o_token_t *name, const char *value)
{
    h2o_add_header(&req->pool, &req->res.headers, name, NULL, value, strlen(value));
}

static const char *in_pool(h2o_req_t *req, struct str s)
{
    return h2o_strdup(&req->pool, s.p, s.n).base;
}

void reply_head(h2o_req_t *req, const char *route, int status, const char *content_type)
{
    static char name[] = "x-content-type-options", value[] = "nosniff";
    static h2o_iovec_t nosniff = {name, sizeof(name) - 1};
    char code[16];
    snprintf(code, sizeof(code), "%d", status);
    metric_add(M_HTTP_REQUESTS, route, code, 1);
    req->res.status = status;
    req->res.reason = reason_of(status);
    if (content_type)
        add_header(req, H2O_TOKEN_CONTENT_TYPE, content_type);
    h2o_vector_reserve(&req->pool, &req->res.headers, req->res.headers.size + 1);
    req->res.headers.entries[req->res.headers.size++] = (h2o_header_t){
        .name = &nosniff, .value = {value, sizeof(value) - 1}
    };
    if (atomic_load_explicit(&web_loop_of(req)->web->stopping, memory_order_relaxed))
        req->http1_is_persistent = 0;
}

void reply_send(h2o_req_t *req, const char *route, const struct reply *r)
{
    static h2o_generator_t whole = {NULL, NULL};
    reply_head(req, route, r->status, r->content_type);
    if (r->status != 204)
        req->res.content_length = r->body.n;
    if (r->location)
        add_header(req, H2O_TOKEN_LOCATION, r->location);
    if (r->allow)
        add_header(req, H2O_TOKEN_ALLOW, r->allow);
    if (r->status == 401)
        add_header(req, H2O_TOKEN_WWW_AUTHENTICATE, "Bearer");
    if (r->retry_after_s > 0) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", r->retry_after_s);
        add_header(req, H2O_TOKEN_RETRY_AFTER, in_pool(req, (struct str){text, (size_t)n}));
    }
    if (r->close) {
        req->http1_is_persistent = 0;
        guest_linger(req);
    }
    h2o_iovec_t body = {0};
    if (r->body.n > 0)
        body = r->body_stays ? h2o_iovec_init(r->body.p, r->body.n)
                             : h2o_strdup(&req->pool, r->body.p, r->body.n);
    bool no_body = body.len == 0 ||
                   h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("HEAD"));
    h2o_start_response(req, &whole);
    h2o_send(req, &body, no_body ? 0 : 1, H2O_SEND_STATE_FINAL);
}

void reply_error_body(struct buf *out, enum err_kind kind, struct str message)
{
    buf_printf(out, "{\"error\":{\"kind\":\"%s\",\"message\":\"", err_policy(kind)->name);
    enc_json(out, message);
    buf_puts(out, "\"}}");
}

static void send_error(h2o_req_t *req, const char *route, struct reply r, enum err_kind kind,
                       const char *message)
{
    AUTO(buf_done) struct buf body = {0};
    reply_error_body(&body, kind, str_of(message));
    r.content_type = JSON;
    r.body = buf_str(&body);
    reply_send(req, route, &r);
}

void reply_error(h2o_req_t *req, const char *route, int status, enum err_kind kind,
                 const char *message)
{
    send_error(
        req, route,
        (struct reply){.status = status, .retry_after_s = status == 503 ? WEB_RETRY_AFTER_S : 0},
        kind, message);
}

int reply_status_of(const struct err *err, int *retry_after_s)
{
    int status = err_policy(err->kind)->http_status;
    if (status == 502 || status == 504)
        status = 503;
    *retry_after_s = err->retry_after_s;
    if (*retry_after_s == 0 && (status == 503 || status == 429))
        *retry_after_s = WEB_RETRY_AFTER_S;
    return status;
}

void reply_failure(h2o_req_t *req, const char *route, const struct err *err)
{
    struct reply r = {0};
    r.status = reply_status_of(err, &r.retry_after_s);
    send_error(req, route, r, err->kind,
               err_policy(err->kind)->user_visible ? err->text : "internal error");
}

/* ----------------------------------------------------------------------- h2o's own error answers
 */

static void send_as_json(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t n,
                         h2o_send_state_t state)
{
    (void)bufs;
    (void)n;
    h2o_iovec_t *body = (h2o_iovec_t *)(self + 1);
    h2o_ostream_send_next(self, req, body, body->len > 0 ? 1 : 0, state);
}

/* On these paths there is nothing but h2o's errors, each sent in one piece. */
static void on_setup(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    (void)self;
    static const struct {
        int status;
        const char *message;
    } texts[] = {
        {413, "the body is over 25 MiB"      },
        {417, "the expectation cannot be met"},
        {404, "no such path"                 }
    };
    const char *message = "malformed request";
    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i].status == req->res.status)
            message = texts[i].message;
    AUTO(buf_done) struct buf body = {0};
    reply_error_body(&body, ERR_INPUT, str_of(message));
    int status = req->res.status;
    req->res.headers = (h2o_headers_t){0};
    reply_head(req, "other", status, JSON);
    req->res.content_length = body.len;
    req->http1_is_persistent = 0;
    guest_linger(req);

    h2o_ostream_t *ostr = h2o_add_ostream(req, sizeof(*ostr) + sizeof(h2o_iovec_t), slot);
    *(h2o_iovec_t *)(ostr + 1) = h2o_strdup(&req->pool, body.data, body.len);
    ostr->do_send = send_as_json;
    h2o_setup_next_ostream(req, &ostr->next);
}

void reply_filter_register(h2o_pathconf_t *path)
{
    h2o_create_filter(path, sizeof(h2o_filter_t))->on_setup_ostream = on_setup;
}
