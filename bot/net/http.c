/* Blocking HTTP/1.1 over libcurl's multi interface, because only that can wait for the network and
 * for a cancel token at once. Connections are kept alive by keeping (multi, easy) pairs: a call
 * takes the pair that last talked to the same origin, so that its connection cache is warm, and
 * gives it back after a complete answer. Sharing connections through CURLSH would save some of
 * them, but is not safe across threads in libcurl 7.88. A pair whose transfer failed is destroyed,
 * so that no half-read answer is met again.
 *
 * All TLS connections use one certificate store: the system's folder of hashed certificates (read
 * as needed) and the extra file. libcurl would parse the whole bundle into each connection, which
 * costs about 1 MiB and 10 ms each time.
 *
 * Limits: IDLE_MAX pairs are kept, none longer than IDLE_MS; answers as the request says; the head
 * of an answer HEAD_MAX_BYTES. */
#include "bot/net/http.h"

#include "bot/base/clock.h"
#include "bot/base/log.h"
#include "bot/base/mem.h"

#include <assert.h>
#include <curl/curl.h>
#include <dirent.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define IDLE_MAX           32
#define IDLE_MS            ((int64_t)110 * 1000) /* libcurl drops an idle connection at 118 s */
#define HEAD_MAX_BYTES     ((size_t)256 * 1024)
#define RESPONSE_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define CONNECT_MS         10000
#define LOW_SPEED_S        60
#define RECEIVE_BYTES      16384L /* per handle, so modest: hundreds of streams are open at once */
#define RETRY_AFTER_MAX_S  86400
#define ORIGIN_MAX         300
#define URL_IN_ERROR_BYTES 160

struct pair {
    CURLM *multi;
    CURL *easy;
    char origin[ORIGIN_MAX]; /* scheme://host:port of the last call */
    int64_t idle_since_ms;
};

struct http {
    pthread_mutex_t mutex;       /* guards idle */
    struct pair *idle[IDLE_MAX]; /* least recently used first */
    int n_idle;
    char *user_agent;
    X509_STORE *store;
};

/* One call under way. */
struct transfer {
    const struct http_request *q;
    struct http_response *r;
    struct err *err;
    size_t response_max; /* 0 = none */
    size_t received;
    int64_t body_offset;
    bool head_done;
    bool failed; /* err was set by a callback */
};

/* ------------------------------------------------------------------------------ pool of pairs */

static void pair_free(struct pair *p)
{
    if (!p)
        return;
    curl_easy_cleanup(p->easy);
    curl_multi_cleanup(p->multi);
    free(p);
}

static struct pair *pair_new(void)
{
    struct pair *p = mem_alloc(sizeof(*p));
    p->multi = curl_multi_init();
    p->easy = curl_easy_init();
    assert(p->multi && p->easy); /* fail only when memory is out */
    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, 2L);
    return p;
}

static struct pair *idle_remove(struct http *h, int at)
{
    struct pair *p = h->idle[at];
    h->n_idle--;
    memmove(h->idle + at, h->idle + at + 1, (size_t)(h->n_idle - at) * sizeof(struct pair *));
    return p;
}

static struct pair *pair_take(struct http *h, struct str origin)
{
    struct pair *found = NULL;
    pthread_mutex_lock(&h->mutex);
    for (int i = h->n_idle - 1; i >= 0 && !found; i--)
        if (str_eq(str_of(h->idle[i]->origin), origin))
            found = idle_remove(h, i);
    pthread_mutex_unlock(&h->mutex);
    if (!found)
        found = pair_new();
    if (!str_copy(found->origin, sizeof(found->origin), origin))
        found->origin[0] = '\0'; /* matches nothing; the call itself is fine */
    return found;
}

static void pair_give(struct http *h, struct pair *p)
{
    struct pair *drop[IDLE_MAX];
    int n = 0;
    curl_easy_reset(p->easy); /* frees the options, keeps the connections */
    p->idle_since_ms = clock_mono_ms();
    pthread_mutex_lock(&h->mutex);
    while (h->n_idle > 0 &&
           (h->n_idle == IDLE_MAX || p->idle_since_ms - h->idle[0]->idle_since_ms > IDLE_MS))
        drop[n++] = idle_remove(h, 0);
    h->idle[h->n_idle++] = p;
    pthread_mutex_unlock(&h->mutex);
    while (n > 0)
        pair_free(drop[--n]);
}

