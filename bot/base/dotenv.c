/* A dotenv file gives defaults for the environment. The syntax is the part that the common readers
 * agree on: optional `export `, # comments, plain values, 'literal' values and "values with \n
 * escapes"; quoted values may go over several lines (keys in PEM). Nothing is expanded. */
#include "bot/base/dotenv.h"

#include "bot/base/buf.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"

#define FILE_MAX_BYTES ((size_t)1024 * 1024)

struct reader {
    const char *path;
    struct str rest;
    int line;
};

static bool name_char(char c, bool first)
{
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (!first && c >= '0' && c <= '9');
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!name_char(s.p[i], i == 0))
            return false;
    return s.n > 0;
}

static void add(struct dotenv *d, struct str name, const struct buf *value)
{
    d->pairs = mem_grow(d->pairs, d->count + 1, sizeof(*d->pairs));
    d->pairs[d->count++] = (struct dotenv_pair){str_dup(name), str_dup(buf_str(value))};
}

/* "\n" and the like; what is no escape stays as it is. */
static void unescape(struct buf *out, char c)
{
    static const char escapes[] = "n\nr\rt\t\"\"\\\\$$";
    for (size_t i = 0; i < sizeof(escapes) - 1; i += 2) {
        if (escapes[i] == c) {
            buf_putc(out, escapes[i + 1]);
            return;
        }
    }
    buf_putc(out, '\\');
    buf_putc(out, c);
}

/* rest starts at the opening quote; afterwards at the end of the line. */
static bool quoted(struct reader *r, struct buf *out, struct err *err)
{
    int started = r->line;
    char quote = r->rest.p[0];
    size_t i = 1;
    for (; i < r->rest.n && r->rest.p[i] != quote; i++) {
        char c = r->rest.p[i];
        r->line += c == '\n';
        if (c == '\\' && quote == '"' && i + 1 < r->rest.n)
            unescape(out, r->rest.p[++i]);
        else
            buf_putc(out, c);
    }
    if (i == r->rest.n)
        return err_set(err, ERR_INPUT, "%s, line %d: the quote is not closed", r->path, started);
    r->rest = str_sub(r->rest, i + 1, r->rest.n);
    struct str tail = {NULL, 0};
    bool more = str_line(&r->rest, &tail);
    tail = str_trim(tail);
    if (more && tail.n > 0 && tail.p[0] != '#')
        return err_set(err, ERR_INPUT, "%s, line %d: text after the closing quote", r->path,
                       r->line);
    r->line++;
    return true;
}

static struct str without_comment(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '#' && (i == 0 || s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
            return str_trim(str_sub(s, 0, i));
    return str_trim(s);
}

/* One entry, comment or empty line. */
static bool entry(struct reader *r, struct dotenv *d, struct err *err)
{
    struct str after = r->rest;
    struct str line = {NULL, 0};
    if (!str_line(&after, &line))
        return true;
    struct str text = str_trim(line);
    if (text.n == 0 || text.p[0] == '#') {
        r->rest = after;
        r->line++;
        return true;
    }
    if (str_starts(text, STR("export ")))
        text = str_trim(str_sub(text, 7, text.n));
    size_t equals = str_find(text, STR("="), 0);
    struct str name = str_trim(str_sub(text, 0, equals));
    if (equals == text.n || !is_name(name))
        return err_set(err, ERR_INPUT, "%s, line %d: not NAME=VALUE", r->path, r->line);
    struct str plain = str_trim(str_sub(text, equals + 1, text.n));
    AUTO(buf_done) struct buf value = {0};
    bool ok = true;
    if (plain.n > 0 && (plain.p[0] == '"' || plain.p[0] == '\'')) {
        r->rest = str_sub(r->rest, (size_t)(plain.p - r->rest.p), r->rest.n);
        ok = quoted(r, &value, err);
    } else {
        buf_add_str(&value, without_comment(plain));
        r->rest = after;
        r->line++;
    }
    if (ok)
        add(d, name, &value);
    if (value.data)
        explicit_bzero(value.data, value.cap);
    return ok;
}

bool dotenv_read(const char *path, struct dotenv *out, struct err *err)
{
    AUTO(buf_done) struct buf text = {0};
    if (!file_read(path, FILE_MAX_BYTES, &text, err))
        return false;
    struct dotenv d = {NULL, 0};
    struct reader r = {path, buf_str(&text), 1};
    bool ok = memchr(buf_cstr(&text), '\0', text.len) == NULL ||
              err_set(err, ERR_INPUT, "%s: not a text file", path);
    while (ok && r.rest.n > 0)
        ok = entry(&r, &d, err);
    if (text.data)
        explicit_bzero(text.data, text.cap);
    if (!ok) {
        dotenv_done(&d);
        return false;
    }
    *out = d;
    return true;
}

const char *dotenv_get(const struct dotenv *d, const char *name)
{
    for (size_t i = d->count; i > 0; i--)
        if (strcmp(d->pairs[i - 1].name, name) == 0)
            return d->pairs[i - 1].value;
    return NULL;
}

void dotenv_wipe(struct dotenv *d, const char *name)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->pairs[i].name, name) == 0)
            explicit_bzero(d->pairs[i].value, strlen(d->pairs[i].value));
}

void dotenv_done(struct dotenv *d)
{
    for (size_t i = 0; i < d->count; i++) {
        explicit_bzero(d->pairs[i].value, strlen(d->pairs[i].value));
        free(d->pairs[i].name);
        free(d->pairs[i].value);
    }
    free(d->pairs);
    *d = (struct dotenv){NULL, 0};
}
