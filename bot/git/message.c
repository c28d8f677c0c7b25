/* The rules of @commitlint/config-conventional, with its defaults, and the few that it only warns
 * of. Where commitlint's own answer rests on a quirk (a heading line of a reference counts as
 * footer, letters of rare scripts) this check is the stricter one, never the laxer. */
#include "bot/git/message.h"

#include "bot/git/clean.h"
#include "bot/git/letter.h"

#define QUOTE "> " /* before a line that must not be taken for a patch */

static const char *const types[] = {"build", "chore",    "ci",     "docs",  "feat", "fix",
                                    "perf",  "refactor", "revert", "style", "test"};

const char *commit_type_named(struct str word)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (str_eq_nocase(word, str_of(types[i])))
            return types[i];
    return NULL;
}

size_t commit_length(struct str s)
{
    size_t n = 0;
    uint32_t c;
    while (clean_next(&s, &c))
        n += c >= 0x10000 ? 2 : 1;
    return n;
}

static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* The "!: " or ": " at `at`: its length, 0 = none. */
static size_t separator(struct str line, size_t at)
{
    if (str_starts(str_sub(line, at, line.n), STR("!: ")))
        return 3;
    return str_starts(str_sub(line, at, line.n), STR(": ")) ? 2 : 0;
}

bool commit_header_parse(struct str line, struct commit_header *out)
{
    size_t type = 0;
    while (type < line.n && is_word_char(line.p[type]))
        type++;
    size_t end = type; /* of what stands before the separator */
    struct str scope = {0};
    if (type < line.n && line.p[type] == '(') {
        /* As in commitlint's pattern, the last possible parenthesis ends the scope. */
        for (end = line.n; end > type + 1; end--)
            if (line.p[end - 1] == ')' && separator(line, end))
                break;
        if (end == type + 1)
            return false;
        scope = str_sub(line, type + 1, end - 1);
    }
    size_t sep = separator(line, end);
    if (sep == 0)
        return false;
    *out = (struct commit_header){str_sub(line, 0, type), scope, str_sub(line, end + sep, line.n),
                                  sep == 3};
    return true;
}

static struct str skip_note_marks(struct str line)
{
    while (line.n > 0 && memchr(" \t|*", line.p[0], 4))
        line = str_sub(line, 1, line.n);
    return line;
}

/* A line with which commitlint's parser begins the footer. */
static bool is_breaking_note(struct str line)
{
    line = skip_note_marks(line);
    size_t n = STR("BREAKING CHANGE").n;
    struct str word = str_sub(line, 0, n);
    return line.n > n && memchr(": \t", line.p[n], 3) &&
           (str_eq_nocase(word, STR("BREAKING CHANGE")) ||
            str_eq_nocase(word, STR("BREAKING-CHANGE")));
}

bool commit_is_trailer(struct str line)
{
    size_t n = 0;
    while (n < line.n && (is_word_char(line.p[n]) || line.p[n] == '-'))
        n++;
    return is_breaking_note(line) ||
           (n > 0 && str_starts(str_sub(line, n, line.n), STR(": ")) && line.n > n + 2);
}

/* commitlint lets lines with a web address be long. */
static bool has_url(struct str line)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < COUNT(schemes); i++) {
        struct str scheme = str_of(schemes[i]);
        size_t at = str_find(line, scheme, 0);
        for (; at < line.n; at = str_find(line, scheme, at + 1)) {
            size_t after = at + scheme.n;
            unsigned char before = at ? (unsigned char)line.p[at - 1] : ' ';
            /* Non-ASCII neighbours: their class is JavaScript's business, so do not rely on it. */
            if (after < line.n && line.p[after] > 0x20 && line.p[after] < 0x7F && before < 0x80 &&
                !is_word_char((char)before))
                return true;
        }
    }
    return false;
}

static bool check_characters(struct str message, struct err *err)
{
    if (!str_is_utf8(message))
        return err_set(err, ERR_INPUT, "not valid UTF-8");
    uint32_t c;
    while (clean_next(&message, &c)) {
        bool line_mark = c == 0x2028 || c == 0x2029;
        if ((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c <= 0x9F) || line_mark)
            return err_set(err, ERR_INPUT, "control character U+%04X", (unsigned)c);
    }
    return true;
}

static bool ends_with_space(struct str s)
{
    uint32_t c = 0;
    while (clean_next(&s, &c))
        ;
    return clean_is_space(c) || c == 0xFEFF;
}

static bool check_subject(struct str subject, struct err *err)
{
    struct str rest = subject;
    uint32_t first;
    if (!clean_next(&rest, &first))
        return err_set(err, ERR_INPUT, "subject is empty");
    if (clean_is_space(first) || first == 0xFEFF || ends_with_space(subject))
        return err_set(err, ERR_INPUT, "subject begins or ends with white space");
    if (letter_case(first) == LETTER_UPPER || letter_case(first) == LETTER_UNSURE)
        return err_set(err, ERR_INPUT, "subject does not begin in lower case");
    if (str_ends(subject, STR(".")) && !str_ends(subject, STR("...")))
        return err_set(err, ERR_INPUT, "subject ends with a full stop");
    return true;
}

