/* Streaming reader of multipart/form-data; see multipart.h. Limits: a part's header is at most
 * HEAD_MAX bytes, the boundary at most 70 characters (RFC 2046). */
#include "tests/standins/e2b/multipart.h"

#include <stdio.h>

#define HEAD_MAX ((size_t)16384)
#define READ_MAX ((size_t)65536)

/* The value of key="…" or key=… in a header's value. */
static struct str parameter(struct str value, struct str key)
{
    for (size_t at = 0; (at = str_find(value, key, at)) < value.n; at += key.n) {
        char before = at ? value.p[at - 1] : ';';
        if ((before != ' ' && before != ';') || at + key.n >= value.n || value.p[at + key.n] != '=')
            continue;
        struct str rest = str_sub(value, at + key.n + 1, value.n);
        if (rest.n && rest.p[0] == '"') {
            rest = str_sub(rest, 1, rest.n);
            return str_sub(rest, 0, str_find(rest, STR("\""), 0));
        }
        return str_trim(str_sub(rest, 0, str_find(rest, STR(";"), 0)));
    }
    return (struct str){0};
}

static bool more(struct multipart *m)
{
    if (m->at_end)
        return false;
    char *to = buf_reserve(&m->held, READ_MAX);
    ssize_t n = to ? http_body_read(m->x, to, READ_MAX) : -1;
    if (n > 0) {
        buf_added(&m->held, (size_t)n);
        return true;
    }
    m->at_end = true;
    m->bad = m->bad || n < 0;
    return false;
}

bool multipart_init(struct multipart *m, struct http_exchange *x, struct str content_type)
{
    *m = (struct multipart){.x = x};
    struct str boundary = parameter(content_type, STR("boundary"));
    if (boundary.n == 0 || boundary.n > 70)
        return false;
    m->nmark = (size_t)snprintf(m->mark, sizeof m->mark, "\r\n--" STR_FMT, STR_ARG(boundary));
    buf_puts(&m->held, "\r\n"); /* so that the first boundary looks like the others */
    return true;
}

void multipart_done(struct multipart *m)
{
    buf_done(&m->held);
}

/* Offset of what, reading on as needed within max bytes; false when it does not come. */
static bool find(struct multipart *m, struct str what, size_t max, size_t *at)
{
    for (size_t from = 0;;) {
        *at = str_find(buf_str(&m->held), what, from);
        if (*at < m->held.len)
            return true;
        from = m->held.len > what.n ? m->held.len - what.n : 0;
        if (m->held.len > max || !more(m))
            return false;
    }
}

static void copy_out(struct buf *to, struct str from)
{
    buf_clear(to);
    buf_add_str(to, from);
}

bool multipart_next(struct multipart *m, struct buf *name, struct buf *filename)
{
    size_t at;
    m->bad = true;
    if (!find(m, (struct str){m->mark, m->nmark}, HEAD_MAX, &at))
        return false;
    buf_drop_front(&m->held, at + m->nmark);
    while (m->held.len < 2)
        if (!more(m))
            return false;
    if (str_starts(buf_str(&m->held), STR("--"))) {
        m->bad = false;
        return false;
    }
    if (!find(m, STR("\r\n\r\n"), HEAD_MAX, &at))
        return false;
    struct str head = str_sub(buf_str(&m->held), 0, at);
    struct str line;
    buf_clear(name);
    buf_clear(filename);
    while (str_line(&head, &line)) {
        size_t colon = str_find(line, STR(":"), 0);
        if (!str_eq_nocase(str_sub(line, 0, colon), STR("content-disposition")))
            continue;
        copy_out(name, parameter(line, STR("name")));
        copy_out(filename, parameter(line, STR("filename")));
    }
    buf_drop_front(&m->held, at + 4);
    m->bad = false;
    return true;
}

ssize_t multipart_read(struct multipart *m, void *to, size_t n)
{
    struct str mark = {m->mark, m->nmark};
    for (;;) {
        size_t at = str_find(buf_str(&m->held), mark, 0);
        size_t safe = at;
        if (at == m->held.len) /* its last bytes may begin a boundary */
            safe = m->held.len >= m->nmark ? m->held.len - m->nmark + 1 : 0;
        if (safe > 0) {
            size_t give = safe < n ? safe : n;
            memcpy(to, m->held.data, give);
            buf_drop_front(&m->held, give);
            return (ssize_t)give;
        }
        if (at < m->held.len)
            return 0;
        if (!more(m)) {
            m->bad = true;
            return -1;
        }
    }
}
