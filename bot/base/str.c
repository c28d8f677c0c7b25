/* Slices of bytes and the strict parsers for numbers and UTF-8. Nothing here allocates except
 * str_dup(), and nothing depends on the locale. */
#include "bot/base/str.h"

#include "bot/base/mem.h"

#include <math.h>

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

size_t str_find(struct str s, struct str needle, size_t from)
{
    if (from > s.n || needle.n > s.n - from)
        return s.n;
    if (needle.n == 0)
        return from;
    const char *hit = memmem(s.p + from, s.n - from, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : s.n;
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_sub(struct str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return (struct str){s.p ? s.p + from : NULL, to - from};
}

bool str_split(struct str *rest, char sep, struct str *field)
{
    if (!rest->p)
        return false;
    const char *hit = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    if (!hit) {
        *field = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    size_t n = (size_t)(hit - rest->p);
    *field = (struct str){rest->p, n};
    *rest = (struct str){hit + 1, rest->n - n - 1};
    return true;
}

bool str_line(struct str *rest, struct str *line)
{
    if (rest->n == 0)
        return false;
    const char *hit = memchr(rest->p, '\n', rest->n);
    size_t n = hit ? (size_t)(hit - rest->p) : rest->n;
    struct str got = {rest->p, n};
    *rest = str_sub(*rest, n + 1, rest->n);
    if (hit && got.n > 0 && got.p[got.n - 1] == '\r')
        got.n--;
    *line = got;
    return true;
}

bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == s.n)
        return false;
    /* Counted downwards, because INT64_MIN has no positive counterpart. */
    int64_t value = 0;
    for (; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, s.p[i] - '0', &value))
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    if (!negative)
        value = -value;
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

/* Digits from i on; false when there is none. */
static bool skip_digits(struct str s, size_t *i)
{
    size_t start = *i;
    while (*i < s.n && is_digit(s.p[*i]))
        ++*i;
    return *i > start;
}

bool str_to_double(struct str s, double min, double max, double *out)
{
    char text[64];
    size_t i = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    if (s.n >= sizeof(text) || !skip_digits(s, &i))
        return false;
    if (i < s.n && s.p[i] == '.' && (++i, !skip_digits(s, &i)))
        return false;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
            i++;
        if (!skip_digits(s, &i))
            return false;
    }
    if (i != s.n || !str_copy(text, sizeof(text), s))
        return false;
    double value = strtod(text, NULL);
    if (!isfinite(value) || value < min || value > max)
        return false;
    *out = value;
    return true;
}

size_t str_utf8_char(struct str s)
{
    if (s.n == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char c = p[0];
    if (c < 0x80)
        return 1;
    /* The range of the second byte shuts out overlong forms, surrogates and what is too big. */
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t n;
    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        low = c == 0xe0 ? 0xa0 : low;
        high = c == 0xed ? 0x9f : high;
    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        low = c == 0xf0 ? 0x90 : low;
        high = c == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (s.n < n || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool str_is_utf8(struct str s)
{
    while (s.n > 0) {
        uint64_t word;
        if (s.n >= sizeof(word)) {
            memcpy(&word, s.p, sizeof(word));
            if (!(word & UINT64_C(0x8080808080808080))) {
                s = str_sub(s, sizeof(word), s.n);
                continue;
            }
        }
        size_t n = str_utf8_char(s);
        if (n == 0)
            return false;
        s = str_sub(s, n, s.n);
    }
    return true;
}

size_t str_utf8_floor(struct str s, size_t max)
{
    if (s.n <= max)
        return s.n;
    /* Back to the start of the character that the cut may go through, at most three bytes. */
    size_t start = max;
    while (start > 0 && max - start < 3 && ((unsigned char)s.p[start] & 0xc0) == 0x80)
        start--;
    size_t n = str_utf8_char(str_sub(s, start, s.n));
    return start + n > max && n > 0 ? start : max;
}

char *str_dup(struct str s)
{
    char *copy = mem_alloc(s.n + 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

bool str_copy(char *dst, size_t dst_size, struct str s)
{
    if (dst_size == 0)
        return false;
    dst[0] = '\0';
    if (s.n >= dst_size)
        return false;
    if (s.n > 0)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return true;
}
