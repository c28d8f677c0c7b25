/* The request half of the stand-ins' HTTP/1.1 server: reads a head, cuts it into slices, and gives
 * the body piece by piece. Lenient where the peer is our own client, strict about framing. Limits:
 * 256 KiB of head, 100 header lines, no trailers kept. */
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "tests/standins/common/http_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_MS        65000
#define READ_BYTES     ((size_t)64 * 1024)
#define CHUNK_LINE_MAX ((size_t)4096)

/* More bytes into the connection's buffer. False: end, error, or silence for ms. */
static bool fill(struct http_connection *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&p, 1, ms);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return false;
    char *to = buf_reserve(&c->in, READ_BYTES);
    if (!to)
        return false;
    ssize_t n;
    do
        n = recv(c->fd, to, READ_BYTES, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    buf_added(&c->in, (size_t)n);
    return true;
}

static bool parse_fields(struct http_exchange *x, struct str rest)
{
    struct str line;
    while (str_line(&rest, &line)) {
        if (line.n == 0)
            break;
        size_t colon = str_find(line, STR(":"), 0);
        if (colon == 0 || colon == line.n || x->nfields == HEADERS_MAX)
            return false;
        x->fields[x->nfields++] = (struct http_field){str_sub(line, 0, colon),
                                                      str_trim(str_sub(line, colon + 1, line.n))};
    }
    return true;
}

static bool parse_framing(struct http_exchange *x)
{
    struct str connection = http_header(x, "connection");
    x->close_after = str_eq_nocase(connection, STR("close")) ||
                     (x->http10 && !str_eq_nocase(connection, STR("keep-alive")));
    x->expects_continue = str_eq_nocase(http_header(x, "expect"), STR("100-continue"));
    struct str length = http_header(x, "content-length");
    if (http_header(x, "transfer-encoding").n) {
        if (!str_eq_nocase(http_header(x, "transfer-encoding"), STR("chunked")) || length.n)
            return false;
        x->in_framing = FRAMING_CHUNKED;
        x->in_length = -1;
    } else if (length.n) {
        if (!str_to_i64(length, 0, INT64_MAX, &x->in_length))
            return false;
        x->in_framing = FRAMING_LENGTH;
        x->in_left = x->in_length;
    }
    x->in_done = x->in_framing == FRAMING_NONE || (x->in_framing == FRAMING_LENGTH && !x->in_left);
    return true;
}

static bool parse_head(struct http_exchange *x, struct str head)
{
    struct str line;
    struct str version;
    if (!str_line(&head, &line) || !str_split(&line, ' ', &x->method) ||
        !str_split(&line, ' ', &x->target) || !str_split(&line, ' ', &version))
        return false;
    if (!str_starts(version, STR("HTTP/1.")) || x->target.n == 0)
        return false;
    x->http10 = str_eq(version, STR("HTTP/1.0"));
    if (str_starts(x->target, STR("http://"))) { /* absolute form, as a proxy's client sends it */
        size_t slash = str_find(x->target, STR("/"), 7);
        x->target = slash == x->target.n ? STR("/") : str_sub(x->target, slash, x->target.n);
    }
    size_t mark = str_find(x->target, STR("?"), 0);
    x->path = str_sub(x->target, 0, mark);
    x->query = str_sub(x->target, mark + 1, x->target.n);
    return parse_fields(x, head) && parse_framing(x);
}

bool http_request_read(struct http_exchange *x)
{
    struct http_connection *c = x->c;
    size_t end;
    for (size_t from = 0;;) {
        while (c->in.len && from == 0 && (c->in.data[0] == '\r' || c->in.data[0] == '\n'))
            buf_drop_front(&c->in, 1);
        end = str_find(buf_str(&c->in), STR("\r\n\r\n"), from);
        if (end < c->in.len)
            break;
        if (c->in.len > HEAD_MAX_BYTES)
            return false;
        from = c->in.len > 3 ? c->in.len - 3 : 0;
        if (!fill(c, IDLE_MS))
            return false;
    }
    struct str head = {arena_str(x->arena, (struct str){c->in.data, end + 4}), end + 4};
    buf_drop_front(&c->in, head.n);
    x->began_ms = clock_mono_ms();
    if (parse_head(x, head))
        return true;
    x->close_after = true;
    http_answer_text(x, 400, "bad request");
    return false;
}

/* Up to n bytes of buffered or fresh input. -1 = the client left. */
static ssize_t take(struct http_exchange *x, void *to, size_t n)
{
    struct http_connection *c = x->c;
    if (c->in.len == 0 && !fill(c, -1))
        return -1;
    size_t have = c->in.len < n ? c->in.len : n;
    memcpy(to, c->in.data, have);
    buf_drop_front(&c->in, have);
    return (ssize_t)have;
}

static bool take_line(struct http_exchange *x, char *line, size_t max)
{
    for (size_t n = 0; n < max;) {
        if (take(x, line + n, 1) != 1)
            return false;
        if (line[n] == '\n') {
            line[n && line[n - 1] == '\r' ? n - 1 : n] = '\0';
            return true;
        }
        n++;
    }
    return false;
}

/* The next chunk's size into in_left; 0 sets in_done after the trailers. */
static bool next_chunk(struct http_exchange *x)
{
    char line[CHUNK_LINE_MAX];
    if (x->in_started && !take_line(x, line, sizeof line)) /* the CR LF after the data */
        return false;
    x->in_started = true;
    if (!take_line(x, line, sizeof line))
        return false;
    int64_t size = 0;
    size_t digits = 0;
    for (; digits < 15; digits++) {
        static const char alphabet[] = "0123456789abcdef0123456789ABCDEF";
        const char *at = line[digits] ? strchr(alphabet, line[digits]) : NULL;
        if (!at)
            break;
        size = size * 16 + (at - alphabet) % 16;
    }
    if (digits == 0)
        return false;
    x->in_left = size;
    if (size == 0) {
        do {
            if (!take_line(x, line, sizeof line))
                return false;
        } while (line[0]);
        x->in_done = true;
    }
    return true;
}

