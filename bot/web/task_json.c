/* One row in, one JSON object out, always with every member: what is not known is null. */
#include "bot/web/task_json.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"

static void add_name(struct buf *out, const char *name)
{
    buf_printf(out, "%s\"%s\":", out->len > 0 && out->data[out->len - 1] == '{' ? "" : ",", name);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    add_name(out, name);
    if (!text) {
        buf_puts(out, "null");
        return;
    }
    buf_putc(out, '"');
    enc_json(out, str_of(text));
    buf_putc(out, '"');
}

static void add_int(struct buf *out, const char *name, int64_t value)
{
    add_name(out, name);
    buf_printf(out, "%lld", (long long)value);
}

/* 0 stands for "none" in the row. */
static void add_number_or_null(struct buf *out, const char *name, int64_t value)
{
    if (value != 0)
        add_int(out, name, value);
    else
        add_text(out, name, NULL);
}

static void add_time(struct buf *out, const char *name, int64_t ms)
{
    char text[TIME_TEXT];
    if (ms != 0)
        time_format(ms, text);
    add_text(out, name, ms != 0 ? text : NULL);
}

static void add_pull_request(struct buf *out, const struct task *t)
{
    add_name(out, "pull_request");
    if (t->pull_request == 0) {
        buf_puts(out, "null");
        return;
    }
    buf_putc(out, '{');
    add_int(out, "number", t->pull_request);
    add_text(out, "url", t->pull_request_url);
    add_text(out, "state", t->pull_request_state);
    buf_putc(out, '}');
}

static void add_error(struct buf *out, const struct task *t)
{
    add_name(out, "error");
    if (!t->error_kind) {
        buf_puts(out, "null");
        return;
    }
    buf_putc(out, '{');
    add_text(out, "kind", t->error_kind);
    add_text(out, "message", t->error_message);
    buf_putc(out, '}');
}

void task_json(struct buf *out, const struct task *t)
{
    buf_putc(out, '{');
    add_text(out, "id", t->id);
    add_text(out, "state", task_state_name(t->state));
    add_text(out, "step", t->step);
    add_text(out, "repository", t->repository);
    add_number_or_null(out, "issue", t->issue);
    add_text(out, "title", t->title);
    add_text(out, "branch", t->branch);
    add_text(out, "base", t->base);
    add_text(out, "head_sha", t->head_sha);
    add_pull_request(out, t);
    add_text(out, "sandbox_id", t->sandbox_id);
    add_text(out, "agent", t->agent);
    add_text(out, "squad", t->squad);
    add_text(out, "requested_by", t->requested_by);
    add_int(out, "attempt", t->attempt);
    add_number_or_null(out, "queue_position", t->queue_position);
    add_error(out, t);
    add_name(out, "cost_usd");
    buf_printf(out, "%.12g", t->cost_usd);
    add_name(out, "tokens");
    buf_putc(out, '{');
    add_int(out, "input", t->tokens_input);
    add_int(out, "output", t->tokens_output);
    buf_putc(out, '}');
    add_name(out, "commits"); /* JSON text from a jsonb column */
    buf_puts(out, t->commit_history ? t->commit_history : "[]");
    add_time(out, "created_at", t->created_ms);
    add_time(out, "started_at", t->started_ms);
    add_time(out, "finished_at", t->finished_ms);
    buf_putc(out, '}');
}
