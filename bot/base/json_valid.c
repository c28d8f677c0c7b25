/* Is this text JSON? Asked for every webhook before it is stored, so it builds nothing, allocates
 * nothing and looks at most bytes sixteen (or eight) at a time (most of a payload is inside
 * strings). The nesting is a stack of bits instead of recursion. Stricter than RFC 8259's grammar
 * in one point: an escaped lone surrogate is refused, because no text can hold it and jansson
 * refuses it too. Numbers are not limited in size here, while jansson refuses what does not fit. */
#include "bot/base/json.h"

#ifdef __SSE2__
#include <emmintrin.h>
#else
#include <endian.h>
#endif

#define DEPTH_MAX 512

/* What may follow at a position of the text. */
enum expect { VALUE, VALUE_OR_END, NAME, NAME_OR_END, SEPARATOR };

struct scan {
    const unsigned char *p;
    const unsigned char *end;
    unsigned depth;
    uint64_t object[DEPTH_MAX / 64]; /* bit = the container at that depth is an object */
};

static bool is_digit(unsigned char c)
{
    return (unsigned)c - '0' < 10;
}

static inline void skip_space(struct scan *s)
{
    if (s->p<s->end && * s->p> ' ') /* payloads have hardly any */
        return;
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

/* How many of the STEP bytes at p come before the first quote, backslash, control or byte that is
 * not ASCII. */
#ifdef __SSE2__
#define STEP 16
static inline size_t plain_bytes(const unsigned char *p)
{
    __m128i w = _mm_loadu_si128((const __m128i_u *)p);
    /* As signed bytes, those that are not ASCII are less than any control. */
    __m128i low = _mm_cmplt_epi8(w, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(w, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(w, _mm_set1_epi8('\\'));
    unsigned marks = (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, slash)));
    return marks ? (size_t)__builtin_ctz(marks) : STEP;
}
#else
#define STEP 8
static inline size_t plain_bytes(const unsigned char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    w = le64toh(w);
    uint64_t quote = w ^ ones * '"';
    uint64_t slash = w ^ ones * '\\';
    /* A byte below n borrows from its top bit when n is taken off; so may the bytes above it, but
     * only the lowest mark counts. */
    uint64_t marks = (w | (w - ones * 0x20) | (quote - ones) | (slash - ones)) & tops;
    return marks ? (size_t)__builtin_ctzll(marks) / 8 : STEP;
}
#endif

static bool hex4(const unsigned char *p, unsigned *out)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = p[i];
        unsigned low = c | 0x20;
        if (is_digit(p[i]))
            v = v * 16 + c - '0';
        else if (low >= 'a' && low <= 'f')
            v = v * 16 + low - 'a' + 10;
        else
            return false;
    }
    *out = v;
    return true;
}

/* p is behind the backslash. */
static bool skip_escape(struct scan *s)
{
    if (s->p == s->end)
        return false;
    unsigned char c = *s->p++;
    if (c != 'u')
        return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' ||
               c == 't';
    unsigned unit;
    if (s->end - s->p < 4 || !hex4(s->p, &unit))
        return false;
    s->p += 4;
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    unsigned second;
    if (unit > 0xdbff || s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u' ||
        !hex4(s->p + 2, &second) || second < 0xdc00 || second > 0xdfff)
        return false;
    s->p += 6;
    return true;
}

/* All characters up to the next ASCII one: other scripts come in runs. */
static bool skip_utf8(struct scan *s)
{
    while (s->p < s->end && *s->p >= 0x80) {
        size_t n = str_utf8_char((struct str){(const char *)s->p, (size_t)(s->end - s->p)});
        if (n == 0)
            return false;
        s->p += n;
    }
    return true;
}

