/* The control plane: key, routes, and the calls on one sandbox. Not modelled: snapshots, fork,
 * volumes (answered 501), team rate limits other than that of creates. */
#include "tests/standins/e2b/control.h"

#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define REFRESH_MAX_S 3600
#define REFRESH_MIN_S 15
#define CONNECT_S     300

void api_error(struct http_exchange *x, int status, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_t *body = json_object();
    json_object_set_new(body, "code", json_integer(status));
    json_object_set_new(body, "message", json_text(str_of(text)));
    http_answer_json(x, status, body);
}

void api_done(struct http_exchange *x)
{
    http_answer(x, 204, NULL, (struct str){0});
}

static void reject_rate(struct api *a)
{
    http_set(a->x, "Retry-After", "1");
    http_setf(a->x, "RateLimit-Limit", "%lld", (long long)a->w->creates_per_s);
    http_set(a->x, "RateLimit-Remaining", "0");
    http_set(a->x, "RateLimit-Reset", "1");
    api_error(a->x, 429, "Rate limit exceeded");
}

void api_reject(struct api *a, enum box_result result, const struct err *err)
{
    const char *id = a->b ? a->b->id : "";
    switch (result) {
    case BOX_OK:
        break;
    case BOX_LIMIT:
        api_error(a->x, 429,
                  "you have reached the maximum number of concurrent E2B sandboxes (%zu). If you "
                  "need more, upgrade your plan.",
                  a->w->max_concurrent);
        break;
    case BOX_RATE:
        reject_rate(a);
        break;
    case BOX_FAILED:
        fprintf(stderr, "sandbox: %s\n", err->text);
        api_error(a->x, 500, "Failed to place sandbox: %s", err->text);
        break;
    case BOX_GONE:
        api_error(a->x, 404, "Sandbox \"%s\" doesn't exist or you don't have access to it", id);
        break;
    case BOX_CONFLICT:
        api_error(a->x, 409, "Sandbox \"%s\" is being %s", id,
                  a->b && a->b->state == BOX_RESUMING ? "resumed" : "paused");
        break;
    }
}

/* ---- shapes ---- */

static void set_time(json_t *out, const char *key, int64_t wall_ms)
{
    char text[TIME_TEXT];
    time_format(wall_ms, text);
    json_object_set_new(out, key, json_string(text));
}

json_t *api_box(struct world *w, const struct box *b, bool listed)
{
    bool paused = b->state == BOX_PAUSED || b->state == BOX_RESUMING;
    json_t *out = json_pack("{ss ss ss ss ss si si si ss sO}", "sandboxID", b->id, "templateID",
                            b->spec.tpl->id, "alias", b->spec.tpl->name, "clientID", CLIENT_ID,
                            "state", paused ? "paused" : "running", "cpuCount", BOX_CPUS,
                            "memoryMB", BOX_MEMORY_MB, "diskSizeMB", BOX_DISK_MB, "envdVersion",
                            ENVD_VERSION, "metadata", b->spec.metadata);
    (void)w;
    set_time(out, "startedAt", b->started_ms);
    set_time(out, "endAt", b->end_ms);
    if (b->spec.volume_mounts)
        json_object_set(out, "volumeMounts", b->spec.volume_mounts);
    if (listed)
        return out;
    if (b->token[0])
        json_object_set_new(out, "envdAccessToken", json_string(b->token));
    json_object_set_new(out, "domain", json_null());
    json_object_set_new(out, "allowInternetAccess", json_boolean(b->spec.internet));
    if (b->spec.network)
        json_object_set(out, "network", b->spec.network);
    json_object_set_new(out, "lifecycle",
                        json_pack("{ss sb}", "onTimeout", b->spec.auto_pause ? "pause" : "kill",
                                  "autoResume", b->spec.auto_resume ? 1 : 0));
    return out;
}

json_t *api_created(const struct box *b)
{
    json_t *out =
        json_pack("{ss ss ss ss ss sn}", "sandboxID", b->id, "templateID", b->spec.tpl->id, "alias",
                  b->spec.tpl->name, "clientID", CLIENT_ID, "envdVersion", ENVD_VERSION, "domain");
    if (b->token[0])
        json_object_set_new(out, "envdAccessToken", json_string(b->token));
    json_object_set_new(out, "trafficAccessToken",
                        b->traffic_token[0] ? json_string(b->traffic_token) : json_null());
    return out;
}

/* ---- calls on one sandbox ---- */

