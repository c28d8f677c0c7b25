/* Inside of github-app: what a `struct github` holds. Everything under the mutex is shared between
 * the threads of all tasks; the mutex is never held across a remote call or a wait. */
#pragma once

#include "bot/base/call.h"
#include "bot/base/secret.h"
#include "github-app/client.h"

#include <pthread.h>

struct limit;
struct token;

/* How to wait for time: call_wait, or a test that moves its clock instead. */
typedef bool (*github_wait_fn)(const struct call *call, int64_t ms, struct err *err);

struct github {
    struct http *http;
    char *api_url; /* without a slash at the end */
    char *host;    /* of the web URL, without port */
    char *app_id;
    struct signer *signer;  /* NULL with a personal token */
    struct secret personal; /* not set with an App */
    github_wait_fn wait;

    pthread_mutex_t mutex; /* guards all below */
    struct limit *limits;  /* limit.c */
    struct token *tokens;  /* token.c */
    struct secret jwt;
    int64_t jwt_until_ms; /* monotonic */
    int64_t skew_s;       /* GitHub's clock minus ours, learnt from a refused JWT */
    struct github_self self;
    bool self_known;
    char *self_slug;
    char *self_login;
};

static inline bool github_is_personal(const struct github *g)
{
    return secret_is_set(&g->personal);
}
