/* A topic is a task that somebody watches. At most one read is under way for each; announcements
 * that come meanwhile make it read once more. So a burst costs a few reads, however many events
 * and watchers there are, and all watchers share one text.
 *
 * A topic's lists belong to their loops; everything else of it is under the hub's mutex.
 * Announcements are hints and may get lost, so watchers poke now and then. */
#include "bot/web/hub.h"

#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "bot/web/crew.h"

#define BUCKETS 256

struct topic {
    struct hub *hub;
    struct topic *next;
    char *task_id;
    int refs;     /* watchers, the read under way, pages on their way */
    int64_t tail; /* everything up to here was handed out; -1 = not known yet */
    bool reading;
    bool again; /* read once more */
    bool ask;   /* look at the state too */
    struct job job;
    struct {
        int watchers;
        h2o_linklist_t list;
    } on[];
};

struct hub {
    struct web *web;
    pthread_mutex_t mutex;
    struct topic *buckets[BUCKETS];
};

struct parcel {
    struct mail mail;
    struct topic *topic;
    struct page *page;
};

static struct topic **bucket_of(struct hub *h, const char *task_id)
{
    uint32_t hash = 2166136261U;
    for (const char *c = task_id; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619U;
    return &h->buckets[hash % BUCKETS];
}

static struct topic *find(struct hub *h, const char *task_id)
{
    struct topic *t = *bucket_of(h, task_id);
    while (t && strcmp(t->task_id, task_id) != 0)
        t = t->next;
    return t;
}

static void unref(struct topic *t)
{
    if (--t->refs > 0)
        return;
    struct topic **at = bucket_of(t->hub, t->task_id);
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    free(t->task_id);
    free(t);
}

static void unref_locked(struct topic *t)
{
    struct hub *h = t->hub;
    pthread_mutex_lock(&h->mutex);
    unref(t);
    pthread_mutex_unlock(&h->mutex);
}

/* ---------------------------------------------------------------------------------- reading */

static void read_more(struct topic *t)
{
    if (t->reading || t->tail < 0) {
        t->again = true;
        return;
    }
    t->again = false;
    t->reading = crew_add(t->hub->web->crew, &t->job, true);
    t->refs += t->reading ? 1 : 0;
}

static void open_parcel(struct loop *loop, struct mail *mail)
{
    struct parcel *p = H2O_STRUCT_FROM_MEMBER(struct parcel, mail, mail);
    h2o_linklist_t *list = &p->topic->on[loop->index].list;
    /* A watcher may leave when it is served, so the next is looked up first. */
    for (h2o_linklist_t *n = list->next, *next; n != list; n = next) {
        next = n->next;
        struct watcher *w = H2O_STRUCT_FROM_MEMBER(struct watcher, link, n);
        w->take(w, p->page);
    }
    page_unref(p->page);
    unref_locked(p->topic);
    free(p);
}

/* Under the mutex. */
static void hand_out(struct topic *t, struct page *page)
{
    struct web *w = t->hub->web;
    for (int i = 0; i < w->nloops; i++) {
        if (t->on[i].watchers == 0)
            continue;
        struct parcel *p = mem_alloc(sizeof(*p));
        *p = (struct parcel){.mail = {.open = open_parcel}, .topic = t, .page = page_ref(page)};
        t->refs++;
        web_post(&w->loops[i], &p->mail);
    }
}

static void run_read(struct job *job)
{
    struct topic *t = H2O_STRUCT_FROM_MEMBER(struct topic, job, job);
    struct hub *h = t->hub;
    struct page *page = NULL;
    struct err err = {0};
    pthread_mutex_lock(&h->mutex);
    bool ask = t->ask;
    int64_t tail = t->tail;
    t->ask = false;
    pthread_mutex_unlock(&h->mutex);

    bool ok = page_load(h->web->config.store, t->task_id, tail, PAGE_SSE, ask, &page, &err);
    if (!ok)
        log_err(LOG_DEBUG, "cannot read events", &err);

    pthread_mutex_lock(&h->mutex);
    t->reading = false;
    if (ok && (page->rows > 0 || page->final))
        hand_out(t, page);
    if (ok) {
        t->tail = page->last;
        if (page->full || t->again)
            read_more(t);
    }
    unref(t);
    pthread_mutex_unlock(&h->mutex);
    page_unref(page);
}

void hub_notify(struct hub *h, const char *task_id)
{
    bool all = !task_id || task_id[0] == '\0';
    pthread_mutex_lock(&h->mutex);
    struct topic *one = all ? NULL : find(h, task_id);
    if (one)
        read_more(one);
    for (size_t i = 0; all && i < BUCKETS; i++)
        for (struct topic *t = h->buckets[i]; t; t = t->next)
            read_more(t);
    pthread_mutex_unlock(&h->mutex);
}

/* ---------------------------------------------------------------------------------- watchers */

static struct topic *topic_new(struct hub *h, const char *task_id)
{
    int loops = h->web->nloops;
    struct topic *t = mem_alloc(sizeof(*t) + (size_t)loops * sizeof(t->on[0]));
    t->hub = h;
    t->task_id = mem_strdup(task_id);
    t->tail = -1;
    t->job.run = run_read;
    for (int i = 0; i < loops; i++)
        h2o_linklist_init_anchor(&t->on[i].list);
    struct topic **bucket = bucket_of(h, task_id);
    t->next = *bucket;
    *bucket = t;
    return t;
}

void hub_join(struct hub *h, struct loop *loop, const char *task_id, struct watcher *watcher)
{
    pthread_mutex_lock(&h->mutex);
    struct topic *t = find(h, task_id);
    if (!t)
        t = topic_new(h, task_id);
    t->refs++;
    t->on[loop->index].watchers++;
    pthread_mutex_unlock(&h->mutex);
    watcher->topic = t;
    h2o_linklist_insert(&t->on[loop->index].list, &watcher->link);
}

void hub_leave(struct loop *loop, struct watcher *watcher)
{
    struct topic *t = watcher->topic;
    if (!t)
        return;
    struct hub *h = t->hub;
    h2o_linklist_unlink(&watcher->link);
    watcher->topic = NULL;
    pthread_mutex_lock(&h->mutex);
    t->on[loop->index].watchers--;
    unref(t);
    pthread_mutex_unlock(&h->mutex);
}

void hub_begin(struct watcher *watcher, int64_t last)
{
    struct topic *t = watcher->topic;
    struct hub *h = t->hub;
    pthread_mutex_lock(&h->mutex);
    if (t->tail < 0)
        t->tail = last;
    if (t->again)
        read_more(t);
    pthread_mutex_unlock(&h->mutex);
}

void hub_poke(struct watcher *watcher)
{
    struct topic *t = watcher->topic;
    struct hub *h = t->hub;
    pthread_mutex_lock(&h->mutex);
    t->ask = true;
    read_more(t);
    pthread_mutex_unlock(&h->mutex);
}

struct hub *hub_new(struct web *w)
{
    struct hub *h = mem_alloc(sizeof(*h));
    h->web = w;
    pthread_mutex_init(&h->mutex, NULL);
    return h;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    pthread_mutex_destroy(&h->mutex);
    free(h);
}
