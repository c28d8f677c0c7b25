/* The stand-ins' HTTP/1.1 server: listener, connection threads, answers and the faults that can be
 * put on an answer. See http.h for why it is not h2o. Limits: a thread a connection, blocking
 * writes, a client that stops reading holds its thread until it leaves. */
#include "tests/standins/common/http.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/thread.h"
#include "tests/standins/common/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct http_server {
    int fd;
    int port;
    int log_fd;
    http_handler handler;
    void *arg;
    sigset_t signals;
};

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"                    },
    {201, "Created"               },
    {202, "Accepted"              },
    {204, "No Content"            },
    {206, "Partial Content"       },
    {301, "Moved Permanently"     },
    {302, "Found"                 },
    {304, "Not Modified"          },
    {400, "Bad Request"           },
    {401, "Unauthorized"          },
    {403, "Forbidden"             },
    {404, "Not Found"             },
    {405, "Method Not Allowed"    },
    {406, "Not Acceptable"        },
    {409, "Conflict"              },
    {410, "Gone"                  },
    {413, "Content Too Large"     },
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable" },
    {422, "Unprocessable Content" },
    {429, "Too Many Requests"     },
    {500, "Internal Server Error" },
    {501, "Not Implemented"       },
    {502, "Bad Gateway"           },
    {503, "Service Unavailable"   },
    {504, "Gateway Timeout"       },
    {507, "Insufficient Storage"  },
};

