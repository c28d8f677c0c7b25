/* One REST call. A call is a loop of attempts; after each answer one of the after_…() functions
 * says whether it is done, failed, or to be sent again, and each reason has its own bound:
 *
 *   limits     refusals for a rate limit; the pause itself is limit.c's
 *   faults     5xx, resets, time-outs and broken answers, only where repeating is harmless
 *   lags       401 within seconds of minting, when GitHub's replicas may not know the token yet
 *   remint     one new token after a 401; one new JWT when GitHub's clock turns out to differ
 *   redirects  same scheme, host and port only, because our token goes along
 *   misses     404 right after an event, for calls that ask for patience
 *
 * Each attempt has REQUEST_MS inside the caller's deadline; a wait that would pass the deadline is
 * not begun. Answers are at most ANSWER_MAX_BYTES. */
#include "github-app/rest.h"

#include "bot/base/buf.h"
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "bot/base/metrics.h"
#include "github-app/limit.h"
#include "github-app/state.h"
#include "github-app/token.h"

#include <stdio.h>

#define REQUEST_MS       30000
#define ANSWER_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define LIMITS_MAX       4
#define FAULTS_MAX       2
#define LAGS_MAX         3
#define LAG_MS           5000
#define MISSES_MAX       2
#define REDIRECTS_MAX    3
#define URL_MAX_BYTES    4096
#define MESSAGE_MAX      300
#define API_VERSION      "2022-11-28"

enum verdict { DONE, FAILED, AGAIN };

/* One call under way. */
struct run {
    struct github *g;
    const struct rest *q;
    const struct call *call;
    struct rest_answer *a;
    int64_t limit_key;
    char *url; /* changes with a redirect */
    struct buf body;
    struct secret token;
    int64_t minted_ms; /* of token, monotonic */
    struct http_response r;
    int limits, faults, lags, misses, redirects;
    bool reminted;
};

/* ----------------------------------------------------------------------------------- URLs */

/* scheme://host:port */
static struct str origin_of(struct str url)
{
    size_t host = str_find(url, STR("://"), 0);
    size_t end = host == url.n ? 0 : host + 3;
    while (end < url.n && !strchr("/?#", url.p[end]))
        end++;
    return str_sub(url, 0, end);
}

/* A whole URL from a header is used only when it stays on the API's own host and is printable. */
static bool url_ok(const struct github *g, struct str url)
{
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] == 0x7f)
            return false;
    return url.n <= URL_MAX_BYTES && str_eq_nocase(origin_of(url), origin_of(str_of(g->api_url)));
}

static char *url_resolve(const struct github *g, struct str location)
{
    struct buf url = {0};
    if (str_starts(location, STR("/")) && !str_starts(location, STR("//")))
        buf_add_str(&url, origin_of(str_of(g->api_url)));
    buf_add_str(&url, location);
    if (!url_ok(g, buf_str(&url)))
        buf_done(&url);
    return url.len > 0 ? buf_take(&url) : NULL;
}

/* The repository id in API/repositories/ID/…, or 0. */
static int64_t url_repository_id(const struct github *g, const char *url)
{
    struct str s = str_of(url), base = str_of(g->api_url);
    int64_t id = 0;
    if (!str_starts(s, base) || !str_starts(str_sub(s, base.n, s.n), STR("/repositories/")))
        return 0;
    size_t from = base.n + STR("/repositories/").n, to = from;
    while (to < s.n && s.p[to] >= '0' && s.p[to] <= '9')
        to++;
    return str_to_i64(str_sub(s, from, to), 1, INT64_MAX, &id) ? id : 0;
}

