/* The App's webhook: every event becomes a delivery, sent by one of a few threads with GitHub's
 * headers and signature, and kept in the log. Never retried by itself; a redelivery is a new row
 * with the same GUID. The tests can hold, drop, delay, double, reorder and mis-sign deliveries. */
#include "bot/base/call.h"
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "bot/base/thread.h"
#include "tests/standins/github/events.h"
#include "tests/standins/github/objects.h"
#include "tests/standins/github/post.h"

#include <fnmatch.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define SENDERS         4
#define ANSWER_LIMIT_MS 10000
#define PAYLOAD_MAX     ((size_t)25 * 1024 * 1024)

enum progress { QUEUED, HELD, SENDING, DONE };

struct delivery {
    int64_t id;
    char guid[UUID_TEXT];
    char *event;
    char *action; /* NULL = none */
    char *payload;
    int64_t inst;
    int64_t repo;
    int64_t at;
    int64_t due; /* monotonic: not before */
    double duration;
    int code;
    char *status;
    bool redelivery;
    bool bad_signature;
    json_t *request_headers;
    json_t *response_headers;
    char *response;
    enum progress progress;
};

static struct list log_rows;
static size_t first_open; /* every row before it is DONE */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

/* What POST /_standin/webhooks ordered; each "times" counts down, -1 = always. */
static struct {
    bool hold;
    int64_t delay_ms;
    int64_t drop;      /* logged as failed, never sent */
    int64_t forget;    /* neither logged nor sent */
    int64_t duplicate; /* sent twice, same GUID */
    int64_t bad_signature;
    int64_t timeout_ms;
    char *match; /* which of them: shell pattern over "event.action"; NULL = all */
} ordered = {.timeout_ms = ANSWER_LIMIT_MS};

static bool count_down(int64_t *times)
{
    if (*times == 0)
        return false;
    *times -= *times > 0;
    return true;
}

static struct delivery *row_new(const char *event, const char *action, const char *payload)
{
    struct delivery *d = mem_alloc(sizeof(*d));
    d->id = state_id(ID_DELIVERY);
    d->event = mem_strdup(event);
    d->action = mem_strdup(action);
    d->payload = mem_strdup(payload);
    d->at = now_ms();
    d->status = mem_strdup("");
    d->due = clock_mono_ms() + ordered.delay_ms;
    d->progress = ordered.hold ? HELD : QUEUED;
    return d;
}

static void enqueue(struct delivery *d)
{
    list_add(&log_rows, d);
    pthread_cond_broadcast(&wake);
}

static void set_status(struct delivery *d, const char *text)
{
    text_set(&d->status, text);
}

void hook_send(const char *event, json_t *payload, const struct installation *i,
               const struct repo *r)
{
    const char *action = json_cstr(payload, "action");
    AUTO(mem_freep) char *name = mem_printf("%s.%s", event, action ? action : "");
    AUTO(buf_done) struct buf text = {0};
    bool concerned = !ordered.match || fnmatch(ordered.match, name, 0) == 0;
    json_write(&text, payload);
    if (S.app.hook_url && !text.overflow && text.len <= PAYLOAD_MAX &&
        !(concerned && count_down(&ordered.forget))) {
        struct delivery *d = row_new(event, action, buf_cstr(&text));
        uuid_v7(d->guid);
        d->inst = i ? i->id : 0;
        d->repo = r ? r->id : 0;
        if (concerned && count_down(&ordered.drop)) {
            d->progress = DONE;
            set_status(d, "failed to connect to host");
        }
        d->bad_signature = concerned && count_down(&ordered.bad_signature);
        bool twice = d->progress != DONE && concerned && count_down(&ordered.duplicate);
        enqueue(d);
        if (twice)
            (void)hook_redeliver(d->id);
    }
    json_decref(payload);
}

static void add_header(json_t *all, struct buf *lines, const char *name, const char *value)
{
    json_object_set_new(all, name, json_string(value));
    buf_printf(lines, "%s: %s\r\n", name, value);
}

