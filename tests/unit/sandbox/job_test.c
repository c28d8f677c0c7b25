/* The detached run against the E2B stand-in: started once, followed to its last byte through every
 * fault, killed with all of its descendants. */
#include "tests/unit/sandbox/standin.h"

#define DIR "/home/user/.squadbot/t1"

static bool job_start(const char *command, struct err *err)
{
    const char *argv[] = {"/bin/bash", "-c", command, NULL};
    struct sandbox_job job = {DIR, argv, NULL, NULL};
    return sandbox_job_start(T.client, &T.box, &job, &T.call, err);
}

/* Follows to the end; the whole log in *out. */
static void follow(struct buf *out, size_t max, struct sandbox_job_state *state)
{
    int64_t offset = 0;
    while (!state->ended) {
        size_t before = out->len;
        OK(sandbox_job_poll(T.client, &T.box, DIR, &offset, max, &T.call, out, state, &T.err));
        assert_true(out->len - before <= max);
        assert_int_equal(offset, out->len);
        assert_true(state->started);
        if (out->len == before && !state->ended)
            OK(call_wait(&T.call, 20, &T.err));
    }
}

static void output_of(const char *command, struct buf *out)
{
    struct sandbox_exit end = {0};
    OK(box_run(command, 0, &T.call, &end, &T.err));
    buf_add_str(out, buf_str(&end.output));
    buf_done(&end.output);
}

static void check_output(const char *command, const char *want)
{
    AUTO(buf_done) struct buf out = {0};
    output_of(command, &out);
    assert_string_equal(buf_cstr(&out), want);
}

/* ------------------------------------------------------------------------------------- start */

static const struct {
    const char *command;
    int exit_code;
    const char *log;
} rows[] = {
    {"echo out; echo err >&2",                                                             0,   "out\nerr\n"                                             },
    {"exit 3",                                                                             3,   ""                                                       },
    {"kill -KILL $$",                                                                      137, ""                                                       },
    {"kill -TERM 0; sleep 5",                                                              143, ""                                                       }, /* its own group: the job's shell lives on */
    {"cat; echo \"$?\"",                                                                   0,   "0\n"                                                    }, /* no stdin */
    {"[ \"$(ps -o pgid= $$)\" -eq $$ ] && [ \"$(ps -o sid= $$)\" -eq $$ ] && echo leader", 0,
     "leader\n"                                                                                                                                          },
    {"pwd; umask; ls -A " DIR,                                                             0,   "/home/user\n0022\nexit.tmp\nlog\npgid\nshell\nstarted\n"},
    {"(sleep 60 & ) ; echo left one",                                                      0,   "left one\n"                                             },
    {"exec /no/such/command",                                                              127, NULL                                                     },
};

static void test_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(buf_done) struct buf log = {0};
        struct sandbox_job_state s = {0};
        box_make();
        OK(job_start(rows[i].command, &T.err));
        follow(&log, 65536, &s);
        ROW_INT(rows[i].command, s.exit_code, rows[i].exit_code);
        ROW_TRUE(rows[i].command, !s.lost);
        if (rows[i].log)
            ROW_TEXT(rows[i].command, buf_cstr(&log), rows[i].log);
        OK(sandbox_kill(T.client, T.box.id, &T.call, &T.err));
        sandbox_done(&T.box);
    }
}

/* Arguments and environment reach the command byte by byte, whatever shells think of them. */
static void test_texts(void **state)
{
    (void)state;
    static const char odd[] = "it's \"a\" $x `y` $(z) \\ \n \t ; & | * ? ~ # -n \xff\xfe ü";
    const char *argv[] = {"/usr/bin/env",
                          "bash",
                          "-c",
                          "printf '%s|' \"$@\" \"$A\" \"$sb_dir\"",
                          "bash",
                          odd,
                          "",
                          "--",
                          "'",
                          "D=$PWD",
                          NULL};
    AUTO(mem_freep) char *a = mem_printf("A=%s", odd);
    const char *envp[] = {a, "sb_dir=mine", "IFS=x", "B=", NULL};
    struct sandbox_job job = {DIR, argv, envp, "/tmp"};
    AUTO(mem_freep) char *want = mem_printf("%s||--|'|D=$PWD|%s|mine|", odd, odd);
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    box_make();
    OK(sandbox_job_start(T.client, &T.box, &job, &T.call, &T.err));
    follow(&log, 65536, &s);
    assert_string_equal(buf_cstr(&log), want);
    assert_int_equal(s.exit_code, 0);
}

