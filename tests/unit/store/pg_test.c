/* The pool and what stands around it: migrations (again, at once, edited), notifications, a restart
 * of the server under load, errors by SQLSTATE, and the speed of the hot path. */
#include "bot/store/pg.h"

#include "bot/store/inbox.h"
#include "bot/store/tasks.h"
#include "tests/unit/store/db.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* ----------------------------------------------------------------------------------- migrations */

static void *migrate_thread(void *arg)
{
    struct err err = {0};
    int *n = arg;
    struct store *s = store_open(cluster_conninfo(db_cluster), 1);
    if (!store_migrate(s, true, n, &err))
        *n = -1;
    store_close(s);
    return NULL;
}

static void migrations_run_once(void **state)
{
    (void)state;
    struct err err = {0};
    int n = -1;
    OK(store_migrate(db, true, &n, &err));
    assert_int_equal(n, 0);
    db_int("DROP SCHEMA public CASCADE");
    db_int("CREATE SCHEMA public");
    OK(store_migrate(db, false, &n, &err));
    const int all = n;
    assert_true(all > 0);
    AUTO(buf_done) struct buf text = {0};
    OK(store_migrate_status(db, &text, &err));
    assert_true(str_starts(buf_str(&text), STR("0001_core pending\n")));

    pthread_t threads[4];
    int counts[4], sum = 0;
    for (int i = 0; i < 4; i++)
        OK(thread_start(&threads[i], "migrate", migrate_thread, &counts[i], &err));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(counts[i] >= 0);
        sum += counts[i];
    }
    assert_int_equal(sum, all);
    buf_clear(&text);
    OK(store_migrate_status(db, &text, &err));
    assert_non_null(strstr(buf_cstr(&text), "0001_core applied 20"));

    db_int("UPDATE schema_migrations SET sha256 = 'x'");
    FAILS(store_migrate(db, true, &n, &err), ERR_CONFLICT);
    db_int("DROP SCHEMA public CASCADE");
    db_int("CREATE SCHEMA public");
    OK(store_migrate(db, true, &n, &err));
}

/* --------------------------------------------------------------------------------------- errors */

static void codes_become_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum err_kind kind;
    } rows[] = {
        {"SELECT 1/0",                                                         ERR_BUG     },
        {"SELECT nonsense",                                                    ERR_BUG     },
        {"SELECT set_config('statement_timeout', '30ms', false), pg_sleep(5)", ERR_BUG     },
        {"SELECT pg_sleep(5)",                                                 ERR_TIMEOUT },
        {"SELECT 'x'::uuid",                                                   ERR_INPUT   },
        {"SELECT '\\u0000'::jsonb -> 0",                                       ERR_INPUT   },
        {"INSERT INTO installations VALUES (1,'a',1,'b'), (1,'a',1,'b')",      ERR_CONFLICT},
        {"INSERT INTO task_steps VALUES ('no', 1, 'x', 'done', 1, 1)",         ERR_GONE    },
        {"INSERT INTO inbox_acted VALUES ('x', 'g')",                          ERR_BUG     },
        {"DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$", ERR_UPSTREAM},
        {"DO $$ BEGIN RAISE EXCEPTION 'dead' USING ERRCODE = '40P01'; END $$", ERR_UPSTREAM},
        {"SELECT pg_terminate_backend(pg_backend_pid())",                      ERR_UPSTREAM},
    };
    struct pg_args none = {0};
    struct err err = {0};
    AUTO(pg_givep) struct pg *c = NULL;
    OK(pg_borrow(db, &c, &err));
    pg_forget(c);
    for (size_t i = 0; i < COUNT(rows); i++) {
        err_clear(&err);
        if (i == 2) { /* sets the scene for the next row */
            OK(pg_exec_once(c, "SELECT set_config('statement_timeout', '30ms', false)", &none, NULL,
                            &err));
            continue;
        }
        bool ok = pg_exec_once(c, rows[i].sql, &none, NULL, &err);
        if (ok || err.kind != rows[i].kind)
            fail_msg("%s: kind %d, %s", rows[i].sql, ok ? 0 : (int)err.kind, err.text);
    }
}

