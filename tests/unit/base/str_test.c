/* Slices, strict numbers, UTF-8. */
#include "bot/base/str.h"

#include "tests/unit/row.h"

#include <stdlib.h>

static void compare(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *a;
        const char *b;
        bool eq, nocase, starts, ends;
    } rows[] = {
        {"same",                      "abc",      "abc",      true,  true,  true,  true },
        {"case",                      "aBc",      "AbC",      false, true,  false, false},
        {"prefix",                    "abcd",     "ab",       false, false, true,  false},
        {"suffix",                    "abcd",     "cd",       false, false, false, true },
        {"empty second",              "abc",      "",         false, false, true,  true },
        {"both empty",                "",         "",         true,  true,  true,  true },
        {"longer second",             "a",        "ab",       false, false, false, false},
        {"no case for other letters", "\xc3\x84", "\xc3\xa4", false, false, false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str a = str_of(rows[i].a);
        struct str b = str_of(rows[i].b);
        ROW_INT(rows[i].name, str_eq(a, b), rows[i].eq);
        ROW_INT(rows[i].name, str_eq_nocase(a, b), rows[i].nocase);
        ROW_INT(rows[i].name, str_starts(a, b), rows[i].starts);
        ROW_INT(rows[i].name, str_ends(a, b), rows[i].ends);
    }
    struct str none = {NULL, 0};
    assert_true(str_eq(none, STR("")));
    assert_true(str_starts(STR("a"), none));
    assert_int_equal(str_of(NULL).n, 0);
}

static void find_and_sub(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *s;
        const char *needle;
        size_t from;
        size_t want;
    } rows[] = {
        {"front",          "abcabc", "abc", 0, 0},
        {"second",         "abcabc", "abc", 1, 3},
        {"none",           "abcabc", "x",   0, 6},
        {"behind the end", "abc",    "a",   9, 3},
        {"too long",       "ab",     "abc", 0, 2},
        {"empty needle",   "abc",    "",    2, 2},
        {"at the end",     "abc",    "c",   2, 2},
        {"empty text",     "",       "a",   0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ROW_INT(rows[i].name, str_find(str_of(rows[i].s), str_of(rows[i].needle), rows[i].from),
                rows[i].want);
    assert_true(str_eq(str_sub(STR("abcdef"), 2, 4), STR("cd")));
    assert_true(str_eq(str_sub(STR("abc"), 2, 99), STR("c")));
    assert_true(str_eq(str_sub(STR("abc"), 9, 2), STR("")));
    assert_true(str_eq(str_trim(STR(" \t\r\nab c\v\f ")), STR("ab c")));
    assert_true(str_eq(str_trim(STR("  ")), STR("")));
}

static void split(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *in;
        const char *want; /* fields in brackets */
    } rows[] = {
        {"two",              "a,b", "[a][b]"},
        {"last is empty",    "a,",  "[a][]" },
        {"only a separator", ",",   "[][]"  },
        {"empty text",       "",    "[]"    },
        {"one",              "a",   "[a]"   },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char got[64] = "";
        struct str rest = str_of(rows[i].in);
        for (struct str field; str_split(&rest, ',', &field);) {
            strncat(got, "[", 2);
            strncat(got, field.p, field.n);
            strncat(got, "]", 2);
        }
        ROW_TEXT(rows[i].name, got, rows[i].want);
        ROW_TRUE(rows[i].name, rest.p == NULL);
    }
}

static void lines(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *in;
        const char *want;
    } rows[] = {
        {"lf",                       "a\nb\n",     "[a][b]" },
        {"cr lf",                    "a\r\nb\r\n", "[a][b]" },
        {"no end",                   "a\nb",       "[a][b]" },
        {"empty lines",              "\n\na",      "[][][a]"},
        {"lone cr stays",            "a\rb\n",     "[a\rb]" },
        {"nothing",                  "",           ""       },
        {"cr at the very end stays", "a\r",        "[a\r]"  },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char got[64] = "";
        struct str rest = str_of(rows[i].in);
        for (struct str line; str_line(&rest, &line);) {
            strncat(got, "[", 2);
            strncat(got, line.p, line.n);
            strncat(got, "]", 2);
        }
        ROW_TEXT(rows[i].name, got, rows[i].want);
    }
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t min, max;
        bool ok;
        int64_t want;
    } rows[] = {
        {"0",                       0,         9,         true,  0        },
        {"-7",                      -9,        9,         true,  -7       },
        {"007",                     0,         9,         true,  7        },
        {"9223372036854775807",     INT64_MIN, INT64_MAX, true,  INT64_MAX},
        {"-9223372036854775808",    INT64_MIN, INT64_MAX, true,  INT64_MIN},
        {"9223372036854775808",     INT64_MIN, INT64_MAX, false, 0        },
        {"-9223372036854775809",    INT64_MIN, INT64_MAX, false, 0        },
        {"99999999999999999999999", INT64_MIN, INT64_MAX, false, 0        },
        {"10",                      0,         9,         false, 0        },
        {"-1",                      0,         9,         false, 0        },
        {"",                        0,         9,         false, 0        },
        {"-",                       -9,        9,         false, 0        },
        {"+1",                      0,         9,         false, 0        },
        {" 1",                      0,         9,         false, 0        },
        {"1 ",                      0,         9,         false, 0        },
        {"1a",                      0,         99,        false, 0        },
        {"0x1",                     0,         9,         false, 0        },
        {"--1",                     -9,        9,         false, 0        },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t got = 42;
        bool ok = str_to_i64(str_of(rows[i].in), rows[i].min, rows[i].max, &got);
        ROW_INT(rows[i].in, ok, rows[i].ok);
        ROW_INT(rows[i].in, got, ok ? rows[i].want : 42);
    }
}

