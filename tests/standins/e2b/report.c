/* What the control plane only tells: metrics, logs, templates. */
#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/control.h"

#define IDS_MAX  100
#define LOGS_ASK 1000
#define MIB      ((json_int_t)1024 * 1024)
#define FAR_S    (INT64_MAX / 2000) /* later than all times, and may be told in ms */

static json_t *point(const struct sample *s)
{
    char at[TIME_TEXT];
    time_format(s->at_ms, at);
    return json_pack("{ss sI si sf sI sI sI sI sI}", "timestamp", at, "timestampUnix",
                     (json_int_t)(s->at_ms / 1000), "cpuCount", BOX_CPUS, "cpuUsedPct", s->cpu_pct,
                     "memUsed", (json_int_t)s->mem_used, "memTotal",
                     (json_int_t)BOX_MEMORY_MB * MIB, "memCache", (json_int_t)s->mem_cache,
                     "diskUsed", (json_int_t)s->disk_used, "diskTotal", (json_int_t)s->disk_total);
}

static int64_t query_int(struct http_exchange *x, const char *name, int64_t fallback)
{
    AUTO(buf_done) struct buf text = {0};
    int64_t value = fallback;
    if (http_query(x, name, 0, &text) && !str_to_i64(buf_str(&text), 0, FAR_S, &value))
        return fallback;
    return value;
}

void report_metrics(struct api *a)
{
    int64_t from = query_int(a->x, "start", 0) * 1000;
    int64_t to = query_int(a->x, "end", FAR_S) * 1000 + 999;
    json_t *out = json_array();
    world_lock(a->w);
    for (size_t i = 0; i < a->b->nsamples; i++)
        if (a->b->samples[i].at_ms >= from && a->b->samples[i].at_ms <= to)
            json_array_append_new(out, point(&a->b->samples[i]));
    world_unlock(a->w);
    http_answer_json(a->x, 200, out);
}

void report_metrics_many(struct api *a)
{
    AUTO(buf_done) struct buf text = {0};
    bool given = http_query(a->x, "sandbox_ids", 0, &text);
    struct str rest = buf_str(&text);
    struct str id;
    json_t *all = json_object();
    size_t n = 0;
    world_lock(a->w);
    while (given && rest.n && str_split(&rest, ',', &id)) {
        struct box *b = box_find(a->w, id);
        n++;
        if (b && box_alive(b) && b->nsamples)
            json_object_set_new(all, b->id, point(&b->samples[b->nsamples - 1]));
    }
    world_unlock(a->w);
    if (n == 0 || n > IDS_MAX) {
        json_decref(all);
        api_error(a->x, 400, "validation error: 1 to %d sandbox_ids", IDS_MAX);
        return;
    }
    http_answer_json(a->x, 200, json_pack("{so}", "sandboxes", all));
}

void report_logs(struct api *a)
{
    AUTO(buf_done) struct buf search = {0};
    AUTO(buf_done) struct buf direction = {0};
    int64_t limit = query_int(a->x, "limit", LOGS_ASK);
    bool searched = http_query(a->x, "search", 0, &search);
    bool backward = http_query(a->x, "direction", 0, &direction) &&
                    str_eq(buf_str(&direction), STR("backward"));
    int64_t cursor = query_int(a->x, "cursor", backward ? INT64_MAX : 0);
    json_t *out = json_array();
    world_lock(a->w);
    size_t n = json_array_size(a->b->logs);
    for (size_t i = 0; i < n && (int64_t)json_array_size(out) < limit; i++) {
        json_t *row = json_array_get(a->b->logs, backward ? n - 1 - i : i);
        int64_t at = 0;
        struct str message = json_str(row, "message");
        if (!time_parse(json_str(row, "timestamp"), &at) || (backward ? at > cursor : at < cursor))
            continue;
        if (!searched || str_find(message, buf_str(&search), 0) < message.n)
            json_array_append(out, row);
    }
    world_unlock(a->w);
    http_answer_json(a->x, 200, json_pack("{so}", "logs", out));
}

static json_t *template_json(const struct template *t)
{
    char at[TIME_TEXT];
    time_format(t->created_ms, at);
    return json_pack("{ss ss s[s] s[s] si si si sb ss ss ss ss sn sI si sn}", "templateID", t->id,
                     "buildID", "00000000-0000-4000-8000-000000000000", "names", t->name, "aliases",
                     t->name, "cpuCount", BOX_CPUS, "memoryMB", BOX_MEMORY_MB, "diskSizeMB",
                     BOX_DISK_MB, "public", 1, "envdVersion", ENVD_VERSION, "buildStatus", "ready",
                     "createdAt", at, "updatedAt", at, "lastSpawnedAt", "spawnCount",
                     (json_int_t)t->spawned, "buildCount", 1, "createdBy");
}

void report_templates(struct api *a)
{
    json_t *out = json_array();
    world_lock(a->w);
    for (size_t i = 0; i < a->w->ntemplates; i++)
        json_array_append_new(out, template_json(&a->w->templates[i]));
    world_unlock(a->w);
    http_answer_json(a->x, 200, out);
}

void report_alias(struct api *a)
{
    for (size_t i = 0; i < a->w->ntemplates; i++) {
        const struct template *t = &a->w->templates[i];
        if (strcmp(t->name, a->part) != 0 && strcmp(t->id, a->part) != 0)
            continue;
        http_answer_json(a->x, 200, json_pack("{ss sb}", "templateID", t->id, "public", 1));
        return;
    }
    api_error(a->x, 404, "template '%s' not found", a->part);
}