/* GnuTLS comes along as a library of a library of libcurl and is used by nobody. Its start-up code
 * asks the program whether to run at all: 0.8 MB less. CMakeLists.txt exports the function. */
int _gnutls_global_init_skip(void);
int _gnutls_global_init_skip(void)
{
    return 1;
}

/* Does the folder have certificates under the names by which OpenSSL finds them? */
static bool has_hashed(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    bool found = false;
    while (dir && !found && (entry = readdir(dir)))
        found = str_ends(str_of(entry->d_name), STR(".0"));
    if (dir)
        closedir(dir);
    return found;
}

/* OpenSSL's own default also reads the bundle, at once and whole. */
static bool add_system_store(X509_STORE *store)
{
    const char *folder = getenv(X509_get_default_cert_dir_env());
    if (!folder)
        folder = X509_get_default_cert_dir();
    if (getenv(X509_get_default_cert_file_env()) || !has_hashed(folder))
        return X509_STORE_set_default_paths(store) == 1;
    return X509_STORE_load_path(store, folder) == 1;
}

struct http *http_new(const char *user_agent, const char *ca_file)
{
    CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
    assert(rc == CURLE_OK);
    struct http *h = mem_alloc(sizeof(*h));
    pthread_mutex_init(&h->mutex, NULL);
    h->user_agent = mem_strdup(user_agent);
    h->store = X509_STORE_new();
    assert(h->store);
    /* Without certificates every TLS connection is refused, so a failure here is not a risk. */
    if (!add_system_store(h->store))
        log_warn("the system's CA certificates cannot be used", NULL);
    if (ca_file && *ca_file && X509_STORE_load_file(h->store, ca_file) != 1)
        log_warn("no CA certificate could be read", "file", ca_file, NULL);
    return h;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (h->n_idle > 0)
        pair_free(h->idle[--h->n_idle]);
    pthread_mutex_destroy(&h->mutex);
    X509_STORE_free(h->store);
    free(h->user_agent);
    free(h);
    curl_global_cleanup();
}

/* --------------------------------------------------------------------------- libcurl callbacks */

static bool is_success(int status)
{
    return status >= 200 && status <= 299;
}

static size_t on_head(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    struct str line = {data, size * count};
    if (str_starts(line, STR("HTTP/"))) { /* the first line of this answer, or after a 1xx one */
        buf_clear(&t->r->head);
        t->head_done = false;
        size_t space = str_find(line, STR(" "), 0);
        int64_t status = 0;
        if (!str_to_i64(str_sub(line, space + 1, space + 4), 100, 999, &status))
            status = 0;
        t->r->status = (int)status;
        return line.n;
    }
    if (t->head_done) /* trailers must not pass for headers */
        return line.n;
    if (str_trim(line).n == 0)
        t->head_done = true;
    else
        buf_add_str(&t->r->head, line);
    if (!t->r->head.overflow)
        return line.n;
    t->failed = true;
    err_set(t->err, ERR_LIMIT, "answer's head is longer than %zu bytes", HEAD_MAX_BYTES);
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    struct str piece = {data, size * count};
    bool sink = t->q->sink && is_success(t->r->status);
    size_t max = t->response_max ? t->response_max : RESPONSE_MAX_BYTES;
    if ((t->response_max || !sink) && piece.n > max - t->received) {
        t->failed = true;
        err_set(t->err, ERR_LIMIT, "answer is longer than %zu bytes", max);
        return 0;
    }
    t->received += piece.n;
    if (!sink)
        buf_add_str(&t->r->body, piece);
    else if (!t->q->sink(t->q->sink_arg, piece, t->err))
        t->failed = true;
    return t->failed ? 0 : piece.n;
}

static size_t on_upload(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    int64_t in_file = t->body_offset - (int64_t)t->q->body_prefix.n;
    if (in_file < 0) {
        struct str left = str_sub(t->q->body_prefix, (size_t)t->body_offset, t->q->body_prefix.n);
        size_t take = left.n < size * count ? left.n : size * count;
        memcpy(data, left.p, take);
        t->body_offset += (int64_t)take;
        return take;
    }
    ssize_t n = pread(t->q->body_fd, data, size * count, in_file);
    if (n < 0) {
        t->failed = true;
        err_set(t->err, ERR_BUG, "read the body's file: %m");
        return CURL_READFUNC_ABORT;
    }
    t->body_offset += n;
    return (size_t)n;
}

