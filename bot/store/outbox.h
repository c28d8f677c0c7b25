/* Small durable jobs towards the outside, leased by one worker at a time. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/store/dispatch.h"
#include "bot/store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct outbox_job { /* strings in the arena */
    int64_t id;
    const char *key;
    const char *kind;
    const char *payload;
    int attempts; /* including this one */
};
/* Adds one (a repeat of its key is no error). */
bool outbox_add(struct store *s, const struct outbox_new *row, struct err *err) MUST_CHECK;
/* Leases one due job for lease_s seconds and counts the attempt; *found = false when none is due.
 */
bool outbox_claim(struct store *s, const char *owner, int lease_s, struct arena *arena,
                  struct outbox_job *job, bool *found, struct err *err) MUST_CHECK;
bool outbox_done(struct store *s, int64_t id, struct err *err) MUST_CHECK;
/* Runs again in delay_s; dead = true gives up instead and keeps the error visible. */
bool outbox_retry(struct store *s, int64_t id, int delay_s, bool dead, const char *error,
                  struct err *err) MUST_CHECK;
