/* Finds a command in a comment. People quote and paste each other, so only plain paragraph text
 * counts: fenced and indented code, inline code over line ends, block quotes and HTML comments do
 * not. This is a line scanner with the few states that matter, not a Markdown parser; where the two
 * could differ it errs towards "no command". */
#include "handlers/command.h"

#include "bot/base/attr.h"

static const struct {
    const char *word;
    enum command_word command;
} words[] = {
    {"run",    COMMAND_RUN   },
    {"stop",   COMMAND_STOP  },
    {"retry",  COMMAND_RETRY },
    {"status", COMMAND_STATUS},
    {"steer",  COMMAND_STEER },
    {"help",   COMMAND_HELP  },
};

struct scan {
    char fence;        /* '`' or '~' inside a fenced block, else 0 */
    size_t fence_n;    /* its length */
    bool html_comment; /* inside <!-- … --> */
    size_t code_span;  /* length of the open back-tick run of an inline code span, or 0 */
    bool in_paragraph; /* the line before was text: an indented line goes on with it */
    bool in_quote;     /* the line before was quoted: a lazy line goes on with it */
};

static size_t run_length(struct str s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] == s.p[at])
        n++;
    return n;
}

/* Columns of leading white space, a tab going to the next multiple of four. */
static size_t indent(struct str line, size_t *bytes)
{
    size_t columns = 0;
    size_t i = 0;
    for (; i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'); i++)
        columns += line.p[i] == ' ' ? 1 : 4 - columns % 4;
    *bytes = i;
    return columns;
}

/* Keeps track of inline code and HTML comments over the bytes of a text line. */
static void scan_inline(struct scan *s, struct str line)
{
    for (size_t i = 0; i < line.n;) {
        if (s->html_comment) {
            size_t end = str_find(line, STR("-->"), i);
            if (end == line.n)
                return;
            s->html_comment = false;
            i = end + 3;
        } else if (line.p[i] == '`') {
            size_t n = run_length(line, i);
            if (s->code_span == 0)
                s->code_span = n;
            else if (s->code_span == n)
                s->code_span = 0;
            i += n;
        } else if (line.p[i] == '\\' && s->code_span == 0) {
            i += 2;
        } else if (s->code_span == 0 && str_starts(str_sub(line, i, line.n), STR("<!--"))) {
            s->html_comment = true;
            i += 4;
        } else {
            i++;
        }
    }
}

static bool is_word_end(struct str s, size_t at)
{
    return at >= s.n || s.p[at] == ' ' || s.p[at] == '\t';
}

static struct str first_word(struct str s)
{
    size_t n = 0;
    while (!is_word_end(s, n))
        n++;
    return str_sub(s, 0, n);
}

static bool is_slug_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static bool line_command(struct str line, const char *slug, struct command *out)
{
    static const struct str slash = {"/squadbot", 9};
    if (line.n >= slash.n && str_eq_nocase(str_sub(line, 0, slash.n), slash) &&
        is_word_end(line, slash.n)) {
        struct str rest = str_trim(str_sub(line, slash.n, line.n));
        struct str word = first_word(rest);
        *out = (struct command){COMMAND_UNKNOWN, rest};
        for (size_t i = 0; i < COUNT(words); i++)
            if (str_eq_nocase(word, str_of(words[i].word)))
                *out = (struct command){words[i].command, str_trim(str_sub(rest, word.n, rest.n))};
        return true;
    }
    size_t n = slug ? strlen(slug) : 0;
    if (n == 0 || line.n < n + 1 || line.p[0] != '@' ||
        !str_eq_nocase(str_sub(line, 1, n + 1), str_of(slug)))
        return false;
    if (line.n > n + 1 && is_slug_char(line.p[n + 1]))
        return false;
    struct str rest = str_sub(line, n + 1, line.n);
    if (str_starts(rest, STR("[bot]")))
        rest = str_sub(rest, 5, rest.n);
    while (rest.n > 0 && (rest.p[0] == ':' || rest.p[0] == ','))
        rest = str_sub(rest, 1, rest.n);
    *out = (struct command){COMMAND_MENTION, str_trim(rest)};
    return true;
}

/* A fence opens or closes here? Updates the state and says that the line is not text. */
static bool scan_fence(struct scan *s, struct str text, size_t columns)
{
    if (text.n == 0 || (text.p[0] != '`' && text.p[0] != '~') || columns > 3)
        return false;
    size_t n = run_length(text, 0);
    if (s->fence) {
        if (text.p[0] == s->fence && n >= s->fence_n && str_trim(str_sub(text, n, text.n)).n == 0)
            s->fence = 0;
        return true;
    }
    if (n < 3 || (text.p[0] == '`' && str_find(text, STR("`"), n) < text.n))
        return false;
    s->fence = text.p[0];
    s->fence_n = n;
    s->in_paragraph = false;
    return true;
}

bool command_find(struct str comment, const char *slug, struct command *out)
{
    struct scan s = {0};
    struct str line;
    while (str_line(&comment, &line)) {
        size_t bytes;
        size_t columns = indent(line, &bytes);
        struct str text = str_trim(str_sub(line, bytes, line.n));
        if (!s.html_comment && !s.code_span && scan_fence(&s, text, columns))
            continue;
        if (s.fence)
            continue;
        if (text.n == 0) { /* a blank line ends paragraphs, quotes and open code spans */
            s.in_paragraph = s.in_quote = false;
            s.code_span = 0;
            continue;
        }
        if (!s.html_comment && columns >= 4 && !s.in_paragraph)
            continue; /* indented code */
        bool quoted = !s.html_comment && text.p[0] == '>';
        if (quoted || s.in_quote) {
            s.in_quote = true;
            continue;
        }
        bool plain = !s.html_comment && s.code_span == 0 && columns < 4;
        if (plain && line_command(text, slug, out))
            return true;
        s.in_paragraph = !s.html_comment;
        scan_inline(&s, text);
    }
    return false;
}
