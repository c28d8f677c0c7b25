/* The client against the E2B stand-in: life of sandboxes, files, commands, and what goes wrong with
 * them. */
#include "tests/unit/sandbox/standin.h"

#include "bot/base/thread.h"

#include <fcntl.h>

/* -------------------------------------------------------------------------------- life cycle */

static void test_life(void **state)
{
    (void)state;
    const struct sandbox_meta meta[] = {
        {"task", "t.1"     },
        {"app",  "squadbot"}
    };
    struct sandbox_spec spec = {"base", 300, meta, 2, "n1", false};
    struct sandbox_listed *rows = NULL;
    AUTO(sandbox_done) struct sandbox again = {0};
    int n = 0;
    OK(sandbox_create(T.client, &spec, false, &T.call, &T.box, &T.err));
    assert_true(secret_is_set(&T.box.access_token));
    assert_int_equal(T.box.cpu_count, 2);
    assert_true(T.box.end_ms > clock_wall_ms());
    OK(sandbox_get(T.client, T.box.id, &T.call, &again, &T.err));
    assert_string_equal(again.id, T.box.id);
    assert_string_equal(again.access_token.p, T.box.access_token.p);
    OK(sandbox_set_timeout(T.client, T.box.id, 600, &T.call, &T.err));
    OK(sandbox_list(T.client, meta, 2, &T.call, &rows, &n, &T.err));
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].id, T.box.id);
    assert_string_equal(rows[0].task, "t.1");
    assert_string_equal(rows[0].nonce, "n1");
    assert_true(rows[0].started_ms > 0);
    free(rows);
    OK(sandbox_kill(T.client, T.box.id, &T.call, &T.err));
    OK(sandbox_kill(T.client, T.box.id, &T.call, &T.err));
    FAILS(ERR_GONE, sandbox_get(T.client, T.box.id, &T.call, &again, &T.err));
    FAILS(ERR_GONE, sandbox_set_timeout(T.client, T.box.id, 60, &T.call, &T.err));
}

/* What the create asks for: nobody outside may reach a port, no secret travels along. */
static void test_create_body(void **state)
{
    (void)state;
    struct sandbox_spec spec = {.template_id = "base", .timeout_s = 300, .no_internet = true};
    OK(sandbox_create(T.client, &spec, false, &T.call, &T.box, &T.err));
    AUTO(json_decrefp) json_t *all = standin_ask("GET", "/_standin/ledger", NULL);
    const json_t *body = json_at(json_array_get(all, 0), "body");
    assert_non_null(body);
    assert_false(json_bool(body, "network.allowPublicTraffic", true));
    assert_false(json_bool(body, "allow_internet_access", true));
    assert_int_equal(json_int(body, "timeout", 0), 300);
    assert_null(json_at(body, "envVars"));
}

static void test_list_pages(void **state)
{
    (void)state;
    enum { MANY = 12 };
    struct sandbox boxes[MANY] = {0};
    struct sandbox_listed *rows = NULL;
    int n = 0;
    const struct sandbox_meta meta[] = {
        {"app", "pages"}
    };
    struct sandbox_spec spec = {"base", 300, meta, 1, NULL, false};
    for (int i = 0; i < MANY; i++)
        OK(sandbox_create(T.client, &spec, false, &T.call, &boxes[i], &T.err));
    OK(sandbox_list(T.client, meta, 1, &T.call, &rows, &n, &T.err));
    assert_int_equal(n, MANY);
    free(rows);
    for (int i = 0; i < MANY; i++) {
        OK(sandbox_kill(T.client, boxes[i].id, &T.call, &T.err));
        sandbox_done(&boxes[i]);
    }
}

