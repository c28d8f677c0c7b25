/* Errors: the policy table, one-line texts, wrapping and cutting. */
#include "bot/base/err.h"

#include "bot/base/str.h"
#include "tests/unit/row.h"

static void policy_table(void **state)
{
    (void)state;
    static const struct {
        enum err_kind kind;
        const char *name;
        bool retry;
        bool user;
        int http;
    } rows[] = {
        {ERR_INPUT,     "input",     false, true,  400},
        {ERR_DENIED,    "denied",    false, true,  403},
        {ERR_GONE,      "gone",      false, true,  404},
        {ERR_CONFLICT,  "conflict",  false, true,  409},
        {ERR_LIMIT,     "limit",     true,  true,  429},
        {ERR_TIMEOUT,   "timeout",   true,  true,  504},
        {ERR_CANCELLED, "cancelled", false, true,  409},
        {ERR_UPSTREAM,  "upstream",  true,  true,  502},
        {ERR_AUTH,      "auth",      false, true,  502},
        {ERR_BUDGET,    "budget",    false, true,  402},
        {ERR_POLICY,    "policy",    false, true,  422},
        {ERR_AGENT,     "agent",     false, true,  502},
        {ERR_SANDBOX,   "sandbox",   true,  true,  502},
        {ERR_BUG,       "bug",       false, false, 500},
    };
    assert_int_equal(COUNT(rows), ERR_KINDS - 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct err_policy *p = err_policy(rows[i].kind);
        ROW_TEXT(rows[i].name, p->name, rows[i].name);
        ROW_INT(rows[i].name, p->retry, rows[i].retry);
        ROW_INT(rows[i].name, p->user_visible, rows[i].user);
        ROW_INT(rows[i].name, p->http_status, rows[i].http);
    }
    assert_ptr_equal(err_policy(ERR_KINDS), err_policy(ERR_BUG));
}

static void one_line(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *in;
        const char *want;
    } rows[] = {
        {"plain",         "no such file",         "no such file"      },
        {"controls",      "a\nb\r\tc\x1b[0m\x7f", "a b  c [0m "       },
        {"utf-8 stays",   "gr\xc3\xbc\xc3\x9f",   "gr\xc3\xbc\xc3\x9f"},
        {"invalid utf-8", "a\xff\xc3(b",
         "a?"
         "?(b"                                                        },
        {"empty",         "",                     ""                  },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {.retry_after_s = 9};
        assert_false(err_set(&err, ERR_INPUT, "%s", rows[i].in));
        ROW_TEXT(rows[i].name, err.text, rows[i].want);
        ROW_INT(rows[i].name, err.kind, ERR_INPUT);
        ROW_INT(rows[i].name, err.retry_after_s, 0);
    }
}

static void wrapping(void **state)
{
    (void)state;
    struct err err = {0};
    assert_false(err_set(&err, ERR_LIMIT, "429"));
    err.retry_after_s = 7;
    assert_false(err_wrap(&err, "POST /x"));
    assert_false(err_wrap(&err, "step %d", 3));
    assert_string_equal(err.text, "step 3: POST /x: 429");
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(err.retry_after_s, 7);
    /* its own text as an argument */
    assert_false(err_set(&err, ERR_BUG, "again: %s", err.text));
    assert_string_equal(err.text, "again: step 3: POST /x: 429");
    err_clear(&err);
    assert_int_equal(err.kind, ERR_NONE);
    assert_string_equal(err.text, "");
    assert_false(err_wrap(&err, "alone"));
    assert_string_equal(err.text, "alone");
    assert_false(err_set(NULL, ERR_BUG, "nobody listens"));
    assert_false(err_wrap(NULL, "nobody listens"));
}

/* A cut never leaves a part of a character, wherever it falls. */
static void cut(void **state)
{
    (void)state;
    char text[ERR_TEXT_MAX + 64];
    for (size_t lead = 0; lead < 5; lead++) {
        size_t n = lead;
        memset(text, 'a', lead);
        while (n + 4 < sizeof(text)) {
            memcpy(text + n, "\xf0\x9f\x98\x80", 4);
            n += 4;
        }
        text[n] = '\0';
        struct err err = {0};
        assert_false(err_set(&err, ERR_INPUT, "%s", text));
        struct str got = str_of(err.text);
        assert_true(str_is_utf8(got));
        assert_true(got.n > ERR_TEXT_MAX - 5 && got.n < ERR_TEXT_MAX);
        assert_true(memcmp(got.p, text, got.n) == 0);
        assert_false(err_wrap(&err, "x"));
        assert_true(str_is_utf8(str_of(err.text)));
        assert_memory_equal(err.text, "x: ", 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_table),
        cmocka_unit_test(one_line),
        cmocka_unit_test(wrapping),
        cmocka_unit_test(cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
