/* Starts the E2B stand-in beside a unit program and talks to both its sides. One a program; test
 * thread only. SQUADBOT_STANDIN_E2B names another binary than ./standin-e2b next to the program. */
#pragma once

#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "bot/sandbox/sandbox.h"
#include "tests/unit/row.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STANDIN_KEY "e2b_0123456789abcdef0123456789abcdef01234567"

static struct standin {
    pid_t pid;
    char url[64];
    char dir[64];
    struct http *http;
    struct secret key;
    struct sandbox_client *client;
    struct call call;   /* of the test under way */
    struct sandbox box; /* of the test under way */
    struct err err;
} T;

/* Fails the test with the error's text. */
#define OK(condition)                                                                              \
    do {                                                                                           \
        T.err = (struct err){0};                                                                   \
        if (!(condition))                                                                          \
            fail_msg("%s: %s: %s", #condition, err_policy(T.err.kind)->name, T.err.text);          \
    } while (0)
#define FAILS(want, condition)                                                                     \
    do {                                                                                           \
        T.err = (struct err){0};                                                                   \
        if (condition)                                                                             \
            fail_msg("%s: must fail", #condition);                                                 \
        if (T.err.kind != (want))                                                                  \
            fail_msg("%s: %s, not %s: %s", #condition, err_policy(T.err.kind)->name,               \
                     err_policy(want)->name, T.err.text);                                          \
    } while (0)

/* A request to the stand-in itself; the answer's JSON, or NULL when there is none. */
static json_t *standin_ask(const char *method, const char *path, const char *body)
{
    AUTO(http_response_done) struct http_response r = {0};
    AUTO(mem_freep) char *url = mem_printf("%s%s", T.url, path);
    struct http_request q = {.method = method,
                             .url = url,
                             .headers = {body ? "Content-Type: application/json" : NULL},
                             .body = str_of(body)};
    struct call call = call_in(10000, NULL);
    OK(http_do(T.http, &q, &call, &r, &T.err));
    if (r.status < 200 || r.status > 299)
        fail_msg("%s %s: %d %s", method, path, r.status, buf_cstr(&r.body));
    json_t *j = NULL;
    if (r.body.len > 0)
        OK(json_parse(buf_str(&r.body), &j, &T.err));
    return j;
}

static void standin_tell(const char *method, const char *path, const char *body)
{
    json_decref(standin_ask(method, path, body));
}

static void standin_fault(const char *row)
{
    standin_tell("POST", "/_standin/faults", row);
}

/* Requests in the ledger whose "METHOD /path" starts so. */
UNUSED static int standin_count(const char *method, const char *path)
{
    AUTO(json_decrefp) json_t *all = standin_ask("GET", "/_standin/ledger", NULL);
    int n = 0;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        n += str_eq(json_str(one, "method"), str_of(method)) &&
             str_starts(json_str(one, "path"), str_of(path));
    }
    return n;
}

static int standin_alive(void)
{
    AUTO(json_decrefp) json_t *j = standin_ask("GET", "/_standin/sandboxes", NULL);
    return (int)json_int(j, "active", -1);
}

static void standin_binary(char *out, size_t size)
{
    const char *named = getenv("SQUADBOT_STANDIN_E2B");
    char self[400];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(n > 0);
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(out, size, named && *named ? "%s%.0s" : "%.0s%s/standin-e2b", named ? named : "",
             self);
    if (access(out, X_OK) != 0)
        fail_msg("%s is missing: build the target standin-e2b", out);
}

static int standin_start(void **state)
{
    (void)state;
    char binary[512], port_file[96];
    snprintf(T.dir, sizeof(T.dir), "/tmp/sandbox-test-XXXXXX");
    assert_non_null(mkdtemp(T.dir));
    snprintf(port_file, sizeof(port_file), "%s/port", T.dir);
    standin_binary(binary, sizeof(binary));
    const char *argv[] = {
        binary,      "--listen",  "127.0.0.1:0", "--port-file", port_file,
        "--api-key", STANDIN_KEY, "--template",  "base",        "--creates-per-second",
        "1000",      "--split",   NULL};
    pid_t parent = getpid();
    T.pid = fork();
    assert_true(T.pid >= 0);
    if (T.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() == parent)
            execv(binary, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    T.call = call_in(20000, NULL);
    AUTO(buf_done) struct buf port = {0};
    while (port.len == 0 || port.data[port.len - 1] != '\n') {
        buf_clear(&port);
        OK(call_wait(&T.call, 10, &T.err));
        if (file_exists(port_file))
            OK(file_read(port_file, 64, &port, &T.err));
    }
    snprintf(T.url, sizeof(T.url), "http://127.0.0.1:" STR_FMT, STR_ARG(str_trim(buf_str(&port))));
    T.http = http_new("squadbot-test", NULL);
    secret_set(&T.key, STR(STANDIN_KEY));
    struct sandbox_config config = {T.url, T.url, "localhost", &T.key};
    T.client = sandbox_client_new(T.http, &config);
    return 0;
}

static int standin_stop(void **state)
{
    (void)state;
    struct err err;
    kill(T.pid, SIGTERM);
    waitpid(T.pid, NULL, 0);
    sandbox_client_free(T.client);
    secret_done(&T.key);
    http_free(T.http);
    return dir_remove(T.dir, &err) ? 0 : 1;
}

/* A sandbox for one test. */
static void box_make(void)
{
    struct sandbox_spec spec = {.template_id = "base", .timeout_s = 300};
    OK(sandbox_create(T.client, &spec, false, &T.call, &T.box, &T.err));
}

static int test_begin(void **state)
{
    (void)state;
    T.call = call_in(60000, NULL);
    AUTO(json_decrefp) json_t *j = standin_ask("GET", "/_standin/sandboxes", NULL);
    const json_t *all = json_at(j, "sandboxes");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        if (!str_eq(json_str(one, "state"), STR("dead"))) /* a failed test left it */
            OK(sandbox_kill(T.client, json_cstr(one, "sandboxID"), &T.call, &T.err));
    }
    return 0;
}

static int test_end(void **state)
{
    (void)state;
    struct err err;
    bool killed = !*T.box.id || sandbox_kill(T.client, T.box.id, &T.call, &err);
    sandbox_done(&T.box);
    standin_tell("DELETE", "/_standin/faults", NULL);
    standin_tell("DELETE", "/_standin/ledger", NULL);
    standin_tell("POST", "/_standin/options", "{\"max_concurrent\":20}");
    int alive = standin_alive();
    if (alive != 0)
        print_error("%d sandboxes are left\n", alive);
    return killed && alive == 0 ? 0 : 1;
}

/* bash -c command; the output is in *out, the caller frees. */
static bool box_run(const char *command, size_t output_max, const struct call *call,
                    struct sandbox_exit *out, struct err *err)
{
    const char *argv[] = {"/bin/bash", "-c", command, NULL};
    struct sandbox_run run = {.argv = argv, .output_max = output_max};
    return sandbox_exec(T.client, &T.box, &run, call, out, err);
}
