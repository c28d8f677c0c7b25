/* The inbox: deliveries, raw, stored before we answer. Written by the batch writers (bot/web),
 * read by the dispatcher (bot/work). */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/str.h"
#include "bot/store/store.h"

#include <stdbool.h>
#include <stdint.h>

enum inbox_source { INBOX_GITHUB, INBOX_TASKS, INBOX_SWEEP };

struct inbox_new { /* all borrowed */
    enum inbox_source source;
    struct str guid;
    struct str event;
    const unsigned char *signature; /* 32 bytes or NULL */
    struct str body;
};
#define INBOX_BATCH_MAX 256
/* One multi-row INSERT … ON CONFLICT DO NOTHING and COMMIT. stored[i] = this row is new; false =
 * its GUID was there already (also: earlier in this batch). NOTIFYs "inbox" once. Over 8 MiB of
 * bodies it takes several commits: after false, some rows may be stored. */
bool inbox_insert(struct store *s, const struct inbox_new *rows, int n, bool *stored,
                  struct err *err) MUST_CHECK;

/* Depth and age (seconds) of what waits, for metrics. */
bool inbox_waiting(struct store *s, int64_t *depth, double *oldest_s, struct err *err) MUST_CHECK;
