/* Connect framing, errors and JSON of the data plane; see rpc.h. Limits: a message of a request is
 * at most MESSAGE_MAX_BYTES, compression is never used. */
#include "tests/standins/e2b/rpc.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define KEEPALIVE_S       90

static const struct {
    const char *code;
    int status;
} codes[] = {
    {"canceled",            499},
    {"unknown",             500},
    {"internal",            500},
    {"data_loss",           500},
    {"invalid_argument",    400},
    {"failed_precondition", 400},
    {"out_of_range",        400},
    {"deadline_exceeded",   504},
    {"not_found",           404},
    {"unauthenticated",     401},
    {"permission_denied",   403},
    {"resource_exhausted",  429},
    {"aborted",             409},
    {"already_exists",      409},
    {"unimplemented",       501},
    {"unavailable",         503},
};

static int status_of(const char *code)
{
    for (size_t i = 0; i < COUNT(codes); i++)
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].status;
    return 500;
}

void rpc_json(struct world *w, struct buf *out, const json_t *j)
{
    size_t flags = JSON_ENCODE_ANY;
    if (!w->blanks || random_unit() < 0.5)
        flags |= JSON_COMPACT;
    AUTO(mem_freep) char *text = json_dumps(j, flags);
    buf_puts(out, text ? text : "null");
}

static void add_envelope(struct buf *out, unsigned flags, struct str payload)
{
    const unsigned char head[5] = {(unsigned char)flags, (unsigned char)(payload.n >> 24),
                                   (unsigned char)(payload.n >> 16),
                                   (unsigned char)(payload.n >> 8), (unsigned char)payload.n};
    buf_add(out, head, sizeof head);
    buf_add_str(out, payload);
}

void rpc_add(struct rpc *r, struct buf *out, json_t *message)
{
    AUTO(buf_done) struct buf text = {0};
    rpc_json(r->w, &text, message);
    json_decref(message);
    add_envelope(out, 0, buf_str(&text));
}

bool rpc_send(struct rpc *r, json_t *message)
{
    AUTO(buf_done) struct buf out = {0};
    rpc_add(r, &out, message);
    return http_write(r->x, buf_str(&out));
}

void rpc_begin(struct rpc *r)
{
    if (!http_status(r->x))
        http_start(r->x, 200, "application/connect+json", -1);
}

static void end_stream(struct rpc *r, struct str payload)
{
    AUTO(buf_done) struct buf out = {0};
    rpc_begin(r);
    add_envelope(&out, 2, payload);
    if (strcmp(faults_word(r->w->faults, r->entry), "noend") != 0)
        http_write(r->x, buf_str(&out));
    http_end(r->x);
}

void rpc_end(struct rpc *r)
{
    end_stream(r, STR("{}"));
}

void rpc_fail(struct rpc *r, const char *code, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_t *error = json_object();
    json_object_set_new(error, "code", json_string(code));
    json_object_set_new(error, "message", json_text(str_of(text)));
    AUTO(buf_done) struct buf out = {0};
    AUTO(json_decrefp) json_t *whole = r->stream ? json_pack("{so}", "error", error) : error;
    json_write(&out, whole); /* errors are not protobuf messages: no blanks */
    if (r->stream)
        end_stream(r, buf_str(&out));
    else
        http_answer(r->x, status_of(code), "application/json", buf_str(&out));
}

void rpc_reply(struct rpc *r, json_t *message)
{
    AUTO(buf_done) struct buf out = {0};
    rpc_json(r->w, &out, message);
    json_decref(message);
    http_answer(r->x, 200, "application/json", buf_str(&out));
}

static bool read_exactly(struct http_exchange *x, void *to, size_t n, bool *at_end)
{
    char *p = to;
    for (size_t have = 0; have < n;) {
        ssize_t got = http_body_read(x, p + have, n - have);
        if (got <= 0) {
            *at_end = got == 0 && have == 0;
            return false;
        }
        have += (size_t)got;
    }
    return true;
}

bool rpc_next(struct rpc *r, json_t **out, bool *bad)
{
    unsigned char head[5];
    bool at_end = false;
    *bad = false;
    if (!read_exactly(r->x, head, sizeof head, &at_end)) {
        *bad = !at_end;
        return false;
    }
    size_t n = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    *bad = true;
    if (head[0] != 0 || n > MESSAGE_MAX_BYTES)
        return false;
    AUTO(mem_freep) char *text = mem_alloc(n + 1);
    struct err err;
    if (!read_exactly(r->x, text, n, &at_end) || !json_parse((struct str){text, n}, out, &err))
        return false;
    *bad = false;
    return true;
}

