/* The ledger and the fault rows of a stand-in; see faults.h. One mutex guards both; everything that
 * takes time (a delay, a hang) happens outside it. Limits: the newest LEDGER_MAX requests are kept,
 * bodies over BODY_SHOWN_BYTES are not. */
#include "tests/standins/common/faults.h"

#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <fnmatch.h>
#include <poll.h>
#include <pthread.h>

#define LEDGER_MAX       ((size_t)100000)
#define BODY_SHOWN_BYTES ((size_t)256 * 1024)
#define LEDGER_TEXT_MAX  ((size_t)1024 * 1024 * 1024)

struct entry {
    uint64_t n;
    json_t *row;
    const char *word; /* lives as long as the fault row, that is for ever */
    int64_t began_ms;
    bool finished;
    bool forgotten; /* not shown; freed once finished */
};

struct fault {
    json_t *row;
    int64_t times; /* left; -1 = always */
    int64_t skip;  /* left */
    int64_t hits;
    bool forgotten; /* kept for the sake of borrowed words */
};

struct faults {
    pthread_mutex_t mutex;
    struct entry *entries;
    size_t nentries;
    size_t room;
    uint64_t last;
    struct fault **rows;
    size_t nrows;
};

struct faults *faults_new(void)
{
    struct faults *f = mem_alloc(sizeof *f);
    pthread_mutex_init(&f->mutex, NULL);
    return f;
}

/* ---- ledger; all under the mutex ---- */

static struct entry *find_entry(struct faults *f, uint64_t n)
{
    for (size_t i = f->nentries; i > 0; i--)
        if (f->entries[i - 1].n == n)
            return &f->entries[i - 1];
    return NULL;
}

/* Drops what is finished and either forgotten or among the oldest `old`. */
static void sweep(struct faults *f, size_t old)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->nentries; i++) {
        struct entry *e = &f->entries[i];
        if (e->finished && (e->forgotten || i < old))
            json_decref(e->row);
        else
            f->entries[kept++] = *e;
    }
    f->nentries = kept;
}

static struct entry *add_entry(struct faults *f, json_t *row)
{
    if (f->nentries >= LEDGER_MAX)
        sweep(f, LEDGER_MAX / 10);
    if (f->nentries == f->room) {
        f->room = f->room ? f->room * 2 : 64;
        f->entries = mem_grow(f->entries, f->room, sizeof *f->entries);
    }
    struct entry *e = &f->entries[f->nentries++];
    *e = (struct entry){.n = ++f->last, .row = row, .word = "", .began_ms = clock_mono_ms()};
    json_object_set_new(row, "n", json_integer((json_int_t)e->n));
    return e;
}