static void get_box(struct api *a)
{
    world_lock(a->w);
    json_t *out = box_alive(a->b) ? api_box(a->w, a->b, false) : NULL;
    world_unlock(a->w);
    if (out)
        http_answer_json(a->x, 200, out);
    else
        api_reject(a, BOX_GONE, NULL);
}

static void kill_box(struct api *a)
{
    enum box_result result = box_kill(a->w, a->b, "killed");
    if (result == BOX_OK)
        api_done(a->x);
    else
        api_reject(a, result, NULL);
}

/* Why the life of this one cannot be changed now; locked. A paused one has no life to change. */
static enum box_result life_state(const struct box *b)
{
    if (b->state == BOX_RUNNING)
        return BOX_OK;
    return b->state == BOX_PAUSING || b->state == BOX_RESUMING ? BOX_CONFLICT : BOX_GONE;
}

static void set_timeout(struct api *a)
{
    int64_t timeout = json_int(a->body, "timeout", -1);
    if (timeout < 0) {
        api_error(a->x, 400, "validation error: timeout is required and not negative");
        return;
    }
    if (timeout > a->w->plan_max_s) {
        api_error(a->x, 400, "Max instance length exceeded");
        return;
    }
    world_lock(a->w);
    enum box_result result = life_state(a->b);
    if (result == BOX_OK)
        box_set_end(a->w, a->b, clock_wall_ms() + timeout * 1000);
    world_unlock(a->w);
    if (result == BOX_OK)
        api_done(a->x);
    else
        api_reject(a, result, NULL);
}

static void extend(struct world *w, struct box *b, int64_t seconds)
{
    int64_t end = clock_wall_ms() + seconds * 1000;
    if (end > b->end_ms)
        box_set_end(w, b, end);
}

static void refresh(struct api *a)
{
    int64_t duration = json_int(a->body, "duration", 0);
    if (duration < 0 || duration > REFRESH_MAX_S) {
        api_error(a->x, 400, "validation error: duration must be between 0 and %d", REFRESH_MAX_S);
        return;
    }
    world_lock(a->w);
    enum box_result result = life_state(a->b);
    if (result == BOX_OK)
        extend(a->w, a->b, duration > REFRESH_MIN_S ? duration : REFRESH_MIN_S);
    world_unlock(a->w);
    if (result == BOX_OK)
        api_done(a->x);
    else
        api_reject(a, result, NULL);
}

static void pause_box(struct api *a)
{
    enum box_result result = box_pause(a->w, a->b, json_bool(a->body, "memory", true));
    if (result == BOX_OK) {
        api_done(a->x);
    } else if (result == BOX_CONFLICT && a->b->state == BOX_PAUSED) {
        api_error(a->x, 409, "Error pausing sandbox - sandbox '%s' is already paused", a->b->id);
    } else {
        api_reject(a, result, NULL);
    }
}

/* Resumes, or extends a running one; `resume` alone refuses a running one. */
static void wake(struct api *a, int64_t timeout, bool only_paused)
{
    struct err err = {0};
    if (timeout <= 0 || timeout > a->w->plan_max_s) {
        api_error(a->x, 400,
                  timeout <= 0 ? "Timeout must be greater than 0"
                               : "Timeout cannot be greater than %lld hours",
                  (long long)(a->w->plan_max_s / 3600));
        return;
    }
    world_lock(a->w);
    bool running = a->b->state == BOX_RUNNING;
    if (running && !only_paused)
        extend(a->w, a->b, timeout);
    world_unlock(a->w);
    if (running && only_paused) {
        api_error(a->x, 409, "Sandbox \"%s\" is already running", a->b->id);
        return;
    }
    if (!running) {
        bool cold = !json_bool(a->body, "memory", true);
        enum box_result result = box_resume(a->w, a->b, timeout, cold, &err);
        if (result != BOX_OK) {
            api_reject(a, result, &err);
            return;
        }
    }
    http_answer_json(a->x, running ? 200 : 201, api_created(a->b));
}

static void connect_v2(struct api *a)
{
    wake(a, json_int(a->body, "timeout", CONNECT_S), false);
}

static void connect_v1(struct api *a)
{
    if (!json_at(a->body, "timeout"))
        api_error(a->x, 400, "validation error: timeout is required");
    else
        wake(a, json_int(a->body, "timeout", 0), false);
}

static void resume(struct api *a)
{
    wake(a, json_int(a->body, "timeout", CONNECT_S), true);
}

