/* JSON: the validator against a corpus and against jansson, guarded parsing, getters, writing. */
#include "bot/base/json.h"

#include "tests/unit/row.h"

#include <stdio.h>
#include <stdlib.h>

/* `in` may hold NUL bytes: the length counts. */
#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct {
    struct str in;
    bool ok;          /* json_valid() */
    bool jansson_not; /* well-formed, but json_parse() refuses it */
} corpus[] = {
    {T("{}"),                                                   true,  false},
    {T("[]"),                                                   true,  false},
    {T(" \t\r\n{ } "),                                          true,  false},
    {T("null"),                                                 true,  false},
    {T("true"),                                                 true,  false},
    {T("false"),                                                true,  false},
    {T("\"\""),                                                 true,  false},
    {T("\"a\""),                                                true,  false},
    {T("0"),                                                    true,  false},
    {T("-0"),                                                   true,  false},
    {T("-12.5e+10"),                                            true,  false},
    {T("1E-5"),                                                 true,  false},
    {T("1e5"),                                                  true,  false},
    {T("[1,2,[3,{\"a\":[]}],\"x\",null]"),                      true,  false},
    {T("{\"a\":1,\"b\":{\"c\":\"d\"},\"e\":[{}]}"),             true,  false},
    {T("{\"a\" : 1 , \"b\" : 2 }"),                             true,  false},
    {T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\""),                true,  false},
    {T("\"\\uD83D\\uDE00\""),                                   true,  false},
    {T("\"\\u0000\""),                                          true,  false},
    {T("\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\""), true,  false},
    {T("\"\x7f\""),                                             true,  false},
    {T("\"0123456789abcdef0123456789abcdef\""),                 true,  false},
    {T("{\"\":0}"),                                             true,  false},
    {T("9223372036854775807"),                                  true,  false},
    {T("9223372036854775808"),                                  true,  true },
    {T("1e999"),                                                true,  true },
    {T("{\"a\":1,\"a\":2}"),                                    true,  true },
    {T("{\"\\u0000\":1}"),                                      true,  true },

    {T(""),                                                     false, false},
    {T(" "),                                                    false, false},
    {T("{"),                                                    false, false},
    {T("["),                                                    false, false},
    {T("}"),                                                    false, false},
    {T("]"),                                                    false, false},
    {T("{]"),                                                   false, false},
    {T("[}"),                                                   false, false},
    {T("[1,]"),                                                 false, false},
    {T("[,1]"),                                                 false, false},
    {T("[1 2]"),                                                false, false},
    {T("{\"a\"}"),                                              false, false},
    {T("{\"a\":}"),                                             false, false},
    {T("{\"a\":1,}"),                                           false, false},
    {T("{,\"a\":1}"),                                           false, false},
    {T("{\"a\" 1}"),                                            false, false},
    {T("{a:1}"),                                                false, false},
    {T("{1:1}"),                                                false, false},
    {T("{\"a\":1 \"b\":2}"),                                    false, false},
    {T("{}{}"),                                                 false, false},
    {T("{} x"),                                                 false, false},
    {T("1 2"),                                                  false, false},
    {T("nul"),                                                  false, false},
    {T("nullx"),                                                false, false},
    {T("True"),                                                 false, false},
    {T("NaN"),                                                  false, false},
    {T("Infinity"),                                             false, false},
    {T("-"),                                                    false, false},
    {T("-a"),                                                   false, false},
    {T("01"),                                                   false, false},
    {T("-01"),                                                  false, false},
    {T("1."),                                                   false, false},
    {T(".5"),                                                   false, false},
    {T("1e"),                                                   false, false},
    {T("1e+"),                                                  false, false},
    {T("+1"),                                                   false, false},
    {T("0x1"),                                                  false, false},
    {T("\""),                                                   false, false},
    {T("\"abc"),                                                false, false},
    {T("\"0123456789abcdef"),                                   false, false},
    {T("'a'"),                                                  false, false},
    {T("\"\\x\""),                                              false, false},
    {T("\"\\u12\""),                                            false, false},
    {T("\"\\u12g4\""),                                          false, false},
    {T("\"\\"),                                                 false, false},
    {T("\"\\u"),                                                false, false},
    {T("\"\\ud800\""),                                          false, false},
    {T("\"\\ud800x\""),                                         false, false},
    {T("\"\\ud800\\n\""),                                       false, false},
    {T("\"\\ud800\\u0041\""),                                   false, false},
    {T("\"\\udc00\""),                                          false, false},
    {T("\"a\nb\""),                                             false, false},
    {T("\"a\tb0123456789\""),                                   false, false},
    {T("\"\0\""),                                               false, false},
    {T("{}\0"),                                                 false, false},
    {T("1\0"),                                                  false, false},
    {T("[1\0,2]"),                                              false, false},
    {T("\0{}"),                                                 false, false},
    {T("\"\xff\""),                                             false, false},
    {T("\"01234567\x80\""),                                     false, false},
    {T("\"\xc0\xaf\""),                                         false, false},
    {T("\"\xed\xa0\x80\""),                                     false, false},
    {T("\"\xf4\x90\x80\x80\""),                                 false, false},
    {T("\"\xe2\x82\""),                                         false, false},
    {T("\xef\xbb\xbf{}"),                                       false, false},
    {T("[\"a\",\n\"b\"] // no"),                                false, false},
    {T("/* no */ {}"),                                          false, false},
    {T("\xc2\xa0[]"),                                           false, false},
    {T("\f[]"),                                                 false, false},
};
#undef T

