/* Deliveries: identity, duplicates, dispatch with its roll-back and replays, outbox leases. */
#include "bot/store/inbox.h"

#include "bot/base/enc.h"
#include "bot/store/dispatch.h"
#include "bot/store/outbox.h"
#include "tests/unit/store/db.h"

static struct inbox_new delivery(const char *guid, enum inbox_source source)
{
    return (struct inbox_new){
        .source = source, .guid = str_of(guid), .event = STR("issues"), .body = STR("{\"a\":1}")};
}

static int wipe(void **state)
{
    (void)state;
    db_int("TRUNCATE inbox, inbox_acted, outbox");
    return 0;
}

static void a_guid_is_stored_once(void **state)
{
    (void)state;
    struct err err = {0};
    bool stored[5];
    struct inbox_new rows[] = {delivery("g1", INBOX_GITHUB), delivery("g2", INBOX_GITHUB),
                               delivery("g1", INBOX_GITHUB), delivery("g3", INBOX_GITHUB),
                               delivery("g2", INBOX_SWEEP)};
    const bool want[] = {true, true, false, true, false};
    OK(inbox_insert(db, rows, 5, stored, &err));
    assert_memory_equal(stored, want, sizeof(want));

    struct inbox_new again[] = {delivery("g9", INBOX_GITHUB), delivery("g1", INBOX_GITHUB),
                                delivery("g1", INBOX_TASKS)};
    const bool want_again[] = {true, false, true};
    OK(inbox_insert(db, again, 3, stored, &err));
    assert_memory_equal(stored, want_again, sizeof(want_again));
    assert_int_equal(db_int("SELECT count(*) FROM inbox"), 5);
}

static void any_bytes_are_stored_as_they_are(void **state)
{
    (void)state;
    struct err err = {0};
    bool stored[2];
    char *big = mem_alloc(9 * 1024 * 1024); /* two statements, a connection not kept */
    random_bytes(big, 9 * 1024 * 1024);
    struct inbox_new rows[] = {delivery("b1", INBOX_GITHUB), delivery("b2", INBOX_GITHUB)};
    unsigned char signature[32] = {0, 1, 2};
    rows[0].body = (struct str){"a\0'\\\xff", 5};
    rows[0].signature = signature;
    rows[1].body = (struct str){big, 9 * 1024 * 1024};
    OK(inbox_insert(db, rows, 2, stored, &err));
    assert_true(stored[0] && stored[1]);
    assert_int_equal(db_int("SELECT (body = '\\x6100275cff')::int FROM inbox WHERE guid = 'b1'"),
                     1);
    assert_int_equal(db_int("SELECT length(body) FROM inbox WHERE guid = 'b2'"), 9 * 1024 * 1024);
    assert_int_equal(db_int("SELECT length(signature) FROM inbox WHERE guid = 'b1'"), 32);
    free(big);
}

static void refuses_a_broken_header(void **state)
{
    (void)state;
    struct err err = {0};
    bool stored[2] = {true, true};
    struct inbox_new rows[] = {delivery("ok", INBOX_GITHUB), delivery("\xff\xfe", INBOX_GITHUB)};
    FAILS(inbox_insert(db, rows, 2, stored, &err), ERR_INPUT);
    assert_int_equal(db_int("SELECT count(*) FROM inbox"), 0);
    OK(inbox_insert(db, rows, 1, stored, &err)); /* the connection is still good */
}

/* ------------------------------------------------------------------------------------ dispatch */

struct seen {
    int calls;
    enum inbox_source last_source;
    bool crash; /* make the transaction fail after the callback */
};

/* By the body: "act:KEY" has an effect, "dead" is not understood, the rest is not wanted. */
static enum dispatch_verdict on_row(void *arg, const struct inbox_row *row, struct arena *arena,
                                    struct outbox_new *rows, int *n, struct err *err)
{
    struct seen *seen = arg;
    seen->calls++;
    seen->last_source = row->source;
    if (str_starts(row->body, STR("act:"))) {
        rows[(*n)++] =
            (struct outbox_new){.key = arena_str(arena, str_sub(row->body, 4, row->body.n)),
                                .kind = "admit",
                                .payload = seen->crash ? "not JSON" : "{\"issue\":1}"};
        return DISPATCH_DONE;
    }
    if (str_eq(row->body, STR("dead"))) {
        err_set(err, ERR_INPUT, "no such thing");
        return DISPATCH_DEAD;
    }
    return DISPATCH_IGNORED;
}

static void put(const char *guid, enum inbox_source source, const char *body, unsigned char sign)
{
    struct err err = {0};
    bool stored;
    unsigned char signature[32] = {sign};
    struct inbox_new row = delivery(guid, source);
    row.body = str_of(body);
    row.signature = sign ? signature : NULL;
    OK(inbox_insert(db, &row, 1, &stored, &err));
    assert_true(stored);
}

