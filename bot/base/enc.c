/* Text encodings. Decoders check the whole input before they write, so that a refusal leaves the
 * output as it was. Digests and random numbers are in digest.c. */
#include "bot/base/enc.h"

static const char hex_digits[] = "0123456789abcdef";
static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void enc_hex(struct buf *out, const void *data, size_t n)
{
    const unsigned char *p = data;
    char *room = n <= SIZE_MAX / 2 ? buf_reserve(out, 2 * n) : NULL;
    if (!room)
        return;
    for (size_t i = 0; i < n; i++) {
        room[2 * i] = hex_digits[p[i] >> 4];
        room[2 * i + 1] = hex_digits[p[i] & 15];
    }
    buf_added(out, 2 * n);
}

/* -1 for what is no hex digit. */
static int hex_value(char c, bool upper_too)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (upper_too && c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool enc_unhex(struct str hex, unsigned char *out, size_t n)
{
    if (n > SIZE_MAX / 2 || hex.n != 2 * n)
        return false;
    for (size_t i = 0; i < hex.n; i++)
        if (hex_value(hex.p[i], false) < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)(hex_value(hex.p[2 * i], false) * 16 +
                                 hex_value(hex.p[2 * i + 1], false));
    return true;
}

static void base64(struct buf *out, const unsigned char *p, size_t n, const char *alphabet,
                   bool pad)
{
    char *room = n <= SIZE_MAX / 4 ? buf_reserve(out, (n + 2) / 3 * 4) : NULL;
    if (!room)
        return;
    size_t used = 0;
    size_t i = 0;
    for (; i + 3 <= n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (unsigned)p[i + 1] << 8 | p[i + 2];
        room[used++] = alphabet[v >> 18];
        room[used++] = alphabet[v >> 12 & 63];
        room[used++] = alphabet[v >> 6 & 63];
        room[used++] = alphabet[v & 63];
    }
    if (i < n) {
        bool two = n - i == 2;
        unsigned v = (unsigned)p[i] << 16 | (two ? (unsigned)p[i + 1] << 8 : 0);
        room[used++] = alphabet[v >> 18];
        room[used++] = alphabet[v >> 12 & 63];
        if (two)
            room[used++] = alphabet[v >> 6 & 63];
        else if (pad)
            room[used++] = '=';
        if (pad)
            room[used++] = '=';
    }
    buf_added(out, used);
}

void enc_base64(struct buf *out, const void *data, size_t n)
{
    base64(out, data, n, standard, true);
}

void enc_base64url(struct buf *out, const void *data, size_t n)
{
    base64(out, data, n, url_safe, false);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool enc_unbase64(struct str text, struct buf *out)
{
    if (text.n > 0 && text.n % 4 == 0 && text.p[text.n - 1] == '=') {
        text.n--;
        if (text.p[text.n - 1] == '=')
            text.n--;
    }
    if (text.n % 4 == 1)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (base64_value(text.p[i]) < 0)
            return false;
    size_t n = text.n / 4 * 3 + (text.n % 4 ? text.n % 4 - 1 : 0);
    char *room = buf_reserve(out, n);
    if (!room)
        return false;
    unsigned bits = 0;
    int have = 0;
    size_t used = 0;
    for (size_t i = 0; i < text.n; i++) {
        bits = (bits << 6 | (unsigned)base64_value(text.p[i])) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            room[used++] = (char)(unsigned char)(bits >> have & 255);
        }
    }
    buf_added(out, used);
    return true;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void enc_percent(struct buf *out, struct str s, bool keep_slash)
{
    static const char upper[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(s.p[i]) || (keep_slash && c == '/')) {
            buf_putc(out, s.p[i]);
        } else {
            char code[3] = {'%', upper[c >> 4], upper[c & 15]};
            buf_add(out, code, sizeof(code));
        }
    }
}

bool enc_unpercent(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '%' &&
            (s.n - i < 3 || hex_value(s.p[i + 1], true) < 0 || hex_value(s.p[i + 2], true) < 0))
            return false;
    char *room = buf_reserve(out, s.n);
    if (!room)
        return false;
    size_t used = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%') {
            int v = hex_value(s.p[i + 1], true) * 16 + hex_value(s.p[i + 2], true);
            room[used++] = (char)(unsigned char)v;
            i += 2;
        } else {
            room[used++] = s.p[i];
        }
    }
    buf_added(out, used);
    return true;
}

/* The escape of an ASCII character that needs one. */
static void json_escape(struct buf *out, unsigned char c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i < sizeof(shorts) - 1; i += 2) {
        if ((unsigned char)shorts[i] == c) {
            char text[2] = {'\\', shorts[i + 1]};
            buf_add(out, text, sizeof(text));
            return;
        }
    }
    char text[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};
    buf_add(out, text, sizeof(text));
}

void enc_json(struct buf *out, struct str s)
{
    size_t start = 0; /* of the run that is copied as it is */
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t n = c < 0x80 ? 1 : str_utf8_char(str_sub(s, i, s.n));
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += n;
            continue;
        }
        buf_add_str(out, str_sub(s, start, i));
        if (n == 0)
            buf_puts(out, "\xef\xbf\xbd");
        else
            json_escape(out, c);
        i++;
        start = i;
    }
    buf_add_str(out, str_sub(s, start, s.n));
}