static void test_check(void **state)
{
    (void)state;
    OK(sandbox_check(T.client, "base", &T.call, &T.err));
    OK(sandbox_check(T.client, "base:default", &T.call, &T.err));
    FAILS(ERR_INPUT, sandbox_check(T.client, "nothing-like-this", &T.call, &T.err));
    AUTO(secret_done) struct secret wrong = {0};
    secret_set(&wrong, STR("e2b_ffffffffffffffffffffffffffffffffffffffff"));
    struct sandbox_config config = {T.url, T.url, "localhost", &wrong};
    struct sandbox_client *c = sandbox_client_new(T.http, &config);
    FAILS(ERR_AUTH, sandbox_check(c, "base", &T.call, &T.err));
    sandbox_client_free(c);
}

static void test_create_refused(void **state)
{
    (void)state;
    struct sandbox_spec unknown = {.template_id = "nothing-like-this", .timeout_s = 300};
    struct sandbox_spec too_long = {.template_id = "base", .timeout_s = 100000000};
    struct sandbox_spec fine = {.template_id = "base", .timeout_s = 300};
    struct sandbox none = {0};
    FAILS(ERR_INPUT, sandbox_create(T.client, &unknown, false, &T.call, &none, &T.err));
    FAILS(ERR_INPUT, sandbox_create(T.client, &too_long, false, &T.call, &none, &T.err));
    standin_tell("POST", "/_standin/options", "{\"max_concurrent\":0}");
    FAILS(ERR_LIMIT, sandbox_create(T.client, &fine, false, &T.call, &none, &T.err));
    assert_int_equal(T.err.retry_after_s, 15);
    standin_tell("POST", "/_standin/options", "{\"max_concurrent\":20}");
    standin_fault("{\"match\":\"POST /v2/sandboxes\",\"action\":\"status\",\"status\":429,"
                  "\"headers\":{\"Retry-After\":\"3\"},\"body\":\"{}\"}");
    FAILS(ERR_LIMIT, sandbox_create(T.client, &fine, false, &T.call, &none, &T.err));
    assert_int_equal(T.err.retry_after_s, 3);
}

/* Every way in which the answer to a create can be missing although the sandbox is there. */
static void test_create_adopts(void **state)
{
    (void)state;
    static const char *const faults[] = {
        "{\"match\":\"POST /v2/sandboxes\",\"action\":\"lost\"}",
        "{\"match\":\"POST /v2/sandboxes\",\"action\":\"cut\",\"after_bytes\":20}",
        "{\"match\":\"POST /v2/sandboxes\",\"action\":\"cut\",\"after_bytes\":200}",
    };
    for (size_t i = 0; i < COUNT(faults); i++) {
        char nonce[16];
        snprintf(nonce, sizeof(nonce), "lost%zu", i);
        struct sandbox_spec spec = {.template_id = "base", .timeout_s = 300, .nonce = nonce};
        struct sandbox s = {0};
        standin_fault(faults[i]);
        OK(sandbox_create(T.client, &spec, false, &T.call, &s, &T.err));
        ROW_INT(faults[i], standin_alive(), 1);
        ROW_TRUE(faults[i], secret_is_set(&s.access_token));
        OK(sandbox_kill(T.client, s.id, &T.call, &T.err));
        sandbox_done(&s);
    }
}

/* The answer never came and we were restarted: the same nonce finds it, and makes no second one. */
static void test_create_after_restart(void **state)
{
    (void)state;
    struct sandbox_spec spec = {.template_id = "base", .timeout_s = 300, .nonce = "again"};
    AUTO(sandbox_done) struct sandbox first = {0};
    AUTO(sandbox_done) struct sandbox second = {0};
    OK(sandbox_create(T.client, &spec, false, &T.call, &first, &T.err));
    OK(sandbox_create(T.client, &spec, false, &T.call, &second, &T.err)); /* a double start */
    assert_int_equal(standin_alive(), 2);
    OK(sandbox_create(T.client, &spec, true, &T.call, &T.box, &T.err));
    assert_int_equal(standin_alive(), 1);
    assert_true(!strcmp(T.box.id, first.id) || !strcmp(T.box.id, second.id));
}

