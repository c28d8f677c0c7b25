/* The tasks of the API. Streams of a task (events, log) are in stream.c. */
#include "bot/web/handlers.h"

#include "bot/store/tasks.h"
#include "bot/web/task_json.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     100

/* "owner/name" as GitHub writes it. */
static bool is_repository(struct str s)
{
    struct str owner;
    bool two = memchr(s.p, '/', s.n) != NULL;
    if (!two || !str_split(&s, '/', &owner) || owner.n == 0 || owner.n > 39 || s.n == 0 ||
        s.n > 100)
        return false;
    for (const char *c = owner.p; c < s.p + s.n; c++) {
        bool word = (*c >= '0' && *c <= '9') || ((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z') ||
                    *c == '-' || *c == '_' || *c == '.';
        if (!word && c != owner.p + owner.n)
            return false;
    }
    return true;
}

static bool read_filter(struct api_call *call, struct task_filter *f, struct err *err)
{
    const char *limit;
    enum task_state state;
    int64_t n = LIMIT_DEFAULT;
    if (!api_param(call, "state", &f->state, err) ||
        !api_param(call, "repository", &f->repository, err) ||
        !api_param(call, "squad", &f->squad, err) || !api_param(call, "limit", &limit, err) ||
        !api_param(call, "cursor", &f->cursor, err))
        return false;
    if (f->state && !task_state_parse(str_of(f->state), &state))
        return err_set(err, ERR_INPUT, "state: no such state");
    if (f->repository && !is_repository(str_of(f->repository)))
        return err_set(err, ERR_INPUT, "repository: want OWNER/NAME");
    if (f->squad && (f->squad[0] == '\0' || strlen(f->squad) > 128))
        return err_set(err, ERR_INPUT, "squad: want 1 to 128 bytes");
    if (limit && !str_to_i64(str_of(limit), 1, LIMIT_MAX, &n))
        return err_set(err, ERR_INPUT, "limit: want a whole number from 1 to %d", LIMIT_MAX);
    f->limit = (int)n;
    return true;
}

bool tasks_list(struct api_call *call, struct err *err)
{
    struct task_filter f = {0};
    struct task *rows;
    const char *next;
    int n;
    if (!read_filter(call, &f, err) ||
        !task_list(call->store, &f, call->arena, &rows, &n, &next, err))
        return false;
    struct buf *out = &call->answer;
    buf_puts(out, "{\"items\":[");
    for (int i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(out, ',');
        task_json(out, &rows[i]);
    }
    buf_puts(out, "],\"next_cursor\":");
    if (next)
        buf_printf(out, "\"%s\"}", next); /* base64url */
    else
        buf_puts(out, "null}");
    return true;
}

bool tasks_get(struct api_call *call, struct err *err)
{
    struct task t;
    if (!task_get(call->store, call->id, call->arena, &t, err))
        return false;
    task_json(&call->answer, &t);
    return true;
}

/* The answer to "do this with the task": accepted, and where to look. */
static bool answer_accepted(struct api_call *call, struct err *err)
{
    if (!tasks_get(call, err))
        return false;
    call->status = 202;
    call->location = arena_printf(call->arena, "/api/v1/tasks/%s", call->id);
    return true;
}

/* Cancelling what is cancelled changes nothing; what ended otherwise can't be cancelled any more.
 */
bool tasks_cancel(struct api_call *call, struct err *err)
{
    enum task_state was;
    if (!task_cancel(call->store, call->id, "cancelled through the API", &was, err))
        return false;
    if (was == TASK_CANCELLED)
        return tasks_get(call, err);
    if (task_state_is_final(was))
        return err_set(err, ERR_CONFLICT, "the task is finished (%s)", task_state_name(was));
    return answer_accepted(call, err);
}

bool tasks_retry(struct api_call *call, struct err *err)
{
    return task_retry(call->store, call->id, err) && answer_accepted(call, err);
}

bool tasks_patch(struct api_call *call, struct err *err)
{
    if (!task_patch(call->store, call->id, &call->answer, err))
        return false;
    if (call->answer.len == 0)
        return err_set(err, ERR_GONE, "task %s has no patch", call->id);
    call->content_type = "text/x-patch; charset=utf-8";
    return true;
}
