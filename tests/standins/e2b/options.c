/* What tests ask of the stand-in itself, beside the ledger and the faults:
 *
 *   GET  /_standin/sandboxes              {"active","peak","sandboxes":[…]} the dead ones too
 *   POST /_standin/sandboxes/ID/expire    its time is over now (returns when it is done)
 *   POST /_standin/sandboxes/ID/token     gives it another access token
 *   POST /_standin/options                any of {"blanks","split","end_kept_ms","max_concurrent",
 *                                         "plan_max_s","creates_per_second"} */
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/world.h"

#define BODY_MAX ((size_t)65536)

static json_t *row_of(const struct box *b)
{
    static const char *const states[] = {"running", "pausing", "paused", "resuming", "dead"};
    char started[TIME_TEXT];
    char end[TIME_TEXT];
    time_format(b->started_ms, started);
    time_format(b->state == BOX_DEAD ? b->dead_ms : b->end_ms, end);
    json_int_t processes = 0;
    for (const struct proc *p = b->procs; p; p = p->next)
        processes += !p->ended;
    return json_pack("{ss ss ss? ss ss sO sO sO? sI ss ss}", "sandboxID", b->id, "state",
                     states[b->state], "death", b->death, "startedAt", started, "endAt", end,
                     "metadata", b->spec.metadata, "envVars", b->spec.env_vars, "network",
                     b->spec.network, "processes", processes, "envdAccessToken", b->token, "dir",
                     b->dir);
}

static void answer_sandboxes(struct world *w, struct http_exchange *x)
{
    json_t *all = json_array();
    world_lock(w);
    for (size_t i = 0; i < w->nboxes; i++)
        json_array_append_new(all, row_of(w->boxes[i]));
    json_t *out = json_pack("{sI sI so}", "active", (json_int_t)w->active, "peak",
                            (json_int_t)w->peak, "sandboxes", all);
    world_unlock(w);
    http_answer_json(x, 200, out);
}

static void set_options(struct world *w, struct http_exchange *x)
{
    AUTO(json_decrefp) json_t *body = NULL;
    if (!http_body_json(x, BODY_MAX, &body) || !json_is_object(body)) {
        http_answer_text(x, 400, "not a JSON object");
        return;
    }
    world_lock(w);
    w->blanks = json_bool(body, "blanks", w->blanks);
    w->split = json_bool(body, "split", w->split);
    w->end_kept_ms = json_int(body, "end_kept_ms", w->end_kept_ms);
    w->max_concurrent = (size_t)json_int(body, "max_concurrent", (int64_t)w->max_concurrent);
    w->plan_max_s = json_int(body, "plan_max_s", w->plan_max_s);
    w->creates_per_s = json_int(body, "creates_per_second", w->creates_per_s);
    world_unlock(w);
    bell_ring(&w->tick);
    http_answer(x, 204, NULL, (struct str){0});
}

static struct box *find(struct world *w, struct http_exchange *x, const char *pattern)
{
    const char *id;
    if (!http_match(x, pattern, &id, 1))
        return NULL;
    world_lock(w);
    struct box *b = box_find(w, str_of(id));
    world_unlock(w);
    return b;
}

static void expire(struct world *w, struct box *b)
{
    if (b->spec.auto_pause)
        box_pause(w, b, b->spec.auto_pause_memory);
    else
        box_kill(w, b, "expired");
}

static void change_token(struct world *w, struct box *b)
{
    world_lock(w);
    random_hex(b->token, TOKEN_TEXT - 1);
    world_unlock(w);
}

bool standin_serve(struct world *w, struct http_exchange *x)
{
    struct box *b;
    if (!str_starts(http_path(x), STR("/_standin/")))
        return false;
    if (faults_serve(w->faults, x))
        return true;
    if (http_is(x, "GET", "/_standin/sandboxes")) {
        answer_sandboxes(w, x);
    } else if (http_is(x, "POST", "/_standin/options")) {
        set_options(w, x);
    } else if ((b = find(w, x, "/_standin/sandboxes/(*)/expire"))) {
        expire(w, b);
        http_answer(x, 204, NULL, (struct str){0});
    } else if ((b = find(w, x, "/_standin/sandboxes/(*)/token"))) {
        change_token(w, b);
        http_answer(x, 204, NULL, (struct str){0});
    } else {
        http_answer_text(x, 404, "no such control");
    }
    return true;
}
