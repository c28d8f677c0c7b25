/* Tokens: one mint for many threads, early renewal, both formats, replication lag and refusals,
 * clock skew, narrowing, revocation. */
#include "tests/unit/github-app/fake.h"

#include "bot/base/redact.h"
#include "github-app/token.h"

#include <sched.h>

static struct signer *signer;
static const struct github_repo repo = {.installation_id = 5, .id = 77, .full_name = "o/r"};

static const struct fake_rule plain[] = {
    MINT, {"DELETE", 204, NULL, NULL, 0},
     {0   }
};

static void get(struct fake *f, enum github_need need, int life_s, struct secret *out)
{
    struct err err;
    struct call call = call_in(60000, NULL);
    if (!github_token(f->g, &repo, need, life_s, &call, out, &err))
        fail_msg("%s", err.text);
}

static void drop(struct fake *f, enum github_need need)
{
    struct err err;
    struct call call = call_in(60000, NULL);
    if (!github_token_drop(f->g, &repo, need, &call, &err))
        fail_msg("%s", err.text);
}

struct taker {
    struct fake *f;
    struct secret token;
    bool ok;
    struct err err;
};

static void *take_one(void *arg)
{
    struct taker *t = arg;
    struct call call = call_in(60000, NULL);
    t->ok = github_token(t->f->g, &repo, GITHUB_READ, 60, &call, &t->token, &t->err);
    return NULL;
}