static bool parses(struct str text)
{
    AUTO(json_decrefp) json_t *j = NULL;
    struct err err = {0};
    bool ok = json_parse(text, &j, &err);
    assert_true(ok == (j != NULL));
    if (!ok)
        assert_int_equal(err.kind, ERR_INPUT);
    return ok;
}

static void valid_and_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(corpus); i++) {
        char row[64];
        snprintf(row, sizeof(row), "%zu: " STR_FMT, i, STR_ARG(str_sub(corpus[i].in, 0, 40)));
        /* A copy without anything behind it, so that the sanitizer sees a read too far. */
        char *exact = malloc(corpus[i].in.n ? corpus[i].in.n : 1);
        memcpy(exact, corpus[i].in.p, corpus[i].in.n);
        struct str text = {exact, corpus[i].in.n};
        ROW_INT(row, json_valid(text), corpus[i].ok);
        ROW_INT(row, parses(text), corpus[i].ok && !corpus[i].jansson_not);
        /* Every cut of it: no cut of a container is valid, and both agree. */
        for (size_t n = 0; n < text.n; n++)
            if (!corpus[i].jansson_not)
                ROW_INT(row, json_valid(str_sub(text, 0, n)), parses(str_sub(text, 0, n)));
        free(exact);
    }
    assert_false(json_valid((struct str){NULL, 0}));
}

/* Changes one byte of a text in every way: both must agree on what is left. */
static void mutations(void **state)
{
    (void)state;
    static const char base[] =
        "{\"a\":[1,-2.5e3,true,null],\"b\\u00e9\":{\"c\":\"\xc3\xa9\\ud83d\\ude00\"},\"d\":\"\"}";
    char text[sizeof(base)];
    for (size_t i = 0; i < sizeof(base) - 1; i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(text, base, sizeof(base));
            text[i] = (char)c;
            struct str s = {text, sizeof(base) - 1};
            if (json_valid(s) != parses(s)) {
                /* The known differences: a name twice, a NUL in a name, a number out of range. */
                char row[160];
                snprintf(row, sizeof(row), "byte %zu = %d: %s", i, c, text);
                ROW_TRUE(row, json_valid(s));
                json_error_t why;
                json_t *j = json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
                bool overflow = json_error_code(&why) == json_error_numeric_overflow;
                ROW_TRUE(row, j != NULL || overflow);
                json_decref(j);
            }
        }
    }
}

