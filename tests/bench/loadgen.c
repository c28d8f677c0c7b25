/* Sends signed deliveries over keep-alive connections and measures. One thread, epoll, one request
 * under way a connection; each has a GUID of its own, so that the server has to store all of them.
 * With a rate the clock of a request starts when it was due, so a server that stalls cannot hide
 * it.
 *
 *   bench-loadgen port=N secret=S [connections=64] [seconds=5] [rate=0] [event=issues]
 *
 * Prints: requests=… rate=… p50_us=… p99_us=… max_us=… bad=… cpu_ms=… (its own) */
#include "bot/base/enc.h"
#include "bot/base/mem.h"
#include "tests/bench/payload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define GUID_DIGITS  32
#define ANSWER_BYTES 4096

static struct {
    int64_t port, connections, seconds, rate;
    const char *secret, *event;
} options = {.connections = 64, .seconds = 5, .secret = "", .event = "issues"};

struct connection {
    int fd;
    int64_t began_ns;
    size_t sent; /* of head + body */
    bool busy;
    char head[512];
    size_t head_n;
    char *guid; /* in head */
    char answer[ANSWER_BYTES];
    size_t answer_n;
};

static struct buf body;
static uint64_t serial;
static uint32_t *micros;
static size_t done, room, bad;
static int epoll;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench-loadgen: %s: %s\n", what, strerrordesc_np(errno));
    exit(1);
}

/* One that never waits for room: what does not fit goes on at the next EPOLLOUT. */
static void send_more(struct connection *c)
{
    while (c->sent < c->head_n + body.len) {
        size_t in_head = c->sent < c->head_n ? c->sent : c->head_n;
        size_t in_body = c->sent - in_head;
        struct iovec parts[] = {
            {c->head + in_head,   c->head_n - in_head},
            {body.data + in_body, body.len - in_body }
        };
        ssize_t n = writev(c->fd, parts, 2);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("send");
        c->sent += (size_t)n;
    }
}

static void start(struct connection *c, int64_t due_ns)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t v = serial++;
    for (int i = 0; i < 16; i++, v >>= 4)
        c->guid[GUID_DIGITS - 1 - i] = hex[v & 15];
    c->began_ns = due_ns;
    c->sent = 0;
    c->answer_n = 0;
    c->busy = true;
    send_more(c);
}

/* The whole answer? They are small and have a Content-Length. */
static bool complete(const struct connection *c)
{
    struct str all = {c->answer, c->answer_n};
    size_t end = str_find(all, STR("\r\n\r\n"), 0);
    if (end == all.n)
        return false;
    size_t at = str_find(all, STR("Content-Length: "), 0);
    size_t eol = str_find(all, STR("\r\n"), at);
    int64_t length = 0;
    if (at >= end || !str_to_i64(str_sub(all, at + 16, eol), 0, ANSWER_BYTES, &length))
        die("an answer without length");
    return all.n >= end + 4 + (size_t)length;
}

static bool receive(struct connection *c)
{
    ssize_t n = read(c->fd, c->answer + c->answer_n, sizeof(c->answer) - c->answer_n);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        die("receive");
    c->answer_n += (size_t)n;
    if (!complete(c))
        return false;
    if (done == room) {
        room = room ? room * 2 : 1 << 16;
        micros = mem_grow(micros, room, sizeof(*micros));
    }
    micros[done++] = (uint32_t)((now_ns() - c->began_ns) / 1000);
    if (memcmp(c->answer, "HTTP/1.1 202", 12) != 0 ||
        str_find((struct str){c->answer, c->answer_n}, STR("accepted"), 0) == c->answer_n) {
        if (bad++ == 0)
            fprintf(stderr, "%.*s\n", (int)c->answer_n, c->answer);
    }
    c->busy = false;
    return true;
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        die("epoll");
    AUTO(buf_done) struct buf hex = {0};
    unsigned char mac[SHA256_BYTES];
    hmac_sha256(str_of(options.secret), buf_str(&body), mac);
    enc_hex(&hex, mac, sizeof(mac));
    int n = snprintf(c->head, sizeof(c->head),
                     "POST /webhooks/github HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: "
                     "GitHub-Hookshot/1a2b3c4\r\nContent-Type: application/json\r\n"
                     "X-GitHub-Event: %s\r\nX-GitHub-Hook-ID: 292430182\r\n"
                     "X-Hub-Signature-256: sha256=%s\r\nContent-Length: %zu\r\n"
                     "X-GitHub-Delivery: ",
                     options.event, buf_cstr(&hex), body.len);
    c->guid = c->head + n;
    random_hex(c->guid, GUID_DIGITS);
    memcpy(c->guid + GUID_DIGITS, "\r\n\r\n", 4);
    c->head_n = (size_t)n + GUID_DIGITS + 4;
}