/* Link: <url>; rel="next", … */
static char *next_page(const struct github *g, const struct http_response *r)
{
    struct str rest = http_header(r, "Link"), link;
    while (rest.p && str_split(&rest, ',', &link)) {
        struct str url = str_trim(str_sub(link, 0, str_find(link, STR(";"), 0)));
        bool is_next = str_find(link, STR("rel=\"next\""), 0) < link.n;
        if (is_next && url.n > 2 && url.p[0] == '<' && url.p[url.n - 1] == '>')
            return url_resolve(g, str_sub(url, 1, url.n - 1));
    }
    return NULL;
}

/* --------------------------------------------------------------------------------- errors */

static void add_line(struct buf *out, const char *text)
{
    if (!text || !*text)
        return;
    if (out->len > 0)
        buf_puts(out, ": ");
    struct str s = str_of(text);
    s.n = str_utf8_floor(s, MESSAGE_MAX);
    for (size_t i = 0; i < s.n; i++)
        buf_putc(out, (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i]);
}

/* {"message", "errors": ["text" | {"message"} | {"field","code"}]} as one line. */
static void describe(const json_t *body, struct buf *out)
{
    add_line(out, json_cstr(body, "message"));
    const json_t *errors = json_at(body, "errors");
    for (size_t i = 0; i < json_array_size(errors) && out->len < MESSAGE_MAX; i++) {
        const json_t *one = json_array_get(errors, i);
        const char *field = json_cstr(one, "field"), *code = json_cstr(one, "code");
        AUTO(buf_done) struct buf words = {0};
        if (json_is_string(one))
            add_line(out, json_string_value(one));
        else if (json_cstr(one, "message"))
            add_line(out, json_cstr(one, "message"));
        else if (field || code)
            buf_printf(&words, "%s %s", field ? field : "", code ? code : "");
        add_line(out, buf_cstr(&words));
    }
    if (out->len > MESSAGE_MAX) {
        out->len = str_utf8_floor(buf_str(out), MESSAGE_MAX);
        out->data[out->len] = '\0';
    }
}

static enum err_kind kind_of(int status, bool limited)
{
    static const struct {
        int status;
        enum err_kind kind;
    } rows[] = {
        {401, ERR_AUTH    },
        {403, ERR_DENIED  },
        {404, ERR_GONE    },
        {408, ERR_UPSTREAM},
        {409, ERR_CONFLICT},
        {410, ERR_GONE    },
        {429, ERR_LIMIT   },
        {451, ERR_DENIED  }
    };
    if (limited)
        return ERR_LIMIT;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].status == status)
            return rows[i].kind;
    return status >= 400 && status <= 499 ? ERR_INPUT : ERR_UPSTREAM;
}

static void set_error(const struct run *x, bool limited, struct err *err)
{
    AUTO(buf_done) struct buf text = {0};
    describe(x->a->json, &text);
    struct str id = http_header(&x->r, "X-GitHub-Request-Id");
    struct str needs = http_header(&x->r, "X-Accepted-GitHub-Permissions");
    id.n = id.n < 64 ? id.n : 64;
    needs.n = needs.n < 80 ? needs.n : 80;
    bool tell_needs = x->r.status == 403 && !limited && needs.n > 0;
    err_set(err, kind_of(x->r.status, limited), "%s %.*s: %d %s%s" STR_FMT "%s" STR_FMT,
            x->q->method, (int)strcspn(x->q->path, "?"), x->q->path, x->r.status, buf_cstr(&text),
            tell_needs ? "; needs " : "", STR_ARG(tell_needs ? needs : (struct str){0}),
            id.n > 0 ? "; request " : "", STR_ARG(id));
}

bool rest_bad_answer(const char *what, struct err *err)
{
    return err_set(err, ERR_UPSTREAM, "GitHub's answer has no %s", what);
}

/* -------------------------------------------------------------------------- one attempt */

