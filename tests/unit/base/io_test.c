/* Files, folders, child processes. */
#include "bot/base/io.h"

#include "bot/base/mem.h"
#include "bot/base/thread.h"
#include "tests/unit/row.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG_MS 60000

static char root[64];

static char *at(const char *name)
{
    return mem_printf("%s/%s", root, name);
}

static int setup(void **state)
{
    (void)state;
    memcpy(root, "/tmp/squadbot-io-XXXXXX", 24);
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err err = {0};
    return dir_remove(root, &err) && !file_exists(root) ? 0 : -1;
}

static void write_and_read(void **state)
{
    (void)state;
    struct err err = {0};
    AUTO(mem_freep) char *path = at("file");
    assert_true(file_write(path, STR("one"), 0600, &err));
    assert_true(file_write(path, STR("second"), 0640, &err));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    AUTO(buf_done) struct buf out = {0};
    buf_puts(&out, "<");
    assert_true(file_read(path, 6, &out, &err));
    assert_string_equal(buf_cstr(&out), "<second");
    assert_false(file_read(path, 5, &out, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    struct buf tiny = {.max = 3};
    assert_false(file_read(path, 100, &tiny, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    buf_done(&tiny);
    assert_string_equal(buf_cstr(&out), "<second");
    assert_true(file_exists(path));

    AUTO(mem_freep) char *missing = at("no/file");
    assert_false(file_read(missing, 100, &out, &err));
    assert_int_equal(err.kind, ERR_GONE);
    assert_false(file_write(missing, STR(""), 0600, &err));
    assert_int_equal(err.kind, ERR_GONE);
    assert_false(file_exists(missing));

    /* A large one, and an empty one. */
    AUTO(buf_done) struct buf large = {0};
    for (int i = 0; i < 30000; i++)
        buf_printf(&large, "%d\n", i);
    assert_true(file_write(path, buf_str(&large), 0600, &err));
    buf_clear(&out);
    assert_true(file_read(path, large.len, &out, &err));
    assert_true(str_eq(buf_str(&out), buf_str(&large)));
    assert_true(file_write(path, STR(""), 0600, &err));
    buf_clear(&out);
    assert_true(file_read(path, 0, &out, &err));
    assert_int_equal(out.len, 0);
}

static void folders(void **state)
{
    (void)state;
    struct err err = {0};
    AUTO(mem_freep) char *deep = at("a/b/c");
    AUTO(mem_freep) char *top = at("a");
    assert_true(dir_make(deep, 0700, &err));
    assert_true(dir_make(deep, 0700, &err));
    mode_t before =
        umask(0077); /* the mode is as asked: a daemon's umask must not close a folder */
    struct stat st;
    AUTO(mem_freep) char *passable = mem_printf("%s/passable", deep);
    assert_true(dir_make(passable, 0711, &err));
    umask(before);
    assert_int_equal(stat(passable, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0711);
    AUTO(mem_freep) char *file = at("a/b/c/file");
    assert_true(file_write(file, STR("x"), 0600, &err));
    assert_false(dir_make(file, 0700, &err));
    assert_int_equal(err.kind, ERR_CONFLICT);

    /* What a link points to stays. */
    AUTO(mem_freep) char *kept = at("kept");
    AUTO(mem_freep) char *link_in = at("a/b/link");
    AUTO(mem_freep) char *kept_file = at("kept/file");
    assert_true(dir_make(kept, 0700, &err));
    assert_true(file_write(kept_file, STR("x"), 0600, &err));
    assert_int_equal(symlink(kept, link_in), 0);
    AUTO(mem_freep) char *locked = at("a/locked");
    AUTO(mem_freep) char *locked_in = at("a/locked/in");
    assert_true(dir_make(locked_in, 0700, &err));
    assert_int_equal(chmod(locked, 0), 0);
    assert_true(dir_remove(top, &err));
    assert_false(file_exists(top));
    assert_true(file_exists(kept_file));
    assert_true(dir_remove(top, &err));

    AUTO(mem_freep) char *link_top = at("link");
    assert_int_equal(symlink(kept, link_top), 0);
    assert_true(dir_remove(link_top, &err));
    assert_true(file_exists(kept_file));
}

static void finds_programs(void **state)
{
    (void)state;
    struct err err = {0};
    char path[256];
    assert_true(proc_find("sh", NULL, path, sizeof(path)));
    assert_int_equal(path[0], '/');
    assert_false(proc_find("no-such-program-here", NULL, path, sizeof(path)));
    AUTO(mem_freep) char *own = at("no-such-program-here");
    assert_true(file_write(own, STR("#!/bin/sh\n"), 0700, &err));
    const char *const folders_of_ours[] = {"/nowhere", root, NULL};
    assert_true(proc_find("no-such-program-here", folders_of_ours, path, sizeof(path)));
    assert_string_equal(path, own);
    assert_true(proc_find(own, NULL, path, sizeof(path)));
    assert_false(proc_find("/nowhere/sh", NULL, path, sizeof(path)));
    assert_false(proc_find("sh", NULL, path, 2));
}

static void runs(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *script;
        int exit_code;
        const char *out;
    } rows[] = {
        {"both streams",     "echo out; echo err >&2",                                           0,             "out\nerr\n"},
        {"status",           "exit 7",                                                           7,             ""          },
        {"signal",           "kill -TERM $$",                                                    128 + SIGTERM, ""          },
        {"no input",         "cat; echo end",                                                    0,             "end\n"     },
        {"variable",         "echo \"$ONLY\" \"$HOME\"",                                         0,             "this \n"   },
        {"own group",        "[ $(ps -o pgid= -p $$) = $$ ] && echo own",                        0,             "own\n"     },
 /* The C library ignores two signals of its own (32, 33) in what it spawns. */
        {"signals as usual", "sed -nE 's/^(Sig(Blk|Ign)).*(.{7})$/\\1 \\3/p' /proc/self/status", 0,
         "SigBlk 0000000\nSigIgn 0000000\n"                                                                                 },
    };
    const char *const envp[] = {"ONLY=this", "PATH=/usr/bin:/bin", NULL};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *const argv[] = {"sh", "-c", rows[i].script, NULL};
        for (int as_user = 0; as_user < 2; as_user++) {
            const struct proc_user user = {getuid(), getgid()};
            if (as_user && getuid() != 0)
                continue;
            struct err err = {0};
            struct proc_result result = {0};
            struct call call = call_in(LONG_MS, NULL);
            ROW_TRUE(rows[i].name,
                     proc_run(argv, envp, as_user ? &user : NULL, &call, &result, &err));
            ROW_TEXT(rows[i].name, buf_cstr(&result.out), rows[i].out);
            ROW_INT(rows[i].name, result.exit_code, rows[i].exit_code);
            buf_done(&result.out);
        }
    }
}

static void runs_as_somebody(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip();
    struct err err = {0};
    struct proc_result result = {0};
    const struct proc_user nobody = {65534, 65534};
    const char *const argv[] = {"sh", "-c", "id -u; id -g; id -G", NULL};
    assert_true(proc_run(argv, NULL, &nobody, NULL, &result, &err));
    assert_string_equal(buf_cstr(&result.out), "65534\n65534\n65534\n");
    buf_done(&result.out);
}

static void ceiling_of_output(void **state)
{
    (void)state;
    struct err err = {0};
    struct proc_result result = {.out = {.max = 1000}};
    const char *const argv[] = {"sh", "-c", "yes | head -c 300000; echo done >&2", NULL};
    assert_true(proc_run(argv, NULL, NULL, NULL, &result, &err));
    assert_int_equal(result.out.len, 1000);
    assert_true(result.out.overflow);
    assert_int_equal(result.exit_code, 0);
    buf_done(&result.out);
}

/* Is a process of the group left? Waits for the kernel to take the killed ones away. */
static bool group_ends(pid_t group)
{
    for (int i = 0; i < 500; i++) {
        if (kill(-group, 0) != 0 && errno == ESRCH)
            return true;
        struct err err = {0};
        if (!call_wait(NULL, 10, &err))
            return false;
    }
    return false;
}

static void *cancel_when_written(void *arg)
{
    void **args = arg;
    struct err err = {0};
    for (int i = 0; i < 3000 && !file_exists(args[1]); i++)
        if (!call_wait(NULL, 10, &err))
            break;
    cancel_fire(args[0]);
    return NULL;
}

/* A cancelled call ends at once, with the whole group. */
static void early_end(void **state)
{
    (void)state;
    struct err err = {0};
    struct proc_result result = {.exit_code = 99};
    AUTO(mem_freep) char *path = at("group");
    AUTO(mem_freep)
    char *script = mem_printf("cat /dev/zero >/dev/null & echo $$ >%s.part; mv %s.part %s; wait",
                              path, path, path);
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct cancel *cancel = cancel_new();
    struct call call = call_in(LONG_MS, cancel);
    void *args[2] = {cancel, path};
    pthread_t thread;
    assert_true(thread_start(&thread, "cancel", cancel_when_written, args, &err));
    int64_t start = clock_mono_ms();
    assert_false(proc_run(argv, NULL, NULL, &call, &result, &err));
    pthread_join(thread, NULL);
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_true(clock_mono_ms() - start < LONG_MS / 2);
    assert_int_equal(result.exit_code, 99);
    AUTO(buf_done) struct buf text = {0};
    int64_t group = 0;
    assert_true(file_read(path, 20, &text, &err));
    assert_true(str_to_i64(str_trim(buf_str(&text)), 2, INT32_MAX, &group));
    assert_true(group_ends((pid_t)group));
    assert_false(proc_run(argv, NULL, NULL, &call, &result, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    cancel_unref(cancel);

    const char *const slow[] = {"sh", "-c", "cat /dev/zero >/dev/null", NULL};
    call = call_in(50, NULL);
    assert_false(proc_run(slow, NULL, NULL, &call, &result, &err));
    assert_int_equal(err.kind, ERR_TIMEOUT);
}

/* A daemon that keeps the pipe open does not keep us. */
static void daemon_left_behind(void **state)
{
    (void)state;
    struct err err = {0};
    struct proc_result result = {0};
    struct call call = call_in(LONG_MS, NULL);
    const char *const argv[] = {"sh", "-c", "cat /dev/zero >/dev/null & echo $!", NULL};
    assert_true(proc_run(argv, NULL, NULL, &call, &result, &err));
    int64_t pid = 0;
    assert_true(str_to_i64(str_trim(buf_str(&result.out)), 2, INT32_MAX, &pid));
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
    buf_done(&result.out);
}

static void cannot_start(void **state)
{
    (void)state;
    struct err err = {0};
    struct proc_result result = {0};
    const char *const missing[] = {"no-such-program", NULL};
    assert_false(proc_run(missing, NULL, NULL, NULL, &result, &err));
    assert_int_equal(err.kind, ERR_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_read),   cmocka_unit_test(folders),
        cmocka_unit_test(finds_programs),   cmocka_unit_test(runs),
        cmocka_unit_test(runs_as_somebody), cmocka_unit_test(ceiling_of_output),
        cmocka_unit_test(early_end),        cmocka_unit_test(daemon_left_behind),
        cmocka_unit_test(cannot_start),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