/* As fast as answers come (rate 0), or each when it is due. */
static void drive(struct connection *all, int64_t until_ns)
{
    struct epoll_event events[256];
    int64_t began = now_ns(), started = 0;
    struct connection **idle = mem_array((size_t)options.connections, sizeof(struct connection *));
    size_t nidle = 0;
    for (int64_t i = 0; i < options.connections; i++)
        idle[nidle++] = &all[i];
    for (;;) {
        int64_t now = now_ns(), wait_ns = 100000000;
        while (nidle > 0 && now < until_ns) {
            int64_t due = options.rate ? began + started * 1000000000 / options.rate : now;
            if (due > now) {
                wait_ns = due - now;
                break;
            }
            started++;
            start(idle[--nidle], due);
        }
        if (now >= until_ns && nidle == (size_t)options.connections)
            break;
        struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
        int n = epoll_pwait2(epoll, events, 256, &wait, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->busy && events[i].events & EPOLLOUT)
                send_more(c);
            if (c->busy && events[i].events & EPOLLIN && receive(c))
                idle[nidle++] = c;
        }
    }
    free(idle);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct str value = str_of(argv[i]), name;
        const struct {
            const char *name;
            int64_t *number;
            const char **text;
        } rows[] = {
            {"port",        &options.port,        NULL           },
            {"connections", &options.connections, NULL           },
            {"seconds",     &options.seconds,     NULL           },
            {"rate",        &options.rate,        NULL           },
            {"secret",      NULL,                 &options.secret},
            {"event",       NULL,                 &options.event }
        };
        bool known = false;
        if (!str_split(&value, '=', &name) || !value.p)
            return false;
        for (size_t k = 0; k < COUNT(rows); k++) {
            if (!str_eq(name, str_of(rows[k].name)))
                continue;
            known = true;
            if (rows[k].text)
                *rows[k].text = value.p;
            else if (!str_to_i64(value, 0, 1000000, rows[k].number))
                return false;
        }
        if (!known)
            return false;
    }
    return options.port > 0 && options.connections > 0 && options.seconds > 0;
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: bench-loadgen port=N secret=S [connections=64] [seconds=5] [rate=0]"
                        " [event=issues]\n");
        return 2;
    }
    payload_issue(&body);
    random_bytes(&serial, sizeof(serial));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = mem_array((size_t)options.connections, sizeof(*all));
    for (int64_t i = 0; i < options.connections; i++)
        open_connection(&all[i]);
    int64_t began = now_ns();
    drive(all, began + options.seconds * 1000000000);
    double seconds = (double)(now_ns() - began) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    qsort(micros, done, sizeof(*micros), by_size);
    if (done == 0)
        die("no answer");
    printf("requests=%zu rate=%.0f p50_us=%u p99_us=%u max_us=%u bad=%zu cpu_ms=%.0f body=%zu\n",
           done, (double)done / seconds, micros[done / 2], micros[done - 1 - done / 100],
           micros[done - 1], bad,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3,
           body.len);
    return bad ? 1 : 0;
}
