/* A scripted GitHub for unit tests: one thread on a loopback port that answers each request with
 * the first rule that fits and still has turns, and writes down what it was asked. Waits of the
 * client move the clock instead of taking time. Not the stand-in of tests/standins: that one has
 * state. */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/clock.h"
#include "bot/base/mem.h"
#include "github-app/signer.h"
#include "github-app/state.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define FAKE_REQUESTS 200

struct fake_rule {
    const char *request; /* "POST /path": a prefix of the request line, up to '$' for its end */
    int status;          /* 0 = cut the connection after reading the request */
    const char *headers; /* lines with \r\n; may be NULL */
    const char *body;    /* "$TOKEN" = a fresh installation token that lives for an hour */
    int turns;           /* 0 = for ever */
};

struct fake_request {
    char line[512]; /* METHOD SP path */
    char auth[1200];
    char *body;
};

struct fake {
    const struct fake_rule *rules;
    int used[32];
    int fd;
    int port;
    pthread_t thread;
    pthread_mutex_t mutex;
    struct fake_request seen[FAKE_REQUESTS];
    int n_seen;
    int tokens;
    bool long_tokens;
    _Atomic int64_t skew_s; /* of the Date header */
    struct http *http;
    struct github *g;
};

static void fake_date(int64_t wall_ms, char out[64])
{
    time_t t = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static void fake_token(struct fake *f, struct buf *out)
{
    char until[TIME_TEXT];
    time_format(clock_wall_ms() + f->skew_s * 1000 + 3600 * 1000, until);
    f->tokens++;
    buf_printf(out, "{\"token\":\"ghs_%s%03d", f->long_tokens ? "123456_" : "", f->tokens);
    for (int i = 0; i < (f->long_tokens ? 500 : 33); i++)
        buf_putc(out, f->long_tokens && (i == 100 || i == 300) ? '.' : 'x');
    buf_printf(out, "\",\"expires_at\":\"%s\"}", until);
}

static const struct fake_rule *fake_match(struct fake *f, const char *line)
{
    for (int i = 0; f->rules[i].request; i++) {
        const struct fake_rule *r = &f->rules[i];
        size_t n = strcspn(r->request, "$");
        bool whole = r->request[n] == '$';
        if (strncmp(line, r->request, n) != 0 || (whole && line[n] != '\0'))
            continue;
        if (r->turns == 0 || f->used[i] < r->turns) {
            f->used[i]++;
            return r;
        }
    }
    return NULL;
}

static void fake_answer(struct fake *f, int fd, const struct fake_rule *r)
{
    AUTO(buf_done) struct buf body = {0};
    AUTO(buf_done) struct buf out = {0};
    char date[64];
    if (r && r->body && strcmp(r->body, "$TOKEN") == 0)
        fake_token(f, &body);
    else
        buf_puts(&body, r && r->body ? r->body : "");
    if (!r)
        buf_puts(&body, "{\"message\":\"no rule\"}");
    fake_date(clock_wall_ms() + f->skew_s * 1000, date);
    buf_printf(&out, "HTTP/1.1 %d X\r\nConnection: close\r\nX-GitHub-Request-Id: AB:12\r\n",
               r ? r->status : 599);
    if (!r || !r->headers || !strstr(r->headers, "Date:"))
        buf_printf(&out, "Date: %s\r\n", date);
    buf_puts(&out, r && r->headers ? r->headers : "");
    buf_printf(&out, "Content-Length: %zu\r\n\r\n", body.len);
    buf_add_str(&out, buf_str(&body));
    ssize_t sent = send(fd, out.data, out.len, MSG_NOSIGNAL);
    (void)sent; /* a client that left is no fault of ours */
}

/* Reads one request; false when there is none. */
static bool fake_read(int fd, struct buf *in, size_t *body_at)
{
    char piece[4096];
    size_t want = SIZE_MAX;
    while (in->len < want) {
        ssize_t n = recv(fd, piece, sizeof(piece), 0);
        if (n <= 0)
            return false;
        buf_add(in, piece, (size_t)n);
        const char *end = strstr(buf_cstr(in), "\r\n\r\n");
        if (!end)
            continue;
        const char *length = strcasestr(buf_cstr(in), "\r\nContent-Length:");
        long bytes = 0;
        if (length && sscanf(length + 17, "%ld", &bytes) != 1)
            return false;
        *body_at = (size_t)(end - in->data) + 4;
        want = *body_at + (size_t)bytes;
    }
    return true;
}

static void fake_serve(struct fake *f, int fd)
{
    AUTO(buf_done) struct buf in = {0};
    size_t body_at = 0;
    if (!fake_read(fd, &in, &body_at))
        return;
    pthread_mutex_lock(&f->mutex);
    struct fake_request *q = &f->seen[f->n_seen];
    const char *auth = strcasestr(in.data, "\r\nAuthorization: ");
    const char *http = strstr(in.data, " HTTP/1.1");
    snprintf(q->line, sizeof(q->line), "%.*s", (int)(http - in.data), in.data);
    q->auth[0] = '\0';
    if (auth)
        snprintf(q->auth, sizeof(q->auth), "%.*s", (int)strcspn(auth + 17, "\r"), auth + 17);
    q->body = mem_strdup(in.data + body_at);
    if (f->n_seen < FAKE_REQUESTS - 1)
        f->n_seen++;
    const struct fake_rule *r = fake_match(f, q->line);
    if (!r || r->status != 0)
        fake_answer(f, fd, r);
    pthread_mutex_unlock(&f->mutex);
}

static void *fake_run(void *arg)
{
    struct fake *f = arg;
    for (;;) {
        int fd = accept(f->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        fake_serve(f, fd);
        shutdown(fd, SHUT_RDWR);
        close(fd);
    }
}

static inline void fake_listen(struct fake *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(f->fd >= 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(f->fd, 64), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&at, &n), 0);
    f->port = ntohs(at.sin_port);
    pthread_mutex_init(&f->mutex, NULL);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
}

static bool fake_wait(const struct call *call, int64_t ms, struct err *err)
{
    clock_test_shift_ms(ms, ms);
    return call_check(call, err);
}

/* signer or token: one of both is NULL. rules stay the caller's. */
static inline struct fake *fake_new(const struct fake_rule *rules, struct signer *signer,
                                    const char *token)
{
    struct fake *f = mem_alloc(sizeof(*f));
    struct secret personal = {0};
    f->rules = rules;
    fake_listen(f);
    char *url = mem_printf("http://127.0.0.1:%d/api/v3", f->port);
    secret_set(&personal, str_of(token));
    f->http = http_new("squadbot-test", NULL);
    f->g = github_new(f->http, &(struct github_config){.api_url = url,
                                                       .web_url = "https://github.com",
                                                       .app_id = "123456",
                                                       .signer = signer,
                                                       .token = token ? &personal : NULL});
    f->g->wait = fake_wait;
    secret_done(&personal);
    free(url);
    return f;
}

static inline void fake_free(struct fake *f)
{
    shutdown(f->fd, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->fd);
    for (int i = 0; i < f->n_seen; i++)
        free(f->seen[i].body);
    github_free(f->g);
    http_free(f->http);
    pthread_mutex_destroy(&f->mutex);
    free(f);
}

/* How many requests began like this. */
static inline int fake_count(struct fake *f, const char *start)
{
    int n = 0;
    pthread_mutex_lock(&f->mutex);
    for (int i = 0; i < f->n_seen; i++)
        n += strncmp(f->seen[i].line, start, strlen(start)) == 0;
    pthread_mutex_unlock(&f->mutex);
    return n;
}

/* The last request that began like this; NULL when there was none. */
static inline const struct fake_request *fake_last(struct fake *f, const char *start)
{
    const struct fake_request *found = NULL;
    pthread_mutex_lock(&f->mutex);
    for (int i = 0; i < f->n_seen; i++)
        if (strncmp(f->seen[i].line, start, strlen(start)) == 0)
            found = &f->seen[i];
    pthread_mutex_unlock(&f->mutex);
    return found;
}

static inline char *fake_pem(int bits)
{
    EVP_PKEY *key = EVP_RSA_gen((unsigned)bits);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    long n = BIO_get_mem_data(bio, &text);
    char *pem = str_dup((struct str){text, (size_t)n});
    BIO_free(bio);
    EVP_PKEY_free(key);
    return pem;
}

static inline struct signer *fake_signer(void)
{
    struct signer *s = NULL;
    struct secret pem = {0};
    struct err err;
    char *text = fake_pem(2048);
    secret_set(&pem, str_of(text));
    if (!signer_start(&pem, "123456", &s, &err))
        fail_msg("%s", err.text);
    secret_done(&pem);
    free(text);
    return s;
}

/* In the paths of all rules, because the API's base has a path as on GHES. */
#define API "/api/v3"
#define MINT                                                                                       \
    {                                                                                              \
        "POST " API "/app/installations/", 201, NULL, "$TOKEN", 0                                  \
    }
