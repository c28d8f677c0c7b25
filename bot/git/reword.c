/* The agent's words stay, as far as they are only words: what claims somebody else's hand
 * (trailers), what steers CI ([skip ci]) and what closes issues goes. A first line that is then the
 * header of a Conventional Commit is kept; else it becomes one, or, where it says nothing, the
 * task's title takes its place. */
#include "bot/git/reword.h"

#include "bot/base/attr.h"
#include "bot/git/clean.h"
#include "bot/git/closing.h"
#include "bot/git/message.h"

#include <strings.h>

#define RAW_MAX_BYTES  ((size_t)32 * 1024)
#define SUBJECT_KEEPS  60 /* units; a first line up to this survives in the subject whole */
#define MEANINGFUL_MIN 8  /* units */

static const char *const forged_trailers[] = {
    "co-authored-by", "signed-off-by", "reviewed-by",  "acked-by",    "tested-by",
    "approved-by",    "reported-by",   "on-behalf-of", "skip-checks", "co-committed-by",
};

static const char *const ci_marks[] = {"[skip ci]",      "[ci skip]",      "[no ci]",
                                       "[skip actions]", "[actions skip]", "***NO_CI***"};

static const char *const empty_words[] = {"wip",     "tmp",    "temp",   "fixup!",
                                          "squash!", "amend!", "merge ", "initial commit"};

static bool starts_nocase(struct str s, const char *prefix)
{
    struct str p = str_of(prefix);
    return s.n >= p.n && str_eq_nocase(str_sub(s, 0, p.n), p);
}

static bool is_forged(struct str line)
{
    line = str_trim(line);
    for (size_t i = 0; i < COUNT(forged_trailers); i++) {
        size_t n = strlen(forged_trailers[i]);
        if (starts_nocase(line, forged_trailers[i]) &&
            str_starts(str_trim(str_sub(line, n, line.n)), STR(":")))
            return true;
    }
    return false;
}

static bool is_ours(struct str line, const char *trailers)
{
    struct str rest = str_of(trailers), ours;
    while (str_line(&rest, &ours))
        if (line.n > 0 && str_eq(line, ours))
            return true;
    return false;
}

/* Bytes of the mark that s ends with; 0 = none. */
static size_t ci_mark(struct str s)
{
    for (size_t i = 0; i < COUNT(ci_marks); i++) {
        struct str mark = str_of(ci_marks[i]);
        if (s.n >= mark.n && str_eq_nocase(str_sub(s, s.n - mark.n, s.n), mark))
            return mark.n;
    }
    return 0;
}

/* The line without marks. They are looked for at the end of what is kept, so that none arises from
 * the removal of another. */
static void put_unmarked(struct str line, struct buf *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < line.n; i++) {
        buf_putc(out, line.p[i]);
        if (line.p[i] == ']' || line.p[i] == '*')
            out->len -= ci_mark(str_sub(buf_str(out), start, out->len));
    }
}

/* One line with single spaces, which could make a mark of "[skip  ci]" again. */
static void put_first(struct str line, struct buf *out)
{
    AUTO(buf_done) struct buf now = {0};
    AUTO(buf_done) struct buf next = {0};
    clean_line(line, &now);
    for (;;) {
        buf_clear(&next);
        put_unmarked(buf_str(&now), &next);
        if (next.len == now.len)
            break;
        buf_clear(&now);
        clean_line(buf_str(&next), &now);
    }
    buf_add_str(out, buf_str(&now));
}

/* Cleaned, and without what is not the agent's to say. */
static void harmless(struct str raw, const char *trailers, struct buf *out)
{
    AUTO(buf_done) struct buf clean = {0};
    AUTO(buf_done) struct buf kept = {0};
    clean_text(str_sub(raw, 0, str_utf8_floor(raw, RAW_MAX_BYTES)), &clean);
    struct str rest = buf_str(&clean), line;
    while (str_line(&rest, &line)) {
        if (is_forged(line) || is_ours(line, trailers))
            continue;
        if (str_trim(buf_str(&kept)).n == 0)
            put_first(line, &kept);
        else
            put_unmarked(line, &kept);
        buf_putc(&kept, '\n');
    }
    clean_text(buf_str(&kept), out);
}

static bool is_meaningful(struct str line)
{
    for (size_t i = 0; i < COUNT(empty_words); i++)
        if (starts_nocase(line, empty_words[i]))
            return false;
    return commit_length(line) >= MEANINGFUL_MIN && str_find(line, STR(" "), 0) < line.n;
}

static void put_message(struct str subject, struct str body, const char *trailers, struct buf *out)
{
    AUTO(buf_done) struct buf s = {0};
    AUTO(buf_done) struct buf b = {0};
    closing_defuse(subject, &s);
    closing_defuse(body, &b);
    commit_message_join(buf_str(&s), buf_str(&b), str_of(trailers), out);
}

bool reword(struct str raw, const char *title, const char *trailers, struct buf *out)
{
    AUTO(buf_done) struct buf text = {0};
    AUTO(buf_done) struct buf subject = {0};
    struct err ignored;
    struct str all, body, first = {0};
    harmless(raw, trailers, &text);
    all = body = str_trim(buf_str(&text));
    if (all.n > 0 && str_line(&body, &first))
        body = str_trim(body);
    if (commit_message_check(first, &ignored)) { /* the body becomes valid by being wrapped */
        put_message(first, body, trailers, out);
        return false;
    }
    bool own = is_meaningful(first);
    commit_subject_make(own ? first : str_of(title), &subject);
    bool whole = own && commit_length(first) <= SUBJECT_KEEPS;
    put_message(buf_str(&subject), whole ? body : all, trailers, out);
    return true;
}
