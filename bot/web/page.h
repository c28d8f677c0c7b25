/* A piece of a task's events as text, read once and shared by all who wait for it. Counted;
 * page_load() blocks and is for workers, the rest is for any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/store/store.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum page_form {
    PAGE_SSE, /* Server-Sent Events, `end` included once the task is finished */
    PAGE_LOG, /* the log lines' text */
};

struct page {
    atomic_int refs;
    int64_t after; /* holds what has after < id <= last */
    int64_t last;
    int rows;
    bool full;     /* there is more behind it */
    bool finished; /* the task is; only known when asked for, or after a task_state event */
    bool final;    /* … and nothing is behind this page */
    struct buf text;
};

/* With ask, looks whether the task exists (ERR_GONE) and is finished. */
bool page_load(struct store *s, const char *task_id, int64_t after, enum page_form form, bool ask,
               struct page **out, struct err *err) MUST_CHECK;
struct page *page_ref(struct page *p);
void page_unref(struct page *p); /* NULL is fine */
