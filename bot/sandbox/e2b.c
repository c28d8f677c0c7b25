/* One exchange with E2B's control plane, and what its errors mean. Both planes use the one table
 * below: a status, or a status with a word, becomes a kind and a few facts, so that nothing else in
 * this folder looks at numbers, and nothing anywhere looks at message texts.
 *
 * Limits: an answer is at most ANSWER_MAX_BYTES; at most 5 s are waited for a rate limit here,
 * longer ones are the caller's matter (ERR_LIMIT with retry_after_s). */
#include "bot/sandbox/e2b.h"

#include "bot/base/enc.h"
#include "bot/base/mem.h"
#include "bot/base/metrics.h"

#include <stdio.h>

#define ANSWER_MAX_BYTES    ((size_t)4 * 1024 * 1024)
#define TIMEOUT_MS          30000
#define WAIT_MAX_MS         5000
#define BACKOFF_FIRST_MS    100.0
#define BACKOFF_MAX_MS      5000.0
#define SHOWN_MAX_BYTES     200 /* of a message in an error text */
#define CONCURRENCY_RETRY_S 15  /* a 429 without Retry-After: one of ours has to end first */

/* ------------------------------------------------------------------------------- error table */

static const struct rule {
    int status;
    const char *word; /* error_code; NULL = any */
    struct e2b_verdict verdict;
} rules[] = {
  /* status, word, {kind, retry_after_s, passing, ambiguous} */
    {400, NULL,                           {ERR_INPUT, 0, false, false}                 },
    {401, NULL,                           {ERR_AUTH, 0, false, false}                  },
    {403, NULL,                           {ERR_AUTH, 0, false, false}                  },
    {404, NULL,                           {ERR_GONE, 0, false, false}                  },
    {405, NULL,                           {ERR_INPUT, 0, false, false}                 }, /* not an E2B server */
    {408, NULL,                           {ERR_UPSTREAM, 0, true, true}                },
    {409, NULL,                           {ERR_CONFLICT, 0, true, false}               },
    {429, NULL,                           {ERR_LIMIT, CONCURRENCY_RETRY_S, true, false}},
    {499, NULL,                           {ERR_UPSTREAM, 0, true, true}                },
    {501, NULL,                           {ERR_INPUT, 0, false, false}                 },
    {503, "sandbox_capacity_unavailable", {ERR_UPSTREAM, 0, true, false}               },
    {503, "sandbox_no_compatible_node",   {ERR_UPSTREAM, 0, true, false}               },
    {504, "sandbox_placement_timeout",    {ERR_UPSTREAM, 0, true, true}                },
    {507, NULL,                           {ERR_SANDBOX, 0, false, false}               }, /* its disk is full */
};
static const struct e2b_verdict other_client_error = {ERR_INPUT, 0, false, false};
static const struct e2b_verdict other_server_error = {ERR_UPSTREAM, 0, true, true};
static const struct e2b_verdict senseless = {ERR_UPSTREAM, 0, false, true}; /* 1xx, 3xx */

struct e2b_verdict e2b_judge(int status, struct str word)
{
    for (size_t i = 0; i < COUNT(rules); i++)
        if (rules[i].status == status && (!rules[i].word || str_eq(str_of(rules[i].word), word)))
            return rules[i].verdict;
    if (status >= 500)
        return other_server_error;
    return status >= 400 ? other_client_error : senseless;
}

struct e2b_verdict e2b_judge_transfer(enum err_kind kind)
{
    bool passing = kind == ERR_TIMEOUT || kind == ERR_UPSTREAM;
    return (struct e2b_verdict){kind, 0, passing, passing || kind == ERR_LIMIT};
}

/* The error object of an answer, or NULL: balancers send HTML. */
static json_t *error_object(const struct http_response *r)
{
    json_t *j = NULL;
    return json_parse(buf_str(&r->body), &j, NULL) ? j : NULL;
}

static struct e2b_verdict judge_answer(const struct http_response *r)
{
    AUTO(json_decrefp) json_t *j = error_object(r);
    struct e2b_verdict v = e2b_judge(r->status, json_str(j, "error_code"));
    int64_t told_ms = http_retry_after_ms(r);
    if (told_ms > 0)
        v.retry_after_s = (int)((told_ms + 999) / 1000);
    return v;
}

bool e2b_fail(const char *what, const struct http_response *r, struct err *err)
{
    AUTO(json_decrefp) json_t *j = error_object(r);
    struct e2b_verdict v = judge_answer(r);
    struct str text = json_str(j, "message");
    text.n = str_utf8_floor(text, SHOWN_MAX_BYTES);
    err_set(err, v.kind, "%s: %d%s" STR_FMT, what, r->status, text.n ? " " : "", STR_ARG(text));
    if (err)
        err->retry_after_s = v.retry_after_s;
    return false;
}

/* ------------------------------------------------------------------------------------ client */

static char *base_url(const char *configured, const char *prefix, const char *domain)
{
    if (!configured || !*configured)
        return prefix ? mem_printf("https://%s.%s", prefix, domain) : mem_strdup("");
    struct str url = str_of(configured);
    while (str_ends(url, STR("/")))
        url.n--;
    return str_dup(url);
}

struct sandbox_client *sandbox_client_new(struct http *http, const struct sandbox_config *config)
{
    struct sandbox_client *c = mem_alloc(sizeof(*c));
    c->http = http;
    c->domain = mem_strdup(config->domain && *config->domain ? config->domain : "e2b.app");
    c->api_url = base_url(config->api_url, "api", c->domain);
    c->sandbox_url = base_url(config->sandbox_url, NULL, NULL);
    if (config->api_key)
        secret_set(&c->api_key, secret_str(config->api_key));
    return c;
}

