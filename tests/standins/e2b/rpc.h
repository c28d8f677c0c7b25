/* The Connect protocol over HTTP/1.1, as the sandbox's daemon speaks it, and the table of calls. */
#pragma once

#include "bot/base/mem.h"
#include "tests/standins/e2b/world.h"

struct rpc {
    struct world *w;
    struct box *b; /* entered */
    struct http_exchange *x;
    uint64_t entry;
    struct box_user user;
    struct arena *arena;
    json_t *request;     /* owned; never NULL in a method */
    bool stream;         /* the answer is a sequence of envelopes */
    int64_t timeout_ms;  /* as asked; 0 = none */
    int64_t deadline_ms; /* monotonic; 0 = none */
    int64_t keepalive_ms;
};

struct rpc_method {
    const char *path;
    bool stream; /* either side: application/connect+json */
    void (*run)(struct rpc *r);
};
extern const struct rpc_method process_methods[];    /* ended by {0} */
extern const struct rpc_method filesystem_methods[]; /* ended by {0} */

/* False: no method has that path. */
bool rpc_serve(struct rpc *r);

/* Ends the call with an error, in the form of its kind. code is Connect's word. */
void rpc_fail(struct rpc *r, const char *code, const char *fmt, ...) PRINTF(3, 4);
void rpc_reply(struct rpc *r, json_t *message); /* unary; takes message */
/* Streams: begin once, then messages, then one end. */
void rpc_begin(struct rpc *r);
void rpc_add(struct rpc *r, struct buf *out, json_t *message); /* one envelope; takes message */
bool rpc_send(struct rpc *r, json_t *message); /* false: the client left; takes message */
void rpc_end(struct rpc *r);
/* The next envelope of the request, as JSON. False: no more, or broken (see *bad). */
bool rpc_next(struct rpc *r, json_t **out, bool *bad);

/* JSON text the way the daemon writes it: sometimes with blanks. */
void rpc_json(struct world *w, struct buf *out, const json_t *j);