static void test_bad_job(void **state)
{
    (void)state;
    const char *argv[] = {"true", NULL};
    const char *bad[] = {"A B=c", NULL};
    struct sandbox_job relative = {"dir", argv, NULL, NULL};
    struct sandbox_job name = {DIR, argv, bad, NULL};
    struct sandbox_job nowhere = {"/proc/x", argv, NULL, NULL};
    struct sandbox_job cwd = {DIR, argv, NULL, "/no/such/folder"};
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    box_make();
    FAILS(ERR_BUG, sandbox_job_start(T.client, &T.box, &relative, &T.call, &T.err));
    FAILS(ERR_BUG, sandbox_job_start(T.client, &T.box, &name, &T.call, &T.err));
    FAILS(ERR_SANDBOX, sandbox_job_start(T.client, &T.box, &nowhere, &T.call, &T.err));
    OK(sandbox_job_start(T.client, &T.box, &cwd, &T.call, &T.err));
    follow(&log, 65536, &s);
    assert_int_equal(s.exit_code, 126);
    assert_non_null(strstr(buf_cstr(&log), "/no/such/folder"));
}

/* A secret of the agent is in its environment and nowhere else that outlives the start. */
static void test_secret_stays_put(void **state)
{
    (void)state;
    const char *argv[] = {"/bin/bash", "-c", "sleep 30; echo $KEY", NULL};
    const char *envp[] = {"KEY=canary-7f3a", NULL};
    struct sandbox_job job = {DIR, argv, envp, NULL};
    box_make();
    OK(sandbox_job_start(T.client, &T.box, &job, &T.call, &T.err));
    check_output("until [ -s " DIR "/pgid ]; do sleep 0.05; done\n"
                 "k=canary; grep -rl $k-7f3a /home /tmp /var/tmp 2>/dev/null\n"
                 "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | grep $k-7f3a; done\n"
                 "tr '\\0' '\\n' </proc/$(cat " DIR "/pgid)/environ | grep -c KEY=$k-7f3a\n"
                 "stat -c %a " DIR,
                 "1\n700\n");
    AUTO(json_decrefp) json_t *all = standin_ask("GET", "/_standin/ledger", NULL);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        AUTO(buf_done) struct buf text = {0};
        if (str_starts(json_str(one, "path"), STR("/files")))
            continue; /* the one way in */
        json_write(&text, one);
        assert_null(strstr(buf_cstr(&text), "canary-7f3a"));
    }
}

/* ------------------------------------------------------------------------------ exactly once */

static void check_ran_once(const char *row)
{
    AUTO(buf_done) struct buf log = {0};
    AUTO(buf_done) struct buf runs = {0};
    struct sandbox_job_state s = {0};
    follow(&log, 65536, &s);
    ROW_INT(row, s.exit_code, 0);
    output_of("cat /home/user/runs; ls " DIR " | grep -c run-", &runs);
    ROW_TEXT(row, buf_cstr(&runs), "x\n0\n");
}

static void test_start_twice(void **state)
{
    (void)state;
    box_make();
    OK(job_start("echo x >>/home/user/runs", &T.err));
    OK(job_start("echo x >>/home/user/runs", &T.err));
    check_ran_once("twice");
    OK(job_start("echo x >>/home/user/runs", &T.err));
    check_ran_once("thrice");
}

static void test_start_faults(void **state)
{
    (void)state;
    /* The second Start is the one that starts the job; the first makes the folder. */
    static const char *const faults[] = {
        "{\"match\":\"DATA POST /process.Process/Start\",\"action\":\"lost\",\"times\":2}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"skip\":1,\"action\":\"lost\"}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"skip\":1,\"action\":\"reset\"}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"skip\":1,\"action\":\"cut\","
        "\"after_bytes\":40}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"skip\":1,\"action\":\"status\","
        "\"status\":502,\"times\":2}",
        "[{\"match\":\"DATA POST /process.Process/Start\",\"skip\":1,\"action\":\"lost\"},"
        "{\"match\":\"DATA POST /process.Process/List\",\"action\":\"reset\"}]",
        "{\"match\":\"DATA POST /files*\",\"action\":\"lost\"}",
        "{\"match\":\"DATA POST /files*\",\"action\":\"reset\"}",
        "{\"match\":\"DATA POST /files*\",\"action\":\"status\",\"status\":503}",
    };
    for (size_t i = 0; i < COUNT(faults); i++) {
        box_make();
        standin_fault(faults[i]);
        OK(job_start("echo x >>/home/user/runs", &T.err));
        check_ran_once(faults[i]);
        standin_tell("DELETE", "/_standin/faults", NULL);
        OK(sandbox_kill(T.client, T.box.id, &T.call, &T.err));
        sandbox_done(&T.box);
    }
}