/* p is behind the opening quote. */
static bool skip_string(struct scan *s)
{
    for (;;) {
        const unsigned char *p = s->p;
        for (size_t n = STEP; n == STEP && s->end - p >= STEP; p += n)
            n = plain_bytes(p);
        s->p = p;
        if (s->p == s->end)
            return false;
        unsigned char c = *s->p;
        if (c == '"') {
            s->p++;
            return true;
        }
        if (c == '\\') {
            s->p++;
            if (!skip_escape(s))
                return false;
        } else if (c < 0x20) {
            return false;
        } else if (c < 0x80) {
            s->p++;
        } else if (!skip_utf8(s)) {
            return false;
        }
    }
}

static bool skip_digits(struct scan *s)
{
    const unsigned char *start = s->p;
    while (s->p < s->end && is_digit(*s->p))
        s->p++;
    return s->p > start;
}

static bool skip_number(struct scan *s)
{
    if (*s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++;
    else if (!skip_digits(s))
        return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!skip_digits(s))
            return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        return skip_digits(s);
    }
    return true;
}

static bool skip_word(struct scan *s, struct str word)
{
    if ((size_t)(s->end - s->p) < word.n || memcmp(s->p, word.p, word.n) != 0)
        return false;
    s->p += word.n;
    return true;
}

static bool open_container(struct scan *s, bool object)
{
    if (s->depth == DEPTH_MAX)
        return false;
    uint64_t bit = UINT64_C(1) << (s->depth % 64);
    if (object)
        s->object[s->depth / 64] |= bit;
    else
        s->object[s->depth / 64] &= ~bit;
    s->depth++;
    return true;
}

static bool in_object(const struct scan *s)
{
    unsigned at = s->depth - 1;
    return s->object[at / 64] >> (at % 64) & 1;
}

/* A value, or the opening of a container. */
static bool skip_value(struct scan *s, enum expect *next)
{
    *next = SEPARATOR;
    switch (*s->p) {
    case '"':
        s->p++;
        return skip_string(s);
    case '{':
        s->p++;
        *next = NAME_OR_END;
        return open_container(s, true);
    case '[':
        s->p++;
        *next = VALUE_OR_END;
        return open_container(s, false);
    case 't':
        return skip_word(s, STR("true"));
    case 'f':
        return skip_word(s, STR("false"));
    case 'n':
        return skip_word(s, STR("null"));
    default:
        return (*s->p == '-' || is_digit(*s->p)) && skip_number(s);
    }
}

static bool skip_name(struct scan *s)
{
    if (*s->p++ != '"' || !skip_string(s))
        return false;
    skip_space(s);
    return s->p < s->end && *s->p++ == ':';
}

/* Members as long as they are plain: up to one that opens a container, or the last. */
static bool skip_members(struct scan *s, enum expect *next)
{
    for (;;) {
        if (!skip_name(s))
            return false;
        skip_space(s);
        if (s->p == s->end || !skip_value(s, next))
            return false;
        if (*next != SEPARATOR)
            return true;
        skip_space(s);
        if (s->p == s->end || *s->p != ',')
            return true;
        s->p++;
        skip_space(s);
        if (s->p == s->end)
            return false;
    }
}

bool json_valid(struct str text)
{
    struct scan s = {.p = (const unsigned char *)(text.n ? text.p : "")};
    s.end = s.p + text.n;
    enum expect expect = VALUE;
    for (;;) {
        skip_space(&s);
        if (expect == SEPARATOR && s.depth == 0)
            return s.p == s.end;
        if (s.p == s.end)
            return false;
        bool may_end = expect == SEPARATOR || expect == NAME_OR_END || expect == VALUE_OR_END;
        if (may_end && s.depth > 0 && *s.p == (in_object(&s) ? '}' : ']')) {
            s.p++;
            s.depth--;
            expect = SEPARATOR;
        } else if (expect == SEPARATOR) {
            if (*s.p++ != ',')
                return false;
            expect = in_object(&s) ? NAME : VALUE;
        } else if (expect == NAME || expect == NAME_OR_END) {
            if (!skip_members(&s, &expect))
                return false;
        } else if (!skip_value(&s, &expect)) {
            return false;
        }
    }
}