static bool authorise(struct run *x, struct err *err)
{
    const struct rest *q = x->q;
    switch (q->auth) {
    case REST_ANONYMOUS:
        return true;
    case REST_GIVEN:
        secret_set(&x->token, secret_str(q->token));
        return true;
    case REST_JWT:
        return token_jwt(x->g, &x->token, err);
    case REST_INSTALLATION:
        break;
    }
    if (!github_is_personal(x->g))
        return token_get(x->g, q->repo, q->need, x->call, &x->token, &x->minted_ms, err);
    secret_set(&x->token, secret_str(&x->g->personal));
    return true;
}

static void count(const struct run *x, bool came)
{
    char code[16] = "error";
    if (came)
        snprintf(code, sizeof(code), "%d", x->r.status);
    metric_add(M_GITHUB_REQUESTS, x->q->label, code, 1);
}

static void wipe_answer(struct run *x)
{
    if (x->r.body.data) /* may hold a token */
        explicit_bzero(x->r.body.data, x->r.body.len);
    http_response_done(&x->r);
    rest_answer_done(x->a);
}

static bool exchange(struct run *x, struct err *err)
{
    struct http_request q = {
        .method = x->q->method,
        .url = x->url,
        .headers = {"Accept: application/vnd.github+json", "X-GitHub-Api-Version: " API_VERSION,
                    x->q->body ? "Content-Type: application/json" : NULL},
        .auth = secret_is_set(&x->token) ? &x->token : NULL,
        .auth_scheme = "Bearer",
        .body = buf_str(&x->body),
        .response_max = ANSWER_MAX_BYTES,
        .only_once = !x->q->repeatable && strcmp(x->q->method, "GET") != 0,
    };
    struct call within = call_within(x->call, REQUEST_MS);
    wipe_answer(x);
    bool came = http_do(x->g->http, &q, &within, &x->r, err);
    count(x, came);
    if (!came)
        return false;
    x->a->status = x->r.status;
    if (!time_parse_http(http_header(&x->r, "Date"), &x->a->date_ms))
        x->a->date_ms = 0;
    return true;
}

/* Waits when there is time for it; else the error stands that was set before. */
static enum verdict wait_again(struct run *x, int64_t ms, struct err *err)
{
    int64_t left = call_left_ms(x->call);
    if (left >= 0 && ms >= left)
        return FAILED;
    return x->g->wait(x->call, ms, err) ? AGAIN : FAILED;
}

static enum verdict after_fault(struct run *x, struct err *err)
{
    bool repeatable = x->q->repeatable || str_eq(str_of(x->q->method), STR("GET"));
    if (!rest_is_ambiguous(err) || !repeatable || x->faults == FAULTS_MAX)
        return FAILED;
    int64_t ms = ((int64_t)1000 << x->faults++) + (int64_t)(250 * random_unit());
    int64_t asked_ms = http_retry_after_ms(&x->r);
    return wait_again(x, asked_ms > ms ? asked_ms : ms, err);
}

static enum verdict after_unauthorized(struct run *x, struct err *err)
{
    if (x->q->auth == REST_JWT && !x->reminted) {
        x->reminted = true;
        return token_learn_skew(x->g, x->a->date_ms) ? AGAIN : FAILED;
    }
    if (x->q->auth != REST_INSTALLATION || github_is_personal(x->g))
        return FAILED;
    bool fresh = clock_mono_ms() - x->minted_ms < LAG_MS || x->lags > 0;
    if (fresh && x->lags < LAGS_MAX)
        return wait_again(x, 1000 * ++x->lags, err);
    if (x->reminted)
        return FAILED;
    x->reminted = true;
    token_forget(x->g, x->q->repo, x->q->need, &x->token);
    return AGAIN;
}