/* Not there after all: the error stays the create's own, and passing. */
static void test_create_truly_failed(void **state)
{
    (void)state;
    struct sandbox_spec spec = {.template_id = "base", .timeout_s = 300, .nonce = "never"};
    struct sandbox none = {0};
    standin_fault(
        "{\"match\":\"POST /v2/sandboxes\",\"action\":\"status\",\"status\":500,"
        "\"body\":\"{\\\"code\\\":500,\\\"message\\\":\\\"Failed to place sandbox\\\"}\"}");
    FAILS(ERR_UPSTREAM, sandbox_create(T.client, &spec, false, &T.call, &none, &T.err));
    assert_non_null(strstr(T.err.text, "Failed to place sandbox"));
    assert_int_equal(standin_alive(), 0);
}

/* An older server: no /v2 routes. Learned once. */
static void test_v1(void **state)
{
    (void)state;
    struct sandbox_config config = {T.url, T.url, "localhost", &T.key};
    struct sandbox_client *c = sandbox_client_new(T.http, &config);
    struct sandbox_spec spec = {.template_id = "base", .timeout_s = 300, .nonce = "old"};
    standin_fault("{\"match\":\"* /v2/*\",\"times\":-1,\"action\":\"status\",\"status\":404,"
                  "\"body\":\"404 page not found\"}");
    for (int i = 0; i < 2; i++) {
        struct sandbox s = {0};
        OK(sandbox_create(c, &spec, false, &T.call, &s, &T.err));
        assert_true(secret_is_set(&s.access_token));
        OK(sandbox_kill(c, s.id, &T.call, &T.err));
        sandbox_done(&s);
    }
    assert_int_equal(standin_count("POST", "/v2/sandboxes"), 1);
    assert_int_equal(standin_count("POST", "/sandboxes"), 2);
    sandbox_client_free(c);
}

static void test_repeats_passing_faults(void **state)
{
    (void)state;
    AUTO(sandbox_done) struct sandbox again = {0};
    box_make();
    standin_fault("[{\"match\":\"GET /sandboxes/*\",\"action\":\"status\",\"status\":503},"
                  "{\"match\":\"GET /sandboxes/*\",\"action\":\"reset\"},"
                  "{\"match\":\"GET /sandboxes/*\",\"action\":\"status\",\"status\":429,"
                  "\"headers\":{\"Retry-After\":\"1\"}}]");
    OK(sandbox_get(T.client, T.box.id, &T.call, &again, &T.err));
    assert_int_equal(standin_count("GET", "/sandboxes/"), 1 + 4); /* one is the create's own */
}

/* ------------------------------------------------------------------------------------- files */

static void test_files(void **state)
{
    (void)state;
    static const char path[] = "/home/user/a folder/ü & =?.txt";
    AUTO(buf_done) struct buf got = {0};
    bool found = false;
    box_make();
    OK(sandbox_put(T.client, &T.box, path, STR("hello"), &T.call, &T.err));
    OK(sandbox_read(T.client, &T.box, path, 0, 100, &T.call, &got, &found, &T.err));
    assert_true(found);
    assert_string_equal(buf_cstr(&got), "hello");
    OK(sandbox_read(T.client, &T.box, path, 2, 2, &T.call, &got, &found, &T.err));
    assert_string_equal(buf_cstr(&got), "helloll");
    OK(sandbox_read(T.client, &T.box, path, 5, 10, &T.call, &got, &found, &T.err));
    assert_true(found);
    OK(sandbox_read(T.client, &T.box, path, 500, 10, &T.call, &got, &found, &T.err));
    assert_true(found);
    assert_int_equal(got.len, 7);
    OK(sandbox_read(T.client, &T.box, "/home/user/none", 0, 10, &T.call, &got, &found, &T.err));
    assert_false(found);
    OK(sandbox_put(T.client, &T.box, path, STR(""), &T.call, &T.err));
    OK(sandbox_read(T.client, &T.box, path, 0, 10, &T.call, &got, &found, &T.err));
    assert_true(found);
    assert_int_equal(got.len, 7);
    FAILS(ERR_INPUT,
          sandbox_read(T.client, &T.box, "/home/user", 0, 10, &T.call, &got, &found, &T.err));
}

