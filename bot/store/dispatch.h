/* One dispatch transaction: lock some new deliveries, hand each to the caller, who answers with
 * outbox rows (or nothing), close them, COMMIT. The transaction is the lease: a crash rolls back
 * and the rows are new again. The callback must be pure and quick (no I/O). */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/base/str.h"
#include "bot/store/inbox.h"
#include "bot/store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct inbox_row { /* borrowed for the callback */
    int64_t id;
    enum inbox_source source;
    struct str guid;
    struct str event;
    struct str body;
};

struct outbox_new {  /* in the arena given to the callback */
    const char *key; /* unique for ever; a repeat changes nothing */
    const char *kind;
    const char *payload; /* JSON text */
};
#define DISPATCH_OUTBOX_MAX 8

enum dispatch_verdict {
    DISPATCH_DONE,    /* rows[0..*n) are its effects */
    DISPATCH_IGNORED, /* nothing wants it */
    DISPATCH_DEAD     /* cannot be understood; err says why */
};
typedef enum dispatch_verdict (*dispatch_fn)(void *arg, const struct inbox_row *row,
                                             struct arena *arena, struct outbox_new *rows, int *n,
                                             struct err *err);

/* Takes up to max rows in id order (SKIP LOCKED). *taken counts them; 0 = nothing to do. A row with
 * effects whose signature acted before is closed as ignored. NOTIFYs "outbox" when rows were made.
 */
bool dispatch_batch(struct store *s, int max, dispatch_fn fn, void *arg, int *taken,
                    struct err *err) MUST_CHECK;