/* libcurl sends again from the start when a kept connection turns out to be closed. */
static int on_rewind(void *arg, curl_off_t offset, int origin)
{
    struct transfer *t = arg;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    t->body_offset = offset;
    return CURL_SEEKFUNC_OK;
}

static CURLcode on_tls(CURL *easy, void *ctx, void *arg)
{
    (void)easy;
    SSL_CTX_set1_cert_store(ctx, arg);
    return CURLE_OK;
}

/* ------------------------------------------------------------------------------- one transfer */

static bool has_header(const struct http_request *q, const char *name_colon)
{
    for (size_t i = 0; i < HTTP_HEADERS_MAX; i++)
        if (q->headers[i] && strncasecmp(q->headers[i], name_colon, strlen(name_colon)) == 0)
            return true;
    return false;
}

static void add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    assert(longer);
    *list = longer;
}

/* The first line is the one with the secret, so that headers_free() knows which to zero. */
static struct curl_slist *headers_new(const struct http_request *q)
{
    struct curl_slist *list = NULL;
    if (q->auth && secret_is_set(q->auth)) {
        struct buf line = {0};
        if (q->auth_scheme)
            buf_printf(&line, "Authorization: %s ", q->auth_scheme);
        else
            buf_printf(&line, "%s: ", q->auth_header ? q->auth_header : "Authorization");
        /* Whole room first: a buffer that moves would leave a copy of the secret behind. */
        if (buf_reserve(&line, q->auth->n + 1))
            buf_add_str(&line, secret_str(q->auth));
        add_header(&list, buf_cstr(&line));
        explicit_bzero(line.data, line.len);
        buf_done(&line);
    }
    add_header(&list, "Expect:");
    if (!has_header(q, "Content-Type:"))
        add_header(&list, "Content-Type:"); /* else libcurl claims a form */
    for (size_t i = 0; i < HTTP_HEADERS_MAX; i++)
        if (q->headers[i])
            add_header(&list, q->headers[i]);
    return list;
}

static void headers_free(const struct http_request *q, struct curl_slist *list)
{
    if (q->auth && secret_is_set(q->auth))
        explicit_bzero(list->data, strlen(list->data));
    curl_slist_free_all(list);
}

static void set_body(CURL *e, const struct http_request *q, struct transfer *t)
{
    bool always = str_eq(str_of(q->method), STR("POST")) || str_eq(str_of(q->method), STR("PUT")) ||
                  str_eq(str_of(q->method), STR("PATCH"));
    if (q->body_fd > 0) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)q->body_prefix.n + (curl_off_t)q->body_fd_size);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(e, CURLOPT_READDATA, t);
        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
    } else if (q->body.n > 0 || always) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, q->body.n ? q->body.p : "");
    } else if (str_eq(str_of(q->method), STR("HEAD"))) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, q->method);
}

static CURLcode set_options(const struct http *h, CURL *e, const struct call *call,
                            struct transfer *t)
{
    int64_t left = call ? call_left_ms(call) : -1;
    long connect_ms = left >= 0 && left < CONNECT_MS ? (long)left + 1 : CONNECT_MS;
    int low_speed_s = t->q->low_speed_s > 0 ? t->q->low_speed_s : LOW_SPEED_S;

    curl_easy_setopt(e, CURLOPT_URL, t->q->url);
    curl_easy_setopt(e, CURLOPT_USERAGENT, h->user_agent);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    CURLcode rc = curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)low_speed_s);
    curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, t->q->only_once ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    /* A cancelled call does not wait for the resolver's thread. */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, on_tls);
    curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, h->store);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    set_body(e, t->q, t);
    return rc;
}

static enum err_kind kind_of(CURLcode rc)
{
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return ERR_TIMEOUT;
    if (rc == CURLE_URL_MALFORMAT)
        return ERR_INPUT;
    return ERR_UPSTREAM;
}

/* Runs until the transfer ends, the deadline passes or the token fires. */
static bool run(struct pair *p, const struct call *call, CURLcode *result, struct err *err)
{
    struct curl_waitfd token = {.fd = call ? cancel_fd(call->cancel) : -1,
                                .events = CURL_WAIT_POLLIN};
    for (;;) {
        int running = 0, queued = 0;
        if (!call_check(call, err))
            return false;
        CURLMcode rc = curl_multi_perform(p->multi, &running);
        const CURLMsg *m = curl_multi_info_read(p->multi, &queued);
        if (m && m->msg == CURLMSG_DONE) {
            *result = m->data.result;
            return true;
        }
        int64_t left = call ? call_left_ms(call) : -1;
        int wait_ms = left < 0 || left > 1000 ? 1000 : (int)left;
        if (rc == CURLM_OK)
            rc = curl_multi_poll(p->multi, &token, token.fd >= 0 ? 1 : 0, wait_ms, NULL);
        if (rc != CURLM_OK)
            return err_set(err, ERR_BUG, "libcurl: %s", curl_multi_strerror(rc));
    }
}