static void doubles(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool ok;
        double want;
    } rows[] = {
        {"1",       true,  1   },
        {"-1.5",    true,  -1.5},
        {"2.5e3",   true,  2500},
        {"1E-2",    true,  0.01},
        {"1.",      false, 0   },
        {".5",      false, 0   },
        {"",        false, 0   },
        {"1e",      false, 0   },
        {"nan",     false, 0   },
        {"inf",     false, 0   },
        {"0x1p3",   false, 0   },
        {"1e999",   false, 0   },
        {"1,5",     false, 0   },
        {"1 ",      false, 0   },
        {"1000001", false, 0   },
        {"-",       false, 0   },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        double got = 42;
        bool ok = str_to_double(str_of(rows[i].in), -1e6, 1e6, &got);
        ROW_INT(rows[i].in, ok, rows[i].ok);
        ROW_TRUE(rows[i].in, got == (ok ? rows[i].want : 42));
    }
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *in;
        bool ok;
    } rows[] = {
        {"ascii",                 "hello hello hello",    true },
        {"two bytes",             "\xc3\xa9",             true },
        {"three bytes",           "\xe2\x82\xac",         true },
        {"four bytes",            "\xf0\x9f\x98\x80",     true },
        {"last code point",       "\xf4\x8f\xbf\xbf",     true },
        {"too big",               "\xf4\x90\x80\x80",     false},
        {"five bytes",            "\xf8\x88\x80\x80\x80", false},
        {"surrogate",             "\xed\xa0\x80",         false},
        {"before the surrogates", "\xed\x9f\xbf",         true },
        {"overlong two",          "\xc0\xaf",             false},
        {"overlong three",        "\xe0\x80\xaf",         false},
        {"overlong four",         "\xf0\x80\x80\xaf",     false},
        {"lone continuation",     "\x80",                 false},
        {"cut",                   "\xe2\x82",             false},
        {"bad second",            "\xe2(\xa1",            false},
        {"bad third",             "\xe2\x82(",            false},
        {"bad after eight",       "12345678\xff",         false},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ROW_INT(rows[i].name, str_is_utf8(str_of(rows[i].in)), rows[i].ok);
    assert_true(str_is_utf8((struct str){NULL, 0}));
    assert_int_equal(str_utf8_char((struct str){NULL, 0}), 0);
}

static void utf8_floor(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *in;
        size_t max;
        size_t want;
    } rows[] = {
        {"fits",                    "abc",                      5, 3},
        {"ascii",                   "abcdef",                   3, 3},
        {"through two",             "a\xc3\xa9z",               2, 1},
        {"behind two",              "a\xc3\xa9z",               3, 3},
        {"through four, 1",         "a\xf0\x9f\x98\x80z",       2, 1},
        {"through four, 2",         "a\xf0\x9f\x98\x80z",       3, 1},
        {"through four, 3",         "a\xf0\x9f\x98\x80z",       4, 1},
        {"behind four",             "a\xf0\x9f\x98\x80z",       5, 5},
        {"garbage is cut anywhere", "\x80\x80\x80\x80\x80\x80", 4, 4},
        {"nothing",                 "\xc3\xa9",                 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ROW_INT(rows[i].name, str_utf8_floor(str_of(rows[i].in), rows[i].max), rows[i].want);
}

static void copies(void **state)
{
    (void)state;
    char small[4];
    assert_true(str_copy(small, sizeof(small), STR("abc")));
    assert_string_equal(small, "abc");
    assert_false(str_copy(small, sizeof(small), STR("abcd")));
    assert_string_equal(small, "");
    assert_true(str_copy(small, sizeof(small), (struct str){NULL, 0}));
    char *heap = str_dup(STR("x"));
    assert_string_equal(heap, "x");
    free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compare), cmocka_unit_test(find_and_sub), cmocka_unit_test(split),
        cmocka_unit_test(lines),   cmocka_unit_test(integers),     cmocka_unit_test(doubles),
        cmocka_unit_test(utf8),    cmocka_unit_test(utf8_floor),   cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
