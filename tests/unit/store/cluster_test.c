/* The private cluster: first and warm start, kill -9 of the server and of its owner, a second
 * process on the same folder, a stale postmaster.pid. */
#include "tests/unit/store/db.h"

#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t server_pid(void)
{
    char path[256];
    AUTO(buf_done) struct buf text = {0};
    struct str rest, line;
    int64_t pid = 0;
    snprintf(path, sizeof(path), "%s/pg/data/postmaster.pid", db_dir);
    if (!file_read(path, 4096, &text, NULL))
        return 0;
    rest = buf_str(&text);
    return str_line(&rest, &line) && str_to_i64(line, 1, INT32_MAX, &pid) ? (pid_t)pid : 0;
}

static bool answers(void)
{
    struct err err = {0};
    return store_ping(db, &err);
}

/* Until the database answers, at most 20 s. */
static void await_answer(void)
{
    struct err err = {0};
    struct call call = call_in(20000, NULL);
    while (!answers())
        OK(call_wait(&call, 20, &err));
}

static void starts_cold_and_warm(void **state)
{
    (void)state;
    struct err err = {0};
    int64_t t = clock_mono_ms();
    cluster_stop(db_cluster);
    db_cluster = NULL;
    print_message("stop %lld ms\n", (long long)(clock_mono_ms() - t));
    t = clock_mono_ms();
    OK(cluster_start(db_dir, &db_cluster, &err));
    int64_t warm = clock_mono_ms() - t;
    print_message("warm start %lld ms\n", (long long)warm);
    assert_true(warm < 3000);
    assert_true(answers()); /* over a pool whose connections all broke */
    assert_true(db_int("SELECT count(*) FROM schema_migrations") > 0);
}

static void recovers_from_kill_9_of_the_server(void **state)
{
    (void)state;
    pid_t before = server_pid();
    assert_true(before > 1);
    int64_t t = clock_mono_ms();
    int fd = pidfd_open(before, 0);
    assert_int_equal(kill(before, SIGKILL), 0);
    struct pollfd gone = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&gone, 1, 5000), 1);
    close(fd);
    /* An old connection may still answer for a moment: its process has not noticed yet. */
    struct err err = {0};
    struct call call = call_in(20000, NULL);
    for (pid_t now = before; now == before || now == 0; now = server_pid())
        OK(call_wait(&call, 5, &err));
    await_answer();
    print_message("back after %lld ms\n", (long long)(clock_mono_ms() - t));
}

/* A child owns the cluster and is killed; the server outlives it and is adopted. */
static void adopts_what_a_killed_owner_left(void **state)
{
    (void)state;
    struct err err = {0};
    int ready[2];
    char byte;
    cluster_stop(db_cluster);
    db_cluster = NULL;
    assert_int_equal(pipe(ready), 0);
    pid_t owner = fork();
    if (owner == 0) {
        struct cluster *c;
        (void)!write(ready[1], cluster_start(db_dir, &c, &err) ? "y" : "n", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    pid_t before = server_pid();
    kill(owner, SIGKILL);
    waitpid(owner, NULL, 0);
    assert_int_equal(kill(before, 0), 0);
    OK(cluster_start(db_dir, &db_cluster, &err));
    assert_int_equal(server_pid(), before);
    assert_true(answers());
    close(ready[0]);
    close(ready[1]);
}

static void a_second_process_only_connects(void **state)
{
    (void)state;
    struct err err = {0};
    struct cluster *second;
    OK(cluster_start(db_dir, &second, &err));
    assert_string_equal(cluster_conninfo(second), cluster_conninfo(db_cluster));
    cluster_stop(second);
    assert_true(answers());
}

/* After a restart of a container the number in postmaster.pid belongs to anybody: here to us. */
static void ignores_the_pid_of_a_stranger(void **state)
{
    (void)state;
    struct err err = {0};
    char path[256], text[128];
    cluster_stop(db_cluster);
    db_cluster = NULL;
    snprintf(path, sizeof(path), "%s/pg/data/postmaster.pid", db_dir);
    snprintf(text, sizeof(text), "%d\n%s/pg/data\n", (int)getpid(), db_dir);
    OK(file_write(path, str_of(text), 0600, &err));
    OK(cluster_start(db_dir, &db_cluster, &err));
    assert_true(answers());
}

static void the_socket_is_for_its_user_only(void **state)
{
    (void)state;
    struct stat st;
    char path[256];
    snprintf(path, sizeof(path), "%s/pg", db_dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(db_int("SELECT (current_setting('listen_addresses') = '')::int"), 1);
    assert_int_equal(db_int("SELECT (current_setting('data_checksums') = 'on')::int"), 1);
}

/* Root's own folders are closed to the server's user: the cluster goes where it can, and is found
 * again as long as the data folder exists. */
static void a_closed_folder_moves_the_cluster(void **state)
{
    (void)state;
    struct err err = {0};
    struct cluster *c;
    char path[128], marker[160];
    AUTO(buf_done) struct buf first = {0};
    AUTO(buf_done) struct buf again = {0};
    if (geteuid() != 0)
        skip();
    snprintf(path, sizeof(path), "%s/closed", db_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/closed/bot", db_dir);
    snprintf(marker, sizeof(marker), "%s/pg.location", path);
    for (int i = 0; i < 2; i++) {
        OK(cluster_start(path, &c, &err));
        struct store *s = store_open(cluster_conninfo(c), 1);
        OK(store_ping(s, &err));
        store_close(s);
        cluster_stop(c);
        OK(file_read(marker, 4096, i ? &again : &first, &err));
    }
    assert_string_equal(buf_cstr(&first), buf_cstr(&again));
    assert_true(str_starts(buf_str(&first), STR("/var/lib/squadbot/pg-")));
    OK(dir_remove(buf_cstr(&first), &err));
    OK(file_write(marker, STR("/etc\n"), 0600, &err));
    FAILS(cluster_start(path, &c, &err), ERR_INPUT);
}

static void a_long_path_moves_the_socket(void **state)
{
    (void)state;
    struct err err = {0};
    struct cluster *c;
    char path[256];
    snprintf(path, sizeof(path), "%s/%0100d", db_dir, 0);
    OK(cluster_start(path, &c, &err));
    assert_null(strstr(cluster_conninfo(c), db_dir));
    struct store *s = store_open(cluster_conninfo(c), 1);
    OK(store_ping(s, &err));
    store_close(s);
    AUTO(mem_freep) char *conninfo = mem_strdup(cluster_conninfo(c));
    cluster_stop(c);
    char *end = strstr(conninfo, "' ");
    *end = '\0';
    OK(dir_remove(conninfo + strlen("host='"), &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_socket_is_for_its_user_only),
        cmocka_unit_test(starts_cold_and_warm),
        cmocka_unit_test(recovers_from_kill_9_of_the_server),
        cmocka_unit_test(adopts_what_a_killed_owner_left),
        cmocka_unit_test(a_second_process_only_connects),
        cmocka_unit_test(ignores_the_pid_of_a_stranger),
        cmocka_unit_test(a_closed_folder_moves_the_cluster),
        cmocka_unit_test(a_long_path_moves_the_socket),
    };
    return cmocka_run_group_tests(tests, db_up, db_down);
}
