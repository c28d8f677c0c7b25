/* Reading events in pages, so that neither a long history nor long lines fill the memory.
 *
 * When is a stream over? The state is read after a first look at the events and, if it is final,
 * the events are looked at once more: what is then not there belongs to a later attempt. */
#include "bot/web/page.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/store/steps.h"
#include "bot/store/tasks.h"

#define PAGE_ROWS  500
#define PAGE_BYTES ((size_t)256 * 1024) /* more only when a single event is larger */

static void add_event(struct buf *out, const struct event_row *row)
{
    buf_printf(out, "id: %lld\nevent: %s\ndata: {\"task\":\"%s\",\"at\":\"%s\"", (long long)row->id,
               row->kind, row->task_id, row->at);
    /* The data is an object's text from a jsonb column: one line. */
    struct str data = str_trim(str_of(row->data));
    data = str_trim(str_sub(data, 1, data.n));
    if (data.n > 1)
        buf_putc(out, ',');
    buf_add_str(out, data.n > 0 ? data : STR("}"));
    buf_puts(out, "\n\n");
}

static void add_end(struct buf *out, const struct task *t)
{
    char at[TIME_TEXT];
    time_format(t->finished_ms, at);
    buf_printf(out, "event: end\ndata: {\"task\":\"%s\",\"at\":\"%s\",\"state\":\"%s\"}\n\n", t->id,
               at, task_state_name(t->state));
}

static void add_log_line(struct buf *out, const struct event_row *row)
{
    AUTO(json_decrefp) json_t *j = NULL;
    if (strcmp(row->kind, "log") != 0 || !json_parse(str_of(row->data), &j, NULL))
        return;
    buf_add_str(out, json_str(j, "text"));
    buf_putc(out, '\n');
}

/* Appends the next rows; *stated: a change of state was among them. */
static bool add_rows(struct store *s, const char *task_id, enum page_form form, struct page *p,
                     bool *stated, struct err *err)
{
    struct event_row *rows;
    int n, i = 0;
    AUTO(arena_freep) struct arena *arena = arena_new();
    if (!event_list(s, task_id, p->last, PAGE_ROWS, arena, &rows, &n, err))
        return false;
    for (; i < n && (i == 0 || p->text.len < PAGE_BYTES); i++) {
        if (form == PAGE_LOG)
            add_log_line(&p->text, &rows[i]);
        else
            add_event(&p->text, &rows[i]);
        *stated |= strcmp(rows[i].kind, "task_state") == 0;
        p->last = rows[i].id;
        p->rows++;
    }
    p->full = i < n || n == PAGE_ROWS;
    return true;
}

static bool fill(struct store *s, const char *task_id, enum page_form form, bool ask,
                 struct page *p, struct err *err)
{
    bool stated = false;
    if (!add_rows(s, task_id, form, p, &stated, err))
        return false;
    if (!ask && (p->full || !stated))
        return true;
    struct task t;
    AUTO(arena_freep) struct arena *arena = arena_new();
    if (!task_get(s, task_id, arena, &t, err))
        return false;
    p->finished = task_state_is_final(t.state);
    if (p->full || !p->finished || form == PAGE_LOG)
        return true;
    if (!add_rows(s, task_id, form, p, &stated, err))
        return false;
    p->final = !p->full;
    if (p->final)
        add_end(&p->text, &t);
    return true;
}

bool page_load(struct store *s, const char *task_id, int64_t after, enum page_form form, bool ask,
               struct page **out, struct err *err)
{
    struct page *p = mem_alloc(sizeof(*p));
    p->refs = 1;
    p->after = p->last = after;
    if (!fill(s, task_id, form, ask, p, err)) {
        page_unref(p);
        return false;
    }
    *out = p;
    return true;
}

struct page *page_ref(struct page *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void page_unref(struct page *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    buf_done(&p->text);
    free(p);
}