static void an_absent_database_is_told_soon(void **state)
{
    (void)state;
    struct err err = {0};
    static const char *const places[] = {"host=/nowhere", "host=127.0.0.1 port=9", "not a uri"};
    for (size_t i = 0; i < COUNT(places); i++) {
        int64_t t = clock_mono_ms();
        struct store *s = store_open(places[i], 2);
        FAILS(store_ping(s, &err), ERR_UPSTREAM);
        FAILS(store_ping(s, &err), ERR_UPSTREAM); /* the right to a connection came back */
        FAILS(store_ping(s, &err), ERR_UPSTREAM);
        store_close(s);
        assert_true(clock_mono_ms() - t < 6000);
    }
}

/* ----------------------------------------------------------------------------------------- pool */

struct worker {
    atomic_bool stop;
    atomic_int done;
    atomic_int failed;
    atomic_int wrong;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct err err = {0};
    while (!atomic_load(&w->stop)) {
        if (store_ping(db, &err))
            atomic_fetch_add(&w->done, 1);
        else if (err.kind == ERR_UPSTREAM)
            atomic_fetch_add(&w->failed, 1);
        else
            atomic_fetch_add(&w->wrong, 1);
    }
    return NULL;
}

/* More threads than connections, and the server is restarted in the middle, the hard way. */
static void a_restart_is_survived(void **state)
{
    (void)state;
    struct err err = {0};
    pthread_t threads[12];
    struct worker w = {0};
    struct call call = call_in(30000, NULL);
    int64_t postmaster = db_int("SELECT pg_backend_pid()"); /* warm the pool */
    char path[128];
    AUTO(buf_done) struct buf text = {0};
    snprintf(path, sizeof(path), "%s/pg/data/postmaster.pid", db_dir);
    OK(file_read(path, 4096, &text, &err));
    struct str rest = buf_str(&text), line;
    assert_true(str_line(&rest, &line) && str_to_i64(line, 1, INT32_MAX, &postmaster));

    for (size_t i = 0; i < COUNT(threads); i++)
        OK(thread_start(&threads[i], "work", work, &w, &err));
    while (atomic_load(&w.done) < 1000)
        OK(call_wait(&call, 5, &err));
    assert_int_equal(kill((pid_t)postmaster, SIGQUIT), 0);
    while (atomic_load(&w.failed) == 0)
        OK(call_wait(&call, 1, &err));
    int at = atomic_load(&w.done);
    while (atomic_load(&w.done) < at + 1000)
        OK(call_wait(&call, 5, &err));
    atomic_store(&w.stop, true);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    print_message("%d done, %d failed meanwhile\n", w.done, w.failed);
    assert_int_equal(w.wrong, 0);
    assert_int_equal(db_int("SELECT (count(*) <= 9)::int FROM pg_stat_activity"
                            " WHERE application_name = 'squadbot'"),
                     1);
}

