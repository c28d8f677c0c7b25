/* Commit messages: the case file, subjects made of anything, bodies wrapped. With SQUADBOT_SUBJECTS
 * set to a file's name, what is made of random texts goes there, one JSON object a line, for
 * tests/integration/commitlint.test.mjs. */
#include "bot/git/message.h"

#include "bot/base/enc.h"
#include "bot/git/clean.h"
#include "bot/git/letter.h"
#include "bot/git/reword.h"
#include "tests/unit/case_file.h"
#include "tests/unit/row.h"

#include <stdlib.h>

#define FUZZ_ROUNDS 20000
#define WRITTEN_MAX 1500

static void check_case(struct str line)
{
    struct str rest = line, verdict;
    struct err err = {0};
    AUTO(buf_done) struct buf message = {0};
    assert_true(str_split(&rest, '|', &verdict));
    case_unescape(rest, &message);
    bool valid = str_eq(verdict, STR("valid"));
    bool is = commit_message_check(buf_str(&message), &err);
    if (is != valid)
        fail_msg("\"%s\" is %s: %s", buf_cstr(&message), is ? "valid" : "invalid", err.text);
    if (!is && err.kind != ERR_INPUT)
        fail_msg("\"%s\": error of kind %d", buf_cstr(&message), err.kind);
}

static void test_cases(void **state)
{
    (void)state;
    case_file_each("commit_messages.txt", 60, check_case);
}

static const struct {
    const char *text;
    const char *subject;
} subjects[] = {
    {"fix: handle empty input",                                                                  "fix: handle empty input"                                                 },
    {"Add a login page",                                                                         "feat: add a login page"                                                  },
    {"Add a login page.",                                                                        "feat: add a login page"                                                  },
    {"Bug: App CRASHES on save.",                                                                "fix: app CRASHES on save"                                                },
    {"[Bug] Login fails",                                                                        "fix: login fails"                                                        },
    {"[BUG]: Login fails",                                                                       "fix: login fails"                                                        },
    {"Feature: dark mode",                                                                       "feat: dark mode"                                                         },
    {"Feature request: dark mode",                                                               "feat: feature request: dark mode"                                        },
    {"FIX(parser): Accept tabs",                                                                 "fix: accept tabs"                                                        },
    {"feature(ui)!: Dark mode",                                                                  "feat: dark mode"                                                         },
    {"README has a typo",                                                                        "docs: readme has a typo"                                                 },
    {"API is slow",                                                                              "perf: api is slow"                                                       },
    {"Cover the parser with tests",                                                              "test: cover the parser with tests"                                       },
    {"Error when the list is empty",                                                             "fix: error when the list is empty"                                       },
    {"  * - ## Rename the module\nmore",                                                         "refactor: rename the module"                                             },
    {"\n\nSecond line counts",                                                                   "feat: second line counts"                                                },
    {"\x1b[31mRed\x1b[0m text\xe2\x80\xae!",                                                     "feat: red text!"                                                         },
    {"tab\tand\xc2\xa0space",                                                                    "feat: tab and space"                                                     },
    {"\xd0\x94\xd0\xbe\xd0\xb1\xd0\xb0\xd0\xb2\xd0\xb8\xd1\x82\xd1\x8c",
     "feat: \xd0\xb4\xd0\xbe\xd0\xb1\xd0\xb0\xd0\xb2\xd0\xb8\xd1\x82\xd1\x8c"                                                                                              },
    {"\xe6\xb7\xbb\xe5\x8a\xa0\xe9\xa1\xb5\xe9\x9d\xa2",
     "feat: \xe6\xb7\xbb\xe5\x8a\xa0\xe9\xa1\xb5\xe9\x9d\xa2"                                                                                                              },
    {"",                                                                                         "feat: update the code"                                                   },
    {"...",                                                                                      "feat: update the code"                                                   },
    {"\xff\xfe",                                                                                 "feat: update the code"                                                   },
    {"#12",                                                                                      "feat: 12"                                                                },
    {"This is a very long title that says everything about the problem and then goes on and on",
     "feat: this is a very long title that says everything about the problem"                                                                                              },
    {"Xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "x",                                                                                   "feat: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
};

static void test_subjects(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(subjects); i++) {
        AUTO(buf_done) struct buf out = {0};
        struct err err = {0};
        commit_subject_make(str_of(subjects[i].text), &out);
        ROW_TEXT(subjects[i].text, buf_cstr(&out), subjects[i].subject);
        if (!commit_message_check(buf_str(&out), &err))
            fail_msg("row \"%s\": %s", subjects[i].text, err.text);
    }
}

