/* The HTTP server: webhooks in, API and event streams out. One event loop a core; everything that
 * blocks (the database) runs on a few threads of its own. Started and stopped by the main thread;
 * web_notify_event() may be called from any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/secret.h"
#include "bot/base/str.h"
#include "bot/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct web;

/* Everything is borrowed until web_stop() has returned; a number of 0 means the default. */
struct web_config {
    const char *listen;   /* "127.0.0.1:8080,[::1]:8080"; port 0 = any */
    const char *tls_cert; /* PEM files; NULL or "" = plain HTTP */
    const char *tls_key;
    struct store *store;              /* needs `writers` + `workers` connections */
    int loops;                        /* one for two cores */
    int writers;                      /* threads that store deliveries: 2 */
    int workers;                      /* threads for API calls: 4 */
    size_t queue_max_bytes;           /* of deliveries waiting for the database: 64 MiB */
    int queue_max;                    /* their number: 8192 */
    int connections_max;              /* 4096 */
    int connections_per_ip;           /* 256; an IPv6 /64 counts as one, loopback is exempt */
    bool (*wanted)(struct str event); /* does a handler want it? Others are not stored. Quick */
    bool (*ready)(void *arg, const char **why); /* readiness; false names why not. Never blocks */
    void *ready_arg;
    void (*wake_dispatch)(void *arg); /* after deliveries were stored; never blocks */
    void *wake_arg;
};

/* The current secrets, which rotation replaces; each may be NULL or unset. Without a webhook secret
 * deliveries get 503, without an API token only programs on this machine may call the API. */
struct web_secrets {
    const struct secret *webhook;
    const struct secret *webhook_previous;
    const struct secret *api_token;
};

/* Listens and serves. ERR_INPUT names the address or file that is wrong. */
bool web_start(const struct web_config *config, const struct web_secrets *secrets, struct web **out,
               struct err *err) MUST_CHECK;
int web_port(const struct web *w); /* of the first address */
/* The old values must stay valid until web_stop(), as settings_reload_secrets() promises. */
void web_set_secrets(struct web *w, const struct web_secrets *secrets);

/* No new connections or readiness from now on; what is there goes on. */
void web_stop_accepting(struct web *w);
/* Ends streams, gives requests under way up to grace_ms, stores what was received, closes the rest
 * and frees. NULL is fine. */
void web_stop(struct web *w, int64_t grace_ms);

/* A task has new events; NULL or "" = any may have. Cheap when nobody listens. */
void web_notify_event(struct web *w, const char *task_id);
