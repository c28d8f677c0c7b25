/* Token shapes as a table: a prefix, the class of what follows and how many of it make a token
 * certain. After that many, everything of the class is swallowed, so that a token of any length
 * needs no look-ahead in a stream. JWTs and PEM blocks have their own functions. A shape must start
 * a word ("task-…" is no "sk-…"). */
#include "bot/base/redact_shape.h"

#include "bot/base/attr.h"

#define JWT_HEADER_MAX  1024
#define JWT_PAYLOAD_MAX 6144
#define JWT_PART_MIN    8
#define PEM_LABEL_MAX   48
#define CLASS_TOKEN     (CLASS_ALNUM | IS_DASH | IS_UNDERSCORE)

static const struct shape {
    const char *prefix; /* '?' = one lower-case letter */
    unsigned class;
    size_t min;
} shapes[] = {
    {"gh?_",        CLASS_TOKEN | IS_DOT,        20},
    {"github_pat_", CLASS_ALNUM | IS_UNDERSCORE, 20},
    {"sk-",         CLASS_TOKEN,                 20},
    {"AKIA",        IS_UPPER | IS_DIGIT,         16},
    {"ASIA",        IS_UPPER | IS_DIGIT,         16},
    {"xox?-",       CLASS_ALNUM | IS_DASH,       10},
    {"AIza",        CLASS_TOKEN,                 35},
    {"e2b_",        IS_LOWER_HEX | IS_DIGIT,     40},
    {"whsec_",      CLASS_BASE64,                20},
};

unsigned shape_kind(unsigned char c)
{
    if (c >= 'a' && c <= 'z')
        return c <= 'f' ? IS_LOWER_HEX : IS_LOWER;
    if (c >= 'A' && c <= 'Z')
        return IS_UPPER;
    if (c >= '0' && c <= '9')
        return IS_DIGIT;
    switch (c) {
    case '.':
        return IS_DOT;
    case '-':
        return IS_DASH;
    case '_':
        return IS_UNDERSCORE;
    case '+':
    case '/':
    case '=':
        return IS_BASE64;
    default:
        return 0;
    }
}

/* The bits: 1 gh… gi…, 2 sk, 4 AK AS AI, 8 xo, 16 ey e2, 32 wh, 64 --. */
const unsigned char shape_first[256] = {
    ['g'] = 1, ['s'] = 2, ['A'] = 4, ['x'] = 8, ['e'] = 16, ['w'] = 32, ['-'] = 64};
const unsigned char shape_second[256] = {
    ['h'] = 1 | 32, ['i'] = 1, ['k'] = 2,  ['K'] = 4,  ['S'] = 4,
    ['I'] = 4,      ['o'] = 8, ['y'] = 16, ['2'] = 16, ['-'] = 64};

/* At most `max` bytes of the class at the front of s. */
static size_t span(struct str s, unsigned class, size_t max)
{
    size_t n = 0;
    while (n < s.n && n < max && (shape_kind((unsigned char)s.p[n]) & class))
        n++;
    return n;
}

static enum shape_result literal(struct str s, const char *text)
{
    size_t i = 0;
    for (; text[i] && i < s.n; i++) {
        bool same = text[i] == '?' ? (shape_kind((unsigned char)s.p[i]) & (IS_LOWER | IS_LOWER_HEX))
                                   : s.p[i] == text[i];
        if (!same)
            return SHAPE_NONE;
    }
    return text[i] ? SHAPE_PARTIAL : SHAPE_HIT;
}

/* eyJ…, a dot, more, a dot. Once the second dot is there, the rest is a signature or nothing. */
static enum shape_result jwt_at(struct str s, size_t *n)
{
    enum shape_result begins = literal(s, "eyJ");
    if (begins != SHAPE_HIT)
        return begins;
    size_t header = 3 + span(str_sub(s, 3, s.n), CLASS_TOKEN, JWT_HEADER_MAX);
    if (header == s.n)
        return SHAPE_PARTIAL;
    if (header < 3 + JWT_PART_MIN || s.p[header] != '.')
        return SHAPE_NONE;
    size_t payload = span(str_sub(s, header + 1, s.n), CLASS_TOKEN, JWT_PAYLOAD_MAX);
    size_t end = header + 1 + payload;
    if (payload == JWT_PAYLOAD_MAX) {
        *n = end; /* too long to wait for the dot: better masked than shown */
        return SHAPE_HIT;
    }
    if (end == s.n)
        return SHAPE_PARTIAL;
    if (payload < JWT_PART_MIN || s.p[end] != '.')
        return SHAPE_NONE;
    *n = end + 1;
    return SHAPE_HIT;
}

