/* GitHub's rate limits, one state an installation, shared by all threads: who is refused pauses
 * everybody of that installation, because going on to send while limited can get an App banned.
 * Thread-safe; waits happen outside the lock. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/net/http.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct github;

/* Instead of an installation's id. A personal token has 0. */
#define LIMIT_KEY_APP       ((int64_t)-1) /* calls with the App's JWT */
#define LIMIT_KEY_ANONYMOUS ((int64_t)-2)

/* Returns when a request may be sent; content: it creates something visible, so it also takes one
 * of the installation's write tickets. ERR_LIMIT with retry_after_s, at once, when the call's
 * deadline would pass first. */
bool limit_enter(struct github *g, int64_t key, bool content, const struct call *call,
                 struct err *err) MUST_CHECK;
/* Learns from an answer to a request that was sent at sent_ms (monotonic); body may be NULL. True
 * when the request was refused because of a limit. */
bool limit_note(struct github *g, int64_t key, const struct http_response *r, const json_t *body,
                int64_t sent_ms);
void limit_free_all(struct github *g);