/* False: answered. */
static bool read_request(struct rpc *r)
{
    if (!r->stream) {
        bool ok = http_body_json(r->x, MESSAGE_MAX_BYTES, &r->request);
        if (ok && json_is_object(r->request))
            return true;
        if (!http_status(r->x))
            rpc_fail(r, "invalid_argument", "unmarshal message: not a JSON object");
        return false;
    }
    bool bad;
    if (rpc_next(r, &r->request, &bad) && json_is_object(r->request))
        return true;
    rpc_fail(r, "invalid_argument", "protocol error: %s envelope", bad ? "broken" : "missing");
    return false;
}

/* Connect-Timeout-Ms and Keepalive-Ping-Interval. False: answered. */
static bool read_times(struct rpc *r)
{
    struct str timeout = http_header(r->x, "connect-timeout-ms");
    int64_t ms = 0;
    if (timeout.n > 10 || (timeout.n && !str_to_i64(timeout, 0, INT64_MAX, &ms))) {
        rpc_fail(r, "invalid_argument", "protocol error: invalid timeout");
        return false;
    }
    if (timeout.n && ms == 0) {
        rpc_fail(r, "deadline_exceeded", "context deadline exceeded");
        return false;
    }
    r->timeout_ms = ms;
    r->deadline_ms = ms ? clock_mono_ms() + ms : 0;
    int64_t seconds = KEEPALIVE_S;
    struct str ping = http_header(r->x, "keepalive-ping-interval");
    if (ping.n && !str_to_i64(ping, 1, 86400, &seconds))
        seconds = KEEPALIVE_S;
    r->keepalive_ms = seconds * 1000;
    return true;
}

static bool check_form(struct rpc *r, const struct rpc_method *m)
{
    const char *want = m->stream ? "application/connect+json" : "application/json";
    struct str type = http_header(r->x, "content-type");
    struct str bare = str_trim(str_sub(type, 0, str_find(type, STR(";"), 0)));
    if (!str_eq(http_method(r->x), STR("POST"))) {
        http_set(r->x, "Allow", "POST");
        http_answer(r->x, 405, NULL, (struct str){0});
        return false;
    }
    if (!str_eq_nocase(bare, str_of(want))) {
        http_set(r->x, "Accept-Post", want);
        http_answer(r->x, 415, NULL, (struct str){0});
        return false;
    }
    return true;
}

static const struct rpc_method *find_method(const struct http_exchange *x)
{
    static const struct rpc_method *const tables[] = {process_methods, filesystem_methods};
    for (size_t t = 0; t < COUNT(tables); t++)
        for (const struct rpc_method *m = tables[t]; m->path; m++)
            if (str_eq(http_path(x), str_of(m->path)))
                return m;
    return NULL;
}

/* The Basic user, empty password. False: answered. */
static bool read_user(struct rpc *r)
{
    static const struct box_user users[] = {
        {"user", "/home/user"},
        {"root", "/root"     }
    };
    r->user = users[0];
    struct str header = http_header(r->x, "authorization");
    if (!str_starts(header, STR("Basic ")))
        return true;
    AUTO(buf_done) struct buf plain = {0};
    struct str name = {0};
    if (enc_unbase64(str_trim(str_sub(header, 6, header.n)), &plain))
        name = str_sub(buf_str(&plain), 0, str_find(buf_str(&plain), STR(":"), 0));
    for (size_t i = 0; i < COUNT(users); i++) {
        if (str_eq(name, str_of(users[i].name))) {
            r->user = users[i];
            return true;
        }
    }
    rpc_fail(r, "unauthenticated", "invalid username: '" STR_FMT "'", STR_ARG(name));
    return false;
}

bool rpc_serve(struct rpc *r)
{
    const struct rpc_method *m = find_method(r->x);
    if (!m)
        return false;
    if (!check_form(r, m))
        return true;
    r->stream = m->stream;
    if (r->stream)
        http_split_writes(r->x, r->w->split);
    if (!read_times(r) || !read_request(r) || !read_user(r))
        return true;
    if (http_body_length(r->x) < 65536)
        faults_note(r->w->faults, r->entry, "body", json_deep_copy(r->request));
    m->run(r);
    return true;
}