void sandbox_client_free(struct sandbox_client *c)
{
    if (!c)
        return;
    secret_done(&c->api_key);
    free(c->sandbox_url);
    free(c->api_url);
    free(c->domain);
    free(c);
}

/* ---------------------------------------------------------------------------------- exchange */

int64_t e2b_backoff_ms(int attempt)
{
    double ms = BACKOFF_FIRST_MS;
    for (int i = 1; i < attempt && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    return (int64_t)(ms * (0.5 + random_unit() / 2));
}

void e2b_count(const char *operation, bool answered, int status, const struct err *err)
{
    char code[16];
    snprintf(code, sizeof(code), "%d", status);
    metric_add(M_E2B_REQUESTS, operation, answered ? code : err_policy(err->kind)->name, 1);
}

bool e2b_is_clean(struct str s, size_t max, const char *refused)
{
    if (s.n == 0 || s.n >= max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || strchr(refused, s.p[i]))
            return false;
    return true;
}

static bool once(struct sandbox_client *c, const struct e2b_call *q, const struct call *call,
                 struct http_response *r, struct err *err)
{
    struct call inner = call_within(call, q->timeout_ms ? q->timeout_ms : TIMEOUT_MS);
    AUTO(mem_freep) char *url = mem_printf("%s%s", c->api_url, q->path);
    struct http_request request = {
        .method = q->method,
        .url = url,
        .headers = {"Accept: application/json",
                    q->body.n ? "Content-Type: application/json" : NULL},
        .auth = &c->api_key,
        .auth_header = "X-API-Key",
        .body = q->body,
        .response_max = ANSWER_MAX_BYTES,
        .only_once = q->attempts <= 1,
    };
    http_response_done(r);
    bool answered = http_do(c->http, &request, &inner, r, err);
    e2b_count(q->operation, answered, r->status, err);
    return answered;
}

bool e2b_do(struct sandbox_client *c, const struct e2b_call *q, const struct call *call,
            struct http_response *r, struct err *err)
{
    struct err local = {0};
    if (!err)
        err = &local;
    for (int attempt = 1;; attempt++) {
        bool answered = once(c, q, call, r, err);
        if (answered && r->status >= 200 && r->status <= 299)
            return true;
        struct e2b_verdict v = answered ? judge_answer(r) : e2b_judge_transfer(err->kind);
        int64_t wait_ms = (int64_t)v.retry_after_s * 1000;
        if (!v.passing || attempt >= q->attempts || wait_ms > WAIT_MAX_MS)
            return answered;
        if (wait_ms == 0)
            wait_ms = e2b_backoff_ms(attempt);
        /* The caller's own limit: what went wrong says more than that time is over. */
        int64_t left = call ? call_left_ms(call) : -1;
        if (left >= 0 && left <= wait_ms)
            return answered;
        if (!call_wait(call, wait_ms, err))
            return false;
    }
}

bool e2b_versioned(struct sandbox_client *c, enum e2b_route route, const struct e2b_call *v2,
                   const struct e2b_call *v1, const struct call *call, struct http_response *r,
                   struct err *err)
{
    int known = atomic_load(&c->routes[route]);
    if (known != 1) {
        if (!e2b_do(c, v2, call, r, err))
            return false;
        if (r->status >= 200 && r->status <= 299)
            atomic_store(&c->routes[route], 2);
        if (known == 2 || (r->status != 404 && r->status != 405))
            return true;
    }
    if (!e2b_do(c, v1, call, r, err))
        return false;
    if (r->status >= 200 && r->status <= 299)
        atomic_store(&c->routes[route], 1);
    return true;
}

/* ----------------------------------------------------------------------------------- answers */

void sandbox_done(struct sandbox *s)
{
    secret_done(&s->access_token);
    *s = (struct sandbox){0};
}

bool e2b_parse_sandbox(struct str body, struct sandbox *out, struct err *err)
{
    AUTO(json_decrefp) json_t *j = NULL;
    if (!json_parse(body, &j, err)) {
        if (err)
            err->kind = ERR_UPSTREAM;
        return err_wrap(err, "sandbox");
    }
    struct str id = json_str(j, "sandboxID"), domain = json_str(j, "domain");
    struct str token = json_str(j, "envdAccessToken");
    struct sandbox s = {0};
    /* These become parts of URLs and header lines. */
    if (!e2b_is_clean(id, sizeof(s.id), "/?#:@%&.\\\"") ||
        (domain.n > 0 && !e2b_is_clean(domain, sizeof(s.domain), "/?#@%&\\\"")) ||
        (token.n > 0 && !e2b_is_clean(token, 4096, "")))
        return err_set(err, ERR_UPSTREAM, "sandbox: senseless id, domain or token");
    if (!str_copy(s.id, sizeof(s.id), id) || !str_copy(s.domain, sizeof(s.domain), domain) ||
        !str_copy(s.envd_version, sizeof(s.envd_version), json_str(j, "envdVersion")))
        return err_set(err, ERR_UPSTREAM, "sandbox: overlong fields");
    s.state = str_eq(json_str(j, "state"), STR("paused")) ? SANDBOX_PAUSED : SANDBOX_RUNNING;
    s.cpu_count = (int)json_int(j, "cpuCount", 0);
    s.memory_mb = (int)json_int(j, "memoryMB", 0);
    if (!time_parse(json_str(j, "endAt"), &s.end_ms))
        s.end_ms = 0;
    if (token.n > 0)
        secret_set(&s.access_token, token);
    *out = s;
    return true;
}
