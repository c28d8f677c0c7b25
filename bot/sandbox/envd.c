/* The data plane. A 502 of the sandbox proxy says "not found" for a dead sandbox, but is seen on
 * live ones too, and a broken connection says nothing at all. So after a failure that may pass we
 * ask /health on the same route and, when that fails too, the control plane, which knows: gone,
 * paused (then it is resumed) or running (then we try again a little later).
 *
 * Limits: ENVD_FAILURES_MAX failures in one call; a 429 that asks for more than WAIT_MAX_MS is the
 * caller's matter. */
#include "bot/sandbox/envd.h"

#include "bot/base/mem.h"

#include <stdio.h>

#define ENVD_PORT        "49983"
#define HEALTH_MS        10000
#define WAIT_MAX_MS      10000
#define ANSWER_MAX_BYTES ((size_t)4 * 1024 * 1024) /* of what does not go to a sink */
#define ID_HEADER_BYTES  (SANDBOX_ID_MAX + 32)

void envd_done(struct envd *e)
{
    sandbox_done(&e->fresh);
}

static const struct sandbox *target(const struct envd *e)
{
    return e->renewed ? &e->fresh : e->s;
}

static char *url_of(const struct envd *e, const char *path)
{
    const struct sandbox *s = target(e);
    if (*e->c->sandbox_url)
        return mem_printf("%s%s", e->c->sandbox_url, path);
    return mem_printf("https://sandbox.%s%s", *s->domain ? s->domain : e->c->domain, path);
}

bool envd_once(struct envd *e, const struct envd_request *q, const struct call *call,
               struct http_response *r, struct err *err)
{
    char id[ID_HEADER_BYTES];
    AUTO(mem_freep) char *url = url_of(e, q->path);
    snprintf(id, sizeof(id), "E2b-Sandbox-Id: %s", target(e)->id);
    struct http_request request = {
        .method = q->method,
        .url = url,
        .headers = {id, "E2b-Sandbox-Port: " ENVD_PORT},
        .auth = &target(e)->access_token,
        .auth_header = "X-Access-Token",
        .body = q->body,
        .body_fd = q->body_fd,
        .body_fd_size = q->body_fd_size,
        .response_max = q->sink ? 0 : ANSWER_MAX_BYTES,
        .sink = q->sink,
        .sink_arg = q->sink_arg,
        .low_speed_s = q->low_speed_s,
        .only_once = q->only_once,
    };
    for (size_t i = 0; i < COUNT(q->headers); i++)
        request.headers[2 + i] = q->headers[i];
    http_response_done(r);
    bool answered = http_do(e->c->http, &request, call, r, err);
    e2b_count(q->operation, answered, r->status, err);
    return answered;
}

/* Takes over the newest token and state. */
static void renew(struct envd *e, struct sandbox *fresh)
{
    sandbox_done(&e->fresh);
    e->fresh = *fresh;
    e->renewed = true;
}

/* Is there still a sandbox behind it? True: yes, or nobody could say for sure. */
static bool confirm(struct envd *e, const struct call *call, struct err *err)
{
    AUTO(http_response_done) struct http_response r = {0};
    AUTO(sandbox_done) struct sandbox now = {0};
    struct call brief = call_within(call, HEALTH_MS);
    struct err why = {0};
    struct envd_request health = {.operation = "health", .method = "GET", .path = "/health"};
    if (envd_once(e, &health, &brief, &r, &why) && r.status >= 200 && r.status <= 299)
        return true;
    bool told = sandbox_get(e->c, target(e)->id, call, &now, &why);
    if (told && now.state == SANDBOX_PAUSED) {
        sandbox_done(&now);
        told = e2b_resume(e->c, target(e)->id, call, &now, &why);
    }
    if (told) {
        renew(e, &now);
        now = (struct sandbox){0};
        return true;
    }
    if (why.kind != ERR_GONE)
        return call_check(call, err); /* the control plane is ill as well: try on */
    return err_set(err, ERR_GONE, "sandbox %s does not exist any more", target(e)->id);
}

/* The token that we hold is refused: perhaps it was changed, and the control plane knows the new.
 */
static bool renew_token(struct envd *e, const struct call *call, struct err *err)
{
    AUTO(sandbox_done) struct sandbox now = {0};
    struct err why = {0};
    if (!sandbox_get(e->c, target(e)->id, call, &now, &why)) {
        if (why.kind == ERR_GONE || why.kind == ERR_CANCELLED)
            *err = why;
        return false;
    }
    if (str_eq(secret_str(&now.access_token), secret_str(&target(e)->access_token)))
        return err_set(err, ERR_SANDBOX, "sandbox %s refuses its own access token", target(e)->id);
    renew(e, &now);
    now = (struct sandbox){0};
    return true;
}

bool envd_recover(struct envd *e, const struct envd_request *q, bool answered,
                  const struct http_response *r, const struct call *call, struct err *err)
{
    int status = answered ? r->status : 0;
    if (!call_check(call, err))
        return false;
    if (answered)
        e2b_fail(q->operation, r, err);
    if (status == 401)
        return ++e->failures <= ENVD_FAILURES_MAX && renew_token(e, call, err);
    struct e2b_verdict v =
        answered ? e2b_judge(status, (struct str){0}) : e2b_judge_transfer(err->kind);
    if (!v.passing || ++e->failures > ENVD_FAILURES_MAX)
        return false;
    struct err cause = *err;
    int64_t pause_ms = e2b_backoff_ms(e->failures);
    if (status == 429 && http_retry_after_ms(r) > pause_ms)
        pause_ms = http_retry_after_ms(r);
    if (pause_ms > WAIT_MAX_MS)
        return false;
    if (status != 429 && status != 409 && !confirm(e, call, err))
        return false;
    if (call_wait(call, pause_ms, err))
        return true;
    if (err->kind == ERR_TIMEOUT) /* that time is over is known; what took it is not */
        return err_wrap(err, "%s", cause.text);
    return false;
}

bool envd_do(struct envd *e, const struct envd_request *q, int status1, int status2,
             const struct call *call, struct http_response *r, struct err *err)
{
    for (;;) {
        bool answered = envd_once(e, q, call, r, err);
        if (answered && ((r->status >= 200 && r->status <= 299) || r->status == status1 ||
                         r->status == status2))
            return true;
        if (!envd_recover(e, q, answered, r, call, err))
            return false;
    }
}
