/* Rate limits. What pauses an installation, in this order: Retry-After; a remaining budget of 0
 * (until its reset plus a second, also when the request itself was still served); a refusal that
 * speaks of a limit without saying how long (a minute, doubled each time, at most 16 minutes).
 * Anything else with 403 is a missing permission and no business of this file. On GitHub Enterprise
 * Server limits are usually off and the headers absent: absent is not 0.
 *
 * What creates content (comments, pull requests) takes tickets from a bucket of WRITE_BURST that
 * refills at WRITE_PER_MIN, which keeps one installation under GitHub's limit for content of 80 a
 * minute. The limit of 500 an hour and the spacing of writes are not kept here.
 */
#include "github-app/limit.h"

#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "bot/base/metrics.h"
#include "github-app/state.h"

#include <strings.h>

#define WRITE_BURST      40.0 /* with what refills in the same minute: 80 */
#define WRITE_PER_MIN    40.0
#define SECONDARY_S      60
#define SECONDARY_ROUNDS 5       /* 60, 120, 240, 480, 960 s */
#define RESET_MAX_MS     3700000 /* the window is an hour */
#define RESET_UNKNOWN_MS 60000

struct limit {
    struct limit *next;
    int64_t key;
    int64_t until_ms;  /* monotonic; nobody sends before */
    int64_t paused_ms; /* when until_ms was set */
    int rounds;        /* refusals without a time, in a row */
    double tickets;
    int64_t tickets_ms; /* when tickets was right */
    int64_t remaining;  /* -1 = never told */
    int64_t reset_ms;   /* monotonic; remaining is old news afterwards */
};

/* Under the lock. */
static struct limit *limit_of(struct github *g, int64_t key)
{
    for (struct limit *l = g->limits; l; l = l->next)
        if (l->key == key)
            return l;
    struct limit *l = mem_alloc(sizeof(*l));
    *l = (struct limit){.next = g->limits,
                        .key = key,
                        .tickets = WRITE_BURST,
                        .tickets_ms = clock_mono_ms(),
                        .remaining = -1};
    g->limits = l;
    return l;
}

/* Under the lock: 0 and the ticket is taken, or the milliseconds until there is one. */
static int64_t ticket(struct limit *l, int64_t now_ms)
{
    double per_ms = WRITE_PER_MIN / 60000.0;
    l->tickets += (double)(now_ms - l->tickets_ms) * per_ms;
    l->tickets_ms = now_ms;
    if (l->tickets > WRITE_BURST)
        l->tickets = WRITE_BURST;
    if (l->tickets < 1)
        return 1 + (int64_t)((1 - l->tickets) / per_ms);
    l->tickets -= 1;
    return 0;
}

static bool refuse(int64_t wait_ms, struct err *err)
{
    int wait_s = (int)((wait_ms + 999) / 1000); /* at most a day, see http_retry_after_ms() */
    err_set(err, ERR_LIMIT, "GitHub's rate limit is used up; free again in %d s", wait_s);
    if (err)
        err->retry_after_s = wait_s;
    return false;
}

bool limit_enter(struct github *g, int64_t key, bool content, const struct call *call,
                 struct err *err)
{
    for (;;) {
        if (!call_check(call, err))
            return false;
        int64_t now = clock_mono_ms();
        pthread_mutex_lock(&g->mutex);
        struct limit *l = limit_of(g, key);
        int64_t wait_ms = l->until_ms - now;
        if (wait_ms <= 0)
            wait_ms = content ? ticket(l, now) : 0;
        pthread_mutex_unlock(&g->mutex);
        if (wait_ms <= 0)
            return true;
        int64_t left_ms = call_left_ms(call);
        if (left_ms >= 0 && wait_ms >= left_ms)
            return refuse(wait_ms, err);
        if (!g->wait(call, wait_ms, err))
            return false;
    }
}

/* The one place where GitHub leaves us nothing but words to go by. */
static bool speaks_of_limit(const json_t *body)
{
    static const char *const words[] = {"rate limit", "rate-limit", "abuse"};
    const char *texts[] = {json_cstr(body, "message"), json_cstr(body, "documentation_url")};
    for (size_t t = 0; t < COUNT(texts); t++)
        for (size_t w = 0; w < COUNT(words); w++)
            if (texts[t] && strcasestr(texts[t], words[w]))
                return true;
    return false;
}

/* Milliseconds until a second after the reset, by the server's own clock where it tells. */
static int64_t until_reset_ms(const struct http_response *r)
{
    int64_t reset_s = 0, date_ms = 0;
    if (!str_to_i64(http_header(r, "x-ratelimit-reset"), 0, INT32_MAX * (int64_t)4, &reset_s))
        return RESET_UNKNOWN_MS;
    if (!time_parse_http(http_header(r, "Date"), &date_ms))
        date_ms = clock_wall_ms();
    int64_t ms = (reset_s + 1) * 1000 - date_ms;
    if (ms < 1000)
        return 1000;
    return ms < RESET_MAX_MS ? ms : RESET_MAX_MS;
}

/* Under the lock: the lowest figure that still counts, over all installations. */
static void show_remaining(const struct github *g, int64_t now_ms)
{
    int64_t lowest = -1;
    for (const struct limit *l = g->limits; l; l = l->next)
        if (l->remaining >= 0 && l->reset_ms > now_ms && (lowest < 0 || l->remaining < lowest))
            lowest = l->remaining;
    if (lowest >= 0)
        metric_set(M_GITHUB_REMAINING, NULL, NULL, (double)lowest);
}

/* Under the lock: how long this answer pauses the installation; 0 = not at all. */
static int64_t pause_ms(struct limit *l, const struct http_response *r, const json_t *body,
                        int64_t remaining, bool is_late)
{
    bool refused = r->status == 403 || r->status == 429;
    bool served = r->status >= 200 && r->status < 300;
    if (refused && http_header(r, "Retry-After").n > 0) {
        int64_t ms = http_retry_after_ms(r);
        return ms > 1000 ? ms : 1000;
    }
    if (remaining == 0 && (refused || served))
        return until_reset_ms(r);
    if (r->status == 429 || (refused && speaks_of_limit(body))) {
        /* Several requests under way are refused together: that is one round, not many. */
        if (!is_late && l->rounds < SECONDARY_ROUNDS)
            l->rounds++;
        return ((int64_t)SECONDARY_S * 1000) << (l->rounds > 0 ? l->rounds - 1 : 0);
    }
    if (served && !is_late)
        l->rounds = 0;
    return 0;
}

bool limit_note(struct github *g, int64_t key, const struct http_response *r, const json_t *body,
                int64_t sent_ms)
{
    int64_t remaining = -1, now = clock_mono_ms();
    bool known = str_to_i64(http_header(r, "x-ratelimit-remaining"), 0, INT32_MAX, &remaining);

    pthread_mutex_lock(&g->mutex);
    struct limit *l = limit_of(g, key);
    if (known) {
        l->remaining = remaining;
        l->reset_ms = now + until_reset_ms(r);
        show_remaining(g, now);
    }
    int64_t ms = pause_ms(l, r, body, remaining, l->paused_ms > 0 && sent_ms < l->paused_ms);
    if (ms > 0 && now + ms > l->until_ms) {
        l->until_ms = now + ms;
        l->paused_ms = now;
    }
    pthread_mutex_unlock(&g->mutex);
    return ms > 0 && (r->status == 403 || r->status == 429);
}

void limit_free_all(struct github *g)
{
    while (g->limits) {
        struct limit *next = g->limits->next;
        free(g->limits);
        g->limits = next;
    }
}
