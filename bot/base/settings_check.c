/* What a setting may be. A refusal tells the shape of the value, not the value: people paste
 * secrets into the wrong variable, and the message goes to a log. Only numbers are shown. */
#include "bot/base/settings_check.h"

#include "bot/base/mem.h"
#include "bot/base/str.h"

#include <stdio.h>

#define NEAR_MAX       3
#define NAME_MAX_BYTES 64

#define SETTING(id, name, type, fallback, min, max, help)                                          \
    [id] = {name, type, fallback, min, max, help},
const struct setting_row setting_rows[SETTINGS] = {
#include "bot/base/settings.def"
};
#undef SETTING

struct str setting_default(enum setting id)
{
    struct str text = str_of(setting_rows[id].fallback);
    return setting_rows[id].type == ONE_OF ? str_sub(text, 0, str_find(text, STR("|"), 0)) : text;
}

static void accepted_text(const struct setting_row *row, struct buf *out)
{
    if (row->max >= 65536)
        buf_puts(out, "text");
    else
        buf_printf(out, "text of at most %lld bytes", (long long)row->max);
    if (row->min > 0)
        buf_puts(out, ", not empty");
}

void setting_accepted(enum setting id, struct buf *out)
{
    const struct setting_row *row = &setting_rows[id];
    struct str choices = str_of(row->fallback);
    struct str choice;
    switch (row->type) {
    case INT:
        buf_printf(out, "a whole number from %lld to %lld", (long long)row->min,
                   (long long)row->max);
        break;
    case NUM:
        buf_printf(out, "a number from %lld to %lld", (long long)row->min, (long long)row->max);
        break;
    case URL:
        buf_puts(out, "a URL that begins with https:// or http://, without user name");
        break;
    case ONE_OF:
        buf_puts(out, "one of");
        for (bool first = true; str_split(&choices, '|', &choice); first = false)
            buf_printf(out, "%s " STR_FMT, first ? "" : ",", STR_ARG(choice));
        break;
    case TEXT:
        if (id == S_LISTEN)
            buf_puts(out, "host:port or [IPv6]:port, several separated by commas, port 0 to 65535");
        else
            accepted_text(row, out);
        break;
    case SECRET:
        accepted_text(row, out);
        break;
    }
}

static bool refuse(enum setting id, struct str text, struct err *err)
{
    const struct setting_row *row = &setting_rows[id];
    double number;
    bool show = row->type != SECRET && text.n <= 24 && str_to_double(text, -1e300, 1e300, &number);
    AUTO(buf_done) struct buf accepted = {0};
    setting_accepted(id, &accepted);
    if (show)
        return err_set(err, ERR_INPUT, "%s is the number " STR_FMT "; accepted: %s", row->name,
                       STR_ARG(text), buf_cstr(&accepted));
    return err_set(err, ERR_INPUT, "%s is %zu bytes of text; accepted: %s", row->name, text.n,
                   buf_cstr(&accepted));
}

static bool only_chars(struct str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  (c != '\0' && strchr(more, c));
        if (!ok)
            return false;
    }
    return true;
}

/* host:port, host or [v6] with an optional or required port. */
static bool is_authority(struct str s, bool port_required)
{
    struct str host = s;
    struct str port = {NULL, 0};
    if (s.n > 0 && s.p[0] == '[') {
        size_t close = str_find(s, STR("]"), 0);
        if (close == s.n)
            return false;
        host = str_sub(s, 1, close);
        port = str_sub(s, close + 1, s.n);
        if (host.n < 2 || !only_chars(host, ":.%"))
            return false;
    } else {
        size_t colon = str_find(s, STR(":"), 0);
        host = str_sub(s, 0, colon);
        port = str_sub(s, colon, s.n);
        if (host.n == 0 || !only_chars(host, ".-_"))
            return false;
    }
    int64_t number;
    if (port.n == 0)
        return !port_required;
    return port.n <= 6 && port.p[0] == ':' &&
           str_to_i64(str_sub(port, 1, port.n), port_required ? 0 : 1, 65535, &number) &&
           port.p[1] != '-';
}

static bool is_listen(struct str text)
{
    for (struct str one; str_split(&text, ',', &one);)
        if (!is_authority(str_trim(one), true))
            return false;
    return true;
}

/* Cuts the slashes at the end off. */
static bool check_url(struct str *text)
{
    struct str s = *text;
    size_t scheme = str_starts(s, STR("https://")) ? 8 : str_starts(s, STR("http://")) ? 7 : 0;
    if (scheme == 0)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f ||
            strchr("\"<>\\^`{|}#", s.p[i]))
            return false;
    struct str rest = str_sub(s, scheme, s.n);
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    if (!is_authority(str_sub(rest, 0, end), false))
        return false;
    while (s.n > scheme + end && s.p[s.n - 1] == '/')
        s.n--;
    *text = s;
    return true;
}

static bool is_choice(const struct setting_row *row, struct str text)
{
    struct str choices = str_of(row->fallback);
    for (struct str choice; str_split(&choices, '|', &choice);)
        if (str_eq(choice, text))
            return true;
    return false;
}

static bool fits(const struct setting_row *row, struct str text)
{
    return (int64_t)text.n >= row->min && (int64_t)text.n <= row->max;
}

/* A PEM in one line, as some secret stores keep it: "\n" written as two characters. */
static char *with_newlines(struct str text)
{
    char *copy = str_dup(text);
    size_t used = 0;
    for (size_t i = 0; i < text.n; i++) {
        bool escape = text.p[i] == '\\' && i + 1 < text.n && text.p[i + 1] == 'n';
        copy[used++] = escape ? '\n' : text.p[i];
        i += escape;
    }
    memset(copy + used, 0, text.n - used);
    return copy;
}

bool setting_check(enum setting id, struct str text, struct setting_value *out, struct err *err)
{
    const struct setting_row *row = &setting_rows[id];
    struct setting_value v = {NULL, 0, 0};
    bool ok = false;
    switch (row->type) {
    case INT:
        ok = str_to_i64(text, row->min, row->max, &v.i);
        v.num = (double)v.i;
        break;
    case NUM:
        ok = str_to_double(text, (double)row->min, (double)row->max, &v.num);
        break;
    case URL:
        ok = text.n == 0 || (fits(row, text) && check_url(&text));
        break;
    case ONE_OF:
        ok = is_choice(row, text);
        break;
    case TEXT:
        ok = fits(row, text) && (id != S_LISTEN || is_listen(text));
        break;
    case SECRET:
        ok = fits(row, text);
        break;
    }
    if (!ok)
        return refuse(id, text, err);
    v.text = id == S_APP_KEY ? with_newlines(text) : str_dup(text);
    *out = v;
    return true;
}

/* Edit distance with swaps of neighbours; both at most NAME_MAX_BYTES. */
static size_t distance(struct str a, struct str b)
{
    size_t d[NAME_MAX_BYTES + 1][NAME_MAX_BYTES + 1];
    for (size_t i = 0; i <= a.n; i++) {
        for (size_t j = 0; j <= b.n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t best = d[i - 1][j - 1] + (a.p[i - 1] != b.p[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[a.n][b.n];
}

const char *setting_nearest(const char *name)
{
    struct str wrong = str_of(name);
    const char *nearest = NULL;
    size_t least = NEAR_MAX + 1;
    if (wrong.n > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < SETTINGS; i++) {
        size_t n = distance(wrong, str_of(setting_rows[i].name));
        if (n < least) {
            least = n;
            nearest = setting_rows[i].name;
        }
    }
    return nearest;
}
