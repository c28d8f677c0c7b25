/* The life of sandboxes: create, kill, pause, resume, and the ticker that ends them in time. A
 * change of state has three parts: mark the new state under the mutex and cut the open exchanges,
 * wait until nobody uses the jail, then act on the jail without the mutex. */
#include "tests/standins/e2b/world.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <signal.h>
#include <stdio.h>

#define TICK_MAX_MS 1000

void world_lock(struct world *w)
{
    pthread_mutex_lock(&w->mutex);
}

void world_unlock(struct world *w)
{
    pthread_mutex_unlock(&w->mutex);
}

struct box *box_find(struct world *w, struct str id)
{
    for (size_t i = w->nboxes; i > 0; i--)
        if (str_eq(str_of(w->boxes[i - 1]->id), id))
            return w->boxes[i - 1];
    return NULL;
}

bool box_alive(const struct box *b)
{
    return b->state != BOX_DEAD;
}

void box_log(struct box *b, const char *message, json_t *fields)
{
    char at[TIME_TEXT];
    time_format(clock_wall_ms(), at);
    if (json_array_size(b->logs) >= LOGS_MAX)
        json_array_remove(b->logs, 0);
    json_array_append_new(b->logs,
                          json_pack("{ss ss ss so}", "timestamp", at, "level", "info", "message",
                                    message, "fields", fields ? fields : json_object()));
}

void box_set_end(struct world *w, struct box *b, int64_t end_ms)
{
    int64_t most = b->started_ms + w->plan_max_s * 1000;
    b->end_ms = end_ms < most ? end_ms : most;
    bell_ring(&w->tick);
}

static void make_id(char id[BOX_ID_TEXT])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char random[BOX_ID_TEXT];
    random_bytes(random, sizeof random);
    id[0] = 'i';
    for (size_t i = 1; i < BOX_ID_TEXT - 1; i++)
        id[i] = alphabet[random[i] % (sizeof alphabet - 1)];
    id[BOX_ID_TEXT - 1] = '\0';
}

static void spec_done(struct box_spec *spec)
{
    json_decref(spec->metadata);
    json_decref(spec->env_vars);
    json_decref(spec->network);
    json_decref(spec->volume_mounts);
    *spec = (struct box_spec){0};
}

struct exit_target {
    struct world *w;
    struct box *b;
};

static void on_exited(void *arg, uint64_t token, int wait_status)
{
    const struct exit_target *t = arg;
    world_lock(t->w);
    proc_exited(t->w, t->b, token, wait_status);
    world_unlock(t->w);
}

/* The target outlives the jail, because sandboxes are never freed; so it is not freed either. */
static bool start_jail(struct world *w, struct box *b, struct jail **out, struct err *err)
{
    struct exit_target *target = mem_alloc(sizeof *target);
    *target = (struct exit_target){w, b};
    struct jail_spec spec = {.dir = b->dir,
                             .bin_dir = w->bin_dir,
                             .network = b->spec.internet,
                             .exited = on_exited,
                             .arg = target};
    if (jail_start(&spec, out, err))
        return true;
    free(target);
    return false;
}

/* Reserves a place among the concurrent ones; locked. */
static enum box_result reserve(struct world *w, bool is_create)
{
    int64_t now = clock_mono_ms();
    if (is_create && w->creates_per_s > 0) {
        if (now - w->window_ms >= 1000) {
            w->window_ms = now;
            w->window_creates = 0;
        }
        if (w->window_creates >= w->creates_per_s)
            return BOX_RATE;
        w->window_creates++;
    }
    if (w->active >= w->max_concurrent)
        return BOX_LIMIT;
    w->active++;
    if (w->active > w->peak)
        w->peak = w->active;
    return BOX_OK;
}

static void release_place(struct world *w)
{
    world_lock(w);
    w->active--;
    world_unlock(w);
}

