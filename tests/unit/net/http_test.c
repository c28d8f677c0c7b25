/* The HTTP client against a small server in a thread: each connection is served by the script that
 * its request's path names. */
#include "bot/net/http.h"

#include "bot/base/clock.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "bot/base/thread.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    int fd;
    int port;
    pthread_t thread;
    int stop[2];
    atomic_int connections;
    pthread_mutex_t mutex;
    struct buf last; /* the last request, whole */
} server = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static struct http *http;

/* -------------------------------------------------------------------------------------- server */

enum manner { ANSWER, HANG, CUT, CLOSE_AFTER, TRICKLE };
static const struct {
    const char *path;
    enum manner manner;
    const char *text;
} scripts[] = {
    {"/ok",          ANSWER,      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  b \r\n\r\nhi"          },
    {"/empty",       ANSWER,      "HTTP/1.1 204 No Content\r\n\r\n"                                     },
    {"/error",       ANSWER,      "HTTP/1.1 500 Oops\r\nContent-Length: 3\r\nRetry-After: 7\r\n\r\nbad" },
    {"/moved",       ANSWER,
     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n"                },
    {"/continue",    ANSWER,
     "HTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\nHTTP/1.1 201 Created\r\nX-B: late\r\n"
     "Content-Length: 0\r\n\r\n"                                                                        },
    {"/chunked",     ANSWER,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nX-T: 1\r\n"
     "\r\n"                                                                                             },
    {"/cut",         CUT,         "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"             },
    {"/cut-chunk",   CUT,         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this"},
    {"/garbage",     CUT,         "SSH-2.0-OpenSSH_9.2\r\n"                                             },
    {"/nothing",     CUT,         ""                                                                    },
    {"/hang",        HANG,        ""                                                                    },
    {"/hang-body",   HANG,        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"                  },
    {"/close-after", CLOSE_AFTER, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"                      },
    {"/flood",       TRICKLE,     "HTTP/1.1 200 OK\r\n\r\n"                                             },
    {"/flood-head",  TRICKLE,     "HTTP/1.1 200 OK\r\n"                                                 },
};

static bool read_request(int fd, struct buf *out)
{
    struct str head_end = STR("\r\n\r\n");
    for (;;) {
        struct str got = buf_str(out);
        size_t end = str_find(got, head_end, 0);
        size_t length = str_find(got, STR("Content-Length: "), 0);
        int64_t n = 0;
        if (end < got.n) {
            if (length < end) {
                struct str rest = str_sub(got, length + 16, end), line;
                if (!str_line(&rest, &line) || !str_to_i64(line, 0, INT32_MAX, &n))
                    return false;
            }
            if (got.n >= end + 4 + (size_t)n)
                return true;
        }
        char *room = buf_reserve(out, 65536);
        ssize_t count = room ? read(fd, room, 65536) : -1;
        if (count <= 0)
            return false;
        buf_added(out, (size_t)count);
    }
}

static void await_close(int fd)
{
    struct pollfd p[] = {
        {.fd = fd,             .events = POLLRDHUP},
        {.fd = server.stop[0], .events = POLLIN   }
    };
    poll(p, 2, 20000);
}

/* False when the connection is to be closed. */
static bool serve_one(int fd)
{
    AUTO(buf_done) struct buf request = {0};
    if (!read_request(fd, &request))
        return false;
    pthread_mutex_lock(&server.mutex);
    buf_clear(&server.last);
    buf_add_str(&server.last, buf_str(&request));
    pthread_mutex_unlock(&server.mutex);
    struct str got = buf_str(&request);
    size_t from = str_find(got, STR(" "), 0) + 1;
    struct str path = str_sub(got, from, str_find(got, STR(" "), from));
    path = str_sub(path, 0, str_find(path, STR("?"), 0));
    for (size_t i = 0; i < COUNT(scripts); i++) {
        if (!str_eq(path, str_of(scripts[i].path)))
            continue;
        (void)!write(fd, scripts[i].text, strlen(scripts[i].text));
        if (scripts[i].manner == HANG)
            await_close(fd);
        while (scripts[i].manner == TRICKLE &&
               send(fd, "X-Long: 0123456789012345678901234567890123456789\r\n", 50, MSG_NOSIGNAL) ==
                   50) {
        }
        return scripts[i].manner == ANSWER;
    }
    return false;
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    while (serve_one(fd)) {
    }
    close(fd);
    return NULL;
}

static void *accept_all(void *arg)
{
    (void)arg;
    for (;;) {
        struct pollfd p[] = {
            {.fd = server.fd,      .events = POLLIN},
            {.fd = server.stop[0], .events = POLLIN}
        };
        poll(p, 2, -1);
        if (p[1].revents)
            return NULL;
        int fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        struct err err;
        if (fd < 0)
            continue;
        atomic_fetch_add(&server.connections, 1);
        if (thread_start(&thread, "serve", serve, (void *)(intptr_t)fd, &err))
            pthread_detach(thread);
        else
            close(fd);
    }
}

static int up(void **state)
{
    (void)state;
    struct err err;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server.fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(server.fd, 64) != 0 ||
        getsockname(server.fd, (struct sockaddr *)&at, &n) != 0 || pipe(server.stop) != 0)
        return -1;
    server.port = ntohs(at.sin_port);
    http = http_new("squadbot-test/1", NULL);
    return thread_start(&server.thread, "accept", accept_all, NULL, &err) ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    http_free(http);
    close(server.stop[1]);
    pthread_join(server.thread, NULL);
    close(server.fd);
    buf_done(&server.last);
    return 0;
}

/* --------------------------------------------------------------------------------------- tests */

static const char *url(const char *path)
{
    static _Thread_local char text[128];
    snprintf(text, sizeof(text), "http://127.0.0.1:%d%s", server.port, path);
    return text;
}

static void want_ok(bool ok, const struct err *err, int line)
{
    if (!ok)
        fail_msg("line %d: %s", line, err->text);
}
#define OK(call) want_ok((call), &err, __LINE__)

static bool get(const char *path, const struct call *call, struct http_response *r, struct err *err)
{
    const struct http_request q = {.method = "GET", .url = url(path)};
    return http_do(http, &q, call, r, err);
}

static char *last_request(void)
{
    pthread_mutex_lock(&server.mutex);
    char *copy = str_dup(buf_str(&server.last));
    pthread_mutex_unlock(&server.mutex);
    return copy;
}

static void keeps_connections(void **state)
{
    (void)state;
    struct err err = {0};
    int before = atomic_load(&server.connections);
    for (int i = 0; i < 20; i++) {
        AUTO(http_response_done) struct http_response r = {0};
        OK(get(i % 3 == 2 ? "/error" : "/ok", NULL, &r, &err));
        assert_int_equal(r.status, i % 3 == 2 ? 500 : 200);
    }
    assert_int_equal(atomic_load(&server.connections) - before, 1);
}

static void reopens_a_connection_that_the_server_closed(void **state)
{
    (void)state;
    struct err err = {0};
    for (int i = 0; i < 5; i++) {
        AUTO(http_response_done) struct http_response r = {0};
        const struct http_request q = {
            .method = "POST", .url = url("/close-after"), .body = STR("x")};
        OK(http_do(http, &q, NULL, &r, &err));
        assert_string_equal(buf_cstr(&r.body), "hi");
    }
}

static void reads_status_head_and_body(void **state)
{
    (void)state;
    struct err err = {0};
    AUTO(http_response_done) struct http_response r = {0};
    OK(get("/ok?q=1#f", NULL, &r, &err));
    assert_string_equal(buf_cstr(&r.body), "hi");
    assert_true(str_eq(http_header(&r, "x-a"), STR("b")));
    assert_int_equal(http_header(&r, "x").n, 0);
    http_response_done(&r);
    OK(get("/continue", NULL, &r, &err));
    assert_int_equal(r.status, 201);
    assert_int_equal(http_header(&r, "X-A").n, 0);
    assert_true(str_eq(http_header(&r, "X-B"), STR("late")));
    http_response_done(&r);
    OK(get("/chunked", NULL, &r, &err));
    assert_string_equal(buf_cstr(&r.body), "abcdef");
    assert_int_equal(http_header(&r, "X-T").n, 0); /* a trailer is no header */
    http_response_done(&r);
    OK(get("/empty", NULL, &r, &err));
    assert_int_equal(r.status, 204);
    http_response_done(&r);
    OK(get("/moved", NULL, &r, &err)); /* and not followed */
    assert_int_equal(r.status, 302);
}

static void sends_what_was_asked(void **state)
{
    (void)state;
    struct err err = {0};
    AUTO(http_response_done) struct http_response r = {0};
    struct secret token = {0};
    secret_set(&token, STR("s3cret-token-value"));
    struct http_request q = {
        .method = "PATCH",
        .url = url("/ok"),
        .headers = {"Content-Type: application/json", NULL, "X-C: d"},
        .auth = &token,
        .auth_scheme = "Bearer",
        .body = STR("{}")
    };
    OK(http_do(http, &q, NULL, &r, &err));
    AUTO(mem_freep) char *sent = last_request();
    assert_non_null(strstr(sent, "PATCH /ok HTTP/1.1\r\n"));
    assert_non_null(strstr(sent, "Authorization: Bearer s3cret-token-value\r\n"));
    assert_non_null(strstr(sent, "User-Agent: squadbot-test/1\r\n"));
    assert_non_null(strstr(sent, "X-C: d\r\n"));
    assert_non_null(strstr(sent, "Content-Length: 2\r\n"));
    assert_null(strstr(sent, "Accept-Encoding"));
    assert_null(strstr(sent, "Expect"));
    assert_non_null(strstr(sent, "\r\n\r\n{}"));
    http_response_done(&r);

    q = (struct http_request){
        .method = "POST", .url = url("/ok"), .auth = &token, .auth_header = "X-API-Key"};
    OK(http_do(http, &q, NULL, &r, &err));
    mem_freep(&sent);
    sent = last_request();
    assert_non_null(strstr(sent, "X-API-Key: s3cret-token-value\r\n"));
    assert_non_null(strstr(sent, "Content-Length: 0\r\n"));
    assert_null(strstr(sent, "Content-Type"));
    http_response_done(&r);

    q = (struct http_request){.method = "GET", .url = url("/ok")};
    OK(http_do(http, &q, NULL, &r, &err)); /* nothing of the last call is left in the handle */
    mem_freep(&sent);
    sent = last_request();
    assert_null(strstr(sent, "s3cret"));
    assert_null(strstr(sent, "Content-Length"));
    secret_done(&token);
}

static void uploads_a_file(void **state)
{
    (void)state;
    struct err err = {0};
    static char data[300000];
    memset(data, 'z', sizeof(data));
    AUTO(fd_close) int fd = memfd_create("body", MFD_CLOEXEC);
    OK(fd_write_all(fd, (struct str){data, sizeof(data)}, &err));
    for (int i = 0; i < 3; i++) { /* from its start each time */
        AUTO(http_response_done) struct http_response r = {0};
        const struct http_request q = {.method = i ? "POST" : "PUT",
                                       .url = url(i ? "/close-after" : "/ok"),
                                       .body_fd = fd,
                                       .body_fd_size = sizeof(data)};
        OK(http_do(http, &q, NULL, &r, &err));
        AUTO(mem_freep) char *sent = last_request();
        assert_non_null(strstr(sent, i ? "POST /" : "PUT /"));
        assert_non_null(strstr(sent, "Content-Length: 300000\r\n"));
        assert_int_equal(strlen(strstr(sent, "\r\n\r\n") + 4), sizeof(data));
    }
}

static void failures_have_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t max;
        int64_t ms;
        int low_speed_s;
        enum err_kind kind;
    } rows[] = {
        {"/cut",        0,      0,    0, ERR_UPSTREAM},
        {"/cut-chunk",  0,      0,    0, ERR_UPSTREAM},
        {"/garbage",    0,      0,    0, ERR_UPSTREAM},
        {"/nothing",    0,      0,    0, ERR_UPSTREAM},
        {"/hang",       0,      150,  0, ERR_TIMEOUT },
        {"/hang-body",  0,      150,  0, ERR_TIMEOUT },
        {"/hang-body",  0,      0,    1, ERR_TIMEOUT },
        {"/ok",         1,      0,    0, ERR_LIMIT   },
        {"/flood",      100000, 0,    0, ERR_LIMIT   },
        {"/flood",      0,      0,    0, ERR_LIMIT   },
        {"/flood-head", 0,      5000, 0, ERR_LIMIT   },
        {"/ok",         0,      -5,   0, ERR_TIMEOUT },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};
        AUTO(http_response_done) struct http_response r = {0};
        struct call call = call_in(rows[i].ms, NULL);
        const struct http_request q = {.method = "GET",
                                       .url = url(rows[i].path),
                                       .response_max = rows[i].max,
                                       .low_speed_s = rows[i].low_speed_s};
        bool ok = http_do(http, &q, rows[i].ms ? &call : NULL, &r, &err);
        if (ok || err.kind != rows[i].kind)
            fail_msg("row %zu %s: kind %d, %s", i, rows[i].path, err.kind, err.text);
    }
}

static void refuses_other_places(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum err_kind kind;
    } rows[] = {
        {"http://127.0.0.1:9/x?secret=1", ERR_UPSTREAM},
        {"file:///etc/passwd",            ERR_INPUT   },
        {"ftp://127.0.0.1/",              ERR_INPUT   },
        {"gopher://127.0.0.1/",           ERR_INPUT   },
        {"http://[::",                    ERR_INPUT   },
        {"http://no-such-host.invalid/",  ERR_UPSTREAM},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};
        struct call call = call_in(5000, NULL);
        AUTO(http_response_done) struct http_response r = {0};
        const struct http_request q = {.method = "GET", .url = rows[i].url};
        bool ok = http_do(http, &q, &call, &r, &err);
        if (ok || err.kind != rows[i].kind)
            fail_msg("%s: kind %d, %s", rows[i].url, err.kind, err.text);
        assert_null(strstr(err.text, "secret"));
        assert_non_null(strstr(err.text, "GET "));
    }
}