/* Over the bytes as they are sent. */
static void sign(const struct delivery *d, struct str body, struct buf *sha256_hex,
                 struct buf *sha1_hex)
{
    unsigned char mac[SHA256_BYTES];
    unsigned char old[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    struct str secret = str_of(S.app.hook_secret);
    hmac_sha256(secret, body, mac);
    if (d->bad_signature)
        mac[0] ^= 1;
    buf_puts(sha256_hex, "sha256=");
    enc_hex(sha256_hex, mac, sizeof(mac));
    HMAC(EVP_sha1(), secret.p, (int)secret.n, (const unsigned char *)body.p, body.n, old, &n);
    buf_puts(sha1_hex, "sha1=");
    enc_hex(sha1_hex, old, n);
}

/* All headers, with the state lock held. */
static void headers_make(struct delivery *d, struct str body, struct buf *lines)
{
    char hook[24];
    char target[24];
    AUTO(buf_done) struct buf new_hex = {0};
    AUTO(buf_done) struct buf old_hex = {0};
    snprintf(hook, sizeof(hook), "%lld", (long long)S.app.hook_id);
    snprintf(target, sizeof(target), "%lld", (long long)S.app.id);
    json_decref(d->request_headers);
    d->request_headers = json_object();
    json_t *all = d->request_headers;
    add_header(all, lines, "Accept", "*/*");
    add_header(all, lines, "Content-Type", S.app.hook_content_type);
    add_header(all, lines, "User-Agent", "GitHub-Hookshot/5a1d1a5");
    add_header(all, lines, "X-GitHub-Delivery", d->guid);
    if (S.enterprise) {
        add_header(all, lines, "X-GitHub-Enterprise-Host", strstr(S.base, "//") + 2);
        add_header(all, lines, "X-GitHub-Enterprise-Version", S.enterprise);
    }
    add_header(all, lines, "X-GitHub-Event", d->event);
    add_header(all, lines, "X-GitHub-Hook-ID", hook);
    add_header(all, lines, "X-GitHub-Hook-Installation-Target-ID", target);
    add_header(all, lines, "X-GitHub-Hook-Installation-Target-Type", "integration");
    if (S.app.hook_secret && *S.app.hook_secret) {
        sign(d, body, &new_hex, &old_hex);
        add_header(all, lines, "X-Hub-Signature", buf_cstr(&old_hex));
        add_header(all, lines, "X-Hub-Signature-256", buf_cstr(&new_hex));
    }
}

static json_t *headers_read(struct str head)
{
    json_t *all = json_object();
    struct str line;
    (void)str_line(&head, &line);
    while (str_line(&head, &line)) {
        struct str value = line;
        struct str name;
        if (str_split(&value, ':', &name) && value.p && name.n > 0)
            json_object_setn_new(all, name.p, name.n, json_text(str_trim(value)));
    }
    return all;
}

static const char *status_text(int code)
{
    return code >= 200 && code < 300 ? "OK" : code == 404 ? "Not Found" : "Invalid HTTP Response";
}

/* Lock held on entry and return, not while sending. */
static void deliver(struct delivery *d)
{
    AUTO(buf_done) struct buf lines = {0};
    struct post_result r = {0};
    d->progress = SENDING;
    d->at = now_ms();
    AUTO(mem_freep) char *url = mem_strdup(S.app.hook_url ? S.app.hook_url : "");
    /* The form type sends payload=…; the body is the same text, percent-encoded. */
    AUTO(buf_done) struct buf form = {0};
    struct str body = str_of(d->payload);
    if (strcmp(S.app.hook_content_type, "application/json") != 0) {
        buf_puts(&form, "payload=");
        enc_percent(&form, body, false);
        body = buf_str(&form);
    }
    headers_make(d, body, &lines);
    int64_t limit = ordered.timeout_ms;
    int64_t start = clock_mono_ms();
    state_unlock();
    bool answered = post_send(url, buf_str(&lines), body, limit, &r);
    state_lock();
    d->duration = (double)(clock_mono_ms() - start) / 1000.0;
    d->code = answered ? r.status : 0;
    set_status(d, answered ? status_text(r.status) : r.failure);
    json_decref(d->response_headers);
    d->response_headers = headers_read(buf_str(&r.head));
    text_set(&d->response, buf_cstr(&r.body));
    d->progress = DONE;
    post_result_done(&r);
}

static struct delivery *next_due(int64_t *wait_ms)
{
    int64_t now = clock_mono_ms();
    *wait_ms = 60000;
    while (first_open < log_rows.n &&
           ((struct delivery *)log_rows.at[first_open])->progress == DONE)
        first_open++;
    for (size_t i = first_open; i < log_rows.n; i++) {
        struct delivery *d = log_rows.at[i];
        if (d->progress != QUEUED)
            continue;
        if (d->due <= now)
            return d;
        if (d->due - now < *wait_ms)
            *wait_ms = d->due - now;
    }
    return NULL;
}

static void *sender(void *arg)
{
    (void)arg;
    state_lock();
    for (;;) {
        int64_t wait_ms = 0;
        struct delivery *d = next_due(&wait_ms);
        if (d) {
            deliver(d);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += wait_ms / 1000;
        until.tv_nsec += (wait_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&wake, &S.lock, &until);
    }
    return NULL;
}

bool hooks_start(void)
{
    struct err err;
    for (int i = 0; i < SENDERS; i++) {
        pthread_t t;
        if (!thread_start(&t, "hook sender", sender, NULL, &err))
            return false;
        pthread_detach(t);
    }
    return true;
}

static struct delivery *row_find(int64_t id)
{
    for (size_t i = 0; i < log_rows.n; i++) {
        struct delivery *d = log_rows.at[i];
        if (d->id == id)
            return d;
    }
    return NULL;
}

bool hook_redeliver(int64_t id)
{
    const struct delivery *first = row_find(id);
    if (!first)
        return false;
    struct delivery *d = row_new(first->event, first->action, first->payload);
    memcpy(d->guid, first->guid, sizeof(d->guid));
    d->inst = first->inst;
    d->repo = first->repo;
    d->redelivery = true;
    enqueue(d);
    return true;
}

static json_t *row_json(const struct delivery *d, bool full)
{
    json_t *o =
        json_pack("{s:I, s:s, s:b, s:f, s:s, s:i, s:s, s:n}", "id", (json_int_t)d->id, "guid",
                  d->guid, "redelivery", d->redelivery, "duration", d->duration, "status",
                  d->status, "status_code", d->code, "event", d->event, "throttled_at");
    jset(o, "delivered_at", jtime(d->at));
    jset(o, "action", jtext(d->action));
    jset(o, "installation_id", d->inst ? json_integer(d->inst) : json_null());
    jset(o, "repository_id", d->repo ? json_integer(d->repo) : json_null());
    if (full) {
        struct err err;
        json_t *payload = NULL;
        if (!json_parse(str_of(d->payload), &payload, &err))
            payload = json_null();
        jset(o, "url", jtext(S.app.hook_url));
        jset(o, "request",
             json_pack("{s:O?, s:o}", "headers", d->request_headers, "payload", payload));
        jset(o, "response",
             json_pack("{s:O?, s:o}", "headers", d->response_headers, "payload",
                       jtext(d->response ? d->response : "")));
    }
    return o;
}

json_t *hook_list(int64_t before, size_t max, bool failed_only, int64_t *next)
{
    json_t *all = json_array();
    *next = 0;
    for (size_t i = log_rows.n; i > 0; i--) {
        const struct delivery *d = log_rows.at[i - 1];
        bool ok = d->code >= 200 && d->code < 300;
        if (d->progress != DONE || (before && d->id >= before) || (failed_only && ok))
            continue;
        if (json_array_size(all) == max) {
            *next = json_int(json_array_get(all, max - 1), "id", 0);
            break;
        }
        json_array_append_new(all, row_json(d, false));
    }
    return all;
}

json_t *hook_row(int64_t id, bool full)
{
    const struct delivery *d = row_find(id);
    return d ? row_json(d, full) : NULL;
}

bool hook_idle(void)
{
    for (size_t i = first_open; i < log_rows.n; i++) {
        enum progress p = ((struct delivery *)log_rows.at[i])->progress;
        if (p == QUEUED || p == SENDING)
            return false;
    }
    return true;
}

/* Held rows become due, newest first when reversed: with four senders a few ms apart keep them in
 * order. */
static void release(bool reversed)
{
    int64_t n = 0;
    for (size_t i = 0; i < log_rows.n; i++)
        n += ((struct delivery *)log_rows.at[i])->progress == HELD;
    int64_t k = 0;
    for (size_t i = 0; i < log_rows.n; i++) {
        struct delivery *d = log_rows.at[i];
        if (d->progress != HELD)
            continue;
        d->progress = QUEUED;
        d->due = clock_mono_ms() + (reversed ? n - k : k) * 20;
        k++;
    }
    pthread_cond_broadcast(&wake);
}

json_t *hook_control(const json_t *order)
{
    static const struct {
        const char *key;
        int64_t *slot;
    } numbers[] = {
        {"delay_ms",      &ordered.delay_ms     },
        {"drop",          &ordered.drop         },
        {"forget",        &ordered.forget       },
        {"duplicate",     &ordered.duplicate    },
        {"bad_signature", &ordered.bad_signature},
        {"timeout_ms",    &ordered.timeout_ms   },
    };
    for (size_t i = 0; i < COUNT(numbers); i++)
        *numbers[i].slot = json_int(order, numbers[i].key, *numbers[i].slot);
    if (json_object_get(order, "match"))
        text_set(&ordered.match, json_cstr(order, "match"));
    if (json_object_get(order, "hold"))
        ordered.hold = json_bool(order, "hold", false);
    if (json_object_get(order, "release"))
        release(str_eq(json_str(order, "release"), STR("reverse")));
    json_t *now = json_object();
    for (size_t i = 0; i < COUNT(numbers); i++)
        jset(now, numbers[i].key, json_integer(*numbers[i].slot));
    jset(now, "hold", json_boolean(ordered.hold));
    jset(now, "match", jtext(ordered.match));
    jset(now, "idle", json_boolean(hook_idle()));
    return now;
}
