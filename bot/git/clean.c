/* The ranges are those in which Unicode keeps its format characters, fillers and tags. The
 * variation selectors FE00-FE0F stay, because they choose between text and emoji; U+200D goes, so
 * an emoji made of several falls into its parts. Limit: look-alike letters are not touched. */
#include "bot/git/clean.h"

struct range {
    uint32_t from, to;
};

static const struct range bidi[] = {
    {0x061C, 0x061C},
    {0x200E, 0x200F},
    {0x202A, 0x202E},
    {0x2066, 0x2069},
};

static const struct range invisible[] = {
    {0x00AD,  0x00AD },
    {0x034F,  0x034F },
    {0x061C,  0x061C },
    {0x115F,  0x1160 },
    {0x17B4,  0x17B5 },
    {0x180B,  0x180F },
    {0x200B,  0x200F },
    {0x202A,  0x202E },
    {0x2060,  0x206F },
    {0x3164,  0x3164 },
    {0xFDD0,  0xFDEF },
    {0xFEFF,  0xFEFF },
    {0xFFA0,  0xFFA0 },
    {0xFFF0,  0xFFFC },
    {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A},
    {0xE0000, 0xE0FFF},
};

static const struct range spaces[] = {
    {0x09,   0x0D  },
    {0x20,   0x20  },
    {0x85,   0x85  },
    {0xA0,   0xA0  },
    {0x1680, 0x1680},
    {0x2000, 0x200A},
    {0x2028, 0x2029},
    {0x202F, 0x202F},
    {0x205F, 0x205F},
    {0x3000, 0x3000},
};

static bool within(const struct range *ranges, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= ranges[i].from && c <= ranges[i].to)
            return true;
    return false;
}

bool clean_is_bidi(uint32_t c)
{
    return within(bidi, COUNT(bidi), c);
}

bool clean_is_invisible(uint32_t c)
{
    return c >= 0x80 && within(invisible, COUNT(invisible), c);
}

bool clean_is_space(uint32_t c)
{
    return within(spaces, COUNT(spaces), c);
}

static bool is_line_end(uint32_t c)
{
    return c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F);
}

bool clean_next(struct str *rest, uint32_t *c)
{
    static const unsigned char first_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    while (rest->n > 0) {
        size_t n = str_utf8_char(*rest);
        uint32_t value = n ? (unsigned char)rest->p[0] & first_bits[n] : 0;
        for (size_t i = 1; i < n; i++)
            value = value << 6 | ((unsigned char)rest->p[i] & 0x3F);
        *rest = str_sub(*rest, n ? n : 1, rest->n);
        if (n) {
            *c = value;
            return true;
        }
    }
    return false;
}

size_t clean_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(marks[n] | c);
    return n;
}

/* Behind ESC: the rest of a terminal's control sequence. */
static void skip_sequence(struct str *rest)
{
    if (rest->n == 0 || rest->p[0] != '[')
        return;
    size_t i = 1;
    while (i < rest->n && rest->p[i] >= 0x20 && rest->p[i] < 0x40)
        i++;
    if (i < rest->n && rest->p[i] >= 0x40 && rest->p[i] < 0x7F)
        i++;
    *rest = str_sub(*rest, i, rest->n);
}

/* The next character that may stay; white space and line ends are among them. */
static bool next_kept(struct str *rest, uint32_t *c)
{
    while (clean_next(rest, c)) {
        if (*c == 0x1B)
            skip_sequence(rest);
        else if (clean_is_space(*c) || (!is_control(*c) && !clean_is_invisible(*c)))
            return true;
    }
    return false;
}

static void put(struct buf *out, uint32_t c)
{
    char bytes[4];
    buf_add(out, bytes, clean_encode(c, bytes));
}

void clean_line(struct str in, struct buf *out)
{
    size_t start = out->len;
    bool space = false;
    uint32_t c;
    while (next_kept(&in, &c)) {
        if (clean_is_space(c)) {
            space = true;
            continue;
        }
        if (space && out->len > start)
            buf_putc(out, ' ');
        space = false;
        put(out, c);
    }
}

void clean_text(struct str in, struct buf *out)
{
    size_t start = out->len;
    size_t ends = 0;                     /* line ends not yet written */
    AUTO(buf_done) struct buf gap = {0}; /* white space not yet written */
    uint32_t c;
    while (next_kept(&in, &c)) {
        if (is_line_end(c)) {
            if (c == '\r' && in.n > 0 && in.p[0] == '\n')
                continue;
            ends++;
            buf_clear(&gap);
            continue;
        }
        if (clean_is_space(c)) {
            put(&gap, c == '\t' ? '\t' : ' ');
            continue;
        }
        if (out->len > start)
            buf_add(out, "\n\n", ends > 2 ? 2 : ends);
        ends = 0;
        buf_add_str(out, buf_str(&gap));
        buf_clear(&gap);
        put(out, c);
    }
    if (out->len > start)
        buf_putc(out, '\n');
}
