/* Inside of bot/web: the server's parts and how threads reach a loop. Everything of h2o belongs to
 * one loop's thread; other threads send that loop a `struct mail`. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/str.h"
#include "bot/web/server.h"

#include <h2o.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WEB_LISTENERS_MAX  8
#define WEB_LOOPS_MAX      64
#define WEB_BODY_MAX_BYTES ((size_t)25 * 1024 * 1024)
#define WEB_RETRY_AFTER_S  10

struct gate;
struct intake;
struct crew;
struct hub;
struct intake_item;
struct web;

struct loop {
    h2o_context_t ctx; /* first, so that a request's context is its loop */
    h2o_accept_ctx_t accept;
    h2o_multithread_receiver_t receiver;
    h2o_socket_t *listeners[WEB_LISTENERS_MAX];
    h2o_linklist_t guests;  /* its connections, see guest.h */
    h2o_linklist_t streams; /* its event streams, see stream.h */
    h2o_timeout_t tick;     /* looks after the guests */
    h2o_timeout_t beat;     /* of streams */
    h2o_timeout_t linger;
    h2o_timeout_t drain;
    h2o_timeout_entry_t tick_entry;
    h2o_timeout_entry_t drain_entry;
    int intake_count;
    struct intake_item *intake_first, **intake_last; /* received in this turn, see intake.h */
    int64_t drain_until_ms;                          /* 0 = not draining */
    int lingering;
    size_t held_bytes; /* by its connections' unfinished input, at the last look */
    bool leaving;      /* closes everything and ends */
    struct web *web;
    pthread_t thread;
    int index;
};

struct web {
    struct web_config config;
    h2o_globalconf_t h2o;
    SSL_CTX *tls;
    int listeners[WEB_LISTENERS_MAX];
    int nlisteners;
    int port;
    struct loop *loops;
    int nloops;
    _Atomic(const struct secret *) webhook_secret, webhook_secret_previous, api_token;
    struct gate *gate;
    struct intake *intake;
    struct crew *crew;
    struct hub *hub;
    atomic_bool stopping;
    atomic_size_t held_bytes; /* of all loops */
    pthread_mutex_t mutex;    /* guards the two counts below */
    pthread_cond_t cond;
    int running; /* loops that serve */
    int drained;
};

/* A message to a loop: open() runs on its thread and owns the mail from then on. */
struct mail {
    h2o_multithread_message_t super;
    void (*open)(struct loop *loop, struct mail *mail);
};
/* From any thread; a mail is sent once at a time. */
void web_post(struct loop *loop, struct mail *mail);

static inline struct loop *web_loop_of(const h2o_req_t *req)
{
    return (struct loop *)req->conn->ctx;
}

static inline struct str web_str(h2o_iovec_t v)
{
    return (struct str){v.base, v.len};
}

/* A request that waits for another thread. The client may leave meanwhile: then req becomes NULL.
 * Only the loop may look at req; other threads just carry the ticket about. */
struct ticket {
    struct mail mail; /* brings it back */
    struct loop *loop;
    h2o_req_t *req;
    struct ticket **cell; /* in the request's pool */
};
void ticket_init(struct ticket *t, h2o_req_t *req, void (*open)(struct loop *, struct mail *));
/* On the loop: gives the request up and returns it, NULL when the client left. */
h2o_req_t *ticket_take(struct ticket *t);
