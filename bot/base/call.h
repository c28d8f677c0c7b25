/* What every blocking call takes: until when, and who may stop it. A cancel token is an eventfd,
 * so that a wait in poll() or in libcurl ends at once. Tokens are counted and thread-safe. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/clock.h"
#include "bot/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct cancel;
struct cancel *cancel_new(void);
struct cancel *cancel_ref(struct cancel *c);
void cancel_unref(struct cancel *c);       /* NULL is fine */
void cancel_fire(struct cancel *c);        /* once and for all; async-signal-safe */
bool cancel_fired(const struct cancel *c); /* NULL never fires */
int cancel_fd(const struct cancel *c);     /* readable once fired; -1 for NULL */

struct call {
    int64_t deadline_ms;   /* monotonic; 0 = none */
    struct cancel *cancel; /* borrowed; NULL = none */
};

static inline struct call call_in(int64_t ms, struct cancel *cancel)
{
    return (struct call){clock_mono_ms() + ms, cancel};
}
/* The same token, but at the latest in ms from now. */
struct call call_within(const struct call *outer, int64_t ms);
/* Milliseconds left: -1 = no deadline, 0 = over. */
int64_t call_left_ms(const struct call *call);
/* False with ERR_CANCELLED or ERR_TIMEOUT when the call should not go on. call may be NULL. */
bool call_check(const struct call *call, struct err *err) MUST_CHECK;
/* Waits ms, or until cancelled or the deadline (then false). The only way to wait for time. */
bool call_wait(const struct call *call, int64_t ms, struct err *err) MUST_CHECK;