static void nesting(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t depth;
        bool ok;
    } rows[] = {
        {"one",          1,      true },
        {"most",         512,    true },
        {"too deep",     513,    false},
        {"far too deep", 100000, false}
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int object = 0; object < 2; object++) {
            AUTO(buf_done) struct buf text = {0};
            for (size_t k = 0; k < rows[i].depth; k++)
                buf_puts(&text, object && k + 1 < rows[i].depth ? "{\"a\":" : "[");
            for (size_t k = rows[i].depth; k > 0; k--)
                buf_putc(&text, object && k < rows[i].depth ? '}' : ']');
            ROW_INT(rows[i].name, json_valid(buf_str(&text)), rows[i].ok);
            ROW_INT(rows[i].name, parses(buf_str(&text)), rows[i].ok);
        }
    }
}

static void budget(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf text = {0};
    AUTO(buf_done) struct buf quoted = {0};
    buf_putc(&text, '[');
    buf_puts(&quoted, "[\"\\\"");
    for (int i = 0; i < JSON_STRUCT_MAX; i++) {
        buf_puts(&text, i ? ",{}" : "{}");
        buf_puts(&quoted, ",{}");
    }
    buf_putc(&text, ']');
    buf_puts(&quoted, "\"]");
    AUTO(json_decrefp) json_t *j = NULL;
    struct err err = {0};
    assert_false(json_parse(buf_str(&text), &j, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.text, "200000"));
    assert_true(json_valid(buf_str(&text)));
    assert_true(json_parse(buf_str(&quoted), &j, &err)); /* in a string they are text */
}

static void getters(void **state)
{
    (void)state;
    AUTO(json_decrefp) json_t *j = NULL;
    struct err err = {0};
    assert_true(json_parse(STR("{\"a\":{\"b\":{\"s\":\"x\\u0000y\",\"i\":7,\"r\":1.5,\"t\":true,"
                               "\"n\":null}},\"l\":[1]}"),
                           &j, &err));
    assert_true(str_eq(json_str(j, "a.b.s"), (struct str){"x\0y", 3}));
    assert_int_equal(json_int(j, "a.b.i", -1), 7);
    assert_true(json_num(j, "a.b.r", -1) == 1.5);
    assert_true(json_num(j, "a.b.i", -1) == 7);
    assert_true(json_bool(j, "a.b.t", false));
    assert_true(json_is_array(json_at(j, "l")));

    static const char *const absent[] = {"x", "a.x", "a.b.x.y", "a.b.s.z", "a.b.n", "l.0", "", "."};
    for (size_t i = 0; i < COUNT(absent); i++) {
        ROW_TRUE(absent[i], json_at(j, absent[i]) == NULL);
        ROW_INT(absent[i], json_str(j, absent[i]).n, 0);
        ROW_TRUE(absent[i], json_cstr(j, absent[i]) == NULL);
        ROW_INT(absent[i], json_int(j, absent[i], -1), -1);
        ROW_TRUE(absent[i], json_num(j, absent[i], 2.5) == 2.5);
        ROW_TRUE(absent[i], json_bool(j, absent[i], true));
    }
    assert_int_equal(json_int(j, "a.b.s", -1), -1);
    assert_int_equal(json_str(j, "a.b.i").n, 0);
    assert_null(json_at(NULL, "a"));
}

static void writing(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str in;
        const char *want;
    } rows[] = {
        {"null",    {NULL, 0},            "null"                                     },
        {"empty",   {"", 0},              "\"\""                                     },
        {"text",    {"a\"\n", 3},         "\"a\\\"\\n\""                             },
        {"nul",     {"\0", 1},            "\"\\u0000\""                              },
        {"invalid", {"a\xff\xe2\x82", 4}, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(json_decrefp) json_t *j = json_text(rows[i].in);
        AUTO(buf_done) struct buf out = {0};
        json_write(&out, j);
        ROW_TEXT(rows[i].name, buf_cstr(&out), rows[i].want);
        ROW_TRUE(rows[i].name, json_valid(buf_str(&out)));
    }
    AUTO(json_decrefp) json_t *j = json_pack("{s:[i,i],s:b}", "l", 1, 2, "t", 1);
    AUTO(buf_done) struct buf out = {0};
    json_write(&out, j);
    assert_string_equal(buf_cstr(&out), "{\"l\":[1,2],\"t\":true}");
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_and_parsed), cmocka_unit_test(mutations), cmocka_unit_test(nesting),
        cmocka_unit_test(budget),           cmocka_unit_test(getters),   cmocka_unit_test(writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