static void many_threads_mint_once(void **state)
{
    (void)state;
    struct fake *f = fake_new(plain, signer, NULL);
    struct taker takers[8] = {0};
    pthread_t threads[COUNT(takers)];
    for (size_t i = 0; i < COUNT(takers); i++) {
        takers[i].f = f;
        assert_int_equal(pthread_create(&threads[i], NULL, take_one, &takers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(takers); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(fake_count(f, "POST"), 1);
    for (size_t i = 0; i < COUNT(takers); i++) {
        if (!takers[i].ok)
            fail_msg("thread %zu: %s", i, takers[i].err.text);
        assert_string_equal(takers[i].token.p, takers[0].token.p);
    }
    for (size_t i = 0; i < COUNT(takers); i++)
        secret_done(&takers[i].token);
    fake_free(f);
}

/* While one mints and gets no answer, another's cancel token and deadline still count. */
static void waiting_for_the_minter_ends_with_the_call(void **state)
{
    (void)state;
    struct fake *f = fake_new(plain, signer, NULL);
    struct taker minter = {.f = f};
    struct secret token = {0};
    struct cancel *cancel = cancel_new();
    struct call fired = call_in(60000, cancel), brief = call_in(30, NULL);
    struct err err;
    pthread_t thread;
    pthread_mutex_lock(&f->mutex); /* the server hears, but does not answer */
    assert_int_equal(pthread_create(&thread, NULL, take_one, &minter), 0);
    for (bool flying = false; !flying; sched_yield()) {
        pthread_mutex_lock(&f->g->mutex);
        flying = f->g->tokens != NULL; /* made and put in flight under one lock */
        pthread_mutex_unlock(&f->g->mutex);
    }
    assert_false(github_token(f->g, &repo, GITHUB_READ, 60, &brief, &token, &err));
    assert_int_equal(err.kind, ERR_TIMEOUT);
    cancel_fire(cancel);
    assert_false(github_token(f->g, &repo, GITHUB_READ, 60, &fired, &token, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    pthread_mutex_unlock(&f->mutex);
    pthread_join(thread, NULL);
    assert_true(minter.ok);
    assert_int_equal(fake_count(f, "POST"), 1);
    secret_done(&minter.token);
    cancel_unref(cancel);
    fake_free(f);
}

static void failure_is_not_kept(void **state)
{
    static const struct fake_rule rules[] = {
        {"POST", 403, NULL, "{\"message\":\"suspended\"}", 1},
        MINT, {0 }
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct taker first = {.f = f}, second = {.f = f};
    take_one(&first);
    take_one(&second);
    assert_false(first.ok);
    assert_int_equal(first.err.kind, ERR_DENIED);
    assert_true(second.ok);
    secret_done(&second.token);
    fake_free(f);
}

static void is_narrowed(void **state)
{
    static const struct {
        enum github_need need;
        const char *permissions;
    } rows[] = {
        {GITHUB_READ,  "\"contents\":\"read\""                                                 },
        {GITHUB_PUSH,  "\"contents\":\"write\""                                                },
        {GITHUB_WRITE, "\"contents\":\"read\",\"pull_requests\":\"write\",\"issues\":\"write\""},
    };
    (void)state;
    struct fake *f = fake_new(plain, signer, NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct secret token = {0};
        get(f, rows[i].need, 60, &token);
        const struct fake_request *q = fake_last(f, "POST");
        assert_string_equal(q->line, "POST " API "/app/installations/5/access_tokens");
        AUTO(mem_freep)
        char *want =
            mem_printf("{\"permissions\":{\"metadata\":\"read\",%s},\"repository_ids\":[77]}",
                       rows[i].permissions);
        assert_string_equal(q->body, want);
        assert_memory_equal(q->auth, "Bearer eyJ", 10);
        secret_done(&token);
    }
    assert_int_equal(fake_count(f, "POST"), 3);
    fake_free(f);
}

static void is_renewed_early(void **state)
{
    static const struct {
        const char *name;
        int min_life_s;
        int64_t age_ms;
        bool renewed;
    } rows[] = {
        {"fresh",                                    60,   0,                 false},
        {"six minutes left",                         60,   54 * 60000LL,      false},
        {"under five minutes left",                  60,   55 * 60000 + 1001, true },
        {"a long step needs more",                   1800, 31 * 60000LL,      true },
        {"more than an hour is not minted for ever", 7200, 1000,              false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake *f = fake_new(plain, signer, NULL);
        struct secret a = {0}, b = {0};
        get(f, GITHUB_READ, 60, &a);
        clock_test_shift_ms(rows[i].age_ms, rows[i].age_ms);
        get(f, GITHUB_READ, rows[i].min_life_s, &b);
        if (fake_count(f, "POST") != (rows[i].renewed ? 2 : 1))
            fail_msg("%s", rows[i].name);
        secret_done(&a);
        secret_done(&b);
        fake_free(f);
    }
}

static void both_formats(void **state)
{
    (void)state;
    for (int is_long = 0; is_long < 2; is_long++) {
        struct fake *f = fake_new(plain, signer, NULL);
        struct secret token = {0};
        f->long_tokens = is_long == 1;
        get(f, GITHUB_READ, 60, &token);
        assert_int_equal(token.n, is_long ? 514 : 40);
        assert_true(redact_finds(secret_str(&token)));
        drop(f, GITHUB_READ);
        AUTO(mem_freep) char *want = mem_printf("Bearer %s", token.p);
        assert_string_equal(fake_last(f, "DELETE " API "/installation/token")->auth, want);
        secret_done(&token);
        fake_free(f);
    }
}

static void bad_answers(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum err_kind kind;
    } rows[] = {
        {201, "{}",                                                                  ERR_UPSTREAM},
        {201, "{\"token\":\"a b\",\"expires_at\":\"2099-01-01T00:00:00Z\"}",         ERR_UPSTREAM},
        {201, "{\"token\":\"a\\r\\nX: y\",\"expires_at\":\"2099-01-01T00:00:00Z\"}", ERR_UPSTREAM},
        {201, "{\"token\":\"abcdefgh\"}",                                            ERR_UPSTREAM},
        {401, "{\"message\":\"A JSON web token could not be decoded\"}",             ERR_AUTH    },
        {403, "{\"message\":\"This installation has been suspended\"}",              ERR_DENIED  },
        {404, "{\"message\":\"Not Found\"}",                                         ERR_GONE    },
        {422, "{\"message\":\"The permissions requested are not granted\"}",         ERR_DENIED  },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_rule rules[] = {
            {"POST", rows[i].status, NULL, rows[i].body, 0},
            {0 }
        };
        struct fake *f = fake_new(rules, signer, NULL);
        struct secret token = {0};
        struct call call = call_in(60000, NULL);
        struct err err;
        assert_false(github_token(f->g, &repo, GITHUB_READ, 60, &call, &token, &err));
        assert_int_equal(err.kind, rows[i].kind);
        assert_int_equal(fake_count(f, "POST"), 1);
        assert_null(token.p);
        fake_free(f);
    }
}

static void last_holder_revokes(void **state)
{
    (void)state;
    struct fake *f = fake_new(plain, signer, NULL);
    struct secret a = {0}, b = {0};
    get(f, GITHUB_PUSH, 60, &a);
    get(f, GITHUB_PUSH, 60, &b);
    assert_string_equal(a.p, b.p);
    drop(f, GITHUB_PUSH);
    assert_int_equal(fake_count(f, "DELETE"), 0);
    drop(f, GITHUB_PUSH);
    assert_int_equal(fake_count(f, "DELETE"), 1);
    drop(f, GITHUB_PUSH);
    assert_int_equal(fake_count(f, "DELETE"), 1);
    get(f, GITHUB_PUSH, 60, &b);
    assert_string_not_equal(a.p, b.p);
    secret_done(&a);
    secret_done(&b);
    fake_free(f);
}

static void refused_by_git_means_a_new_one(void **state)
{
    (void)state;
    struct fake *f = fake_new(plain, signer, NULL);
    struct secret a = {0}, b = {0}, c = {0};
    get(f, GITHUB_PUSH, 60, &a);
    github_token_refused(f->g, &repo, GITHUB_PUSH, &a);
    get(f, GITHUB_PUSH, 60, &b);
    assert_string_not_equal(a.p, b.p);
    github_token_refused(f->g, &repo, GITHUB_PUSH, &a); /* another thread, late */
    get(f, GITHUB_PUSH, 60, &c);
    assert_string_equal(b.p, c.p);
    secret_done(&a);
    secret_done(&b);
    secret_done(&c);
    fake_free(f);
}

/* ---- 401 of an ordinary call ---- */

#define REPO_JSON                                                                                  \
    "{\"id\":77,\"full_name\":\"o/r\",\"default_branch\":\"main\",\"clone_url\":\"https://x\"}"

static bool get_repo(struct fake *f, struct err *err)
{
    struct github_repo_info info;
    struct arena *arena = arena_new();
    struct call call = call_in(60000, NULL);
    bool ok = github_repo_get(f->g, &repo, &call, arena, &info, err);
    arena_free(arena);
    return ok;
}

static void fresh_token_is_patient(void **state)
{
    static const struct fake_rule rules[] = {
        MINT,
        {"GET", 401, NULL, "{\"message\":\"Bad\"}", 3},
        {"GET", 200, NULL, REPO_JSON, 0},
        {0   }
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct err err;
    int64_t before = clock_mono_ms();
    assert_true(get_repo(f, &err));
    assert_int_equal(fake_count(f, "POST"), 1);
    assert_int_equal(fake_count(f, "GET"), 4);
    assert_true(clock_mono_ms() - before >= 6000); /* 1, 2 and 3 s */
    fake_free(f);
}

static void old_token_is_replaced_once(void **state)
{
    static const struct fake_rule rules[] = {
        MINT,
        {"GET", 200, NULL, REPO_JSON, 1},
        {"GET", 401, NULL, "{\"message\":\"Bad\"}", 1},
        {"GET",    200, NULL, REPO_JSON, 1},
        {"GET", 401, NULL, "{\"message\":\"Bad\"}", 0},
        {0}
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct err err;
    assert_true(get_repo(f, &err));
    clock_test_shift_ms(60000, 60000);
    assert_true(get_repo(f, &err));
    assert_int_equal(fake_count(f, "POST"), 2);
    assert_int_equal(fake_count(f, "GET"), 3);

    /* Refused for good: one new token, its three retries for lag, and no more. */
    clock_test_shift_ms(60000, 60000);
    assert_false(get_repo(f, &err));
    assert_int_equal(err.kind, ERR_AUTH);
    assert_int_equal(fake_count(f, "POST"), 3);
    assert_int_equal(fake_count(f, "GET"), 3 + 1 + 4);
    fake_free(f);
}

/* ---- clock skew ---- */

static void skew_is_learnt_from_the_date(void **state)
{
    static const struct fake_rule rules[] = {
        {"POST", 401, NULL, "{\"message\":\"'Issued at' claim ('iat') must be an Integer\"}", 1},
        MINT,
        {0 }
    };
    (void)state;
    struct fake *f = fake_new(rules, signer, NULL);
    struct secret token = {0};
    f->skew_s = -1000;
    get(f, GITHUB_READ, 60, &token);
    assert_int_equal(fake_count(f, "POST"), 2);
    assert_string_not_equal(f->seen[0].auth, f->seen[1].auth);
    assert_in_range(f->g->skew_s + 1001, 0, 2);
    secret_done(&token);
    /* Kept for the next one. */
    get(f, GITHUB_PUSH, 60, &token);
    assert_int_equal(fake_count(f, "POST"), 3);
    assert_string_equal(f->seen[2].auth, f->seen[1].auth);
    secret_done(&token);
    fake_free(f);
}

static void jwt_is_reused_for_eight_minutes(void **state)
{
    (void)state;
    struct fake *f = fake_new(plain, signer, NULL);
    struct secret token = {0};
    get(f, GITHUB_READ, 60, &token);
    get(f, GITHUB_PUSH, 60, &token);
    assert_string_equal(f->seen[0].auth, f->seen[1].auth);
    f->g->jwt_until_ms = clock_mono_ms();
    f->g->skew_s = 7; /* so that the new one differs within the same second */
    get(f, GITHUB_WRITE, 60, &token);
    assert_string_not_equal(f->seen[1].auth, f->seen[2].auth);
    assert_in_range(f->g->jwt_until_ms - clock_mono_ms(), 7 * 60000, 8 * 60000);
    secret_done(&token);
    fake_free(f);
}

static void personal_token_is_itself(void **state)
{
    (void)state;
    struct fake *f = fake_new(plain, NULL, "github_pat_0123456789");
    struct secret token = {0};
    get(f, GITHUB_PUSH, 60, &token);
    assert_string_equal(token.p, "github_pat_0123456789");
    drop(f, GITHUB_PUSH);
    assert_int_equal(fake_count(f, ""), 0);
    secret_done(&token);
    fake_free(f);
}

static int start(void **state)
{
    (void)state;
    signer = fake_signer();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    signer_stop(signer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_mint_once),
        cmocka_unit_test(waiting_for_the_minter_ends_with_the_call),
        cmocka_unit_test(failure_is_not_kept),
        cmocka_unit_test(is_narrowed),
        cmocka_unit_test(is_renewed_early),
        cmocka_unit_test(both_formats),
        cmocka_unit_test(bad_answers),
        cmocka_unit_test(last_holder_revokes),
        cmocka_unit_test(refused_by_git_means_a_new_one),
        cmocka_unit_test(fresh_token_is_patient),
        cmocka_unit_test(old_token_is_replaced_once),
        cmocka_unit_test(skew_is_learnt_from_the_date),
        cmocka_unit_test(jwt_is_reused_for_eight_minutes),
        cmocka_unit_test(personal_token_is_itself),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
