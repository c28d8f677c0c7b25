/* The route table: what can be asked for, who may ask, and which function answers. */
#pragma once

#include "bot/web/web.h"

/* Which of the task ids a path may hold (1 to 64 of A-Za-z0-9._-). */
#define ROUTE_ID_MAX 64

enum route_auth {
    ROUTE_OPEN,   /* anybody; or the handler checks itself (signatures) */
    ROUTE_BEARER, /* the API token; without one configured, programs on this machine */
};

struct api_call;
struct route {
    const char *method;
    const char *path; /* exact, but {id} stands for one segment; also the metric's label */
    enum route_auth auth;
    void (*on_loop)(h2o_req_t *req, const struct route *route, struct str id); /* must not block */
    bool (*on_worker)(struct api_call *call, struct err *err); /* else: may block, see api.h */
    const char *query; /* accepted parameters, comma-separated; NULL = the query is ignored */
};

/* For every request: checks the raw head, finds the row, checks who asks, calls it. */
void route_register(h2o_pathconf_t *path);