/* n bytes that do not repeat soon, in an unlinked file. */
static int noise_fd(size_t n, struct buf *same)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    same->max = n;
    char *p = buf_reserve(same, n);
    assert_non_null(p);
    random_bytes(p, n);
    buf_added(same, n);
    OK(fd_write_all(fd, buf_str(same), &T.err));
    return fd;
}

static void check_same(int fd, const struct buf *want)
{
    AUTO(mem_freep) char *got = mem_alloc(want->len + 1);
    assert_int_equal(pread(fd, got, want->len + 1, 0), want->len);
    assert_memory_equal(got, want->data, want->len);
}

static void test_big_files(void **state)
{
    (void)state;
    static const char path[] = "/home/user/big";
    enum { BIG = 3000000 };
    AUTO(buf_done) struct buf want = {0};
    AUTO(fd_close) int fd = noise_fd(BIG, &want);
    AUTO(fd_close) int to = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    AUTO(fd_close) int short_to = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    bool found = false;
    box_make();
    OK(sandbox_put_fd(T.client, &T.box, path, fd, BIG, &T.call, &T.err));
    /* The transfer is cut three times and goes on where it stopped. */
    standin_fault("{\"match\":\"DATA GET /files*\",\"times\":3,\"action\":\"cut\","
                  "\"after_bytes\":700000}");
    OK(sandbox_read_fd(T.client, &T.box, path, to, BIG, &T.call, &found, &T.err));
    assert_true(found);
    check_same(to, &want);
    FAILS(ERR_LIMIT,
          sandbox_read_fd(T.client, &T.box, path, short_to, BIG - 1, &T.call, &found, &T.err));
    OK(sandbox_read_fd(T.client, &T.box, "/none", short_to, BIG, &T.call, &found, &T.err));
    assert_false(found);
}