/* An idle connection that the server closed is replaced before anything is sent on it. */
static void stale_connections_are_not_used(void **state)
{
    (void)state;
    struct err err = {0};
    for (int i = 0; i < 3; i++) {
        struct store *s = store_open(cluster_conninfo(db_cluster), 2);
        OK(store_ping(s, &err));
        db_int("SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
               " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
        OK(store_ping(s, &err));
        store_close(s);
    }
}

/* -------------------------------------------------------------------------------- notifications */

struct heard {
    struct bell bell;
    pthread_mutex_t mutex;
    char channel[32], payload[80];
};

static void on_notify(void *arg, const char *channel, const char *payload)
{
    struct heard *h = arg;
    if (!*payload && strcmp(channel, "events") != 0)
        return; /* of the start; the last channel shows that it is over */
    pthread_mutex_lock(&h->mutex);
    snprintf(h->channel, sizeof(h->channel), "%s", channel);
    snprintf(h->payload, sizeof(h->payload), "%s", payload);
    pthread_mutex_unlock(&h->mutex);
    bell_ring(&h->bell);
}

static void notifications_wake_at_once(void **state)
{
    (void)state;
    struct err err = {0};
    struct heard h = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    bell_init(&h.bell);
    struct store_listener *l = store_listen(db, on_notify, &h);
    assert_true(bell_wait(&h.bell, 5000));

    struct task t = {
        .id = "n1", .source = "api", .repository_id = 1, .repository = "o/r", .title = "t"};
    bool created;
    const char *id;
    int64_t before = clock_mono_ms();
    OK(task_insert(db, &t, mem, &created, &id, &err));
    assert_true(bell_wait(&h.bell, 5000));
    int64_t took = clock_mono_ms() - before;
    print_message("woken after %lld ms\n", (long long)took);
    assert_true(took < 100);
    pthread_mutex_lock(&h.mutex);
    assert_string_equal(h.payload, "n1");
    pthread_mutex_unlock(&h.mutex);
    while (bell_wait(&h.bell, 50)) { /* events and tasks */
    }

    /* Its connection is cut: it comes back by itself and says so. */
    db_int("SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
           " WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()");
    assert_true(bell_wait(&h.bell, 5000));
    before = clock_mono_ms();
    store_listener_stop(l);
    assert_true(clock_mono_ms() - before < 500);
    bell_done(&h.bell);
}

/* ---------------------------------------------------------------------------------------- speed */

#define BODY_BYTES 12288
#define BATCH      64

struct writer {
    int id;
    int batches;
    const char *body;
};

static void *write_batches(void *arg)
{
    struct writer *w = arg;
    struct inbox_new rows[BATCH];
    char guids[BATCH][40];
    bool stored[BATCH];
    struct err err = {0};
    unsigned char signature[32] = {1};
    for (int b = 0; b < w->batches; b++) {
        for (int i = 0; i < BATCH; i++) {
            snprintf(guids[i], sizeof(guids[i]), "%08x-%04x-4000-8000-%012x",
                     (unsigned)b * 2654435761U, w->id, i);
            rows[i] = (struct inbox_new){
                .guid = str_of(guids[i]),
                .event = STR("issues"),
                .signature = signature,
                .body = {w->body, BODY_BYTES}
            };
        }
        if (!inbox_insert(db, rows, BATCH, stored, &err))
            abort();
    }
    return NULL;
}

static double rows_per_second(int writers, int batches, const char *body)
{
    struct err err = {0};
    pthread_t threads[4];
    struct writer w[4];
    db_int("TRUNCATE inbox");
    int64_t t = clock_mono_ms();
    for (int i = 0; i < writers; i++) {
        w[i] = (struct writer){i, batches, body};
        OK(thread_start(&threads[i], "writer", write_batches, &w[i], &err));
    }
    for (int i = 0; i < writers; i++)
        pthread_join(threads[i], NULL);
    return 1000.0 * writers * batches * BATCH / (double)(clock_mono_ms() - t);
}

/* Text that compresses like a delivery does. */
static char *body_like_json(void)
{
    AUTO(buf_done) struct buf b = {0};
    unsigned i = 0;
    while (b.len < BODY_BYTES) {
        i = i * 1103515245 + 12345;
        buf_printf(&b, "\"key_%u\":\"https://api.github.com/repos/o/r/%u\",\"%x_url\":%u,", i % 50,
                   i % 977, i % 13, i);
    }
    return buf_take(&b);
}

static void the_hot_path_is_fast(void **state)
{
    (void)state;
    char *body = body_like_json();
    const char *text = getenv("SQUADBOT_BENCH_BATCHES"); /* 0 = a short round that only proves it */
    int64_t batches = 20;
    (void)!str_to_i64(str_of(text), 1, 100000, &batches);
    for (int round = 0; round < 3; round++)
        for (int writers = 1; writers <= 2; writers++)
            print_message("inbox_insert, 12 KiB, batch %d, %d writer(s): %.0f rows/s\n", BATCH,
                          writers, rows_per_second(writers, (int)batches, body));
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_run_once),
        cmocka_unit_test(codes_become_kinds),
        cmocka_unit_test(an_absent_database_is_told_soon),
        cmocka_unit_test(a_restart_is_survived),
        cmocka_unit_test(stale_connections_are_not_used),
        cmocka_unit_test(notifications_wake_at_once),
        cmocka_unit_test(the_hot_path_is_fast),
    };
    return cmocka_run_group_tests(tests, db_up, db_down);
}