struct firing {
    struct cancel *cancel;
    int64_t fired_ms;
};

static void *fire_soon(void *arg)
{
    struct firing *f = arg;
    struct call call = {0};
    (void)!call_wait(&call, 100, NULL);
    f->fired_ms = clock_mono_ms();
    cancel_fire(f->cancel);
    return NULL;
}

static void a_cancel_ends_the_call_at_once(void **state)
{
    (void)state;
    static const char *const paths[] = {"/hang", "/hang-body"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct err err = {0};
        pthread_t thread;
        struct firing f = {.cancel = cancel_new()};
        AUTO(http_response_done) struct http_response r = {0};
        struct call call = call_in(10000, f.cancel);
        OK(thread_start(&thread, "fire", fire_soon, &f, &err));
        assert_false(get(paths[i], &call, &r, &err));
        int64_t ended = clock_mono_ms();
        pthread_join(thread, NULL);
        assert_int_equal(err.kind, ERR_CANCELLED);
        assert_true(ended - f.fired_ms < 100);
        assert_false(get("/ok", &call, &r, &err)); /* and it stays so */
        assert_int_equal(err.kind, ERR_CANCELLED);
        cancel_unref(f.cancel);
    }
}

struct sunk {
    size_t bytes;
    size_t stop_at;
};