/* "RSA PRIVATE KEY" at the front of s. */
static size_t label_span(struct str s)
{
    size_t n = 0;
    while (n < s.n && n < PEM_LABEL_MAX &&
           (s.p[n] == ' ' || (shape_kind((unsigned char)s.p[n]) & (IS_UPPER | IS_DIGIT))))
        n++;
    return n;
}

static enum shape_result pem_at(struct str s, size_t *n)
{
    static const char begin[] = "-----BEGIN ";
    const size_t skip = sizeof(begin) - 1;
    enum shape_result begins = literal(s, begin);
    if (begins != SHAPE_HIT)
        return begins;
    size_t label = skip + label_span(str_sub(s, skip, s.n));
    if (label == s.n)
        return SHAPE_PARTIAL;
    struct str name = str_sub(s, skip, label);
    if (str_find(name, STR("PRIVATE KEY"), 0) == name.n)
        return SHAPE_NONE;
    enum shape_result ends = literal(str_sub(s, label, s.n), "-----");
    *n = label + 5;
    return ends;
}

enum shape_result shape_at(struct str s, size_t *n, unsigned *swallow)
{
    if (s.p[0] == '-') {
        *swallow = IN_PEM;
        return pem_at(s, n);
    }
    enum shape_result best = SHAPE_NONE;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        enum shape_result got = literal(s, shapes[i].prefix);
        if (got == SHAPE_NONE)
            continue;
        size_t prefix = strlen(shapes[i].prefix);
        size_t have =
            got == SHAPE_HIT ? span(str_sub(s, prefix, s.n), shapes[i].class, shapes[i].min) : 0;
        if (got == SHAPE_HIT && have == shapes[i].min) {
            *n = prefix + have;
            *swallow = shapes[i].class;
            return SHAPE_HIT;
        }
        if (got == SHAPE_PARTIAL || prefix + have == s.n)
            best = SHAPE_PARTIAL;
    }
    if (best == SHAPE_NONE && s.p[0] == 'e') {
        *swallow = CLASS_TOKEN | IS_DOT;
        return jwt_at(s, n);
    }
    return best;
}

bool shape_boundary(struct str before)
{
    if (before.n == 0)
        return true;
    const unsigned char *end = (const unsigned char *)before.p + before.n;
    unsigned last = shape_kind(end[-1]);
    if (!(last & CLASS_ALNUM))
        return true;
    /* An escape sequence may end in a letter or a digit: \n, %3D, or a terminal's colour "[1;31m".
     */
    if (before.n >= 2 && end[-2] == '\\')
        return true;
    if (before.n >= 3 && end[-3] == '%')
        return true;
    if (end[-1] != 'm' && end[-1] != 'K')
        return false;
    size_t i = before.n - 1;
    while (i > 0 &&
           (before.p[i - 1] == ';' || (shape_kind((unsigned char)before.p[i - 1]) & IS_DIGIT)))
        i--;
    return i > 0 && before.p[i - 1] == '[';
}

size_t shape_pem_rest(struct str s, bool final, bool *ended)
{
    static const char end[] = "-----END";
    *ended = false;
    size_t at = str_find(s, STR("-----END"), 0);
    if (at == s.n) {
        if (final)
            return s.n;
        /* The last bytes may be the beginning of it. */
        for (size_t k = s.n > sizeof(end) - 1 ? s.n - (sizeof(end) - 1) : 0; k < s.n; k++)
            if (literal(str_sub(s, k, s.n), end) == SHAPE_PARTIAL)
                return k;
        return s.n;
    }
    size_t label = at + sizeof(end) - 1;
    size_t close = label + label_span(str_sub(s, label, s.n));
    enum shape_result closes = literal(str_sub(s, close, s.n), "-----");
    if (closes == SHAPE_PARTIAL && !final)
        return at;
    *ended = true;
    return closes == SHAPE_HIT ? close + 5 : closes == SHAPE_PARTIAL ? s.n : close;
}