/* The new rules are stored; those of the running jail do not change. */
static void put_network(struct api *a)
{
    if (!json_is_object(a->body)) {
        api_error(a->x, 400, "validation error: request body is not an object");
        return;
    }
    if (!network_ok(a->x, a->body))
        return;
    world_lock(a->w);
    enum box_result result = life_state(a->b);
    if (result == BOX_OK) {
        json_decref(a->b->spec.network);
        a->b->spec.network = json_deep_copy(a->body);
        a->b->spec.internet = json_bool(a->body, "allow_internet_access", true);
    }
    world_unlock(a->w);
    if (result == BOX_OK)
        api_done(a->x);
    else
        api_reject(a, result, NULL);
}

static void not_modelled(struct api *a)
{
    api_error(a->x, 501, "the stand-in does not know this call");
}

/* ---- routes ---- */

static const struct {
    const char *method;
    const char *pattern;
    bool of_box; /* the first part is a sandbox id */
    void (*run)(struct api *a);
} routes[] = {
    {"POST",   "/sandboxes",                false, create_v1          },
    {"POST",   "/v2/sandboxes",             false, create_v2          },
    {"GET",    "/sandboxes",                false, list_v1            },
    {"GET",    "/v2/sandboxes",             false, list_v2            },
    {"GET",    "/sandboxes/metrics",        false, report_metrics_many},
    {"GET",    "/sandboxes/(*)",            true,  get_box            },
    {"DELETE", "/sandboxes/(*)",            true,  kill_box           },
    {"POST",   "/sandboxes/(*)/timeout",    true,  set_timeout        },
    {"POST",   "/sandboxes/(*)/refreshes",  true,  refresh            },
    {"POST",   "/sandboxes/(*)/pause",      true,  pause_box          },
    {"POST",   "/v2/sandboxes/(*)/connect", true,  connect_v2         },
    {"POST",   "/sandboxes/(*)/connect",    true,  connect_v1         },
    {"POST",   "/sandboxes/(*)/resume",     true,  resume             },
    {"GET",    "/sandboxes/(*)/metrics",    true,  report_metrics     },
    {"GET",    "/v2/sandboxes/(*)/logs",    true,  report_logs        },
    {"PUT",    "/sandboxes/(*)/network",    true,  put_network        },
    {"POST",   "/sandboxes/(*)/snapshots",  true,  not_modelled       },
    {"POST",   "/sandboxes/(*)/fork",       true,  not_modelled       },
    {"GET",    "/snapshots",                false, not_modelled       },
    {"GET",    "/templates",                false, report_templates   },
    {"GET",    "/v2/templates",             false, report_templates   },
    {"GET",    "/templates/aliases/(*)",    false, report_alias       },
};

/* False: answered. */
static bool key_ok(struct api *a)
{
    struct str key = http_header(a->x, "x-api-key");
    if (key.n == 0) {
        api_error(a->x, 401, "authorization header is missing");
        return false;
    }
    for (size_t i = 0; i < a->w->nkeys; i++)
        if (str_eq(key, str_of(a->w->keys[i])))
            return true;
    api_error(a->x, 401, "Invalid API key, please visit the dashboard to get a valid one");
    return false;
}

/* The sandbox of an id, also in its old form <id>-<clientID>. False: answered. */
static bool find_box(struct api *a)
{
    struct str id = str_of(a->part);
    id = str_sub(id, 0, str_find(id, STR("-"), 0));
    for (size_t i = 0; i < id.n; i++) {
        if ((id.p[i] >= 'a' && id.p[i] <= 'z') || (id.p[i] >= '0' && id.p[i] <= '9'))
            continue;
        api_error(a->x, 400, "Invalid sandbox ID");
        return false;
    }
    world_lock(a->w);
    a->b = box_find(a->w, id);
    bool alive = a->b && box_alive(a->b);
    world_unlock(a->w);
    faults_note(a->w->faults, a->entry, "sandbox", json_text(id));
    if (!alive)
        api_error(a->x, 404, "Sandbox \"" STR_FMT "\" doesn't exist or you don't have access to it",
                  STR_ARG(id));
    return alive;
}

void control_serve(struct world *w, struct http_exchange *x, json_t *body, uint64_t entry)
{
    struct api a = {.w = w, .x = x, .body = body, .entry = entry};
    if (http_is(x, "GET", "/health")) {
        api_done(x);
        return;
    }
    if (!key_ok(&a))
        return;
    bool known = false;
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (!http_match(x, routes[i].pattern, &a.part, 1))
            continue;
        known = true;
        if (!str_eq(http_method(x), str_of(routes[i].method)))
            continue;
        if (!routes[i].of_box || find_box(&a))
            routes[i].run(&a);
        return;
    }
    if (known)
        api_error(x, 405, "method not allowed");
    else
        api_error(x, 404, "no matching operation was found");
}