/* Daemons before 0.5.7 know only forms: told by the version, or found out by a 400. */
static void test_old_uploads(void **state)
{
    (void)state;
    static const char *const versions[] = {"0.5.6", "", "0.4.12", "0.5.7", "1.0.0"};
    for (size_t i = 0; i < COUNT(versions); i++) {
        AUTO(buf_done) struct buf want = {0};
        AUTO(buf_done) struct buf got = {0};
        AUTO(fd_close) int fd = noise_fd(100000, &want);
        bool found = false;
        box_make();
        OK(str_copy(T.box.envd_version, sizeof(T.box.envd_version), str_of(versions[i])));
        if (!*versions[i])
            standin_fault("{\"match\":\"DATA POST /files*\",\"action\":\"status\",\"status\":400,"
                          "\"body\":\"{}\"}");
        OK(sandbox_put(T.client, &T.box, "/home/user/a", STR("small"), &T.call, &T.err));
        OK(sandbox_put_fd(T.client, &T.box, "/home/user/b", fd, 100000, &T.call, &T.err));
        OK(sandbox_read(T.client, &T.box, "/home/user/a", 0, 100, &T.call, &got, &found, &T.err));
        ROW_TEXT(versions[i], buf_cstr(&got), "small");
        buf_clear(&got);
        OK(sandbox_read(T.client, &T.box, "/home/user/b", 0, 200000, &T.call, &got, &found,
                        &T.err));
        ROW_INT(versions[i], got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
        ROW_INT(versions[i], standin_count("POST", "/files"), !*versions[i] ? 3 : 2);
        OK(sandbox_kill(T.client, T.box.id, &T.call, &T.err));
        sandbox_done(&T.box);
        standin_tell("DELETE", "/_standin/ledger", NULL);
    }
}

static void test_disk_full(void **state)
{
    (void)state;
    box_make();
    standin_fault("{\"match\":\"DATA POST /files*\",\"action\":\"status\",\"status\":507,"
                  "\"body\":\"{\\\"code\\\":507,\\\"message\\\":\\\"not enough disk\\\"}\"}");
    FAILS(ERR_SANDBOX, sandbox_put(T.client, &T.box, "/home/user/a", STR("x"), &T.call, &T.err));
}

/* ---------------------------------------------------------------------------------- commands */

static const struct {
    const char *command;
    bool exited;
    int exit_code;
    const char *output;
} commands[] = {
    {"echo hi",                    true,  0,  "hi\n"        },
    {"echo no >&2; exit 3",        true,  3,  "no\n"        },
    {"kill -KILL $$",              false, -1, ""            },
    {"printf 'a\\0b' | wc -c",     true,  0,  "3\n"         },
    {"read -r x; echo \"[$x]$?\"", true,  0,  "[]1\n"       }, /* nothing to read: no stdin */
    {"pwd",                        true,  0,  "/home/user\n"},
};

static void test_commands(void **state)
{
    (void)state;
    box_make();
    for (size_t i = 0; i < COUNT(commands); i++) {
        struct sandbox_exit end = {0};
        OK(box_run(commands[i].command, 0, &T.call, &end, &T.err));
        ROW_INT(commands[i].command, end.exited, commands[i].exited);
        ROW_INT(commands[i].command, end.exit_code, commands[i].exit_code);
        ROW_TEXT(commands[i].command, buf_cstr(&end.output), commands[i].output);
        ROW_TRUE(commands[i].command, !end.output_cut);
        buf_done(&end.output);
    }
}

static void test_arguments(void **state)
{
    (void)state;
    const char *argv[] = {
        "/usr/bin/env", "sh", "-c", "echo \"$1|$A|$PWD\"", "sh", "it's \"a\" $x `y` \\ \n ü", NULL};
    const char *envp[] = {"A='b' $(c)=d", NULL};
    struct sandbox_run run = {.argv = argv, .envp = envp, .cwd = "/tmp"};
    struct sandbox_exit end = {0};
    box_make();
    OK(sandbox_exec(T.client, &T.box, &run, &T.call, &end, &T.err));
    assert_string_equal(buf_cstr(&end.output), "it's \"a\" $x `y` \\ \n ü|'b' $(c)=d|/tmp\n");
    buf_done(&end.output);
    run.cwd = "/no/such/folder";
    FAILS(ERR_INPUT, sandbox_exec(T.client, &T.box, &run, &T.call, &end, &T.err));
    const char *missing[] = {"/no/such/command", NULL};
    struct sandbox_run nothing = {.argv = missing};
    OK(sandbox_exec(T.client, &T.box, &nothing, &T.call, &end, &T.err));
    assert_int_equal(end.exit_code, 127);
    buf_done(&end.output);
}

static void test_output(void **state)
{
    (void)state;
    struct sandbox_exit end = {0};
    box_make();
    OK(box_run("head -c 900000 /dev/zero | tr '\\0' x", 0, &T.call, &end, &T.err));
    assert_int_equal(end.output.len, 900000);
    assert_false(end.output_cut);
    buf_done(&end.output);
    OK(box_run("head -c 900000 /dev/zero | tr '\\0' x", 1000, &T.call, &end, &T.err));
    assert_int_equal(end.output.len, 1000);
    assert_true(end.output_cut);
    buf_done(&end.output);
}

/* Streams that break: before the pid is told, in the middle, without a last word, doubly. */
static void test_streams_cut(void **state)
{
    (void)state;
    static const char *const faults[] = {
        "{\"match\":\"DATA POST /process.Process/Start\",\"action\":\"reset\"}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"action\":\"lost\"}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"action\":\"cut\",\"after_bytes\":3}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"action\":\"cut\",\"after_bytes\":60}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"action\":\"noend\"}",
        "{\"match\":\"DATA POST /process.Process/Start\",\"action\":\"status\",\"status\":502}",
        "[{\"match\":\"DATA POST /process.Process/Start\",\"action\":\"cut\",\"after_bytes\":60},"
        "{\"match\":\"DATA POST /process.Process/Connect\",\"action\":\"cut\",\"after_bytes\":20},"
        "{\"match\":\"DATA GET /health\",\"action\":\"status\",\"status\":502}]",
    };
    box_make();
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct sandbox_exit end = {0};
        AUTO(buf_done) struct buf runs = {0};
        bool found = false;
        char command[200];
        /* Long enough to be still there when we come back. */
        snprintf(command, sizeof(command),
                 "echo x >>/home/user/runs%zu; echo a; sleep 0.7; echo b; exit 5", i);
        standin_fault(faults[i]);
        OK(box_run(command, 0, &T.call, &end, &T.err));
        ROW_INT(faults[i], end.exit_code, 5);
        buf_done(&end.output);
        snprintf(command, sizeof(command), "/home/user/runs%zu", i);
        OK(sandbox_read(T.client, &T.box, command, 0, 100, &T.call, &runs, &found, &T.err));
        ROW_TEXT(faults[i], buf_cstr(&runs), "x\n");
        standin_tell("DELETE", "/_standin/faults", NULL);
    }
}