/* --------------------------------------------------------------------------------------- random */

static uint64_t random_state = 1;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static void draw_character(struct buf *out)
{
    static const char *const pieces[] = {
        "feat",
        "fix",
        "Fix: ",
        "feat(",
        "(",
        ")",
        "!: ",
        ": ",
        "[bug]",
        "]",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        ".",
        "...",
        "#12",
        "fixes #7",
        "BREAKING CHANGE: ",
        "BREAKING-CHANGE ",
        "Signed-off-by: x\n",
        "\"",
        "'",
        "`",
        "Word",
        "WORD",
        "word",
        "https://example.com/x",
        "gpg: ",
        "@ada",
        "--- ",
        "diff --git a b",
        "1",
        "A",
        "\\",
        "|",
        "*",
        "-",
        "\xc3",
        "\xff",
        "\xf0\x9f\x8e\x89",
        "Revert \"x\"",
        "Merge ",
    };
    static const uint32_t limits[] = {0x80, 0x250, 0x590, 0x3000, 0x10000, 0x20000, 0x110000};
    if (draw(2) == 0) {
        buf_puts(out, pieces[draw((uint32_t)COUNT(pieces))]);
        return;
    }
    uint32_t c = draw(limits[draw((uint32_t)COUNT(limits))]);
    char bytes[4];
    if (c < 0xD800 || c > 0xDFFF)
        buf_add(out, bytes, clean_encode(c, bytes));
}

static void write_json(FILE *file, const char *kind, struct str text)
{
    AUTO(buf_done) struct buf line = {0};
    enc_json(&line, text);
    fprintf(file, "{\"kind\":\"%s\",\"text\":\"%s\"}\n", kind, buf_cstr(&line));
}

static void test_random(void **state)
{
    (void)state;
    const char *path = getenv("SQUADBOT_SUBJECTS");
    FILE *file = path ? fopen(path, "we") : NULL;
    assert_true(!path || file);
    for (int i = 0; i < FUZZ_ROUNDS; i++) {
        AUTO(buf_done) struct buf text = {0};
        AUTO(buf_done) struct buf subject = {0};
        AUTO(buf_done) struct buf message = {0};
        struct err err = {0};
        for (uint32_t n = draw(60); n > 0; n--)
            draw_character(&text);
        commit_subject_make(buf_str(&text), &subject);
        if (!commit_message_check(buf_str(&subject), &err))
            fail_msg("round %d: \"%s\": %s", i, buf_cstr(&subject), err.text);
        assert_true(str_find(buf_str(&subject), STR("\n"), 0) == subject.len);
        reword(buf_str(&text), "feat: do the task", "Refs: #12\nCo-authored-by: Ada <a@b>",
               &message);
        if (!commit_message_check(buf_str(&message), &err))
            fail_msg("round %d: \"%s\": %s", i, buf_cstr(&message), err.text);
        if (file && i < WRITTEN_MAX) {
            write_json(file, "subject", buf_str(&subject));
            write_json(file, "message", buf_str(&message));
        }
    }
    assert_true(!file || fclose(file) == 0);
}

/* Every character as the first of a subject. */
static void test_first_character(void **state)
{
    (void)state;
    for (uint32_t c = 1; c < 0x30000; c++) {
        char text[16];
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        size_t n = clean_encode(c, text);
        memcpy(text + n, "xyz abc", 7);
        AUTO(buf_done) struct buf subject = {0};
        struct err err = {0};
        commit_subject_make((struct str){text, n + 7}, &subject);
        if (!commit_message_check(buf_str(&subject), &err))
            fail_msg("U+%04X: \"%s\": %s", (unsigned)c, buf_cstr(&subject), err.text);
        if (letter_case(c) == LETTER_UPPER)
            assert_int_equal(letter_case(letter_lower(c)), LETTER_LOWER);
    }
}