static bool sink(void *arg, struct str piece, struct err *err)
{
    struct sunk *s = arg;
    s->bytes += piece.n;
    if (s->stop_at && s->bytes >= s->stop_at)
        return err_set(err, ERR_POLICY, "enough");
    return true;
}

static void streams_to_a_sink(void **state)
{
    (void)state;
    struct err err = {0};
    struct sunk s = {0};
    AUTO(http_response_done) struct http_response r = {0};
    struct http_request q = {.method = "GET", .url = url("/chunked"), .sink = sink, .sink_arg = &s};
    OK(http_do(http, &q, NULL, &r, &err));
    assert_int_equal(s.bytes, 6);
    assert_int_equal(r.body.len, 0);
    http_response_done(&r);

    q.url = url("/error"); /* what explains a failure is not for the sink */
    OK(http_do(http, &q, NULL, &r, &err));
    assert_int_equal(s.bytes, 6);
    assert_string_equal(buf_cstr(&r.body), "bad");
    assert_int_equal(http_retry_after_ms(&r), 7000);
    http_response_done(&r);

    s = (struct sunk){.stop_at = 40 * 1024 * 1024}; /* no ceiling but its own */
    q.url = url("/flood");
    assert_false(http_do(http, &q, NULL, &r, &err));
    assert_int_equal(err.kind, ERR_POLICY);
    assert_true(s.bytes >= s.stop_at);
    s = (struct sunk){0};
    q.response_max = 1000;
    assert_false(http_do(http, &q, NULL, &r, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_true(s.bytes <= 1000);
}

static void reads_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int64_t want;
    } rows[] = {
        {"",                                                                                      0       },
        {"Retry-After: 60\r\n",                                                                   60000   },
        {"retry-after: 0\r\n",                                                                    0       },
        {"Retry-After: -1\r\n",                                                                   0       },
        {"Retry-After: soon\r\n",                                                                 0       },
        {"Retry-After: 99999999\r\n",                                                             86400000},
        {"Date: Fri, 20 Nov 2026 18:00:00 GMT\r\nRetry-After: Fri, 20 Nov 2026 18:00:30 GMT\r\n",
         30000                                                                                            },
        {"Date: Fri, 20 Nov 2026 18:00:00 GMT\r\nRetry-After: Fri, 20 Nov 2026 17:00:30 GMT\r\n",
         0                                                                                                },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(http_response_done) struct http_response r = {0};
        buf_puts(&r.head, rows[i].head);
        if (http_retry_after_ms(&r) != rows[i].want)
            fail_msg("%s: %lld", rows[i].head, (long long)http_retry_after_ms(&r));
    }
}

