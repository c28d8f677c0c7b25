/* API calls that need the database: copied off the request, run on a worker, answered on the loop.
 */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/mem.h"
#include "bot/web/crew.h"
#include "bot/web/route.h"

struct api_call {
    struct ticket ticket;
    struct job job;
    const struct route *route;
    struct store *store;
    struct arena *arena; /* of the worker's run */
    char id[ROUTE_ID_MAX + 1];
    struct str query;
    struct str body;
    /* The answer, when the function returned true. */
    int status;               /* 200 unless changed */
    const char *content_type; /* JSON unless changed */
    struct buf answer;
    const char *location; /* in the arena */
};

/* On the loop. */
void api_run(h2o_req_t *req, const struct route *route, struct str id);
/* Answers 400 and returns false when the query has a parameter that the route does not know. */
bool api_query_ok(h2o_req_t *req, const struct route *route) MUST_CHECK;

/* A query parameter, decoded into the arena; NULL when it is not there. ERR_INPUT when it comes
 * twice or is badly encoded. */
bool api_param(struct api_call *call, const char *name, const char **out,
               struct err *err) MUST_CHECK;