static bool transfer(struct http *h, struct pair *p, const struct call *call, struct transfer *t)
{
    char detail[CURL_ERROR_SIZE] = "";
    CURLcode result = set_options(h, p->easy, call, t);
    if (result != CURLE_OK)
        return err_set(t->err, ERR_BUG, "libcurl: %s", curl_easy_strerror(result));
    struct curl_slist *headers = headers_new(t->q);
    curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(p->easy, CURLOPT_ERRORBUFFER, detail);
    CURLMcode rc = curl_multi_add_handle(p->multi, p->easy);
    bool ok = rc == CURLM_OK ? run(p, call, &result, t->err)
                             : err_set(t->err, ERR_BUG, "libcurl: %s", curl_multi_strerror(rc));
    curl_multi_remove_handle(p->multi, p->easy);
    curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(p->easy, CURLOPT_ERRORBUFFER, NULL);
    headers_free(t->q, headers);
    if (!ok || t->failed)
        return false;
    if (result != CURLE_OK)
        return err_set(t->err, kind_of(result), "%s",
                       *detail ? detail : curl_easy_strerror(result));
    return true;
}

/* scheme://host:port of a URL. */
static struct str origin_of(const char *url)
{
    struct str u = str_of(url);
    size_t host = str_find(u, STR("://"), 0);
    host = host == u.n ? 0 : host + 3;
    size_t end = host + strcspn(url + host, "/?#");
    return str_sub(u, 0, end);
}

bool http_do(struct http *h, const struct http_request *q, const struct call *call,
             struct http_response *r, struct err *err)
{
    struct err local; /* callbacks need a place also when the caller gives none */
    struct transfer t = {.q = q, .r = r, .err = err ? err : &local};
    t.response_max = q->response_max;
    r->status = 0;
    r->head.max = HEAD_MAX_BYTES;
    r->body.max = q->response_max ? q->response_max : RESPONSE_MAX_BYTES;
    if (!call_check(call, err))
        return false;
    if (!str_starts(str_of(q->url), STR("https://")) && !str_starts(str_of(q->url), STR("http://")))
        return err_set(err, ERR_INPUT, "%s %.40s: not an http or https URL", q->method, q->url);
    struct pair *p = pair_take(h, origin_of(q->url));
    if (transfer(h, p, call, &t)) {
        pair_give(h, p);
        return true;
    }
    pair_free(p);
    /* Without the query: it says nothing about the cause and may be long. */
    size_t shown = strcspn(q->url, "?#");
    return err_wrap(err, "%s %.*s", q->method,
                    (int)(shown < URL_IN_ERROR_BYTES ? shown : URL_IN_ERROR_BYTES), q->url);
}

/* ------------------------------------------------------------------------------------ answers */

void http_response_done(struct http_response *r)
{
    buf_done(&r->body);
    buf_done(&r->head);
    r->status = 0;
}

struct str http_header(const struct http_response *r, const char *name)
{
    struct str rest = buf_str(&r->head), line;
    while (str_line(&rest, &line)) {
        size_t colon = str_find(line, STR(":"), 0);
        if (colon < line.n && str_eq_nocase(str_sub(line, 0, colon), str_of(name)))
            return str_trim(str_sub(line, colon + 1, line.n));
    }
    return (struct str){0};
}

int64_t http_retry_after_ms(const struct http_response *r)
{
    struct str text = http_header(r, "Retry-After");
    int64_t seconds = 0, at = 0, now = 0;
    if (str_to_i64(text, 0, INT32_MAX, &seconds))
        return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
    if (!time_parse_http(text, &at))
        return 0;
    /* Against the server's own clock where it tells, since ours may be off. */
    if (!time_parse_http(http_header(r, "Date"), &now))
        now = clock_wall_ms();
    int64_t ms = at - now;
    if (ms <= 0)
        return 0;
    return ms < (int64_t)RETRY_AFTER_MAX_S * 1000 ? ms : (int64_t)RETRY_AFTER_MAX_S * 1000;
}