static atomic_int crowd_failed;

static void *crowd(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        struct err err;
        AUTO(http_response_done) struct http_response r = {0};
        if (!get(i % 10 == 9 ? "/close-after" : "/ok", NULL, &r, &err) || r.body.len != 2)
            atomic_fetch_add(&crowd_failed, 1);
    }
    return NULL;
}

static void many_threads_at_once(void **state)
{
    (void)state;
    struct err err;
    pthread_t threads[40]; /* more than pairs are kept */
    int before = atomic_load(&server.connections);
    for (size_t i = 0; i < COUNT(threads); i++)
        OK(thread_start(&threads[i], "crowd", crowd, NULL, &err));
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crowd_failed, 0);
    assert_true(atomic_load(&server.connections) - before < 1000); /* of 2,000 calls */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_connections),
        cmocka_unit_test(reopens_a_connection_that_the_server_closed),
        cmocka_unit_test(reads_status_head_and_body),
        cmocka_unit_test(sends_what_was_asked),
        cmocka_unit_test(uploads_a_file),
        cmocka_unit_test(failures_have_kinds),
        cmocka_unit_test(refuses_other_places),
        cmocka_unit_test(a_cancel_ends_the_call_at_once),
        cmocka_unit_test(streams_to_a_sink),
        cmocka_unit_test(reads_retry_after),
        cmocka_unit_test(many_threads_at_once),
    };
    return cmocka_run_group_tests(tests, up, down);
}