static void dispatch_closes_each_row(void **state)
{
    (void)state;
    struct err err = {0};
    struct seen seen = {0};
    int taken = -1;
    put("d1", INBOX_GITHUB, "act:one", 1);
    put("d2", INBOX_GITHUB, "noise", 2);
    put("d3", INBOX_GITHUB, "dead", 3);
    put("d4", INBOX_TASKS, "act:one", 0); /* the same key */
    put("d5", INBOX_SWEEP, "act:two", 0);
    OK(dispatch_batch(db, 4, on_row, &seen, &taken, &err));
    assert_int_equal(taken, 4);
    assert_int_equal(seen.last_source, INBOX_TASKS);
    OK(dispatch_batch(db, 4, on_row, &seen, &taken, &err));
    assert_int_equal(taken, 1);
    assert_int_equal(seen.last_source, INBOX_SWEEP);
    OK(dispatch_batch(db, 4, on_row, &seen, &taken, &err));
    assert_int_equal(taken, 0);
    assert_int_equal(seen.calls, 5);
    assert_int_equal(db_int("SELECT count(*) FROM outbox"), 2);
    assert_int_equal(db_int("SELECT count(*) FROM inbox WHERE state = 'done'"), 3);
    assert_int_equal(db_int("SELECT count(*) FROM inbox WHERE state = 'ignored'"), 1);
    assert_int_equal(
        db_int("SELECT count(*) FROM inbox WHERE state = 'dead' AND error = 'no such thing'"), 1);
    assert_int_equal(db_int("SELECT count(*) FROM inbox_acted"), 1);
}

static void a_replayed_signature_does_not_act(void **state)
{
    (void)state;
    struct err err = {0};
    struct seen seen = {0};
    int taken;
    put("r1", INBOX_GITHUB, "act:r1", 7);
    put("r2", INBOX_GITHUB, "act:r2", 7); /* within one batch */
    OK(dispatch_batch(db, 10, on_row, &seen, &taken, &err));
    put("r3", INBOX_GITHUB, "act:r3", 7); /* and later */
    OK(dispatch_batch(db, 10, on_row, &seen, &taken, &err));
    assert_int_equal(db_int("SELECT count(*) FROM outbox WHERE key = 'r1'"), 1);
    assert_int_equal(db_int("SELECT count(*) FROM outbox"), 1);
    assert_int_equal(db_int("SELECT count(*) FROM inbox WHERE state = 'ignored'"
                            " AND error = 'replayed signature'"),
                     2);
}

static void a_failed_dispatch_leaves_the_rows_new(void **state)
{
    (void)state;
    struct err err = {0};
    struct seen seen = {.crash = true};
    int taken = -1;
    put("f1", INBOX_GITHUB, "act:f1", 9);
    put("f2", INBOX_GITHUB, "noise", 0);
    FAILS(dispatch_batch(db, 10, on_row, &seen, &taken, &err), ERR_INPUT);
    assert_int_equal(taken, -1);
    assert_int_equal(db_int("SELECT count(*) FROM inbox WHERE state = 'new'"), 2);
    assert_int_equal(db_int("SELECT count(*) FROM inbox_acted"), 0);
    seen.crash = false;
    OK(dispatch_batch(db, 10, on_row, &seen, &taken, &err));
    assert_int_equal(taken, 2);
    assert_int_equal(db_int("SELECT count(*) FROM outbox"), 1);
}

static void two_dispatchers_share(void **state)
{
    (void)state;
    struct err err = {0};
    struct seen seen = {0};
    int taken;
    put("s1", INBOX_GITHUB, "noise", 0);
    put("s2", INBOX_GITHUB, "noise", 0);
    AUTO(pg_givep) struct pg *other = NULL;
    struct pg_args none = {0};
    OK(pg_borrow(db, &other, &err));
    OK(pg_begin(other, &err));
    OK(pg_exec_once(other, "SELECT 1 FROM inbox WHERE guid = 's1' FOR UPDATE", &none, NULL, &err));
    OK(dispatch_batch(db, 10, on_row, &seen, &taken, &err));
    assert_int_equal(taken, 1); /* the locked one is skipped, not waited for */
}

static void waiting_tells_depth_and_age(void **state)
{
    (void)state;
    struct err err = {0};
    int64_t depth;
    double age;
    OK(inbox_waiting(db, &depth, &age, &err));
    assert_int_equal(depth, 0);
    assert_true(age == 0);
    put("w1", INBOX_GITHUB, "noise", 0);
    db_int("UPDATE inbox SET received_at = now() - interval '90 seconds'");
    OK(inbox_waiting(db, &depth, &age, &err));
    assert_int_equal(depth, 1);
    assert_true(age >= 90 && age < 120);
}