/* ------------------------------------------------------------------------------------- death */

static void test_transient_502(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf got = {0};
    bool found = false;
    box_make();
    OK(sandbox_put(T.client, &T.box, "/home/user/a", STR("x"), &T.call, &T.err));
    standin_fault("{\"match\":\"DATA *\",\"times\":4,\"action\":\"status\",\"status\":502,"
                  "\"body\":\"{\\\"message\\\":\\\"The sandbox was not found\\\",\\\"code\\\":502}"
                  "\"}");
    OK(sandbox_read(T.client, &T.box, "/home/user/a", 0, 9, &T.call, &got, &found, &T.err));
    assert_string_equal(buf_cstr(&got), "x");
}

static void test_dead(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf got = {0};
    struct sandbox_exit end = {0};
    bool found = false;
    box_make();
    OK(sandbox_kill(T.client, T.box.id, &T.call, &T.err));
    FAILS(ERR_GONE, sandbox_put(T.client, &T.box, "/home/user/a", STR("x"), &T.call, &T.err));
    FAILS(ERR_GONE, sandbox_read(T.client, &T.box, "/a", 0, 9, &T.call, &got, &found, &T.err));
    FAILS(ERR_GONE, box_run("true", 0, &T.call, &end, &T.err));
}

/* The token was changed under us; the control plane knows the new one. */
static void test_token_changed(void **state)
{
    (void)state;
    char path[128];
    struct sandbox_exit end = {0};
    box_make();
    snprintf(path, sizeof(path), "/_standin/sandboxes/%s/token", T.box.id);
    standin_tell("POST", path, NULL);
    OK(sandbox_put(T.client, &T.box, "/home/user/a", STR("x"), &T.call, &T.err));
    OK(box_run("exit 4", 0, &T.call, &end, &T.err));
    assert_int_equal(end.exit_code, 4);
    buf_done(&end.output);
}

/* Somebody paused it: the next call wakes it. */
static void test_paused(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf got = {0};
    AUTO(http_response_done) struct http_response r = {0};
    bool found = false;
    box_make();
    OK(sandbox_put(T.client, &T.box, "/home/user/a", STR("x"), &T.call, &T.err));
    AUTO(mem_freep) char *url = mem_printf("%s/sandboxes/%s/pause", T.url, T.box.id);
    struct http_request q = {
        .method = "POST", .url = url, .auth = &T.key, .auth_header = "X-API-Key"};
    OK(http_do(T.http, &q, &T.call, &r, &T.err));
    assert_int_equal(r.status, 204);
    OK(sandbox_read(T.client, &T.box, "/home/user/a", 0, 9, &T.call, &got, &found, &T.err));
    assert_string_equal(buf_cstr(&got), "x");
}

