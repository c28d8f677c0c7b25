/* Connect, send, read the head and up to the promised body, all within one time limit. */
#include "tests/standins/github/post.h"

#include "bot/base/clock.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEP_BYTES ((size_t)64 * 1024)

void post_result_done(struct post_result *r)
{
    buf_done(&r->head);
    buf_done(&r->body);
}

struct target {
    char host[256];
    char port[8];
    const char *path;
};

static bool url_parse(const char *url, struct target *t)
{
    struct str rest = str_of(url);
    if (!str_starts(rest, STR("http://")))
        return false;
    rest = str_sub(rest, 7, rest.n);
    size_t slash = str_find(rest, STR("/"), 0);
    struct str host = str_sub(rest, 0, slash);
    size_t colon = str_find(host, STR(":"), 0);
    t->path = slash < rest.n ? rest.p + slash : "/";
    return str_copy(t->host, sizeof(t->host), str_sub(host, 0, colon)) &&
           str_copy(t->port, sizeof(t->port),
                    colon < host.n ? str_sub(host, colon + 1, host.n) : STR("80"));
}

static bool wait_for(int fd, short what, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - clock_mono_ms();
        struct pollfd p = {fd, what, 0};
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (n > 0)
            return true;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

static int connect_to(const struct target *t, int64_t deadline)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (getaddrinfo(t->host, t->port, &hints, &list) != 0)
        return -1;
    int fd = -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        int error = 0;
        socklen_t n = sizeof(error);
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
            break;
        if (errno != EINPROGRESS || !wait_for(fd, POLLOUT, deadline) ||
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0)
            fd_close(&fd);
    }
    freeaddrinfo(list);
    return fd;
}

static bool send_all(int fd, struct str data, int64_t deadline)
{
    while (data.n > 0) {
        ssize_t n = send(fd, data.p, data.n, MSG_NOSIGNAL);
        if (n > 0)
            data = str_sub(data, (size_t)n, data.n);
        else if ((errno != EAGAIN && errno != EINTR) || !wait_for(fd, POLLOUT, deadline))
            return false;
    }
    return true;
}

static int64_t promised(struct str head)
{
    struct str line;
    int64_t n = -1;
    while (str_line(&head, &line)) {
        struct str value = line;
        struct str name;
        if (str_split(&value, ':', &name) && str_eq_nocase(name, STR("Content-Length")) &&
            !str_to_i64(str_trim(value), 0, INT64_MAX, &n))
            n = -1;
    }
    return n;
}

static void receive(int fd, int64_t deadline, struct post_result *r)
{
    AUTO(buf_done) struct buf all = {0};
    size_t end = 0;
    int64_t length = -1;
    for (;;) {
        char bytes[16384];
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!wait_for(fd, POLLIN, deadline)) {
                r->failure = "timed out";
                return;
            }
            continue;
        }
        if (n > 0)
            buf_add(&all, bytes, (size_t)n);
        if (end == 0) {
            size_t at = str_find(buf_str(&all), STR("\r\n\r\n"), 0);
            if (at < all.len) {
                end = at + 4;
                length = promised(str_sub(buf_str(&all), 0, end));
            }
        }
        bool whole = end && length >= 0 && all.len >= end + (size_t)length;
        if (n <= 0 || whole || all.len > KEEP_BYTES)
            break;
    }
    int64_t status = 0;
    if (end == 0 || !str_to_i64(str_sub(buf_str(&all), 9, 12), 100, 599, &status)) {
        r->failure = "failed to read the response";
        return;
    }
    r->status = (int)status;
    buf_add_str(&r->head, str_sub(buf_str(&all), 0, end));
    buf_add_str(&r->body, str_sub(buf_str(&all), end, all.len));
}

bool post_send(const char *url, struct str headers, struct str body, int64_t limit_ms,
               struct post_result *r)
{
    struct target t;
    int64_t deadline = clock_mono_ms() + limit_ms;
    *r = (struct post_result){0};
    if (!url_parse(url, &t)) {
        r->failure = "failed to connect to host";
        return false;
    }
    int fd = connect_to(&t, deadline);
    if (fd < 0) {
        r->failure = "failed to connect to host";
        return false;
    }
    AUTO(buf_done) struct buf head = {0};
    buf_printf(&head,
               "POST %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\nContent-Length: %zu\r\n",
               t.path, t.host, t.port, body.n);
    buf_add_str(&head, headers);
    buf_puts(&head, "\r\n");
    /* An early refusal (413) may close the connection while we still send: read it all the same. */
    bool sent = send_all(fd, buf_str(&head), deadline) && send_all(fd, body, deadline);
    receive(fd, deadline, r);
    if (!sent && r->status == 0)
        r->failure = "failed to send the request";
    fd_close(&fd);
    return r->status != 0;
}