/* -------------------------------------------------------------------------------------- outbox */

static void outbox_leases_and_retries(void **state)
{
    (void)state;
    struct err err = {0};
    struct outbox_job job;
    bool found;
    const struct outbox_new row = {"k1", "admit", "{\"x\":1}"};
    OK(outbox_add(db, &row, &err));
    OK(outbox_add(db, &row, &err));
    OK(outbox_claim(db, "me", 60, mem, &job, &found, &err));
    assert_true(found);
    assert_string_equal(job.key, "k1");
    assert_string_equal(job.payload, "{\"x\": 1}");
    assert_int_equal(job.attempts, 1);
    OK(outbox_claim(db, "you", 60, mem, &job, &found, &err));
    assert_false(found);
    OK(outbox_retry(db, job.id, 0, false, "try again", &err));
    OK(outbox_claim(db, "you", 0, mem, &job, &found, &err));
    assert_true(found);
    assert_int_equal(job.attempts, 2);
    OK(outbox_claim(db, "they", 60, mem, &job, &found, &err)); /* that lease was over at once */
    assert_true(found);
    OK(outbox_done(db, job.id, &err));
    OK(outbox_retry(db, job.id, 0, false, "late", &err)); /* done stays done */
    OK(outbox_claim(db, "me", 60, mem, &job, &found, &err));
    assert_false(found);
    const struct outbox_new bad = {"k2", "admit", "{}"};
    OK(outbox_add(db, &bad, &err));
    OK(outbox_claim(db, "me", 60, mem, &job, &found, &err));
    OK(outbox_retry(db, job.id, 0, true, "gave up", &err));
    OK(outbox_claim(db, "me", 60, mem, &job, &found, &err));
    assert_false(found);
    assert_int_equal(
        db_int("SELECT count(*) FROM outbox WHERE state = 'dead' AND error = 'gave up'"), 1);
}

/* Jobs about one issue wait for each other, jobs about others do not. */
static void outbox_keeps_the_order_of_an_issue(void **state)
{
    (void)state;
    static const struct outbox_new rows[] = {
        {"a1", "start",       "{\"repository_id\":7,\"issue\":1}"},
        {"a2", "stop",        "{\"repository_id\":7,\"issue\":1}"},
        {"b1", "start",       "{\"repository_id\":8,\"issue\":1}"},
        {"c1", "pull_closed", "{\"repository_id\":7}"            },
        {"c2", "pull_closed", "{\"repository_id\":7}"            },
    };
    static const char *const first[] = {"a1", "b1", "c1", "c2"};
    struct err err = {0};
    struct outbox_job job, a1 = {0};
    bool found;
    for (size_t i = 0; i < COUNT(rows); i++)
        OK(outbox_add(db, &rows[i], &err));
    for (size_t i = 0; i < COUNT(first); i++) {
        OK(outbox_claim(db, "me", 60, mem, &job, &found, &err));
        assert_true(found);
        assert_string_equal(job.key, first[i]);
        if (i == 0)
            a1 = job;
    }
    OK(outbox_claim(db, "me", 60, mem, &job, &found, &err));
    assert_false(found);
    OK(outbox_retry(db, a1.id, 60, false, "later", &err)); /* a job that waits still goes first */
    OK(outbox_claim(db, "me", 60, mem, &job, &found, &err));
    assert_false(found);
    OK(outbox_retry(db, a1.id, 0, true, "given up", &err));
    OK(outbox_claim(db, "me", 60, mem, &job, &found, &err));
    assert_true(found);
    assert_string_equal(job.key, "a2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_guid_is_stored_once, wipe),
        cmocka_unit_test_setup(any_bytes_are_stored_as_they_are, wipe),
        cmocka_unit_test_setup(refuses_a_broken_header, wipe),
        cmocka_unit_test_setup(dispatch_closes_each_row, wipe),
        cmocka_unit_test_setup(a_replayed_signature_does_not_act, wipe),
        cmocka_unit_test_setup(a_failed_dispatch_leaves_the_rows_new, wipe),
        cmocka_unit_test_setup(two_dispatchers_share, wipe),
        cmocka_unit_test_setup(waiting_tells_depth_and_age, wipe),
        cmocka_unit_test_setup(outbox_leases_and_retries, wipe),
        cmocka_unit_test_setup(outbox_keeps_the_order_of_an_issue, wipe),
    };
    return cmocka_run_group_tests(tests, db_up, db_down);
}
