/* One REST call, the way GitHub wants it: headers and API version, the right token, rate limits,
 * retries, redirects on the same host, and answers turned into kinds (see client.h). Thread-safe.
 */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/base/secret.h"
#include "github-app/client.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum rest_auth {
    REST_INSTALLATION, /* a token for repo and need; the personal token where there is no App */
    REST_JWT,          /* the App itself */
    REST_GIVEN,        /* `token` */
    REST_ANONYMOUS
};

struct rest { /* borrowed for the call */
    const char *method;
    const char *path;  /* "/repos/…", encoded; or a whole URL out of rest_answer.next */
    const char *label; /* for metrics, without ids: "GET /repos/" "*" "/pulls" */
    enum rest_auth auth;
    const struct github_repo *repo; /* of REST_INSTALLATION; else NULL */
    enum github_need need;
    const struct secret *token; /* of REST_GIVEN */
    const json_t *body;         /* NULL = none */
    bool repeatable;            /* sending twice is harmless; GET always is */
    bool content;               /* creates or changes what people see */
    bool patient;               /* 404 may be lag after an event: ask twice more */
};

struct rest_answer {
    int status;       /* of the last answer, also when the call failed; 0 = there was none */
    json_t *json;     /* NULL without a body; after a failure GitHub's error object or NULL */
    char *next;       /* URL of the next page or NULL */
    int64_t moved_id; /* a redirect led to the repository with this id; else 0 */
    int64_t date_ms;  /* the server's wall clock; 0 = unknown */
};
void rest_answer_done(struct rest_answer *a);

/* a is {0} or done; free it also after false. */
bool rest_call(struct github *g, const struct rest *q, const struct call *call,
               struct rest_answer *a, struct err *err) MUST_CHECK;

/* The outcome of a failed call is unknown: it may have had its effect. */
static inline bool rest_is_ambiguous(const struct err *err)
{
    return err->kind == ERR_UPSTREAM || err->kind == ERR_TIMEOUT;
}
/* The message for an answer that lacks what it must have. */
bool rest_bad_answer(const char *what, struct err *err);
