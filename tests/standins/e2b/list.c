/* The two list calls: metadata filter with its odd decoding, states, order, pages. */
#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/control.h"

#define LIMIT_MAX   100
#define FILTERS_MAX 32

struct filter {
    char *keys[FILTERS_MAX];
    char *values[FILTERS_MAX];
    size_t n;
    bool running, paused;
    int64_t started_after;
    struct buf tpl;
};

static void filter_done(struct filter *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->keys[i]);
        free(f->values[i]);
    }
    buf_done(&f->tpl);
}

/* One decoding of a query text; what is no valid escape gives NULL. */
static char *decode(struct str s)
{
    AUTO(mem_freep) char *text = str_dup(s);
    AUTO(buf_done) struct buf out = {0};
    for (size_t i = 0; i < s.n; i++)
        if (text[i] == '+')
            text[i] = ' ';
    if (!enc_unpercent((struct str){text, s.n}, &out))
        return NULL;
    return str_dup(buf_str(&out));
}

/* The value (decoded once as every query value) is decoded as a whole, cut at '&' and '=', and each
 * piece is decoded again. */
static bool read_metadata(struct filter *f, struct str value)
{
    AUTO(mem_freep) char *whole = decode(value);
    struct str rest = str_of(whole);
    struct str pair;
    while (rest.n && str_split(&rest, '&', &pair)) {
        size_t eq = str_find(pair, STR("="), 0);
        char *key = decode(str_sub(pair, 0, eq));
        char *text = decode(str_sub(pair, eq + 1, pair.n));
        if (!key || !text || f->n == FILTERS_MAX) {
            free(key);
            free(text);
            return false;
        }
        f->keys[f->n] = key;
        f->values[f->n++] = text;
    }
    return whole != NULL;
}

/* False: answered. */
static bool read_filter(struct api *a, bool v2, struct filter *f)
{
    AUTO(buf_done) struct buf text = {0};
    f->running = !v2;
    if (http_query(a->x, "metadata", 0, &text) && !read_metadata(f, buf_str(&text))) {
        api_error(a->x, 400, "Invalid metadata filter");
        return false;
    }
    if (!v2)
        return true;
    for (size_t i = 0; http_query(a->x, "state", i, &text); i++) {
        struct str rest = buf_str(&text);
        struct str word;
        while (rest.n && str_split(&rest, ',', &word)) {
            f->running = f->running || str_eq(word, STR("running"));
            f->paused = f->paused || str_eq(word, STR("paused"));
            if (str_eq(word, STR("running")) || str_eq(word, STR("paused")))
                continue;
            api_error(a->x, 400, "validation error: state '" STR_FMT "'", STR_ARG(word));
            return false;
        }
    }
    if (!f->running && !f->paused)
        f->running = f->paused = true;
    if (http_query(a->x, "startedAfter", 0, &text) &&
        !time_parse(buf_str(&text), &f->started_after)) {
        api_error(a->x, 400, "validation error: startedAfter");
        return false;
    }
    bool any UNUSED = http_query(a->x, "template", 0, &f->tpl);
    return true;
}