enum box_result box_create(struct world *w, struct box_spec *spec, struct box **out,
                           struct err *err)
{
    world_lock(w);
    enum box_result reserved = reserve(w, true);
    world_unlock(w);
    if (reserved != BOX_OK) {
        spec_done(spec);
        return reserved;
    }
    struct box *b = mem_alloc(sizeof *b);
    make_id(b->id);
    b->spec = *spec;
    *spec = (struct box_spec){0};
    if (b->spec.secure)
        random_hex(b->token, TOKEN_TEXT - 1);
    if (!b->spec.public_traffic)
        random_hex(b->traffic_token, TOKEN_TEXT - 1);
    b->dir = mem_printf("%s/%s", w->data_dir, b->id);
    b->logs = json_array();
    if (!start_jail(w, b, &b->jail, err)) {
        struct err ignored;
        bool removed UNUSED = dir_remove(b->dir, &ignored); /* the first error is the one to tell */
        release_place(w);
        spec_done(&b->spec);
        json_decref(b->logs);
        free(b->dir);
        free(b);
        return BOX_FAILED;
    }
    world_lock(w);
    b->state = BOX_RUNNING;
    b->started_ms = clock_wall_ms();
    box_set_end(w, b, b->started_ms + b->spec.timeout_s * 1000);
    box_log(b, "Sandbox created", NULL);
    b->spec.tpl->spawned++;
    w->boxes = mem_grow(w->boxes, w->nboxes + 1, sizeof(struct box *));
    w->boxes[w->nboxes++] = b;
    world_unlock(w);
    *out = b;
    return BOX_OK;
}

/* Cuts every open exchange and waits until nobody uses the jail; locked. */
static void clear_out(struct world *w, struct box *b)
{
    for (size_t i = 0; i < b->nlive; i++)
        http_abort(b->live[i]);
    pthread_cond_broadcast(&w->changed);
    while (b->users > 0)
        pthread_cond_wait(&w->changed, &w->mutex);
}

static void wait_settled(struct world *w, struct box *b)
{
    while (b->state == BOX_PAUSING || b->state == BOX_RESUMING)
        pthread_cond_wait(&w->changed, &w->mutex);
}

/* Ends the jail, if there is one. Not locked; the state must keep others away. */
static void drop_jail(struct world *w, struct box *b)
{
    world_lock(w);
    struct jail *jail = b->jail;
    b->jail = NULL;
    world_unlock(w);
    if (jail)
        jail_stop(jail);
    world_lock(w);
    procs_lost(w, b);
    world_unlock(w);
}

enum box_result box_kill(struct world *w, struct box *b, const char *why)
{
    world_lock(w);
    wait_settled(w, b);
    if (b->state == BOX_DEAD) {
        world_unlock(w);
        return BOX_GONE;
    }
    bool counted = b->state == BOX_RUNNING;
    b->state = BOX_DEAD;
    b->death = why;
    b->dead_ms = clock_wall_ms();
    clear_out(w, b);
    world_unlock(w);
    drop_jail(w, b);
    if (counted)
        release_place(w);
    struct err err;
    if (!dir_remove(b->dir, &err))
        fprintf(stderr, "sandbox %s: %s\n", b->id, err.text);
    return BOX_OK;
}

enum box_result box_pause(struct world *w, struct box *b, bool keep_memory)
{
    world_lock(w);
    enum box_result result = b->state == BOX_RUNNING ? BOX_OK
                             : b->state == BOX_DEAD  ? BOX_GONE
                                                     : BOX_CONFLICT;
    if (result != BOX_OK) {
        world_unlock(w);
        return result;
    }
    b->state = BOX_PAUSING;
    clear_out(w, b);
    world_unlock(w);
    if (keep_memory)
        jail_signal(b->jail, -1, SIGSTOP);
    else
        drop_jail(w, b);
    world_lock(w);
    b->state = BOX_PAUSED;
    b->end_ms = clock_wall_ms(); /* of a paused one it is the time of the pause */
    box_log(b, "Sandbox paused", NULL);
    w->active--;
    pthread_cond_broadcast(&w->changed);
    world_unlock(w);
    return BOX_OK;
}

enum box_result box_resume(struct world *w, struct box *b, int64_t timeout_s, bool cold,
                           struct err *err)
{
    world_lock(w);
    enum box_result result = b->state == BOX_DEAD     ? BOX_GONE
                             : b->state != BOX_PAUSED ? BOX_CONFLICT
                                                      : reserve(w, false);
    if (result != BOX_OK) {
        world_unlock(w);
        return result;
    }
    b->state = BOX_RESUMING;
    world_unlock(w);
    if (cold)
        drop_jail(w, b);
    struct jail *fresh = NULL;
    bool ok = b->jail ? jail_signal(b->jail, -1, SIGCONT) : start_jail(w, b, &fresh, err);
    world_lock(w);
    if (fresh)
        b->jail = fresh;
    b->state = ok ? BOX_RUNNING : BOX_PAUSED;
    if (ok) {
        b->started_ms = clock_wall_ms(); /* a new clock starts */
        box_set_end(w, b, b->started_ms + timeout_s * 1000);
        box_log(b, "Sandbox resumed", NULL);
    } else {
        w->active--;
    }
    pthread_cond_broadcast(&w->changed);
    world_unlock(w);
    return ok ? BOX_OK : BOX_FAILED;
}