/* ----------------------------------------------------------------------------------- limits */

static void *fire_soon(void *arg)
{
    struct call brief = call_in(5000, NULL);
    struct err err;
    if (call_wait(&brief, 300, &err))
        cancel_fire(arg);
    return NULL;
}

/* Fires the token while `act` is under way and checks that it came back at once. */
static void cancelled(const char *name, bool (*act)(const struct call *call, struct err *err))
{
    struct cancel *token = cancel_new();
    struct call call = call_in(30000, token);
    struct err err = {0};
    pthread_t thread;
    OK(thread_start(&thread, "fire", fire_soon, token, &T.err));
    int64_t begin = clock_mono_ms();
    bool ok = act(&call, &err);
    int64_t took = clock_mono_ms() - begin;
    pthread_join(thread, NULL);
    cancel_unref(token);
    ROW_TRUE(name, !ok);
    ROW_INT(name, err.kind, ERR_CANCELLED);
    if (took > 500)
        fail_msg("%s: back only %lld ms after the cancel", name, (long long)took - 300);
}

static bool act_exec(const struct call *call, struct err *err)
{
    struct sandbox_exit end = {0};
    return box_run("sleep 20", 0, call, &end, err);
}

static bool act_create(const struct call *call, struct err *err)
{
    struct sandbox_spec spec = {.template_id = "base", .timeout_s = 300, .nonce = "c"};
    struct sandbox none = {0};
    return sandbox_create(T.client, &spec, false, call, &none, err);
}

static bool act_read(const struct call *call, struct err *err)
{
    AUTO(buf_done) struct buf got = {0};
    bool found;
    return sandbox_read(T.client, &T.box, "/home/user/a", 0, 9, call, &got, &found, err);
}

static void test_cancel(void **state)
{
    (void)state;
    box_make();
    cancelled("exec", act_exec);
    standin_fault("[{\"match\":\"POST /v2/sandboxes\",\"action\":\"hang\"},"
                  "{\"match\":\"DATA GET /files*\",\"action\":\"hang\"}]");
    cancelled("create", act_create);
    cancelled("read", act_read);
    /* In the pauses between repeats as well. */
    standin_fault("{\"match\":\"DATA *\",\"times\":-1,\"action\":\"status\",\"status\":502}");
    cancelled("read, failing", act_read);
}

static void test_deadline(void **state)
{
    (void)state;
    struct call brief = call_in(400, NULL);
    struct sandbox_exit end = {0};
    box_make();
    FAILS(ERR_TIMEOUT, box_run("sleep 20", 0, &brief, &end, &T.err));
    /* The daemon ends it a little later by itself. */
    for (;;) {
        OK(box_run("pgrep -x sleep", 0, &T.call, &end, &T.err));
        buf_done(&end.output);
        if (end.exit_code == 1)
            break;
        OK(call_wait(&T.call, 100, &T.err));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_begin, test_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_life),
        TEST(test_create_body),
        TEST(test_list_pages),
        TEST(test_check),
        TEST(test_create_refused),
        TEST(test_create_adopts),
        TEST(test_create_after_restart),
        TEST(test_create_truly_failed),
        TEST(test_v1),
        TEST(test_repeats_passing_faults),
        TEST(test_files),
        TEST(test_big_files),
        TEST(test_old_uploads),
        TEST(test_disk_full),
        TEST(test_commands),
        TEST(test_arguments),
        TEST(test_output),
        TEST(test_streams_cut),
        TEST(test_transient_502),
        TEST(test_dead),
        TEST(test_token_changed),
        TEST(test_paused),
        TEST(test_cancel),
        TEST(test_deadline),
    };
    return cmocka_run_group_tests(tests, standin_start, standin_stop);
}