static bool matches(const struct filter *f, const struct box *b)
{
    bool paused = b->state == BOX_PAUSED || b->state == BOX_RESUMING;
    if (!box_alive(b) || !(paused ? f->paused : f->running))
        return false;
    if (f->started_after && b->started_ms <= f->started_after)
        return false;
    if (f->tpl.len && !str_eq(buf_str(&f->tpl), str_of(b->spec.tpl->name)) &&
        !str_eq(buf_str(&f->tpl), str_of(b->spec.tpl->id)))
        return false;
    for (size_t i = 0; i < f->n; i++) {
        const char *value = json_string_value(json_object_get(b->spec.metadata, f->keys[i]));
        if (!value || strcmp(value, f->values[i]) != 0)
            return false;
    }
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct box *x = *(struct box *const *)a;
    const struct box *y = *(struct box *const *)b;
    if (x->started_ms != y->started_ms)
        return x->started_ms < y->started_ms ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* A page's token is the position after it: "<start ms>:<id>" in base64url. */
static void write_token(struct http_exchange *x, const struct box *last)
{
    AUTO(buf_done) struct buf plain = {0};
    AUTO(buf_done) struct buf token = {0};
    buf_printf(&plain, "%lld:%s", (long long)last->started_ms, last->id);
    enc_base64url(&token, plain.data, plain.len);
    http_set(x, "X-Next-Token", buf_cstr(&token));
}

static bool read_token(struct str token, int64_t *started_ms, char id[BOX_ID_TEXT])
{
    AUTO(buf_done) struct buf plain = {0};
    if (!enc_unbase64(token, &plain))
        return false;
    size_t colon = str_find(buf_str(&plain), STR(":"), 0);
    return str_to_i64(str_sub(buf_str(&plain), 0, colon), 0, INT64_MAX, started_ms) &&
           str_copy(id, BOX_ID_TEXT, str_sub(buf_str(&plain), colon + 1, plain.len)) && id[0];
}

struct page {
    int64_t limit;
    bool ascending;
    bool has_token;
    struct box after; /* only started_ms and id */
};

/* False: answered. */
static bool read_page(struct api *a, struct page *p)
{
    AUTO(buf_done) struct buf text = {0};
    *p = (struct page){.limit = LIMIT_MAX};
    if (http_query(a->x, "limit", 0, &text) &&
        !str_to_i64(buf_str(&text), 1, LIMIT_MAX, &p->limit)) {
        api_error(a->x, 400, "validation error: limit must be between 1 and %d", LIMIT_MAX);
        return false;
    }
    p->ascending = http_query(a->x, "order", 0, &text) && str_eq(buf_str(&text), STR("asc"));
    p->has_token = http_query(a->x, "nextToken", 0, &text) && text.len;
    if (p->has_token && !read_token(buf_str(&text), &p->after.started_ms, p->after.id)) {
        api_error(a->x, 400, "Invalid next token");
        return false;
    }
    return true;
}

static bool is_before(const struct page *p, const struct box *b)
{
    const struct box *after = &p->after;
    int order = by_start(&b, &after);
    return p->has_token && (p->ascending ? order <= 0 : order >= 0);
}

static void list(struct api *a, bool v2)
{
    struct filter f = {0};
    struct page page = {.limit = INT64_MAX};
    json_t *out = json_array();
    if (!read_filter(a, v2, &f) || (v2 && !read_page(a, &page))) {
        json_decref(out);
        filter_done(&f);
        return;
    }
    world_lock(a->w);
    struct box **found = mem_array(a->w->nboxes + 1, sizeof(struct box *));
    size_t n = 0;
    int64_t running = 0;
    for (size_t i = 0; i < a->w->nboxes; i++) {
        if (!matches(&f, a->w->boxes[i]))
            continue;
        found[n++] = a->w->boxes[i];
        running += a->w->boxes[i]->state == BOX_RUNNING;
    }
    qsort(found, n, sizeof(struct box *), by_start);
    const struct box *last = NULL;
    bool more = false;
    for (size_t i = 0; i < n; i++) {
        const struct box *b = found[page.ascending ? i : n - 1 - i];
        if (is_before(&page, b))
            continue;
        if ((int64_t)json_array_size(out) == page.limit) {
            more = true;
            break;
        }
        json_array_append_new(out, api_box(a->w, b, true));
        last = b;
    }
    if (more)
        write_token(a->x, last);
    world_unlock(a->w);
    free(found);
    if (v2)
        http_setf(a->x, "X-Total-Running", "%lld", (long long)running);
    http_answer_json(a->x, 200, out);
    filter_done(&f);
}

void list_v1(struct api *a)
{
    list(a, false);
}

void list_v2(struct api *a)
{
    list(a, true);
}