bool box_enter(struct world *w, struct box *b, struct http_exchange *x)
{
    world_lock(w);
    bool running = b->state == BOX_RUNNING;
    if (running) {
        b->users++;
        if (x) {
            b->live = mem_grow(b->live, b->nlive + 1, sizeof(struct http_exchange *));
            b->live[b->nlive++] = x;
        }
    }
    world_unlock(w);
    return running;
}

void box_leave(struct world *w, struct box *b, struct http_exchange *x)
{
    world_lock(w);
    for (size_t i = 0; x && i < b->nlive; i++) {
        if (b->live[i] == x) {
            b->live[i] = b->live[--b->nlive];
            break;
        }
    }
    b->users--;
    pthread_cond_broadcast(&w->changed);
    world_unlock(w);
}

/* ---- the ticker ---- */

struct expiry {
    struct world *w;
    struct box *b;
};

static void *run_expiry(void *arg)
{
    struct expiry *e = arg;
    if (e->b->spec.auto_pause)
        box_pause(e->w, e->b, e->b->spec.auto_pause_memory);
    else
        box_kill(e->w, e->b, "expired");
    world_lock(e->w);
    e->b->expiring = false;
    world_unlock(e->w);
    free(e);
    return NULL;
}

/* On a thread of its own, because a kill waits for the sandbox's users. */
static void expire(struct world *w, struct box *b)
{
    struct expiry *e = mem_alloc(sizeof *e);
    *e = (struct expiry){w, b};
    pthread_t thread;
    struct err err;
    b->expiring = true;
    if (thread_start(&thread, "expiry", run_expiry, e, &err))
        pthread_detach(thread);
    else
        free(e);
}

static void sample_all(struct world *w)
{
    world_lock(w);
    size_t n = w->nboxes;
    for (size_t i = 0; i < n; i++) {
        struct box *b = w->boxes[i];
        if (b->state != BOX_RUNNING)
            continue;
        b->users++;
        world_unlock(w);
        struct sample s;
        sample_take(w, b, &s);
        world_lock(w);
        if (b->nsamples == SAMPLES_MAX)
            memmove(b->samples, b->samples + 1, --b->nsamples * sizeof s);
        b->samples = mem_grow(b->samples, b->nsamples + 1, sizeof s);
        b->samples[b->nsamples++] = s;
        b->users--;
        pthread_cond_broadcast(&w->changed);
    }
    world_unlock(w);
}

static void *run_ticker(void *arg)
{
    struct world *w = arg;
    int64_t next_sample = clock_mono_ms() + SAMPLE_MS;
    for (;;) {
        int64_t now = clock_mono_ms();
        int64_t wall = clock_wall_ms();
        int64_t wait = TICK_MAX_MS;
        world_lock(w);
        for (size_t i = 0; i < w->nboxes; i++) {
            struct box *b = w->boxes[i];
            if (b->state != BOX_RUNNING || b->expiring)
                continue;
            if (b->end_ms <= wall)
                expire(w, b);
            else if (b->end_ms - wall < wait)
                wait = b->end_ms - wall;
            int64_t event = procs_tick(w, b, now);
            if (event - now < wait)
                wait = event - now;
        }
        world_unlock(w);
        if (now >= next_sample) {
            sample_all(w);
            next_sample = now + SAMPLE_MS;
        }
        if (wait > 0)
            bell_wait(&w->tick, wait);
    }
    return NULL;
}

void world_run_ticker(struct world *w)
{
    pthread_t thread;
    struct err err;
    if (thread_start(&thread, "ticker", run_ticker, w, &err))
        pthread_detach(thread);
    else
        fprintf(stderr, "%s\n", err.text);
}

void world_stop(struct world *w)
{
    for (size_t i = 0;; i++) {
        world_lock(w);
        struct box *b = i < w->nboxes ? w->boxes[i] : NULL;
        world_unlock(w);
        if (!b)
            return;
        box_kill(w, b, "stand-in stopped");
    }
}
