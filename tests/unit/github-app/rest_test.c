/* One REST call: rate limits of every class, retries, redirects, error texts. */
#include "tests/unit/github-app/fake.h"

#include "bot/base/metrics.h"
#include "github-app/rest.h"

static const struct github_repo repo = {.installation_id = 0, .id = 77, .full_name = "o/r"};

#define WAY    "/repos/o/r/x"
#define GET_X  "GET " API WAY "$"
#define POST_X "POST " API WAY "$"
#define RESET  "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: "
#define ABUSE  "{\"message\":\"You have triggered an abuse detection mechanism\"}"
#define PLAIN  "{\"message\":\"Forbidden\"}"
#define SECOND "{\"message\":\"You have exceeded a secondary rate limit.\"}"

static bool ask(struct fake *f, const char *method, int64_t within_ms, int *status, struct err *err)
{
    AUTO(rest_answer_done) struct rest_answer a = {0};
    struct call call = call_in(within_ms, NULL);
    struct rest q = {.method = method, .path = WAY, .label = "GET /test", .repo = &repo};
    err_clear(err);
    bool ok = rest_call(f->g, &q, &call, &a, err);
    *status = a.status;
    return ok;
}

static void limits_pause_the_installation(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *headers; /* RESET is put in for @ */
        const char *body;
        int least_s, most_s; /* of the pause; 0 = none */
        enum err_kind kind;  /* without time to wait */
    } rows[] = {
        {"retry-after",                  429, "Retry-After: 7\r\n",               PLAIN,  7,   7,   ERR_LIMIT },
        {"retry-after with 403",         403, "Retry-After: 30\r\n",              PLAIN,  30,  30,  ERR_LIMIT },
        {"retry-after before remaining", 403, "Retry-After: 7\r\n" RESET "@\r\n", PLAIN,  7,   7,
         ERR_LIMIT                                                                                            },
        {"primary",                      403, RESET "@\r\n",                      PLAIN,  899, 902, ERR_LIMIT },
        {"primary with 429",             429, RESET "@\r\n",                      PLAIN,  899, 902, ERR_LIMIT },
        {"primary, reset in the past",   403, RESET "5\r\n",                      PLAIN,  1,   1,   ERR_LIMIT },
        {"primary, no reset",            403, "x-ratelimit-remaining: 0\r\n",     PLAIN,  60,  60,  ERR_LIMIT },
        {"secondary without headers",    403, NULL,                               SECOND, 60,  60,  ERR_LIMIT },
        {"secondary, budget left",       403, "x-ratelimit-remaining: 4000\r\n",  SECOND, 60,  60,
         ERR_LIMIT                                                                                            },
        {"abuse",                        403, NULL,                               ABUSE,  60,  60,  ERR_LIMIT },
        {"429 without anything",         429, NULL,                               "",     60,  60,  ERR_LIMIT },
        {"a permission is missing",      403, "x-ratelimit-remaining: 4000\r\n",  PLAIN,  0,   0,
         ERR_DENIED                                                                                           },
        {"no headers at all",            403, NULL,                               PLAIN,  0,   0,   ERR_DENIED},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char headers[200] = "", *at;
        if (rows[i].headers)
            snprintf(headers, sizeof(headers), "%s", rows[i].headers);
        if ((at = strchr(headers, '@')))
            snprintf(at, 30, "%lld\r\n", (long long)clock_wall_s() + 900);
        struct fake_rule rules[] = {
            {"GET",    rows[i].status, headers, rows[i].body, 1},
            {"GET", 200, NULL, "{}", 0},
            {0      }
        };
        /* No time to wait: refused at once, and the next call does not even ask. */
        struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
        struct err err;
        int status;
        assert_false(ask(f, "GET", 500, &status, &err));
        bool again = ask(f, "GET", 500, &status, &err);
        bool limited = rows[i].kind == ERR_LIMIT;
        if (again == limited || fake_count(f, "GET") != (limited ? 1 : 2) ||
            (limited && (err.kind != ERR_LIMIT || err.retry_after_s < rows[i].least_s ||
                         err.retry_after_s > rows[i].most_s)))
            fail_msg("%s: kind %d, %d s: %s", rows[i].name, (int)err.kind, err.retry_after_s,
                     err.text);
        fake_free(f);

        /* Time enough: waits it out. */
        f = fake_new(rules, NULL, "github_pat_0123456789");
        int64_t before = clock_mono_ms();
        bool ok = ask(f, "GET", 3600 * 1000, &status, &err);
        int64_t waited = clock_mono_ms() - before;
        if (ok != limited || waited < (rows[i].least_s - 1) * 1000 ||
            waited > rows[i].most_s * 1000 + 1000)
            fail_msg("%s: waited %lld ms: %s", rows[i].name, (long long)waited, err.text);
        fake_free(f);
    }
}

