/* An agent may have been talked into closing other people's issues: by its commits, on the day when
 * somebody merges them. Which issue a task closes is said in the pull request's text, by us; a
 * commit only refers to it. So the reference behind a closing word loses the character that makes
 * it one (the scheme, if it is an address), and the sentence stays readable. */
#include "bot/git/closing.h"

#include "bot/base/attr.h"

static const char *const words[] = {"closes", "closed",   "close",    "fixes",  "fixed",
                                    "fix",    "resolves", "resolved", "resolve"};
static const char *const schemes[] = {"https://", "http://"};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '.';
}

static bool starts_nocase(struct str s, const char *prefix)
{
    struct str p = str_of(prefix);
    return s.n >= p.n && str_eq_nocase(str_sub(s, 0, p.n), p);
}

static size_t skip_space(struct str s, size_t i)
{
    while (i < s.n && memchr(" \t\r\n", s.p[i], 4))
        i++;
    return i;
}

static size_t skip_name(struct str s, size_t i)
{
    while (i < s.n && is_name_char(s.p[i]))
        i++;
    return i;
}

/* The closing word at the start of s with what stands between it and a reference; 0 = none. */
static size_t word_length(struct str s)
{
    for (size_t i = 0; i < COUNT(words); i++) {
        if (!starts_nocase(s, words[i]))
            continue;
        size_t end = strlen(words[i]);
        size_t next = skip_space(s, end);
        if (next < s.n && s.p[next] == ':')
            next = skip_space(s, next + 1);
        if (next > end)
            return next;
    }
    return 0;
}

/* "#7", "owner/name#7", "GH-7": where the character is that makes it a reference; s.n = none. */
static size_t mark_at(struct str s)
{
    size_t owner = skip_name(s, 0), at = owner;
    char mark = '#';
    if (owner > 0 && owner < s.n && s.p[owner] == '/') {
        at = skip_name(s, owner + 1);
    } else if (starts_nocase(s, "GH-")) {
        at = 2;
        mark = '-';
    } else if (owner > 0) {
        return s.n;
    }
    return at + 1 < s.n && s.p[at] == mark && is_digit(s.p[at + 1]) ? at : s.n;
}

/* Copies the reference at the start of s, defused, as far as that is decided: how much of s. */
static size_t put_reference(struct str s, struct buf *out)
{
    for (size_t i = 0; i < COUNT(schemes); i++)
        if (starts_nocase(s, schemes[i]))
            return strlen(schemes[i]); /* of any address; another scheme may follow */
    size_t at = mark_at(s);
    if (at == s.n)
        return 0;
    buf_add(out, s.p, at);
    if (at > 0)
        buf_putc(out, ' ');
    return at + 1;
}

void closing_defuse(struct str text, struct buf *out)
{
    bool inside = false; /* of a word */
    for (size_t i = 0; i < text.n;) {
        size_t n = inside ? 0 : word_length(str_sub(text, i, text.n));
        if (n == 0) {
            inside = is_name_char(text.p[i]) && text.p[i] != '-' && text.p[i] != '.';
            buf_putc(out, text.p[i++]);
            continue;
        }
        buf_add(out, text.p + i, n);
        i += n;
        while ((n = put_reference(str_sub(text, i, text.n), out)) > 0)
            i += n;
    }
}
