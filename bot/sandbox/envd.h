/* Inside of bot/sandbox: requests to the daemon in one sandbox ("envd") and what to do when one
 * fails. A `struct envd` lives for one public call, on one thread. */
#pragma once

#include "bot/sandbox/e2b.h"

struct envd { /* {.c = …, .s = …}; envd_done() */
    struct sandbox_client *c;
    const struct sandbox *s;
    struct sandbox fresh; /* replaces *s after its token changed or it was resumed */
    bool renewed;
    int failures; /* so far, of ENVD_FAILURES_MAX */
};
#define ENVD_FAILURES_MAX 7 /* with their pauses about 8 s: what a restarting proxy needs */
void envd_done(struct envd *e);

struct envd_request {
    const char *operation; /* label of the metric, start of the error text */
    const char *method;
    const char *path;       /* with query */
    const char *headers[4]; /* "Name: value"; unused ones NULL */
    struct str body;
    int body_fd; /* > 0: the body is this file */
    int64_t body_fd_size;
    http_sink_fn sink;
    void *sink_arg;
    int low_speed_s;
    bool only_once; /* as in http_request */
};
/* One exchange, not repeated. True: a whole answer, whatever its status. */
bool envd_once(struct envd *e, const struct envd_request *q, const struct call *call,
               struct http_response *r, struct err *err) MUST_CHECK;
/* After an exchange that failed (answered = false, err says why) or was answered with an error:
 * true = worth another try, the pause is over. False: err is final. A dead sandbox is found out
 * here, by /health and then the control plane, and becomes ERR_GONE. */
bool envd_recover(struct envd *e, const struct envd_request *q, bool answered,
                  const struct http_response *r, const struct call *call,
                  struct err *err) MUST_CHECK;
/* Both together, for what may be repeated. True: 2xx, or one of the two other statuses (0 = none)
 * that the caller wants to see. */
bool envd_do(struct envd *e, const struct envd_request *q, int status1, int status2,
             const struct call *call, struct http_response *r, struct err *err) MUST_CHECK;
