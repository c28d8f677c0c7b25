/* What answers of E2B mean: the error table, and a sandbox's description. */
#include "bot/sandbox/e2b.h"
#include "tests/unit/row.h"

static const struct {
    const char *name;
    int status;
    const char *head;
    const char *body;
    enum err_kind kind;
    int retry_after_s;
    bool passing, ambiguous;
} rows[] = {
    {"timeout too long", 400, "",                                  "{\"code\":400,\"message\":\"Timeout\"}",                         ERR_INPUT,    0,  0, 0},
    {"no key",           401, "",                                  "{\"code\":401,\"message\":\"Invalid API key\"}",                 ERR_AUTH,     0,  0, 0},
    {"team blocked",     403, "",                                  "{\"code\":403,\"message\":\"blocked\"}",                         ERR_AUTH,     0,  0, 0},
    {"no sandbox",       404, "",                                  "{\"code\":404,\"message\":\"doesn't exist\"}",                   ERR_GONE,     0,  0, 0},
    {"being paused",     409, "",                                  "{\"code\":409,\"message\":\"paused\"}",                          ERR_CONFLICT, 0,  1, 0},
    {"concurrency",      429, "",                                  "{\"code\":429,\"message\":\"maximum\"}",                         ERR_LIMIT,    15, 1, 0},
    {"rate",             429, "Retry-After: 7\r\n",                "{\"code\":429,\"message\":\"Rate\"}",                            ERR_LIMIT,    7,  1, 0},
    {"create failed",    500, "",                                  "{\"code\":500,\"error_code\":\"sandbox_create_failed\"}",
     ERR_UPSTREAM,                                                                                                                                 0,  1, 1},
    {"no room",          503, "",                                  "{\"code\":503,\"error_code\":\"sandbox_capacity_unavailable\"}",
     ERR_UPSTREAM,                                                                                                                                 0,  1, 0},
    {"no node",          503, "",                                  "{\"code\":503,\"error_code\":\"sandbox_no_compatible_node\"}",
     ERR_UPSTREAM,                                                                                                                                 0,  1, 0},
    {"balancer",         503, "",                                  "<html>no</html>",                                                ERR_UPSTREAM, 0,  1, 1},
    {"placed too late",  504, "",                                  "{\"code\":504,\"error_code\":\"sandbox_placement_timeout\"}",
     ERR_UPSTREAM,                                                                                                                                 0,  1, 1},
    {"disk full",        507, "",                                  "{\"code\":507,\"message\":\"disk\"}",                            ERR_SANDBOX,  0,  0, 0},
    {"another 4xx",      422, "",                                  "",                                                               ERR_INPUT,    0,  0, 0},
    {"another 5xx",      599, "",                                  "",                                                               ERR_UPSTREAM, 0,  1, 1},
    {"redirect",         302, "Location: https://example.org\r\n", "",                                                               ERR_UPSTREAM, 0,  0, 1},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http_response r = {.status = rows[i].status};
        struct err err = {0};
        buf_puts(&r.head, rows[i].head);
        buf_puts(&r.body, rows[i].body);
        AUTO(json_decrefp) json_t *j = NULL;
        const char *word = NULL;
        if (json_parse(buf_str(&r.body), &j, NULL))
            word = json_cstr(j, "error_code");
        struct e2b_verdict v = e2b_judge(rows[i].status, str_of(word));
        ROW_INT(rows[i].name, v.passing, rows[i].passing);
        ROW_INT(rows[i].name, v.ambiguous, rows[i].ambiguous);
        ROW_TRUE(rows[i].name, !e2b_fail("call", &r, &err));
        ROW_INT(rows[i].name, err.kind, rows[i].kind);
        ROW_INT(rows[i].name, err.retry_after_s, rows[i].retry_after_s);
        http_response_done(&r);
    }
}

static void test_text(void **state)
{
    (void)state;
    struct http_response r = {.status = 404};
    struct err err = {0};
    buf_puts(&r.body, "{\"code\":404,\"message\":\"template 'x' not found\"}");
    assert_false(e2b_fail("create sandbox", &r, &err));
    assert_string_equal(err.text, "create sandbox: 404 template 'x' not found");
    http_response_done(&r);
}

static const struct {
    const char *name;
    const char *json;
    bool ok;
} descriptions[] = {
    {"create",
     "{\"sandboxID\":\"i8f2k0m3q7x1z5c9v4b6n\",\"envdAccessToken\":\"abc\","
     "\"domain\":null,\"envdVersion\":\"0.6.13\"}",                                        true },
    {"without a token",     "{\"sandboxID\":\"i8f2k0m3q7x1z5c9v4b6n\"}",                   true },
    {"own domain",          "{\"sandboxID\":\"i8f\",\"domain\":\"eu.example.org\"}",       true },
    {"without an id",       "{\"envdAccessToken\":\"abc\"}",                               false},
    {"a list",              "[]",                                                          false},
    {"cut",                 "{\"sandboxID\":\"i8f2k0m3",                                   false},
    {"header in the token", "{\"sandboxID\":\"i8f\",\"envdAccessToken\":\"a\\r\\nX: y\"}", false},
    {"path in the id",      "{\"sandboxID\":\"../../x\"}",                                 false},
    {"header in the id",    "{\"sandboxID\":\"i8f\\nX: y\"}",                              false},
    {"path in the domain",  "{\"sandboxID\":\"i8f\",\"domain\":\"x/y?\"}",                 false},
    {"user in the domain",  "{\"sandboxID\":\"i8f\",\"domain\":\"a@b\"}",                  false},
};

static void test_descriptions(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(descriptions); i++) {
        struct sandbox s = {0};
        struct err err = {0};
        bool ok = e2b_parse_sandbox(str_of(descriptions[i].json), &s, &err);
        ROW_INT(descriptions[i].name, ok, descriptions[i].ok);
        if (!ok)
            ROW_INT(descriptions[i].name, err.kind, ERR_UPSTREAM);
        sandbox_done(&s);
    }
}

static void test_full_description(void **state)
{
    (void)state;
    struct sandbox s = {0};
    struct err err = {0};
    static const char json[] =
        "{\"sandboxID\":\"i8f2k0m3q7x1z5c9v4b6n\",\"state\":\"paused\",\"cpuCount\":2,"
        "\"memoryMB\":512,\"endAt\":\"2026-11-20T19:00:00Z\",\"envdVersion\":\"0.6.13\","
        "\"envdAccessToken\":\"0123456789abcdef\",\"domain\":null,\"unknown\":{}}";
    assert_true(e2b_parse_sandbox(str_of(json), &s, &err));
    assert_string_equal(s.id, "i8f2k0m3q7x1z5c9v4b6n");
    assert_string_equal(s.envd_version, "0.6.13");
    assert_string_equal(s.domain, "");
    assert_string_equal(s.access_token.p, "0123456789abcdef");
    assert_int_equal(s.state, SANDBOX_PAUSED);
    assert_int_equal(s.cpu_count, 2);
    assert_int_equal(s.memory_mb, 512);
    assert_int_equal(s.end_ms, 1795201200000);
    sandbox_done(&s);
    assert_null(s.access_token.p);
}

static void test_backoff(void **state)
{
    (void)state;
    for (int attempt = 1; attempt < 40; attempt++)
        assert_in_range(e2b_backoff_ms(attempt), 50, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),       cmocka_unit_test(test_text),
        cmocka_unit_test(test_descriptions), cmocka_unit_test(test_full_description),
        cmocka_unit_test(test_backoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
