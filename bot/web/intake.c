/* Durable before polite: a request is answered after the COMMIT of its row. One row a transaction
 * would mean one fsync a delivery; so a writer takes everything that waits, however little that is
 * (a lone delivery never waits for company), and deliveries that arrive during its commit form the
 * next batch. Several writers overlap their commits.
 *
 * What one turn of a loop received is handed over together, or in steps of HAND_OVER: given one by
 * one, an idle writer would start at once with a batch of one; given all at the end, it would be
 * idle for a whole turn when all clients move in step.
 *
 * The answers of a batch travel as one message a loop: the items are chained, the first is the
 * mail.
 *
 * Limits: count and bytes of what waits or is being written; over that the caller answers 503. */
#include "bot/web/intake.h"

#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "bot/base/metrics.h"
#include "bot/base/thread.h"

#define WRITERS_MAX 16
#define HAND_OVER   16 /* deliveries of one turn after which the writers may begin */

struct intake {
    struct web *web;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct intake_item *first, **last;
    int idle; /* writers that wait */
    bool stop;
    atomic_int count;    /* waiting or being written */
    atomic_size_t bytes; /* of their bodies */
    int writers;
    pthread_t threads[WRITERS_MAX];
};

/* ------------------------------------------------------------------------------- on the loop */

static size_t cost_of(const struct intake_item *item)
{
    return sizeof(*item) + item->guid.n + item->event.n + item->body.n;
}

static struct str put(char **at, struct str s)
{
    struct str copy = {*at, s.n};
    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static void give_back(struct intake *in, size_t cost)
{
    atomic_fetch_sub(&in->count, 1);
    atomic_fetch_sub(&in->bytes, cost);
}

static void open_batch(struct loop *loop, struct mail *mail)
{
    struct intake_item *item = H2O_STRUCT_FROM_MEMBER(struct intake_item, ticket.mail, mail);
    struct intake *in = loop->web->intake;
    while (item) {
        struct intake_item *next = item->next;
        give_back(in, cost_of(item));
        item->answer(item);
        free(item);
        item = next;
    }
}

struct intake_item *intake_item_new(struct intake *in, h2o_req_t *req, struct str guid,
                                    struct str event, struct str body)
{
    const struct web_config *c = &in->web->config;
    size_t texts = guid.n + event.n + body.n;
    size_t cost = sizeof(struct intake_item) + texts;
    bool fits = atomic_fetch_add(&in->count, 1) < c->queue_max;
    fits = atomic_fetch_add(&in->bytes, cost) + cost <= c->queue_max_bytes && fits;
    /* Not zeroed: the body is written over it at once. */
    struct intake_item *item = fits ? malloc(cost) : NULL;
    if (!item) {
        give_back(in, cost);
        return NULL;
    }
    *item = (struct intake_item){0};
    ticket_init(&item->ticket, req, open_batch);
    char *at = (char *)(item + 1);
    item->guid = put(&at, guid);
    item->event = put(&at, event);
    item->body = put(&at, body);
    return item;
}

void intake_flush(struct loop *loop)
{
    struct intake *in = loop->web->intake;
    if (!loop->intake_first)
        return;
    pthread_mutex_lock(&in->mutex);
    *in->last = loop->intake_first;
    in->last = loop->intake_last;
    bool wake = in->idle > 0;
    pthread_mutex_unlock(&in->mutex);
    loop->intake_first = NULL;
    loop->intake_last = &loop->intake_first;
    loop->intake_count = 0;
    if (wake)
        pthread_cond_signal(&in->cond);
}

void intake_put(struct intake_item *item)
{
    struct loop *loop = item->ticket.loop;
    item->next = NULL;
    *loop->intake_last = item;
    loop->intake_last = &item->next;
    if (++loop->intake_count == HAND_OVER)
        intake_flush(loop);
}

/* ---------------------------------------------------------------------------------- the writers */

/* Waits for the first, then takes what is there. 0 = stopped and nothing left. */
static int take(struct intake *in, struct intake_item **items)
{
    int n = 0;
    pthread_mutex_lock(&in->mutex);
    in->idle++;
    while (!in->first && !in->stop)
        pthread_cond_wait(&in->cond, &in->mutex);
    in->idle--;
    while (in->first && n < INBOX_BATCH_MAX) {
        items[n++] = in->first;
        in->first = in->first->next;
    }
    if (!in->first)
        in->last = &in->first;
    pthread_mutex_unlock(&in->mutex);
    return n;
}

static void store(struct intake *in, struct intake_item **items, int n)
{
    struct inbox_new rows[INBOX_BATCH_MAX];
    bool stored[INBOX_BATCH_MAX];
    for (int i = 0; i < n; i++)
        rows[i] = (struct inbox_new){.source = items[i]->source,
                                     .guid = items[i]->guid,
                                     .event = items[i]->event,
                                     .signature = items[i]->signature,
                                     .body = items[i]->body};
    struct err err = {0};
    bool ok = inbox_insert(in->web->config.store, rows, n, stored, &err);
    if (!ok) {
        metric_add(M_ERRORS, err_policy(err.kind)->name, NULL, n);
        log_err(LOG_ERROR, "cannot store deliveries", &err);
    }
    bool any = false;
    for (int i = 0; i < n; i++) {
        items[i]->result = !ok ? INTAKE_FAILED : stored[i] ? INTAKE_ACCEPTED : INTAKE_DUPLICATE;
        any |= items[i]->result == INTAKE_ACCEPTED;
    }
    if (any && in->web->config.wake_dispatch)
        in->web->config.wake_dispatch(in->web->config.wake_arg);
}

/* Posting gives the chain away, so each loop's chain is finished before. */
static void answer(struct intake *in, struct intake_item **items, int n)
{
    struct intake_item *heads[WEB_LOOPS_MAX] = {0};
    for (int i = n - 1; i >= 0; i--) {
        struct intake_item **head = &heads[items[i]->ticket.loop->index];
        items[i]->next = *head;
        *head = items[i];
    }
    for (int i = 0; i < in->web->nloops; i++)
        if (heads[i])
            web_post(&in->web->loops[i], &heads[i]->ticket.mail);
}

static void *run_writer(void *arg)
{
    struct intake *in = arg;
    struct intake_item *items[INBOX_BATCH_MAX];
    int n;
    while ((n = take(in, items)) > 0) {
        store(in, items, n);
        answer(in, items, n);
    }
    return NULL;
}

bool intake_start(struct web *w, struct intake **out, struct err *err)
{
    struct intake *in = mem_alloc(sizeof(*in));
    in->web = w;
    in->last = &in->first;
    pthread_mutex_init(&in->mutex, NULL);
    pthread_cond_init(&in->cond, NULL);
    int writers = w->config.writers < WRITERS_MAX ? w->config.writers : WRITERS_MAX;
    for (; in->writers < writers; in->writers++) {
        if (!thread_start(&in->threads[in->writers], "web-writer", run_writer, in, err)) {
            intake_stop(in);
            intake_free(in);
            return false;
        }
    }
    *out = in;
    return true;
}

void intake_stop(struct intake *in)
{
    if (!in)
        return;
    pthread_mutex_lock(&in->mutex);
    in->stop = true;
    pthread_cond_broadcast(&in->cond);
    pthread_mutex_unlock(&in->mutex);
    for (int i = 0; i < in->writers; i++)
        pthread_join(in->threads[i], NULL);
    in->writers = 0;
}

void intake_free(struct intake *in)
{
    if (!in)
        return;
    pthread_cond_destroy(&in->cond);
    pthread_mutex_destroy(&in->mutex);
    free(in);
}
