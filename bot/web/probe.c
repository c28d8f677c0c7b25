/* Liveness, readiness, metrics: for machines, without authentication, never touching the database
 * (readiness is what the rest of the program says of itself). */
#include "bot/web/handlers.h"

#include "bot/base/metrics.h"
#include "bot/web/reply.h"

void probe_health(h2o_req_t *req, const struct route *route, struct str id)
{
    (void)id;
    reply_send(req, route->path,
               &(struct reply){.status = 200,
                               .content_type = "application/json",
                               .body = STR("{\"status\":\"ok\"}"),
                               .body_stays = true});
}

void probe_ready(h2o_req_t *req, const struct route *route, struct str id)
{
    (void)id;
    const struct web *w = web_loop_of(req)->web;
    const char *why = "not ready";
    bool ready;
    if (atomic_load(&w->stopping)) {
        ready = false;
        why = "draining";
    } else {
        ready = !w->config.ready || w->config.ready(w->config.ready_arg, &why);
    }
    if (ready)
        reply_send(req, route->path,
                   &(struct reply){.status = 200,
                                   .content_type = "application/json",
                                   .body = STR("{\"status\":\"ready\"}"),
                                   .body_stays = true});
    else
        reply_error(req, route->path, 503, ERR_UPSTREAM, why);
}

void probe_metrics(h2o_req_t *req, const struct route *route, struct str id)
{
    (void)id;
    AUTO(buf_done) struct buf body = {0};
    metrics_write(&body);
    reply_send(req, route->path,
               &(struct reply){.status = 200,
                               .content_type = "text/plain; version=0.0.4; charset=utf-8",
                               .body = buf_str(&body)});
}