/* Two of us at once, with different files: one wins, no file with keys stays. */
static void test_start_race(void **state)
{
    (void)state;
    enum { MANY = 4 };
    box_make();
    pid_t children[MANY];
    for (int i = 0; i < MANY; i++) {
        children[i] = fork();
        if (children[i] == 0) { /* a process of its own: nothing of ours is shared but the target */
            struct err err = {0};
            struct sandbox_config config = {T.url, T.url, "localhost", &T.key};
            struct http *http = http_new("squadbot-test", NULL);
            const char *argv[] = {"/bin/sh", "-c", "echo x >>/home/user/runs", NULL};
            struct sandbox_job job = {DIR, argv, NULL, NULL};
            bool ok =
                sandbox_job_start(sandbox_client_new(http, &config), &T.box, &job, &T.call, &err);
            _exit(ok ? 0 : 1);
        }
    }
    for (int i = 0; i < MANY; i++) {
        int status = -1;
        waitpid(children[i], &status, 0);
        assert_int_equal(status, 0);
    }
    check_ran_once("race");
}

/* ------------------------------------------------------------------------------------ follow */

static void test_never_started(void **state)
{
    (void)state;
    struct sandbox_job_state s = {0};
    AUTO(buf_done) struct buf log = {0};
    int64_t offset = 0;
    box_make();
    OK(sandbox_job_poll(T.client, &T.box, DIR, &offset, 10, &T.call, &log, &s, &T.err));
    assert_false(s.started);
    assert_false(s.ended);
}

/* One megabyte, in pieces, through faults: each byte once and in order, also the last ones. */
static void test_big_log(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf log = {0};
    AUTO(buf_done) struct buf want = {0};
    struct sandbox_job_state s = {0};
    box_make();
    OK(job_start("for i in $(seq 1 10); do seq -f %015.0f $((i * 6400)) $((i * 6400 + 6399));"
                 " sleep 0.05; done; printf 'the end'; exit 9",
                 &T.err));
    standin_fault(
        "[{\"match\":\"DATA GET /files*log*\",\"skip\":1,\"times\":2,\"action\":\"cut\","
        "\"after_bytes\":20000},"
        "{\"match\":\"DATA GET /files*log*\",\"skip\":2,\"times\":2,\"action\":\"status\","
        "\"status\":502},"
        "{\"match\":\"DATA GET /files*exit*\",\"skip\":3,\"times\":2,\"action\":\"reset\"}"
        "]");
    follow(&log, 50000, &s);
    for (int i = 6400; i < 70400; i++)
        buf_printf(&want, "%015d\n", i);
    buf_puts(&want, "the end");
    assert_int_equal(log.len, want.len);
    assert_true(log.len > 1000000);
    assert_memory_equal(log.data, want.data, want.len);
    assert_int_equal(s.exit_code, 9);
}

/* A child in the background that goes on writing must not keep the job from ending. */
static void test_endless_child(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    box_make();
    OK(job_start("echo first; (while echo more; do sleep 0.002; done) & exit 2", &T.err));
    follow(&log, 1000, &s);
    assert_int_equal(s.exit_code, 2);
    assert_true(str_starts(buf_str(&log), STR("first\n")));
    OK(sandbox_job_kill(T.client, &T.box, DIR, 1, &T.call, &T.err));
    check_output("pgrep -cx bash", "0\n");
}

static void test_killed_midway(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    int64_t offset = 0;
    box_make();
    OK(job_start("echo a; sleep 60", &T.err));
    while (offset == 0)
        OK(sandbox_job_poll(T.client, &T.box, DIR, &offset, 9, &T.call, &log, &s, &T.err));
    OK(sandbox_kill(T.client, T.box.id, &T.call, &T.err));
    FAILS(ERR_GONE, sandbox_job_poll(T.client, &T.box, DIR, &offset, 9, &T.call, &log, &s, &T.err));
    assert_int_equal(offset, 2);
    assert_string_equal(buf_cstr(&log), "a\n");
}

