/* jansson behind guards: its trees take up to 80 times the text's size and its parser and its
 * destructor recurse, so the structure is counted and its depth limited before it sees a byte. The
 * getters make reading foreign JSON a matter of one call a field. */
#include "bot/base/json.h"

#include <stdlib.h>

#define DEPTH_MAX 512

void json_init(void)
{
    json_object_seed(0);
}

/* Counts the structural bytes outside strings. The text need not be valid. */
static bool within_budget(struct str text, struct err *err)
{
    size_t count = 0;
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[' || c == ',') {
            if (++count > JSON_STRUCT_MAX)
                return err_set(err, ERR_INPUT, "JSON has more than %d elements", JSON_STRUCT_MAX);
            if (c != ',' && ++depth > DEPTH_MAX)
                return err_set(err, ERR_INPUT, "JSON is nested deeper than %d", DEPTH_MAX);
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

bool json_parse(struct str text, json_t **out, struct err *err)
{
    /* jansson takes a NUL byte behind a number for nothing at all. */
    if (text.n > 0 && memchr(text.p, '\0', text.n))
        return err_set(err, ERR_INPUT, "JSON: a NUL byte");
    if (!within_budget(text, err))
        return false;
    json_error_t why;
    json_t *tree = json_loadb(text.n ? text.p : "", text.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!tree)
        return err_set(err, ERR_INPUT, "JSON, line %d: %s", why.line, why.text);
    *out = tree;
    return true;
}

json_t *json_at(const json_t *j, const char *path)
{
    struct str rest = str_of(path);
    struct str key;
    json_t *at = NULL;
    while (str_split(&rest, '.', &key)) {
        at = json_object_getn(j, key.p, key.n);
        if (!at)
            return NULL;
        j = at;
    }
    return json_is_null(at) ? NULL : at;
}

struct str json_str(const json_t *j, const char *path)
{
    const json_t *at = json_at(j, path);
    if (!json_is_string(at))
        return (struct str){NULL, 0};
    return (struct str){json_string_value(at), json_string_length(at)};
}

const char *json_cstr(const json_t *j, const char *path)
{
    return json_string_value(json_at(j, path));
}

int64_t json_int(const json_t *j, const char *path, int64_t fallback)
{
    const json_t *at = json_at(j, path);
    return json_is_integer(at) ? json_integer_value(at) : fallback;
}

double json_num(const json_t *j, const char *path, double fallback)
{
    const json_t *at = json_at(j, path);
    return json_is_number(at) ? json_number_value(at) : fallback;
}

bool json_bool(const json_t *j, const char *path, bool fallback)
{
    const json_t *at = json_at(j, path);
    return json_is_boolean(at) ? json_is_true(at) : fallback;
}

json_t *json_text(struct str s)
{
    if (!s.p)
        return json_null();
    if (str_is_utf8(s))
        return json_stringn_nocheck(s.p, s.n);
    AUTO(buf_done) struct buf clean = {0};
    for (size_t i = 0; i < s.n;) {
        size_t n = str_utf8_char(str_sub(s, i, s.n));
        if (n > 0)
            buf_add(&clean, s.p + i, n);
        else
            buf_puts(&clean, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    return json_stringn_nocheck(buf_cstr(&clean), clean.len);
}

static int write_piece(const char *data, size_t n, void *out)
{
    buf_add(out, data, n);
    return 0;
}

void json_write(struct buf *out, const json_t *j)
{
    /* Fails only for trees that we built wrongly (cycles). */
    if (json_dump_callback(j, write_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        abort();
}