static enum verdict after_redirect(struct run *x, struct err *err)
{
    struct str location = http_header(&x->r, "Location");
    char *url = x->redirects++ < REDIRECTS_MAX ? url_resolve(x->g, location) : NULL;
    if (!url) {
        err_set(err, ERR_UPSTREAM, "%s %.*s: %d to a place that we do not follow", x->q->method,
                (int)strcspn(x->q->path, "?"), x->q->path, x->r.status);
        return FAILED;
    }
    free(x->url);
    x->url = url;
    x->a->moved_id = url_repository_id(x->g, url);
    if (!x->q->repo || x->q->repo->id == 0 || x->a->moved_id == 0 ||
        x->a->moved_id == x->q->repo->id)
        return AGAIN;
    err_set(err, ERR_GONE, "%s %s: moved to another repository", x->q->method, x->q->path);
    return FAILED;
}

static enum verdict after_answer(struct run *x, int64_t sent_ms, struct err *err)
{
    int status = x->r.status;
    struct err broken;
    err_clear(&broken);
    if (x->r.body.len > 0 && !json_parse(buf_str(&x->r.body), &x->a->json, &broken))
        x->a->json = NULL;
    bool limited = limit_note(x->g, x->limit_key, &x->r, x->a->json, sent_ms);
    if (status >= 200 && status <= 299) {
        if (broken.kind != ERR_NONE) {
            err_set(err, ERR_UPSTREAM, "%s %s: answer is not JSON: %.200s", x->q->method,
                    x->q->path, broken.text);
            return after_fault(x, err);
        }
        x->a->next = next_page(x->g, &x->r);
        return DONE;
    }
    set_error(x, limited, err);
    if (limited)
        return x->limits++ < LIMITS_MAX ? AGAIN : FAILED;
    if (status == 301 || status == 302 || status == 307 || status == 308)
        return after_redirect(x, err);
    if (status == 401)
        return after_unauthorized(x, err);
    if (status == 500 || status == 502 || status == 503 || status == 504)
        return after_fault(x, err);
    if (status == 404 && x->q->patient && x->misses < MISSES_MAX)
        return wait_again(x, 1000 * ++x->misses, err);
    return FAILED;
}

static enum verdict attempt(struct run *x, struct err *err)
{
    /* Twice: minting may take a while, and waiting before it keeps the token fresh. */
    if (!limit_enter(x->g, x->limit_key, false, x->call, err) || !authorise(x, err) ||
        !limit_enter(x->g, x->limit_key, x->q->content, x->call, err))
        return FAILED;
    int64_t sent_ms = clock_mono_ms();
    int64_t moved_id = x->a->moved_id;
    bool came = exchange(x, err);
    x->a->moved_id = moved_id;
    return came ? after_answer(x, sent_ms, err) : after_fault(x, err);
}

/* --------------------------------------------------------------------------------- public */

static int64_t limit_key(const struct github *g, const struct rest *q)
{
    if (q->auth == REST_ANONYMOUS)
        return LIMIT_KEY_ANONYMOUS;
    if (q->auth == REST_JWT)
        return LIMIT_KEY_APP;
    return github_is_personal(g) || !q->repo ? 0 : q->repo->installation_id;
}

bool rest_call(struct github *g, const struct rest *q, const struct call *call,
               struct rest_answer *a, struct err *err)
{
    const struct call forever = {0};
    struct err why;
    struct run x = {.g = g,
                    .q = q,
                    .call = call ? call : &forever,
                    .a = a,
                    .limit_key = limit_key(g, q),
                    .url = q->path[0] == '/' ? mem_printf("%s%s", g->api_url, q->path)
                                             : mem_strdup(q->path)};
    if (q->body)
        json_write(&x.body, q->body);
    enum verdict verdict = AGAIN;
    while (verdict == AGAIN)
        verdict = attempt(&x, &why);
    if (x.r.body.data)
        explicit_bzero(x.r.body.data, x.r.body.len);
    http_response_done(&x.r);
    secret_done(&x.token);
    buf_done(&x.body);
    free(x.url);
    if (verdict == FAILED && err)
        *err = why;
    return verdict == DONE;
}

void rest_answer_done(struct rest_answer *a)
{
    json_decref(a->json);
    free(a->next);
    *a = (struct rest_answer){0};
}
