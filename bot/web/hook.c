/* POST /webhooks/github. The order of the checks is the promise: nothing of the body is read before
 * its signature is known to be right, nothing is answered with 202 before it is stored. Deliveries
 * that no handler wants are not stored at all. */
#include "bot/web/handlers.h"

#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/metrics.h"
#include "bot/web/guest.h"
#include "bot/web/intake.h"
#include "bot/web/reply.h"
#include "github-app/signature.h"

#include <time.h>

#define GUID_MAX_BYTES  200
#define EVENT_MAX_BYTES 100

static const char route_name[] = "/webhooks/github";

/* The label of a metric must be bounded, the header is what anybody sends. */
static const char *event_label(struct str event)
{
    static const char *const known[] = {"issues",
                                        "issue_comment",
                                        "pull_request",
                                        "pull_request_review",
                                        "pull_request_review_comment",
                                        "pull_request_review_thread",
                                        "push",
                                        "ping",
                                        "installation",
                                        "installation_repositories",
                                        "installation_target",
                                        "check_run",
                                        "check_suite",
                                        "status",
                                        "workflow_run",
                                        "create",
                                        "delete",
                                        "label",
                                        "repository",
                                        "github_app_authorization",
                                        "member",
                                        "organization"};
    for (size_t i = 0; i < COUNT(known); i++)
        if (str_eq(event, str_of(known[i])))
            return known[i];
    return "other";
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void count(const char *event, const char *result, int64_t began_us)
{
    metric_add(M_WEBHOOK_DELIVERIES, event, result, 1);
    metric_observe(M_WEBHOOK_SECONDS, NULL, (double)(now_us() - began_us) / 1e6);
}

static void refuse(h2o_req_t *req, int status, enum err_kind kind, const char *result,
                   const char *message)
{
    metric_add(M_WEBHOOK_DELIVERIES, "other", result, 1);
    reply_error(req, route_name, status, kind, message);
}

static void accept_with(h2o_req_t *req, struct str guid, const char *result)
{
    AUTO(buf_done) struct buf body = {0};
    buf_puts(&body, "{\"delivery\":\"");
    enc_json(&body, guid);
    buf_printf(&body, "\",\"result\":\"%s\"}", result);
    reply_send(
        req, route_name,
        &(struct reply){.status = 202, .content_type = "application/json", .body = buf_str(&body)});
}

/* ------------------------------------------------------------------------------------- answering
 */

static void answer(struct intake_item *item)
{
    static const char *const results[] = {[INTAKE_ACCEPTED] = "accepted",
                                          [INTAKE_DUPLICATE] = "duplicate",
                                          [INTAKE_FAILED] = "failed"};
    const char *result = results[item->result];
    count(event_label(item->event), result, item->began_us);
    h2o_req_t *req = ticket_take(&item->ticket);
    if (!req)
        return;
    if (item->result == INTAKE_FAILED)
        reply_error(req, route_name, 503, ERR_UPSTREAM, "the delivery could not be stored");
    else
        accept_with(req, item->guid, result);
}

/* -------------------------------------------------------------------------------------- checking
 */

struct headers {
    struct str signature, event, guid, content_type;
};

/* One pass. A header that comes twice is as good as missing: which one was meant? */
static void read_headers(const h2o_req_t *req, struct headers *out)
{
    const struct {
        struct str name;
        struct str *value;
    } wanted[] = {
        {STR("x-hub-signature-256"), &out->signature   },
        {STR("x-github-event"),      &out->event       },
        {STR("x-github-delivery"),   &out->guid        },
        {STR("content-type"),        &out->content_type}
    };
    *out = (struct headers){0};
    unsigned seen = 0;
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *h = &req->headers.entries[i];
        for (size_t k = 0; k < COUNT(wanted); k++) {
            if (h->name->len != wanted[k].name.n ||
                memcmp(h->name->base, wanted[k].name.p, h->name->len) != 0)
                continue;
            *wanted[k].value = seen & 1U << k ? (struct str){0} : str_trim(web_str(h->value));
            seen |= 1U << k;
        }
    }
}

static bool is_json_type(struct str type)
{
    struct str rest = type, media;
    return str_split(&rest, ';', &media) && str_eq_nocase(str_trim(media), STR("application/json"));
}

static bool is_printable(struct str s, size_t max)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e)
            return false;
    return s.n > 0 && s.n <= max;
}

void hook_github(h2o_req_t *req, const struct route *route, struct str id)
{
    (void)route;
    (void)id;
    struct web *w = web_loop_of(req)->web;
    int64_t began_us = now_us();
    const struct secret *secrets[] = {atomic_load(&w->webhook_secret),
                                      atomic_load(&w->webhook_secret_previous)};
    if (!secrets[0] || !secret_is_set(secrets[0])) {
        refuse(req, 503, ERR_AUTH, "unconfigured", "no webhook secret is configured");
        return;
    }
    struct headers h;
    struct str body = web_str(req->entity);
    unsigned char digest[SHA256_BYTES];
    read_headers(req, &h);
    if (!signature_github_ok(h.signature, body, secrets, COUNT(secrets), digest)) {
        refuse(req, 401, ERR_DENIED, "unsigned", "the signature is missing or wrong");
    } else if (!is_json_type(h.content_type)) {
        refuse(req, 415, ERR_INPUT, "invalid", "the content type must be application/json");
    } else if (!is_printable(h.event, EVENT_MAX_BYTES)) {
        refuse(req, 400, ERR_INPUT, "invalid", "X-GitHub-Event is missing or malformed");
    } else if (!is_printable(h.guid, GUID_MAX_BYTES)) {
        refuse(req, 400, ERR_INPUT, "invalid", "X-GitHub-Delivery is missing or malformed");
    } else if (!json_valid(body)) {
        refuse(req, 400, ERR_INPUT, "invalid", "the body is not valid JSON");
    } else if (str_eq(h.event, STR("ping")) || (w->config.wanted && !w->config.wanted(h.event))) {
        count(event_label(h.event), "ignored", began_us);
        accept_with(req, h.guid, "ignored");
    } else {
        struct intake_item *item = intake_item_new(w->intake, req, h.guid, h.event, body);
        if (!item) {
            count(event_label(h.event), "failed", began_us);
            reply_error(req, route_name, 503, ERR_LIMIT, "too many deliveries are waiting");
            return;
        }
        item->source = INBOX_GITHUB;
        memcpy(item->signature, digest, sizeof(digest));
        item->began_us = began_us;
        item->answer = answer;
        intake_put(item);
        guest_keep_polling(req);
    }
}