ssize_t http_body_read(struct http_exchange *x, void *to, size_t n)
{
    if (x->expects_continue) {
        x->expects_continue = false;
        if (!http_send_raw(x, "HTTP/1.1 100 Continue\r\n\r\n", 25))
            return -1;
    }
    if (x->in_failed)
        return -1;
    if (!x->in_done && x->in_framing == FRAMING_CHUNKED && x->in_left == 0 && !next_chunk(x))
        goto failed;
    if (x->in_done)
        return 0;
    ssize_t got = take(x, to, (int64_t)n < x->in_left ? n : (size_t)x->in_left);
    if (got <= 0)
        goto failed;
    x->in_left -= got;
    if (x->in_left == 0 && x->in_framing == FRAMING_LENGTH)
        x->in_done = true;
    return got;
failed:
    x->in_failed = true;
    return -1;
}

bool http_body(struct http_exchange *x, size_t max, struct str *out)
{
    if (!x->body_held) {
        x->body.max = max + READ_BYTES + 1;
        for (;;) {
            char *to = buf_reserve(&x->body, READ_BYTES);
            if (!to || x->body.len > max || x->in_length > (int64_t)max) {
                http_answer_text(x, 413, "the body is longer than %zu bytes", max);
                return false;
            }
            ssize_t n = http_body_read(x, to, READ_BYTES);
            if (n < 0)
                return false;
            if (n == 0)
                break;
            buf_added(&x->body, (size_t)n);
        }
        x->body_held = true;
    }
    *out = buf_str(&x->body);
    return true;
}

bool http_body_json(struct http_exchange *x, size_t max, json_t **out)
{
    struct str body;
    struct err err;
    if (!http_body(x, max, &body))
        return false;
    *out = NULL;
    return body.n == 0 || json_parse(body, out, &err);
}

bool http_request_drain(struct http_exchange *x)
{
    char scratch[16384];
    if (x->expects_continue) /* never asked for it, so it may come or not */
        return false;
    for (;;) {
        ssize_t n = http_body_read(x, scratch, sizeof scratch);
        if (n <= 0)
            return n == 0;
    }
}

struct str http_method(const struct http_exchange *x)
{
    return x->method;
}

struct str http_target(const struct http_exchange *x)
{
    return x->target;
}

struct str http_path(const struct http_exchange *x)
{
    return x->path;
}

struct str http_query_raw(const struct http_exchange *x)
{
    return x->query;
}

int64_t http_body_length(const struct http_exchange *x)
{
    return x->in_length;
}

bool http_is(const struct http_exchange *x, const char *method, const char *path)
{
    return str_eq(x->method, str_of(method)) && str_eq(x->path, str_of(path));
}

struct str http_header(const struct http_exchange *x, const char *name)
{
    for (size_t i = 0; i < x->nfields; i++)
        if (str_eq_nocase(x->fields[i].name, str_of(name)))
            return x->fields[i].value;
    return (struct str){0};
}

bool http_header_at(const struct http_exchange *x, size_t i, struct str *name, struct str *value)
{
    if (i >= x->nfields)
        return false;
    *name = x->fields[i].name;
    *value = x->fields[i].value;
    return true;
}

/* '+' and percent decoded; what is no valid escape stays as it is. */
static void decode_form(struct str s, struct buf *out)
{
    AUTO(mem_freep) char *text = str_dup(s);
    for (size_t i = 0; i < s.n; i++)
        if (text[i] == '+')
            text[i] = ' ';
    if (!enc_unpercent((struct str){text, s.n}, out))
        buf_add(out, text, s.n);
}

bool http_query(const struct http_exchange *x, const char *name, size_t n, struct buf *out)
{
    struct str rest = x->query;
    struct str pair;
    AUTO(buf_done) struct buf key = {0};
    while (rest.n && str_split(&rest, '&', &pair)) {
        size_t eq = str_find(pair, STR("="), 0);
        buf_clear(&key);
        decode_form(str_sub(pair, 0, eq), &key);
        if (!str_eq(buf_str(&key), str_of(name)) || n-- > 0)
            continue;
        buf_clear(out);
        decode_form(str_sub(pair, eq + 1, pair.n), out);
        return true;
    }
    return false;
}

static const char *decoded(struct http_exchange *x, struct str s)
{
    AUTO(buf_done) struct buf b = {0};
    if (!enc_unpercent(s, &b)) {
        buf_clear(&b);
        buf_add_str(&b, s);
    }
    return arena_str(x->arena, buf_str(&b));
}

bool http_match(struct http_exchange *x, const char *pattern, const char *parts[], size_t max_parts)
{
    struct str p = str_of(pattern);
    struct str path = x->path;
    size_t found = 0;
    while (p.n) {
        if (str_eq(p, STR("(**)"))) {
            if (found == max_parts)
                return false;
            parts[found] = decoded(x, path);
            return true;
        }
        if (str_starts(p, STR("(*)"))) {
            size_t end = str_find(path, STR("/"), 0);
            if (end == 0 || found == max_parts)
                return false;
            parts[found++] = decoded(x, str_sub(path, 0, end));
            path = str_sub(path, end, path.n);
            p = str_sub(p, 3, p.n);
            continue;
        }
        if (path.n == 0 || path.p[0] != p.p[0])
            return false;
        p = str_sub(p, 1, p.n);
        path = str_sub(path, 1, path.n);
    }
    return path.n == 0;
}
