/* A connection may be kept for the next request only if everybody on the way agrees where this one
 * ends. The rules here leave one reading: lines end with CR LF, a header is one line, methods are
 * known, the length is given at most once and in one way, Host exactly once. What passes is read
 * the same by h2o (same number of bytes: the caller compares), so the next request starts where
 * the sender meant it to.
 *
 * Names arrive in lower case (h2o's parser did that in place), but any case is accepted. */
#include "bot/web/head.h"

/* Characters of a token (RFC 9110), as bits: 0-63 and 64-127. */
#define BIT(c)         (UINT64_C(1) << ((c)&63))
#define BITS(from, to) (BIT(to) - BIT(from) + BIT(to))
static const uint64_t token_bits[2] = {
    BIT('!') | BIT('#') | BIT('$') | BIT('%') | BIT('&') | BIT('\'') | BIT('*') | BIT('+') |
        BIT('-') | BIT('.') | BITS('0', '9'),
    BITS('A', 'Z') | BITS('a', 'z') | BIT('^') | BIT('_') | BIT('`') | BIT('|') | BIT('~')};

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c > 127 || !(token_bits[c >> 6] & BIT(c)))
            return false;
    }
    return s.n > 0;
}

/* Visible ASCII without '#', which no client sends. */
static bool is_target(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == '#')
            return false;
    return true;
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* The next line, which must end with CR LF and have neither inside. */
static bool take_line(struct str *rest, struct str *line)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    if (!end || end == rest->p || end[-1] != '\r')
        return false;
    *line = (struct str){rest->p, (size_t)(end - rest->p) - 1};
    *rest = str_sub(*rest, line->n + 2, rest->n);
    return !line->n || !memchr(line->p, '\r', line->n);
}

static bool refuse(struct head *out, const char *why)
{
    out->why = why;
    return false;
}

static bool check_request_line(struct str line, bool *is_10, struct head *out)
{
    static const struct str methods[] = {
        {"GET",     3},
        {"HEAD",    4},
        {"POST",    4},
        {"PUT",     3},
        {"DELETE",  6},
        {"PATCH",   5},
        {"OPTIONS", 7}
    };
    struct str method, target;
    if (!str_split(&line, ' ', &method) || !str_split(&line, ' ', &target))
        return refuse(out, "malformed request line");
    bool known = false;
    for (size_t i = 0; i < COUNT(methods); i++)
        known |= str_eq(method, methods[i]);
    if (!known)
        return refuse(out, "unknown method");
    if (target.n == 0 || target.p[0] != '/' || !is_target(target))
        return refuse(out, "the request target must be a path");
    *is_10 = str_eq(line, STR("HTTP/1.0"));
    return *is_10 || str_eq(line, STR("HTTP/1.1")) || refuse(out, "malformed request line");
}

struct seen {
    int hosts, lengths, encodings;
};

static bool check_field(struct str line, struct seen *seen, struct head *out)
{
    struct str name;
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(out, "folded header line");
    if (!memchr(line.p, ':', line.n) || !str_split(&line, ':', &name) || !is_token(name) ||
        !is_text(line))
        return refuse(out, "malformed header line");
    struct str value = str_trim(line);
    if (str_eq_nocase(name, STR("content-length"))) {
        seen->lengths++;
        if (value.n == 0 || value.p[0] == '-' ||
            !str_to_i64(value, 0, INT64_MAX, &out->content_length))
            return refuse(out, "malformed Content-Length");
    } else if (str_eq_nocase(name, STR("transfer-encoding"))) {
        seen->encodings++;
        if (!str_eq_nocase(value, STR("chunked")))
            return refuse(out, "unknown Transfer-Encoding");
        out->chunked = true;
    } else if (str_eq_nocase(name, STR("host"))) {
        seen->hosts++;
        if (!is_target(value) ||
            (value.n && (memchr(value.p, '/', value.n) || memchr(value.p, '@', value.n))))
            return refuse(out, "malformed Host");
    }
    return true;
}

bool head_check(struct str input, struct head *out, size_t *size)
{
    *out = (struct head){.content_length = -1};
    struct str rest = input, line;
    struct seen seen = {0};
    bool is_10;
    if (rest.n > HEAD_MAX_BYTES)
        rest.n = HEAD_MAX_BYTES;
    bool cut = rest.n < input.n;
    if (!take_line(&rest, &line))
        return refuse(out, "malformed request line");
    if (!check_request_line(line, &is_10, out))
        return false;
    for (;;) {
        if (!take_line(&rest, &line)) {
            out->too_large = cut && !memchr(rest.p, '\n', rest.n);
            return refuse(out, out->too_large ? "the header is too large" : "malformed line end");
        }
        if (line.n == 0)
            break;
        if (!check_field(line, &seen, out))
            return false;
    }
    if (seen.lengths > 1 || seen.encodings > 1 || (seen.lengths && seen.encodings))
        return refuse(out, "ambiguous body length");
    if (is_10 && seen.encodings)
        return refuse(out, "Transfer-Encoding in HTTP/1.0");
    if (seen.hosts > 1 || (!is_10 && seen.hosts == 0))
        return refuse(out, "exactly one Host is needed");
    *size = (size_t)(rest.p - input.p);
    return true;
}
