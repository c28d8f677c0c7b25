/* Makes a commit's subject out of whatever people or agents write: "Bug: App CRASHES on save." is
 * "fix: app CRASHES on save". The result is checked like any other subject; should a text defeat
 * the rules in a way that nobody foresaw, a fixed subject takes its place. The words that decide
 * the type are English. */
#include "bot/git/message.h"

#include "bot/git/clean.h"
#include "bot/git/letter.h"

#define TEXT_MAX_BYTES 4096
#define MADE_MAX       72 /* units; what git's and GitHub's lists show whole */
#define LAST_RESORT    "chore: update the code"

/* A word in front of a colon or in brackets that says the type. */
static const struct {
    const char *word;
    const char *type;
} labels[] = {
    {"bug",         "fix"     },
    {"bugfix",      "fix"     },
    {"hotfix",      "fix"     },
    {"crash",       "fix"     },
    {"regression",  "fix"     },
    {"feature",     "feat"    },
    {"enhancement", "feat"    },
    {"request",     "feat"    },
    {"doc",         "docs"    },
    {"tests",       "test"    },
    {"performance", "perf"    },
    {"cleanup",     "refactor"},
    {"deps",        "build"   },
};

/* Words anywhere in the text; the first row that matches wins. */
static const struct {
    const char *type;
    const char *words[22];
} hints[] = {
    {"fix",      {"fix",    "fixes",  "fixed",   "fixing",  "bug",    "bugs",      "error",
             "errors", "crash",  "crashes", "crashed", "broken", "breaks",    "fail",
             "fails",  "failed", "failing", "failure", "wrong",  "incorrect", "regression"}},
    {"docs",     {"docs", "doc", "readme", "documentation", "document", "typo", "typos", "comment"}   },
    {"test",     {"test", "tests", "testing", "coverage"}                                             },
    {"perf",     {"slow", "faster", "performance", "speed", "optimize", "optimise"}                   },
    {"refactor", {"refactor", "refactoring", "rename", "simplify", "cleanup", "restructure"}          },
    {"build",    {"dependency", "dependencies", "upgrade", "bump"}                                    },
    {"ci",       {"ci", "pipeline"}                                                                   },
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static const char *label_type(struct str word)
{
    for (size_t i = 0; i < COUNT(labels); i++)
        if (str_eq_nocase(word, str_of(labels[i].word)))
            return labels[i].type;
    return commit_type_named(word);
}

static const char *guess_type(struct str text)
{
    for (size_t row = 0; row < COUNT(hints); row++) {
        for (size_t i = 0; i < text.n; i++) {
            size_t end = i;
            while (end < text.n && is_letter(text.p[end]))
                end++;
            for (size_t w = 0; end > i && hints[row].words[w]; w++)
                if (str_eq_nocase(str_sub(text, i, end), str_of(hints[row].words[w])))
                    return hints[row].type;
            i = end > i ? end - 1 : i;
        }
    }
    return "feat";
}

/* Takes "[bug]", "Feature:", "Fix(parser)!:", list and heading marks off the front of *text. */
static const char *take_labels(struct str *text)
{
    const char *type = NULL;
    for (;;) {
        *text = str_trim(*text);
        while (text->n > 0 && text->p[0] != '\0' && strchr("#*->_~:.,;!|=", text->p[0]))
            *text = str_trim(str_sub(*text, 1, text->n));
        struct commit_header h;
        const char *found = NULL;
        size_t close = str_find(*text, STR("]"), 0);
        if (text->n > 0 && text->p[0] == '[' && close < text->n) {
            found = label_type(str_trim(str_sub(*text, 1, close)));
            *text = str_sub(*text, close + 1, text->n);
        } else if (commit_header_parse(*text, &h) && (found = label_type(h.type))) {
            *text = h.subject;
        } else {
            return type;
        }
        if (!type)
            type = found;
    }
}

/* The first word in lower case, so that "API is slow" does not begin with a capital. */
static void put_lowered(struct str text, struct buf *out)
{
    uint32_t c;
    struct str rest = text;
    if (!clean_next(&rest, &c) || letter_case(c) != LETTER_UPPER) {
        buf_add_str(out, text);
        return;
    }
    do {
        char bytes[4];
        buf_add(out, bytes, clean_encode(letter_lower(c), bytes));
        if (letter_case(c) == LETTER_NONE)
            break;
    } while (clean_next(&rest, &c));
    buf_add_str(out, rest);
}

/* At most `max` units, behind a word where that leaves at least half; no punctuation at the end. */
static struct str cut(struct str text, size_t max)
{
    struct str rest = text;
    uint32_t c;
    size_t units = 0, fits = 0, word = 0;
    for (; clean_next(&rest, &c); fits = text.n - rest.n) {
        units += c >= 0x10000 ? 2 : 1;
        if (c == ' ' && units <= max + 1)
            word = fits;
        if (units > max)
            break;
    }
    if (units > max)
        text = str_sub(text, 0, word > fits / 2 ? word : fits);
    while (text.n > 0 && text.p[text.n - 1] != '\0' && strchr(" .,;:-", text.p[text.n - 1]))
        text.n--;
    return text;
}

static bool subject_ok(struct str subject)
{
    struct err ignored;
    return commit_message_check(subject, &ignored);
}

static void compose(const char *type, const char *verb, struct str text, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "%s: %s", type, verb);
    size_t used = out->len;
    buf_add_str(out, cut(text, MADE_MAX - used));
}

void commit_subject_make(struct str text, struct buf *out)
{
    AUTO(buf_done) struct buf line = {0};
    AUTO(buf_done) struct buf made = {0};
    AUTO(buf_done) struct buf lowered = {0};
    struct str rest = text, raw;
    while (line.len == 0 && str_line(&rest, &raw))
        clean_line(str_sub(raw, 0, str_utf8_floor(raw, TEXT_MAX_BYTES)), &line);
    if (subject_ok(buf_str(&line))) {
        buf_add_str(out, buf_str(&line));
        return;
    }
    struct str subject = buf_str(&line);
    const char *type = take_labels(&subject);
    if (!type)
        type = guess_type(buf_str(&line));
    put_lowered(subject, &lowered);
    compose(type, "", buf_str(&lowered), &made);
    if (!subject_ok(buf_str(&made)))
        compose(type, "update ", buf_str(&lowered), &made);
    if (!subject_ok(buf_str(&made)))
        compose(type, "update the code", (struct str){0}, &made);
    buf_puts(out, subject_ok(buf_str(&made)) ? buf_cstr(&made) : LAST_RESORT);
}