static void pause_is_shared_and_others_go_on(void **state)
{
    static const struct fake_rule rules[] = {
        {"GET",                  403, "Retry-After: 60\r\n", PLAIN, 1},
        {"GET", 200, NULL, "{}", 0},
        {0                    }
    };
    (void)state;
    struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
    struct err err;
    int status;
    assert_false(ask(f, "GET", 500, &status, &err));
    assert_false(ask(f, "POST", 500, &status, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(fake_count(f, ""), 1);

    AUTO(rest_answer_done) struct rest_answer a = {0};
    struct call call = call_in(500, NULL);
    struct rest q = {.method = "GET", .path = WAY, .label = "GET /test", .auth = REST_ANONYMOUS};
    assert_true(rest_call(f->g, &q, &call, &a, &err));
    clock_test_shift_ms(60001, 60001);
    assert_true(ask(f, "GET", 500, &status, &err));
    fake_free(f);
}

static void last_of_the_budget_pauses_too(void **state)
{
    char headers[100];
    struct fake_rule rules[] = {
        {"GET",    200, headers, "{}", 1},
        {"GET", 200, NULL, "{}", 0},
        {0      }
    };
    (void)state;
    struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
    struct err err;
    int status;
    snprintf(headers, sizeof(headers), "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: %lld\r\n",
             (long long)clock_wall_s() + 100);
    assert_true(ask(f, "GET", 500, &status, &err));
    assert_false(ask(f, "GET", 500, &status, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_in_range(err.retry_after_s, 99, 102);
    fake_free(f);
}

static void secondary_limit_doubles_and_ends(void **state)
{
    static const struct fake_rule rules[] = {
        {"GET", 403, NULL, SECOND, 0},
        {0}
    };
    (void)state;
    struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
    struct err err;
    int status;
    int64_t before = clock_mono_ms();
    assert_false(ask(f, "GET", 7200 * 1000, &status, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(fake_count(f, ""), 5);
    assert_in_range((clock_mono_ms() - before) / 1000, 60 + 120 + 240 + 480,
                    60 + 120 + 240 + 480 + 2);
    fake_free(f);
}

static void writes_take_tickets(void **state)
{
    static const struct fake_rule rules[] = {
        {"POST", 201, NULL, "{}", 0},
        {0 }
    };
    (void)state;
    struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
    struct err err;
    for (int i = 0; i < 42; i++) {
        AUTO(rest_answer_done) struct rest_answer a = {0};
        struct call call = call_in(100, NULL);
        struct rest q = {
            .method = "POST", .path = WAY, .label = "POST /test", .repo = &repo, .content = true};
        bool ok = rest_call(f->g, &q, &call, &a, &err);
        assert_true(ok == (i != 40));
        if (!ok) {
            assert_int_equal(err.kind, ERR_LIMIT);
            assert_int_equal(err.retry_after_s, 2);
            clock_test_shift_ms(1600, 1600); /* 40 a minute: one in 1500 ms */
        }
    }
    fake_free(f);
}

/* ------------------------------------------------------------------------------------ retries */

static void faults_are_retried_where_harmless(void **state)
{
    static const struct {
        const char *name;
        const char *method;
        int status;
        const char *body;
        int bad_turns;
        bool ok;
        int asked;
        enum err_kind kind;
    } rows[] = {
        {"500",            "GET",  500, "x",      1, true,  2, 0           },
        {"502 twice",      "GET",  502, "x",      2, true,  3, 0           },
        {"503 for ever",   "GET",  503, "x",      0, false, 3, ERR_UPSTREAM},
        {"cut",            "GET",  0,   NULL,     2, true,  3, 0           },
        {"broken JSON",    "GET",  200, "{\"a\"", 1, true,  2, 0           },
        {"501",            "GET",  501, "x",      1, false, 1, ERR_UPSTREAM},
        {"post, 500",      "POST", 500, "x",      1, false, 1, ERR_UPSTREAM},
        {"post, cut",      "POST", 0,   NULL,     1, false, 1, ERR_UPSTREAM},
        {"post, 429",      "POST", 429, "",       1, true,  2, 0           },
        {"404",            "GET",  404, "{}",     1, false, 1, ERR_GONE    },
        {"409",            "GET",  409, "{}",     1, false, 1, ERR_CONFLICT},
        {"410",            "GET",  410, "{}",     1, false, 1, ERR_GONE    },
        {"422",            "GET",  422, "{}",     1, false, 1, ERR_INPUT   },
        {"451",            "GET",  451, "{}",     1, false, 1, ERR_DENIED  },
        {"401, own token", "GET",  401, "{}",     1, false, 1, ERR_AUTH    },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_rule rules[] = {
            {rows[i].method,     rows[i].status, NULL, rows[i].body, rows[i].bad_turns},
            {rows[i].method,              200, NULL, "{}", 0},
            {0}
        };
        struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
        struct err err;
        int status;
        bool ok = ask(f, rows[i].method, 600000, &status, &err);
        if (ok != rows[i].ok || fake_count(f, "") != rows[i].asked ||
            (!ok && err.kind != rows[i].kind))
            fail_msg("%s: %d asked, kind %d: %s", rows[i].name, fake_count(f, ""), (int)err.kind,
                     err.text);
        fake_free(f);
    }
}

static void no_retry_past_the_deadline(void **state)
{
    static const struct fake_rule rules[] = {
        {"GET", 500, NULL, "x", 0},
        {0}
    };
    (void)state;
    struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
    struct err err;
    int status;
    assert_false(ask(f, "GET", 900, &status, &err));
    assert_int_equal(err.kind, ERR_UPSTREAM);
    assert_int_equal(status, 500);
    assert_int_equal(fake_count(f, ""), 1);
    fake_free(f);
}

/* ---------------------------------------------------------------------------------- redirects */

static void redirects_stay_on_the_host(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *location; /* @ = our own port */
        bool ok;
        enum err_kind kind;
    } rows[] = {
        {"renamed",             301, "http://127.0.0.1:@/api/v3/repositories/77/x",  true,  0           },
        {"temporary",           307, "http://127.0.0.1:@/api/v3/repositories/77/x",  true,  0           },
        {"for ever",            308, "/api/v3/repositories/77/x",                    true,  0           },
        {"another repository",  301, "/api/v3/repositories/78/x",                    false, ERR_GONE    },
        {"another port",        301, "http://127.0.0.1:1/api/v3/repositories/77/x",  false, ERR_UPSTREAM},
        {"another host",        301, "http://evil.example/api/v3/repositories/77/x", false, ERR_UPSTREAM},
        {"another scheme",      301, "https://127.0.0.1:@/api/v3/repositories/77/x", false,
         ERR_UPSTREAM                                                                                   },
        {"host without scheme", 301, "//evil.example/x",                             false, ERR_UPSTREAM},
        {"user in front",       301, "http://127.0.0.1:@@evil.example/x",            false, ERR_UPSTREAM},
        {"nowhere",             301, "",                                             false, ERR_UPSTREAM},
        {"a file",              301, "file:///etc/passwd",                           false, ERR_UPSTREAM},
        {"in a circle",         301, "/api/v3" WAY,                                  false, ERR_UPSTREAM},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char headers[200];
        struct fake_rule rules[] = {
            {POST_X,   rows[i].status, headers, "{}", 0},
            {"POST " API "/repositories/77/x$", 200, NULL, "{}", 0},
            {0      }
        };
        struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
        const char *at = strchr(rows[i].location, '@');
        snprintf(headers, sizeof(headers), "Location: %s\r\n", rows[i].location);
        if (at)
            snprintf(headers, sizeof(headers), "Location: %.*s%d%s\r\n",
                     (int)(at - rows[i].location), rows[i].location, f->port, at + 1);
        AUTO(rest_answer_done) struct rest_answer a = {0};
        AUTO(json_decrefp) json_t *body = json_pack("{s:i}", "n", 1);
        struct call call = call_in(60000, NULL);
        struct rest q = {
            .method = "POST", .path = WAY, .label = "POST /test", .repo = &repo, .body = body};
        struct err err = {0};
        bool ok = rest_call(f->g, &q, &call, &a, &err);
        if (ok != rows[i].ok || (!ok && err.kind != rows[i].kind))
            fail_msg("%s: kind %d: %s", rows[i].name, (int)err.kind, err.text);
        if (ok) {
            assert_int_equal(a.moved_id, 77);
            assert_string_equal(f->seen[1].body, "{\"n\":1}");
            assert_string_equal(f->seen[1].auth, "Bearer github_pat_0123456789");
        }
        fake_free(f);
    }
}

/* ------------------------------------------------------------------------------------- errors */

#define E_FIELDS                                                                                   \
    "{\"message\":\"Validation Failed\",\"errors\":[{\"message\":\"too long\"},"                   \
    "{\"field\":\"title\",\"code\":\"missing\"},\"plain\"]}"
#define E_RIGHT  "{\"message\":\"Resource not accessible by integration\"}"
#define E_NEEDS  "X-Accepted-GitHub-Permissions: issues=write\r\n"
#define T_FIELDS "422 Validation Failed: too long: title missing: plain; request AB:12"
#define T_RIGHT  "403 Resource not accessible by integration; needs issues=write; request AB:12"

static void errors_speak_github(void **state)
{
    static const struct {
        int status;
        const char *headers;
        const char *body;
        const char *text;
    } rows[] = {
        {422, NULL,    E_FIELDS,                         T_FIELDS                 },
        {403, E_NEEDS, E_RIGHT,                          T_RIGHT                  },
        {404, NULL,    "<html>",                         "404 ; request AB:12"    },
        {404, NULL,    "{\"message\":\"a\\nb\\u0007\"}", "404 a b ; request AB:12"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_rule rules[] = {
            {GET_X,            rows[i].status, rows[i].headers, rows[i].body, 0},
            {0}
        };
        struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
        struct err err;
        int status;
        assert_false(ask(f, "GET", 5000, &status, &err));
        assert_memory_equal(err.text, "GET /repos/o/r/x: ", 18);
        assert_string_equal(err.text + 18, rows[i].text);
        fake_free(f);
    }
}

static void metrics_are_counted(void **state)
{
    static const struct fake_rule rules[] = {
        {"GET",                                                               404, "x-ratelimit-remaining: 4321\r\nx-ratelimit-reset: 9999999999\r\n", "{}", 0},
        {0}
    };
    (void)state;
    struct fake *f = fake_new(rules, NULL, "github_pat_0123456789");
    AUTO(buf_done) struct buf out = {0};
    struct err err;
    int status;
    assert_false(ask(f, "GET", 5000, &status, &err));
    metrics_write(&out);
    assert_non_null(strstr(buf_cstr(&out), "squadbot_github_rate_limit_remaining 4321"));
    assert_non_null(strstr(buf_cstr(&out),
                           "squadbot_github_requests_total{endpoint=\"GET /test\",code=\"404\"}"));
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_pause_the_installation),
        cmocka_unit_test(pause_is_shared_and_others_go_on),
        cmocka_unit_test(last_of_the_budget_pauses_too),
        cmocka_unit_test(secondary_limit_doubles_and_ends),
        cmocka_unit_test(writes_take_tickets),
        cmocka_unit_test(faults_are_retried_where_harmless),
        cmocka_unit_test(no_retry_past_the_deadline),
        cmocka_unit_test(redirects_stay_on_the_host),
        cmocka_unit_test(errors_speak_github),
        cmocka_unit_test(metrics_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
