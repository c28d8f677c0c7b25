/* Rate limits: the hourly one of an installation or a person, the secondary one (its answer on
 * demand, or really counted), and the headers that go with them. limits_enter() runs with the state
 * lock held; the two functions around the answer take it themselves. */
#include "tests/standins/github/api.h"

#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#define USER_LIMIT      5000
#define ANONYMOUS_LIMIT 60
#define HOUR_S          3600

/* What the tests ordered. */
static struct {
    int64_t secondary_times; /* so many requests more get the secondary answer */
    int64_t retry_after;     /* -1 = without the header */
    int64_t status;
    bool writes_only;
    bool enforce; /* count points, content and concurrency as GitHub says it does */
} ordered = {0, -1, 403, false, false};

/* Counted over a minute from start_s on; all installations together (the stand-in has one App). */
static struct {
    int64_t start_s;
    int64_t points;
    int64_t content;
    int64_t running;
} window;

static int64_t anonymous_used;

struct meter {
    int64_t limit;
    int64_t *used;
    int64_t *reset;
};

static int64_t anonymous_reset;

static bool meter_of(const struct req *q, struct meter *m)
{
    if (q->who.kind == ACTOR_APP)
        return false;
    if (q->who.inst)
        *m = (struct meter){q->who.inst->limit, &q->who.inst->used, &q->who.inst->reset};
    else if (q->who.token)
        *m = (struct meter){USER_LIMIT, &q->who.token->used, &q->who.token->reset};
    else
        *m = (struct meter){ANONYMOUS_LIMIT, &anonymous_used, &anonymous_reset};
    if (*m->reset <= clock_wall_s()) {
        *m->used = 0;
        *m->reset = clock_wall_s() + HOUR_S;
    }
    return m->limit > 0;
}

static bool is_write(const struct req *q)
{
    struct str m = http_method(q->x);
    return !str_eq(m, STR("GET")) && !str_eq(m, STR("HEAD")) && !str_eq(m, STR("OPTIONS"));
}

static void secondary(struct req *q, int64_t status, int64_t retry_after)
{
    if (retry_after >= 0)
        set_header(q, "Retry-After", "%lld", (long long)retry_after);
    fail(
        q, (int)status,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. "
        "If you reach out to GitHub Support for help, please include the request ID.");
}

static bool over_secondary(struct req *q)
{
    int64_t now = clock_wall_s();
    bool content = is_write(q) && str_eq(http_method(q->x), STR("POST"));
    if (now - window.start_s >= 60 || now < window.start_s) {
        window.start_s = now;
        window.points = window.content = 0;
    }
    window.points += is_write(q) ? 5 : 1;
    window.content += content;
    return window.points > 900 || (content && window.content > 80) || window.running > 100;
}

bool limits_enter(struct req *q)
{
    struct meter m;
    window.running++;
    if (ordered.secondary_times != 0 && (!ordered.writes_only || is_write(q)) &&
        q->who.kind != ACTOR_NONE) {
        ordered.secondary_times -= ordered.secondary_times > 0;
        return secondary(q, ordered.status, ordered.retry_after), false;
    }
    if (ordered.enforce && over_secondary(q))
        return secondary(q, 403, 60), false;
    if (meter_of(q, &m) && *m.used >= m.limit && !str_ends(http_path(q->x), STR("/rate_limit"))) {
        if (str_ends(http_path(q->x), STR("/graphql")))
            reply(q, 200,
                  json_pack("{s:[{s:s, s:s}]}", "errors", "type", "RATE_LIMITED", "message",
                            "API rate limit exceeded"));
        else if (q->who.inst)
            fail(q, 403, "API rate limit exceeded for installation ID %lld.",
                 (long long)q->who.inst->id);
        else if (q->who.user)
            fail(q, 403, "API rate limit exceeded for user ID %lld.", (long long)q->who.user->id);
        else
            fail(q, 403, "API rate limit exceeded for 127.0.0.1.");
        return false;
    }
    return true;
}

void limits_leave(struct req *q, bool counted)
{
    struct meter m;
    state_lock();
    window.running -= window.running > 0;
    if (counted && meter_of(q, &m) && *m.used < m.limit &&
        !str_ends(http_path(q->x), STR("/rate_limit")))
        (*m.used)++;
    state_unlock();
}

void limits_headers(struct req *q)
{
    struct meter m;
    state_lock();
    if (meter_of(q, &m)) {
        http_setf(q->x, "X-RateLimit-Limit", "%lld", (long long)m.limit);
        http_setf(q->x, "X-RateLimit-Remaining", "%lld", (long long)(m.limit - *m.used));
        http_setf(q->x, "X-RateLimit-Used", "%lld", (long long)*m.used);
        http_setf(q->x, "X-RateLimit-Reset", "%lld", (long long)*m.reset);
        http_set(q->x, "X-RateLimit-Resource",
                 str_ends(http_path(q->x), STR("/graphql")) ? "graphql" : "core");
    }
    state_unlock();
}

static json_t *row(int64_t limit, int64_t used, int64_t reset)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "limit", (json_int_t)limit, "used", (json_int_t)used,
                     "remaining", (json_int_t)(limit - used), "reset", (json_int_t)reset);
}

json_t *limits_overview(const struct req *q)
{
    struct meter m;
    int64_t reset = clock_wall_s() + HOUR_S;
    bool limited = meter_of(q, &m);
    json_t *core = limited ? row(m.limit, *m.used, *m.reset) : row(USER_LIMIT, 0, reset);
    return json_pack("{s:{s:O, s:o, s:o, s:o}, s:o}", "resources", "core", core, "search",
                     row(30, 0, reset), "graphql", row(USER_LIMIT, 0, reset),
                     "integration_manifest", row(USER_LIMIT, 0, reset), "rate", core);
}

void limits_set(const json_t *order)
{
    const json_t *s = json_object_get(order, "secondary");
    if (json_is_object(s)) {
        ordered.secondary_times = json_int(s, "times", 1);
        ordered.retry_after = json_int(s, "retry_after", -1);
        ordered.status = json_int(s, "status", 403);
        ordered.writes_only = json_bool(s, "writes_only", false);
    }
    if (json_object_get(order, "enforce")) {
        ordered.enforce = json_bool(order, "enforce", false);
        window.start_s = 0;
    }
    for (size_t i = 0; i < S.installations.n; i++) {
        struct installation *in = S.installations.at[i];
        if (json_int(order, "installation", in->id) != in->id)
            continue;
        in->limit = json_int(order, "limit", in->limit);
        if (json_object_get(order, "remaining"))
            in->used = in->limit - json_int(order, "remaining", 0);
        if (json_object_get(order, "reset_in_s"))
            in->reset = clock_wall_s() + json_int(order, "reset_in_s", HOUR_S);
    }
}
