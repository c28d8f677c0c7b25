/* New events to whoever watches a task: read once a task, handed to every loop that has watchers.
 * hub_notify() from any thread; the rest on the watcher's loop. */
#pragma once

#include "bot/web/page.h"
#include "bot/web/web.h"

struct hub;
struct topic; /* a watched task */

struct hub *hub_new(struct web *w);
void hub_free(struct hub *h); /* after the loops and workers ended; NULL is fine */
void hub_notify(struct hub *h, const char *task_id); /* NULL or "" = all */

/* One watcher of a task. `take` gets every page, borrowed, from join to leave. */
struct watcher {
    h2o_linklist_t link;
    struct topic *topic;
    void (*take)(struct watcher *watcher, struct page *page);
};
void hub_join(struct hub *h, struct loop *loop, const char *task_id, struct watcher *watcher);
void hub_leave(struct loop *loop, struct watcher *watcher);
/* The watcher has seen everything up to `last`: pages may start there if nobody else said so. */
void hub_begin(struct watcher *watcher, int64_t last);
/* Looks for events even though nobody announced any, and whether the task is finished. */
void hub_poke(struct watcher *watcher);