/* Everything of the job is gone without an exit status: noticed after a while of silence. */
static void test_lost(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    box_make();
    OK(job_start("echo a; sleep 60", &T.err));
    check_output("until [ -s " DIR "/pgid ] && [ -s " DIR "/log ]; do sleep 0.05; done\n"
                 "kill -KILL $(cat " DIR "/shell) -$(cat " DIR "/pgid)",
                 "");
    int64_t offset = 0;
    OK(sandbox_job_poll(T.client, &T.box, DIR, &offset, 9, &T.call, &log, &s, &T.err));
    OK(sandbox_job_poll(T.client, &T.box, DIR, &offset, 9, &T.call, &log, &s, &T.err));
    assert_false(s.ended);
    clock_test_shift_ms(31000, 0);
    T.call.deadline_ms += 31000;
    OK(sandbox_job_poll(T.client, &T.box, DIR, &offset, 9, &T.call, &log, &s, &T.err));
    assert_true(s.ended);
    assert_true(s.lost);
    assert_int_equal(s.exit_code, 137);
}

/* The same silence of a job that is alive. */
static void test_silent(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    int64_t offset = 0;
    box_make();
    OK(job_start("sleep 60", &T.err));
    for (int i = 0; i < 3; i++) {
        OK(sandbox_job_poll(T.client, &T.box, DIR, &offset, 9, &T.call, &log, &s, &T.err));
        assert_true(s.started && !s.ended);
        clock_test_shift_ms(31000, 0);
        T.call.deadline_ms += 31000;
    }
}

/* A full disk must not swallow the exit status. */
static void test_exit_without_room(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    box_make();
    /* Files of this job may not grow any more: the nearest thing to a full disk without being one.
     */
    OK(job_start("prlimit --pid=$(cat " DIR "/shell) --fsize=20; exit 6", &T.err));
    follow(&log, 1000, &s);
    assert_int_equal(s.exit_code, 6);
}

/* -------------------------------------------------------------------------------------- kill */

static void test_kill_group(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    box_make();
    /* Grandchildren, one that ignores TERM, one in another process group of the session. */
    OK(job_start("bash -c 'sleep 77 & sleep 77' & bash -c 'trap \"\" TERM; sleep 77; sleep 77' &"
                 " bash -mc 'sleep 77 & wait' 2>/dev/null & echo up; wait",
                 &T.err));
    check_output("until [ \"$(pgrep -cx sleep)\" = 4 ]; do sleep 0.05; done; echo up", "up\n");
    int64_t begin = clock_mono_ms();
    OK(sandbox_job_kill(T.client, &T.box, DIR, 1, &T.call, &T.err));
    assert_in_range(clock_mono_ms() - begin, 900, 6000); /* one did not go by itself */
    check_output("pgrep -cx sleep", "0\n");
    follow(&log, 1000, &s);
    assert_int_equal(s.exit_code, 143);
    assert_string_equal(buf_cstr(&log), "up\n");
    OK(sandbox_job_kill(T.client, &T.box, DIR, 1, &T.call, &T.err)); /* gone already */
}

static void test_kill_polite(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf log = {0};
    struct sandbox_job_state s = {0};
    box_make();
    OK(sandbox_job_kill(T.client, &T.box, DIR, 5, &T.call, &T.err)); /* never there */
    OK(job_start("trap 'echo bye; exit 8' TERM; echo up; while :; do sleep 0.1; done", &T.err));
    check_output("until [ -s " DIR "/log ]; do sleep 0.05; done", "");
    int64_t begin = clock_mono_ms();
    OK(sandbox_job_kill(T.client, &T.box, DIR, 5, &T.call, &T.err));
    assert_true(clock_mono_ms() - begin < 4000); /* no waiting for the grace to be over */
    follow(&log, 1000, &s);
    assert_int_equal(s.exit_code, 8);
    assert_true(str_ends(buf_str(&log), STR("bye\n")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_begin, test_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ends),          TEST(test_texts),
        TEST(test_bad_job),       TEST(test_secret_stays_put),
        TEST(test_start_twice),   TEST(test_start_faults),
        TEST(test_start_race),    TEST(test_never_started),
        TEST(test_big_log),       TEST(test_endless_child),
        TEST(test_killed_midway), TEST(test_lost),
        TEST(test_silent),        TEST(test_exit_without_room),
        TEST(test_kill_group),    TEST(test_kill_polite),
    };
    return cmocka_run_group_tests(tests, standin_start, standin_stop);
}