static json_t *headers_of(const struct http_exchange *x)
{
    json_t *all = json_object();
    struct str name;
    struct str value;
    for (size_t i = 0; http_header_at(x, i, &name, &value); i++) {
        AUTO(mem_freep) char *key = str_dup(name);
        for (char *c = key; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        json_object_set_new(all, key, json_text(value));
    }
    return all;
}

static json_t *row_of(const struct http_exchange *x, const char *plane, json_t *body)
{
    json_t *row = json_object();
    json_object_set_new(row, "at_ms", json_integer(clock_wall_ms()));
    if (plane)
        json_object_set_new(row, "plane", json_string(plane));
    json_object_set_new(row, "method", json_text(http_method(x)));
    json_object_set_new(row, "path", json_text(http_path(x)));
    json_object_set_new(row, "query", json_text(http_query_raw(x)));
    json_object_set_new(row, "headers", headers_of(x));
    if (body && http_body_length(x) <= (int64_t)BODY_SHOWN_BYTES)
        json_object_set_new(row, "body",
                            json_deep_copy(body)); /* the caller's dies on its thread */
    json_object_set_new(row, "status", json_integer(0));
    return row;
}

static void answer_ledger(struct faults *f, struct http_exchange *x)
{
    AUTO(buf_done) struct buf text = {.max = LEDGER_TEXT_MAX};
    buf_putc(&text, '[');
    pthread_mutex_lock(&f->mutex); /* written under it, because the rows change */
    for (size_t i = 0; i < f->nentries; i++) {
        if (f->entries[i].forgotten)
            continue;
        if (text.len > 1)
            buf_putc(&text, ',');
        json_write(&text, f->entries[i].row);
    }
    pthread_mutex_unlock(&f->mutex);
    buf_putc(&text, ']');
    if (text.overflow)
        http_answer_text(x, 500, "the ledger is too long to show: clear it now and then");
    else
        http_answer(x, 200, "application/json; charset=utf-8", buf_str(&text));
}

/* ---- fault rows ---- */

static void add_row(struct faults *f, json_t *row)
{
    struct fault *r = mem_alloc(sizeof *r);
    r->row = json_incref(row);
    r->times = json_int(row, "times", 1);
    r->skip = json_int(row, "skip", 0);
    f->rows = mem_grow(f->rows, f->nrows + 1, sizeof *f->rows);
    f->rows[f->nrows++] = r;
}

static bool row_is_good(const json_t *row)
{
    return json_str(row, "match").n && json_str(row, "action").n;
}

static void add_rows(struct faults *f, struct http_exchange *x)
{
    AUTO(json_decrefp) json_t *body = NULL;
    if (!http_body_json(x, BODY_SHOWN_BYTES, &body) || !body) {
        http_answer_text(x, 400, "not JSON");
        return;
    }
    size_t n = json_is_array(body) ? json_array_size(body) : 1;
    for (size_t i = 0; i < n; i++) {
        if (!row_is_good(json_is_array(body) ? json_array_get(body, i) : body)) {
            http_answer_text(x, 400, "row %zu needs \"match\" and \"action\"", i);
            return;
        }
    }
    pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i < n; i++)
        add_row(f, json_is_array(body) ? json_array_get(body, i) : body);
    pthread_mutex_unlock(&f->mutex);
    http_answer(x, 204, NULL, (struct str){0});
}

static void answer_rows(struct faults *f, struct http_exchange *x)
{
    json_t *all = json_array();
    pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i < f->nrows; i++) {
        if (f->rows[i]->forgotten)
            continue;
        json_t *row = json_copy(f->rows[i]->row);
        json_object_set_new(row, "hits", json_integer(f->rows[i]->hits));
        json_array_append_new(all, row);
    }
    pthread_mutex_unlock(&f->mutex);
    http_answer_json(x, 200, all);
}

static void forget(struct faults *f, struct http_exchange *x, bool ledger)
{
    pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; ledger && i < f->nentries; i++)
        f->entries[i].forgotten = true;
    for (size_t i = 0; !ledger && i < f->nrows; i++)
        f->rows[i]->forgotten = true;
    sweep(f, 0);
    pthread_mutex_unlock(&f->mutex);
    http_answer(x, 204, NULL, (struct str){0});
}

bool faults_serve(struct faults *f, struct http_exchange *x)
{
    if (http_is(x, "GET", "/_standin/ledger"))
        answer_ledger(f, x);
    else if (http_is(x, "DELETE", "/_standin/ledger"))
        forget(f, x, true);
    else if (http_is(x, "POST", "/_standin/faults"))
        add_rows(f, x);
    else if (http_is(x, "GET", "/_standin/faults"))
        answer_rows(f, x);
    else if (http_is(x, "DELETE", "/_standin/faults"))
        forget(f, x, false);
    else
        return false;
    return true;
}

/* The row that acts on this request, or NULL; counts it. Under the mutex. */
static struct fault *pick_row(struct faults *f, const char *line, const char *line_query)
{
    for (size_t i = 0; i < f->nrows; i++) {
        struct fault *r = f->rows[i];
        if (r->forgotten || r->times == 0)
            continue;
        const char *match = json_cstr(r->row, "match");
        if (fnmatch(match, line, 0) != 0 && fnmatch(match, line_query, 0) != 0)
            continue;
        if (r->skip > 0) {
            r->skip--;
            continue;
        }
        if (r->times > 0)
            r->times--;
        r->hits++;
        return r;
    }
    return NULL;
}