static const char *reason(int status)
{
    for (size_t i = 0; i < COUNT(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Status";
}

/* ---- sending ---- */

bool http_send_raw(struct http_exchange *x, const void *data, size_t n)
{
    const char *p = data;
    while (n && !x->dead) {
        ssize_t sent = send(x->c->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            x->dead = true;
            break;
        }
        p += sent;
        n -= (size_t)sent;
    }
    return !x->dead;
}

void http_reset(struct http_exchange *x)
{
    /* What was sent before shall arrive: a RST throws away what still waits in our queue. */
    for (int tries = 0; tries < 200; tries++) {
        int waiting = 0;
        if (x->dead || ioctl(x->c->fd, SIOCOUTQ, &waiting) != 0 || waiting == 0)
            break;
        struct pollfd p = {.fd = x->c->fd, .events = POLLRDHUP};
        if (poll(&p, 1, 5) != 0)
            break;
    }
    /* Dissolving the connection sends the RST now and keeps the descriptor's number ours. */
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    x->reset = connect(x->c->fd, &none, sizeof none) != 0;
    x->dead = true;
    x->close_after = true;
}

/* Waits ms, or until the client leaves. */
static bool pause_for(struct http_exchange *x, int64_t ms)
{
    struct pollfd p = {.fd = x->c->fd, .events = POLLRDHUP};
    int ready = poll(&p, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
    return ready == 0 || (ready < 0 && errno == EINTR);
}

/* One piece of body in the answer's framing. */
static bool send_piece(struct http_exchange *x, struct str piece)
{
    if (x->out_framing != FRAMING_CHUNKED)
        return http_send_raw(x, piece.p, piece.n);
    AUTO(buf_done) struct buf b = {0};
    buf_printf(&b, "%zx\r\n", piece.n);
    buf_add_str(&b, piece);
    buf_puts(&b, "\r\n");
    return http_send_raw(x, b.data, b.len);
}

#define PIECE_MAX_BYTES ((size_t)1024 * 1024)

static size_t piece_size(const struct http_exchange *x, size_t n)
{
    size_t size = n < PIECE_MAX_BYTES ? n : PIECE_MAX_BYTES;
    if (x->split && size > 1)
        size = 1 + (size_t)(random_unit() * (double)(size < 64 ? size - 1 : 63));
    if (x->slow_bytes > 0 && (int64_t)size > x->slow_bytes)
        size = (size_t)x->slow_bytes;
    if (x->cut_after >= 0 && (int64_t)size > x->cut_after - x->out_body)
        size = (size_t)(x->cut_after - x->out_body);
    return size;
}

bool http_write(struct http_exchange *x, struct str piece)
{
    if (str_eq(x->method, STR("HEAD")))
        return true;
    while (piece.n && !x->dead) {
        size_t n = piece_size(x, piece.n);
        if (n == 0) {
            http_reset(x);
            break;
        }
        if (x->slow_ms > 0 && !pause_for(x, x->slow_ms)) {
            x->dead = true;
            break;
        }
        if (!send_piece(x, str_sub(piece, 0, n)))
            break;
        x->out_body += (int64_t)n;
        x->out_left -= (int64_t)n;
        piece = str_sub(piece, n, piece.n);
    }
    if (!x->dead && x->cut_after >= 0 && x->out_body >= x->cut_after)
        http_reset(x);
    return !x->dead;
}

static void add_date(struct buf *head)
{
    time_t now = (time_t)clock_wall_s();
    struct tm tm;
    char text[64];
    if (gmtime_r(&now, &tm) && strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        buf_printf(head, "Date: %s\r\n", text);
}

static bool is_set(const struct http_exchange *x, const char *name)
{
    for (size_t i = 0; i < x->nset; i++)
        if (str_eq_nocase(x->set[i].name, str_of(name)))
            return true;
    return false;
}

void http_start(struct http_exchange *x, int status, const char *content_type, int64_t length)
{
    if (x->status)
        return;
    x->status = status;
    if (x->lose)
        x->dead = true;
    bool bodiless = status == 204 || status == 304;
    x->out_framing = bodiless      ? FRAMING_NONE
                     : length >= 0 ? FRAMING_LENGTH
                     : x->http10   ? FRAMING_CLOSE
                                   : FRAMING_CHUNKED;
    x->out_left = length;
    if (x->out_framing == FRAMING_CLOSE || (x->expects_continue && !x->in_done))
        x->close_after = true;
    AUTO(buf_done) struct buf head = {0};
    buf_printf(&head, "HTTP/1.1 %d %s\r\n", status, reason(status));
    if (!is_set(x, "date"))
        add_date(&head);
    if (content_type && !is_set(x, "content-type"))
        buf_printf(&head, "Content-Type: %s\r\n", content_type);
    if (x->out_framing == FRAMING_LENGTH)
        buf_printf(&head, "Content-Length: %lld\r\n", (long long)length);
    else if (x->out_framing == FRAMING_CHUNKED)
        buf_puts(&head, "Transfer-Encoding: chunked\r\n");
    for (size_t i = 0; i < x->nset; i++)
        buf_printf(&head, STR_FMT ": " STR_FMT "\r\n", STR_ARG(x->set[i].name),
                   STR_ARG(x->set[i].value));
    if (x->close_after)
        buf_puts(&head, "Connection: close\r\n");
    buf_puts(&head, "\r\n");
    http_send_raw(x, head.data, head.len);
    if (!x->dead && x->cut_after == 0)
        http_reset(x);
}

void http_end(struct http_exchange *x)
{
    if (x->ended)
        return;
    x->ended = true;
    if (x->out_framing == FRAMING_CHUNKED && !str_eq(x->method, STR("HEAD")))
        http_send_raw(x, "0\r\n\r\n", 5);
    if (x->out_framing == FRAMING_LENGTH && x->out_left > 0 && !str_eq(x->method, STR("HEAD")))
        x->close_after = true; /* the handler gave less than it announced */
}

void http_answer(struct http_exchange *x, int status, const char *content_type, struct str body)
{
    http_start(x, status, content_type, (int64_t)body.n);
    if (x->out_framing != FRAMING_NONE)
        http_write(x, body);
    http_end(x);
}

void http_answer_json(struct http_exchange *x, int status, json_t *body)
{
    AUTO(buf_done) struct buf b = {0};
    json_write(&b, body);
    json_decref(body);
    http_answer(x, status, "application/json; charset=utf-8", buf_str(&b));
}

void http_answer_text(struct http_exchange *x, int status, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    http_answer(x, status, "text/plain; charset=utf-8", str_of(text));
}

void http_set(struct http_exchange *x, const char *name, const char *value)
{
    struct str copy = {arena_str(x->arena, str_of(value)), strlen(value)};
    for (size_t i = 0; i < x->nset; i++) {
        if (str_eq_nocase(x->set[i].name, str_of(name))) {
            x->set[i].value = copy;
            return;
        }
    }
    if (x->nset < HEADERS_MAX)
        x->set[x->nset++] = (struct http_field){
            {arena_str(x->arena, str_of(name)), strlen(name)},
            copy
        };
}

void http_setf(struct http_exchange *x, const char *name, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    http_set(x, name, text);
}

/* ---- life and faults ---- */

int http_status(const struct http_exchange *x)
{
    return x->status;
}

int http_fd(const struct http_exchange *x)
{
    return x->c->fd;
}

bool http_gone(struct http_exchange *x)
{
    struct pollfd p = {.fd = x->c->fd, .events = POLLRDHUP};
    return x->dead || atomic_load(&x->aborted) || poll(&p, 1, 0) > 0;
}

void http_abort(struct http_exchange *x)
{
    atomic_store(&x->aborted, true);
    shutdown(x->c->fd, SHUT_RDWR);
}

void http_hang(struct http_exchange *x)
{
    while (!http_gone(x) && pause_for(x, 60000)) {
    }
    x->dead = true;
    x->close_after = true;
}

void http_lose_answer(struct http_exchange *x)
{
    x->lose = true;
}

void http_cut_after(struct http_exchange *x, int64_t body_bytes)
{
    x->cut_after = body_bytes;
}

void http_slow(struct http_exchange *x, int64_t bytes, int64_t ms)
{
    x->slow_bytes = bytes > 0 ? bytes : 1;
    x->slow_ms = ms;
}

void http_split_writes(struct http_exchange *x, bool on)
{
    x->split = on;
}

/* ---- connections ---- */

static void write_access_log(const struct http_exchange *x)
{
    const struct http_server *s = x->c->server;
    if (s->log_fd < 0)
        return;
    AUTO(buf_done) struct buf line = {0};
    char at[TIME_TEXT];
    struct err err;
    time_format(clock_wall_ms(), at);
    buf_printf(&line, "%s " STR_FMT " " STR_FMT " %d %lld bytes %lld ms\n", at, STR_ARG(x->method),
               STR_ARG(x->target), x->status, (long long)x->out_body,
               (long long)(clock_mono_ms() - x->began_ms));
    bool ok UNUSED = fd_write_all(s->log_fd, buf_str(&line), &err); /* a log line may be lost */
}

/* One request and its answer. False: the connection is over. */
static bool serve_one(struct http_connection *c)
{
    struct http_exchange *x = mem_alloc(sizeof *x);
    x->c = c;
    x->arena = arena_new();
    x->cut_after = -1;
    x->body.max = 1;
    bool go_on = false;
    if (!http_request_read(x))
        goto out;
    c->server->handler(x, c->server->arg);
    if (!x->status && !x->dead)
        http_answer_text(x, 500, "the handler did not answer");
    if (!x->dead && !x->ended)
        x->close_after = true;
    if (x->lose)
        http_reset(x);
    write_access_log(x);
    go_on = !x->dead && !atomic_load(&x->aborted) && !x->in_failed && !x->close_after;
    if (!x->dead && !http_request_drain(x))
        go_on = false;
out:
    if (x->reset) {
        struct linger hard = {.l_onoff = 1};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    buf_done(&x->body);
    arena_free(x->arena);
    free(x);
    return go_on;
}

static void *run_connection(void *arg)
{
    struct http_connection *c = arg;
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while (serve_one(c)) {
    }
    fd_close(&c->fd);
    buf_done(&c->in);
    free(c);
    return NULL;
}

static void *run_listener(void *arg)
{
    struct http_server *s = arg;
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        struct http_connection *c = mem_alloc(sizeof *c);
        c->fd = fd;
        c->server = s;
        pthread_t thread;
        struct err err;
        if (thread_start(&thread, "connection", run_connection, c, &err)) {
            pthread_detach(thread);
        } else {
            fprintf(stderr, "%s\n", err.text);
            fd_close(&c->fd);
            free(c);
        }
    }
    return NULL;
}

static bool open_listener(const char *listen_on, int *out, int *port, struct err *err)
{
    struct str host = str_of(listen_on);
    size_t colon = host.n;
    while (colon > 0 && host.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return err_set(err, ERR_INPUT, "%s is not HOST:PORT", listen_on);
    AUTO(mem_freep) char *name = str_dup(str_sub(host, 0, colon - 1));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    if (getaddrinfo(name, listen_on + colon, &hints, &found) != 0)
        return err_set(err, ERR_INPUT, "%s is not an address", listen_on);
    AUTO(fd_close) int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 1024) == 0 &&
              getsockname(fd, (struct sockaddr *)&bound, &size) == 0;
    freeaddrinfo(found);
    if (!ok)
        return err_set(err, ERR_INPUT, "listen on %s: %s", listen_on, strerror(errno));
    char service[16];
    int64_t number = 0;
    if (getnameinfo((struct sockaddr *)&bound, size, NULL, 0, service, sizeof service,
                    NI_NUMERICSERV) != 0 ||
        !str_to_i64(str_of(service), 1, 65535, &number))
        return err_set(err, ERR_BUG, "no port");
    *port = (int)number;
    *out = fd;
    fd = -1;
    return true;
}

bool http_serve(const struct http_options *options, struct http_server **out, struct err *err)
{
    struct http_server *s = mem_alloc(sizeof *s);
    s->handler = options->handler;
    s->arg = options->arg;
    s->log_fd = -1;
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGINT);
    sigset_t blocked = s->signals;
    sigaddset(&blocked, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    if (!open_listener(options->listen, &s->fd, &s->port, err)) {
        free(s);
        return false;
    }
    if (options->access_log) {
        s->log_fd = open(options->access_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (s->log_fd < 0)
            err_set(err, ERR_INPUT, "open %s: %s", options->access_log, strerror(errno));
    }
    pthread_t thread;
    char text[16];
    snprintf(text, sizeof text, "%d\n", s->port);
    if ((options->access_log && s->log_fd < 0) ||
        !thread_start(&thread, "listener", run_listener, s, err) ||
        (options->port_file && !file_write(options->port_file, str_of(text), 0644, err))) {
        /* The listener may run already, so s stays; the program ends now anyway. */
        return false;
    }
    pthread_detach(thread);
    printf("listening on http://%.*s:%d\n", (int)(strrchr(options->listen, ':') - options->listen),
           options->listen, s->port);
    fflush(stdout);
    *out = s;
    return true;
}

int http_port(const struct http_server *s)
{
    return s->port;
}

void http_wait(struct http_server *s)
{
    int number;
    while (sigwait(&s->signals, &number) != 0) {
    }
}
