/* Answers. Every function here ends the request; only on its loop. Counts http_requests_total. */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/str.h"

#include <h2o.h>

struct reply {
    int status;
    const char *content_type; /* a literal; NULL = no body */
    struct str body;          /* copied, unless it lives in the request's pool or for ever */
    bool body_stays;
    const char *location; /* in the request's pool, or NULL */
    const char *allow;    /* a literal, or NULL */
    int retry_after_s;    /* 0 = no such header */
    bool close;           /* the connection cannot be kept */
};

/* route: a bounded label, a literal. */
void reply_send(h2o_req_t *req, const char *route, const struct reply *r);
/* {"error":{"kind","message"}} */
void reply_error(h2o_req_t *req, const char *route, int status, enum err_kind kind,
                 const char *message);
void reply_error_body(struct buf *out, enum err_kind kind, struct str message);
/* Status and kind by the policy table; 502 and 504 become 503, since the fault is on our side. */
void reply_failure(h2o_req_t *req, const char *route, const struct err *err);
int reply_status_of(const struct err *err, int *retry_after_s);
/* For answers that are sent in parts: status, type and the headers that every answer has. */
void reply_head(h2o_req_t *req, const char *route, int status, const char *content_type);
/* Makes h2o's own error answers (413 and the like) look like ours. */
void reply_filter_register(h2o_pathconf_t *path);