static void wait_ms(struct http_exchange *x, int64_t ms)
{
    struct pollfd p = {.fd = http_fd(x), .events = POLLRDHUP};
    if (ms > 0 && poll(&p, 1, ms > INT32_MAX ? INT32_MAX : (int)ms) < 0)
        return; /* interrupted: a shorter delay */
}

static void answer_status(struct http_exchange *x, const json_t *row)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(row, "headers"), name, value)
        http_set(x, name, json_is_string(value) ? json_string_value(value) : "");
    json_t *body = json_object_get(row, "body");
    int status = (int)json_int(row, "status", 503);
    if (json_is_string(body))
        http_answer(x, status, "text/html; charset=utf-8", json_str(row, "body"));
    else if (body)
        http_answer_json(x, status, json_incref(body));
    else
        http_answer(x, status, NULL, (struct str){0});
}

/* True when the request needs no more work. */
static bool act(struct http_exchange *x, const json_t *row)
{
    struct str action = json_str(row, "action");
    if (str_eq(action, STR("slow"))) {
        http_slow(x, json_int(row, "bytes", 1024), json_int(row, "ms", 10));
        return false;
    }
    wait_ms(x, json_int(row, "ms", 0));
    if (str_eq(action, STR("status"))) {
        answer_status(x, row);
        return true;
    }
    if (str_eq(action, STR("reset"))) {
        http_reset(x);
        return true;
    }
    if (str_eq(action, STR("hang"))) {
        http_hang(x);
        return true;
    }
    if (str_eq(action, STR("lost")))
        http_lose_answer(x);
    if (str_eq(action, STR("cut")))
        http_cut_after(x, json_int(row, "after_bytes", 0));
    return false;
}

bool faults_begin(struct faults *f, struct http_exchange *x, const char *plane, json_t *body,
                  uint64_t *entry)
{
    const char *sep = plane ? " " : "";
    AUTO(mem_freep)
    char *line = mem_printf("%s%s" STR_FMT " " STR_FMT, plane ? plane : "", sep,
                            STR_ARG(http_method(x)), STR_ARG(http_path(x)));
    AUTO(mem_freep)
    char *line_query = mem_printf("%s%s" STR_FMT " " STR_FMT, plane ? plane : "", sep,
                                  STR_ARG(http_method(x)), STR_ARG(http_target(x)));
    json_t *row = row_of(x, plane, body);
    pthread_mutex_lock(&f->mutex);
    struct entry *e = add_entry(f, row);
    *entry = e->n;
    struct fault *r = pick_row(f, line, line_query);
    if (r) {
        e->word = json_cstr(r->row, "action");
        json_object_set(row, "fault", json_object_get(r->row, "action"));
    }
    pthread_mutex_unlock(&f->mutex);
    return r && act(x, r->row);
}

const char *faults_word(struct faults *f, uint64_t entry)
{
    pthread_mutex_lock(&f->mutex);
    struct entry *e = find_entry(f, entry);
    const char *word = e ? e->word : "";
    pthread_mutex_unlock(&f->mutex);
    return word;
}

void faults_note(struct faults *f, uint64_t entry, const char *key, json_t *value)
{
    pthread_mutex_lock(&f->mutex);
    struct entry *e = find_entry(f, entry);
    if (e)
        json_object_set(e->row, key, value);
    pthread_mutex_unlock(&f->mutex);
    json_decref(value);
}

void faults_finish(struct faults *f, uint64_t entry, struct http_exchange *x)
{
    pthread_mutex_lock(&f->mutex);
    struct entry *e = find_entry(f, entry);
    if (e) {
        e->finished = true;
        json_object_set_new(e->row, "status", json_integer(http_status(x)));
        json_object_set_new(e->row, "ms", json_integer(clock_mono_ms() - e->began_ms));
        if (e->forgotten)
            sweep(f, 0);
    }
    pthread_mutex_unlock(&f->mutex);
}
