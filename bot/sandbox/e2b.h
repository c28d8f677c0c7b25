/* Inside of bot/sandbox: the client's own data and one exchange with E2B's control plane. Safe from
 * any thread: only the routes change after sandbox_client_new(). */
#pragma once

#include "bot/base/json.h"
#include "bot/sandbox/sandbox.h"

#include <stdatomic.h>

/* Calls of which an older server knows only the form without /v2. */
enum e2b_route { E2B_CREATE, E2B_LIST, E2B_CONNECT, E2B_TEMPLATES, E2B_ROUTES };

struct sandbox_client {
    struct http *http; /* borrowed */
    char *api_url;     /* without a slash at the end */
    char *sandbox_url; /* "" = https://sandbox.DOMAIN */
    char *domain;
    struct secret api_key;
    atomic_int routes[E2B_ROUTES]; /* 0 = not known yet, 1 or 2 once that form has answered 2xx */
};

/* What an error answer means: one table for both planes, judged by status and `error_code`. */
struct e2b_verdict {
    enum err_kind kind;
    int retry_after_s; /* when the answer itself names none; 0 = the caller's back-off */
    bool passing;      /* the same call may succeed soon */
    bool ambiguous;    /* a create answered so may have made a sandbox */
};
struct e2b_verdict e2b_judge(int status, struct str word);
/* The same for a failed transfer (no whole answer). */
struct e2b_verdict e2b_judge_transfer(enum err_kind kind);
/* Sets err from an answer that is not 2xx and returns false. what = "create", … */
bool e2b_fail(const char *what, const struct http_response *r, struct err *err);

/* Milliseconds to wait before repeat number `attempt` (1, 2, …), with jitter. */
int64_t e2b_backoff_ms(int attempt);
/* M_E2B_REQUESTS; the code is the status, or the error's kind when no answer came. */
void e2b_count(const char *operation, bool answered, int status, const struct err *err);
/* A token, id or domain from the network that goes into header lines and URLs: 1 to max - 1 bytes
 * of printable ASCII, of which none is in `refused`. */
bool e2b_is_clean(struct str s, size_t max, const char *refused);

struct e2b_call {
    const char *operation; /* label of the metric, start of the error text */
    const char *method;
    const char *path;   /* with query */
    struct str body;    /* JSON; n == 0 = none */
    int64_t timeout_ms; /* 0 = 30 s */
    int attempts;       /* 0 = 1, and surely sent only once; more where repeating is harmless */
};
/* True: the last answer, whatever its status. False: no answer, see http_do(). */
bool e2b_do(struct sandbox_client *c, const struct e2b_call *q, const struct call *call,
            struct http_response *r, struct err *err) MUST_CHECK;
/* v2, or v1 when the server is known or turns out not to have the v2 route. A 404 alone does not
 * tell a missing route from a missing thing (servers differ in its body), so while v2 has never
 * worked here a 404 or 405 is asked again as v1, and only a 2xx of v1 is remembered. */
bool e2b_versioned(struct sandbox_client *c, enum e2b_route route, const struct e2b_call *v2,
                   const struct e2b_call *v1, const struct call *call, struct http_response *r,
                   struct err *err) MUST_CHECK;

/* Reads a create, connect or get answer. ERR_UPSTREAM when it is not one. */
bool e2b_parse_sandbox(struct str body, struct sandbox *out, struct err *err) MUST_CHECK;
/* Wakes a paused sandbox; *out is filled as by sandbox_get(). */
bool e2b_resume(struct sandbox_client *c, const char *id, const struct call *call,
                struct sandbox *out, struct err *err) MUST_CHECK;