static bool check_header(struct str line, struct err *err)
{
    struct commit_header h;
    if (!commit_header_parse(line, &h))
        return err_set(err, ERR_INPUT, "header is not \"type(scope): subject\"");
    const char *type = commit_type_named(h.type);
    if (!type || !str_eq(h.type, str_of(type)))
        return err_set(err, ERR_INPUT, "unknown type \"" STR_FMT "\"",
                       STR_ARG(str_sub(h.type, 0, 20)));
    if (h.scope.p && h.scope.n == 0)
        return err_set(err, ERR_INPUT, "empty scope");
    if (commit_length(line) > COMMIT_SUBJECT_MAX)
        return err_set(err, ERR_INPUT, "header is longer than %d characters", COMMIT_SUBJECT_MAX);
    return check_subject(h.subject, err);
}

bool commit_message_check(struct str message, struct err *err)
{
    while (str_ends(message, STR("\n")))
        message.n--;
    if (!check_characters(message, err))
        return false;
    struct str line, before = {0};
    if (!str_split(&message, '\n', &line))
        return err_set(err, ERR_INPUT, "empty message");
    if (!check_header(line, err))
        return false;
    bool footer = false;
    for (int i = 1; str_split(&message, '\n', &line); i++, before = line) {
        if (i == 1 && line.n > 0)
            return err_set(err, ERR_INPUT, "no blank line behind the subject");
        if (commit_length(line) > COMMIT_LINE_MAX && !has_url(line))
            return err_set(err, ERR_INPUT, "line %d is longer than %d characters", i + 1,
                           COMMIT_LINE_MAX);
        if (!footer && is_breaking_note(line)) {
            footer = true;
            if (before.n > 0 && !commit_is_trailer(before))
                return err_set(err, ERR_INPUT, "no blank line before the footer");
        }
    }
    return true;
}

/* ---------------------------------------------------------------------------- putting together */

/* Bytes of the longest prefix of s with at most max units. */
static size_t prefix_bytes(struct str s, size_t max)
{
    struct str rest = s;
    uint32_t c;
    size_t fits = 0;
    for (size_t units = 0; clean_next(&rest, &c); fits = s.n - rest.n) {
        units += c >= 0x10000 ? 2 : 1;
        if (units > max)
            break;
    }
    return fits;
}

static void put_line(struct buf *out, struct str line)
{
    bool first = out->len == 0;
    bool blank_before = first || str_ends(buf_str(out), STR("\n\n"));
    if (!blank_before && is_breaking_note(line)) {
        size_t at = out->len - 1;
        while (at > 0 && out->data[at - 1] != '\n')
            at--;
        if (!commit_is_trailer(str_sub(buf_str(out), at, out->len - 1)))
            buf_putc(out, '\n');
    }
    buf_add_str(out, line);
    buf_putc(out, '\n');
}

/* Where to cut a line that is too long: behind a word, or within one that is no address. */
static size_t cut_at(struct str line, size_t indent)
{
    size_t fits = prefix_bytes(line, COMMIT_LINE_MAX);
    for (size_t i = fits; i > indent; i--)
        if (line.p[i] == ' ')
            return i;
    size_t word = indent;
    while (word < line.n && line.p[word] != ' ')
        word++;
    return has_url(str_sub(line, 0, word)) ? word : fits;
}

/* Lines with which a patch may begin: `git am` would take them, and all behind, for one. */
static bool is_patch_mark(struct str line)
{
    static const char *const marks[] = {"---", "diff -", "Index: ", "From ", ">From "};
    for (size_t i = 0; i < COUNT(marks); i++)
        if (str_starts(line, str_of(marks[i])))
            return true;
    return false;
}

static void put_wrapped(struct buf *out, struct str line)
{
    size_t indent = 0;
    while (indent < line.n && indent < 20 && line.p[indent] == ' ')
        indent++;
    AUTO(buf_done) struct buf rest = {0};
    buf_puts(&rest, is_patch_mark(line) ? QUOTE : "");
    buf_add_str(&rest, line);
    while (commit_length(buf_str(&rest)) > COMMIT_LINE_MAX) {
        size_t cut = cut_at(buf_str(&rest), indent);
        put_line(out, str_sub(buf_str(&rest), 0, cut));
        struct str tail = str_trim(str_sub(buf_str(&rest), cut, rest.len));
        if (tail.n == 0)
            return;
        struct buf next = {0};
        buf_add(&next, "                    ", indent);
        buf_puts(&next, indent == 0 && is_patch_mark(tail) ? QUOTE : "");
        buf_add_str(&next, tail);
        buf_done(&rest);
        rest = next;
    }
    put_line(out, buf_str(&rest));
}

void commit_message_join(struct str subject, struct str body, struct str trailers, struct buf *out)
{
    AUTO(buf_done) struct buf text = {0};
    struct str line;
    body = str_trim(body);
    trailers = str_trim(trailers);
    while (body.n > 0 && str_line(&body, &line)) {
        if (line.n == 0)
            buf_putc(&text, '\n');
        else
            put_wrapped(&text, line);
    }
    buf_add_str(out, subject);
    buf_putc(out, '\n');
    if (text.len > 0) {
        buf_putc(out, '\n');
        buf_add_str(out, buf_str(&text));
    }
    if (trailers.n > 0) {
        buf_putc(out, '\n');
        buf_add_str(out, trailers);
        buf_putc(out, '\n');
    }
}
