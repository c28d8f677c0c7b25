/* The data plane of one sandbox: token, plain calls (/health, /metrics, /envs, /files) and RPC. */
#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/files.h"
#include "tests/standins/e2b/rpc.h"

#define MIB ((int64_t)1024 * 1024)

static void answer_metrics(struct world *w, struct box *b, struct http_exchange *x)
{
    struct sample s;
    sample_take(w, b, &s);
    int64_t total = (int64_t)BOX_MEMORY_MB * MIB;
    http_answer_json(x, 200,
                     json_pack("{sI si sf sI sI sI sI sI sI sI}", "ts",
                               (json_int_t)(s.at_ms / 1000), "cpu_count", BOX_CPUS, "cpu_used_pct",
                               s.cpu_pct, "mem_total", (json_int_t)total, "mem_used",
                               (json_int_t)s.mem_used, "mem_cache", (json_int_t)s.mem_cache,
                               "mem_total_mib", (json_int_t)(total / MIB), "mem_used_mib",
                               (json_int_t)(s.mem_used / MIB), "disk_used", (json_int_t)s.disk_used,
                               "disk_total", (json_int_t)s.disk_total));
}

static void answer_envs(struct box *b, struct http_exchange *x)
{
    json_t *all = json_pack("{ss ss ss}", "E2B_SANDBOX", "true", "E2B_SANDBOX_ID", b->id,
                            "E2B_TEMPLATE_ID", b->spec.tpl->id);
    json_object_update(all, b->spec.env_vars);
    http_answer_json(x, 200, all);
}

/* True: answered. */
static bool serve_plain(struct world *w, struct box *b, struct http_exchange *x)
{
    if (http_is(x, "GET", "/metrics"))
        answer_metrics(w, b, x);
    else if (http_is(x, "GET", "/envs"))
        answer_envs(b, x);
    else
        return false;
    return true;
}

void envd_serve(struct world *w, struct box *b, struct http_exchange *x, uint64_t entry)
{
    world_lock(w);
    bool token_ok = !b->token[0] || str_eq(http_header(x, "x-access-token"), str_of(b->token));
    world_unlock(w);
    if (http_is(x, "GET", "/health")) {
        http_answer(x, 204, NULL, (struct str){0});
        return;
    }
    if (str_eq(http_path(x), STR("/files")) || str_eq(http_path(x), STR("/files/compose"))) {
        files_serve(w, b, x, token_ok);
        return;
    }
    if (!token_ok) {
        envd_error(x, 401,
                   "unauthorized access, please provide a valid access token or method signing if "
                   "supported");
        return;
    }
    struct rpc r = {.w = w, .b = b, .x = x, .entry = entry, .arena = arena_new()};
    if (!serve_plain(w, b, x) && !rpc_serve(&r))
        envd_error(x, 404, "not found");
    json_decref(r.request);
    arena_free(r.arena);
}