static void test_join(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body, *trailers, *want;
    } rows[] = {
        {"bare",         "",                             "",               "feat: x\n"                                  },
        {"trailers",     "",                             "Refs: #1\n",     "feat: x\n\nRefs: #1\n"                      },
        {"body",         "One.\nTwo.\n\nThree.",         "",               "feat: x\n\nOne.\nTwo.\n\nThree.\n"          },
        {"all",          "\nOne.\n\n",                   "Refs: #1\nA: b", "feat: x\n\nOne.\n\nRefs: #1\nA: b\n"        },
        {"wrapped",
         "  one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
         "fifteen "
         "sixteen seventeen",                            "",
         "feat: x\n\none two three four five six seven eight nine ten eleven twelve thirteen "
         "fourteen fifteen sixteen\nseventeen\n"                                                                        },
        {"indented",
         "list:\n  - one two three four five six seven eight nine ten eleven twelve thirteen "
         "fourteen "
         "fifteen sixteen seventeen",                    "",
         "feat: x\n\nlist:\n  - one two three four five six seven eight nine ten eleven twelve "
         "thirteen "
         "fourteen fifteen sixteen\n  seventeen\n"                                                                      },
        {"long word",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaabb",                                "",
         "feat: "
         "x\n\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaa"
         "\nbb\n"                                                                                                       },
        {"long address",
         "see "
         "https://example.com/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaa now",                                   "",
         "feat: "
         "x\n\nsee\nhttps://example.com/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaa\nnow\n"                                                                                       },
        {"note",         "Body.\nBREAKING CHANGE: gone", "",               "feat: x\n\nBody.\n\nBREAKING CHANGE: gone\n"},
        {"patch",        "---\ndiff --git a b",          "",               "feat: x\n\n> ---\n> diff --git a b\n"       },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(buf_done) struct buf out = {0};
        struct err err = {0};
        commit_message_join(STR("feat: x"), str_of(rows[i].body), str_of(rows[i].trailers), &out);
        ROW_TEXT(rows[i].name, buf_cstr(&out), rows[i].want);
        if (!commit_message_check(buf_str(&out), &err))
            fail_msg("row \"%s\": %s", rows[i].name, err.text);
    }
}

static void test_clean(void **state)
{
    (void)state;
    static const struct {
        const char *in, *line, *text;
    } rows[] = {
        {"",                                   "",                                   ""            },
        {"  a  b  ",                           "a b",                                "  a  b\n"    },
        {"a\r\nb\rc\nd",                       "a b c d",                            "a\nb\nc\nd\n"},
        {"\n\na\n\n\n\nb\n\n",                 "a b",                                "a\n\nb\n"    },
        {"a\x01"
         "b\x7f"
         "c\xc2\x9b"
         "d",                         "abcd",                               "abcd\n"      },
        {"\x1b[1;31mred\x1b[0m \x1b]x",        "red ]x",                             "red ]x\n"    },
        {"a\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf"
         "b",                         "ab",                                 "ab\n"        },
        {"tag\xf3\xa0\x81\xa1s",               "tags",                               "tags\n"      },
        {"\xff"
         "a\xc3"
         "b\xed\xa0\x80"
         "c",                         "abc",                                "abc\n"       },
        {"smile \xf0\x9f\x98\x80\xef\xb8\x8f", "smile \xf0\x9f\x98\x80\xef\xb8\x8f",
         "smile \xf0\x9f\x98\x80\xef\xb8\x8f\n"                                                    },
        {"a\xe2\x80\xa8"
         "b",                         "a b",                                "a\nb\n"      },
        {"a \n \n b",                          "a b",                                "a\n\n b\n"   },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(buf_done) struct buf line = {0};
        AUTO(buf_done) struct buf text = {0};
        clean_line(str_of(rows[i].in), &line);
        clean_text(str_of(rows[i].in), &text);
        ROW_TEXT(rows[i].in, buf_cstr(&line), rows[i].line);
        ROW_TEXT(rows[i].in, buf_cstr(&text), rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),  cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_random), cmocka_unit_test(test_first_character),
        cmocka_unit_test(test_join),   cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
