/* Log lines from raw bytes. Lines are made whole before they reach the redactor, so its secrets are
 * cut only where a secret itself spans lines (a PEM key); while it holds something back, the stored
 * position waits, so that a restart never begins in the middle of a secret. */
#include "bot/task/follow.h"

#include "bot/base/mem.h"

#define LINE_MAX_BYTES ((size_t)16 * 1024) /* a longer line is cut into several */
#define HELD_MAX_BYTES                                                                             \
    ((size_t)256 * 1024) /* then lines are stored whatever the redactor holds                      \
                          */
#define LOG_MAX_BYTES ((int64_t)64 * 1024 * 1024) /* of a run; what comes after it is not kept */
#define STREAM        "stdout"

bool follow_start(struct follow *f, struct run *r, struct err *err)
{
    *f = (struct follow){0};
    if (!log_position(r->env->store, r->task.id, r->task.attempt, STREAM, &f->read, err))
        return false;
    f->fed = f->read;
    return true;
}

void follow_done(struct follow *f)
{
    redact_stream_done(&f->redactor);
    buf_done(&f->raw);
    buf_done(&f->clean);
}

/* Valid UTF-8 without NUL: jsonb takes nothing else. */
static struct str text_line(struct arena *arena, struct str line)
{
    if (str_is_utf8(line) && str_find(line, (struct str){"", 1}, 0) == line.n)
        return line;
    struct buf out = {0};
    for (size_t i = 0; i < line.n;) {
        size_t n = 1;
        while (n < 5 && i + n <= line.n && !str_is_utf8(str_sub(line, i, i + n)))
            n++;
        bool ok = n < 5 && i + n <= line.n && line.p[i] != '\0';
        if (ok)
            buf_add(&out, line.p + i, n);
        else
            buf_puts(&out, "\xef\xbf\xbd");
        i += ok ? n : 1;
    }
    struct str copy = {arena_str(arena, buf_str(&out)), out.len};
    buf_done(&out);
    return copy;
}

static bool store_lines(struct follow *f, struct run *r, struct err *err)
{
    AUTO(arena_freep) struct arena *arena = arena_new();
    struct str rest = buf_str(&f->clean);
    struct str *lines = NULL;
    size_t n = 0, cap = 0;
    struct str line;
    bool ended_by_lf = rest.n && rest.p[rest.n - 1] == '\n';
    while (rest.n && str_line(&rest, &line)) {
        do {
            if (n == cap) {
                cap = cap ? cap * 2 : 64;
                lines = mem_grow(lines, cap, sizeof(*lines));
            }
            size_t cut = str_utf8_floor(line, LINE_MAX_BYTES);
            if (cut == 0)
                cut = line.n;
            lines[n++] = text_line(arena, str_sub(line, 0, cut));
            line = str_sub(line, cut, line.n);
        } while (line.n);
        if (ended_by_lf && rest.n == 0)
            break;
    }
    bool ok = n == 0 || log_append(r->env->store, r->task.id, r->task.attempt, r->task.lease_epoch,
                                   STREAM, lines, (int)n, f->fed, err);
    free(lines);
    if (ok)
        buf_clear(&f->clean);
    return ok;
}

/* How much of the raw bytes may go on: whole lines, or, of a line that is too long to wait for its
 * end, whole characters. */
static size_t ready(struct str raw, bool last)
{
    size_t n = raw.n;
    if (last)
        return n;
    while (n && raw.p[n - 1] != '\n')
        n--;
    return n || raw.n < LINE_MAX_BYTES ? n : str_utf8_floor(raw, raw.n - 4);
}

/* Says once that nothing more is kept; the position alone moves on. */
static void cut_off(struct follow *f, int64_t from)
{
    buf_clear(&f->raw);
    f->fed = f->read;
    if (from >= LOG_MAX_BYTES)
        return;
    redact_finish(&f->redactor, &f->clean);
    if (f->clean.len && f->clean.data[f->clean.len - 1] != '\n')
        buf_putc(&f->clean, '\n');
    buf_printf(&f->clean, "[squadbot: the log is longer than %lld MiB; the rest is not kept]\n",
               (long long)(LOG_MAX_BYTES >> 20));
}

bool follow_take(struct follow *f, struct run *r, struct str bytes, bool last, struct err *err)
{
    int64_t from = f->read;
    f->read += (int64_t)bytes.n;
    if (f->read > LOG_MAX_BYTES) {
        cut_off(f, from);
    } else {
        buf_add_str(&f->raw, bytes);
        size_t n = ready(buf_str(&f->raw), last);
        redact_feed(&f->redactor, str_sub(buf_str(&f->raw), 0, n), &f->clean);
        f->fed += (int64_t)n;
        buf_drop_front(&f->raw, n);
        if (last)
            redact_finish(&f->redactor, &f->clean);
    }
    if (f->clean.len == 0 || (f->redactor.held.len && f->clean.len < HELD_MAX_BYTES && !last))
        return true;
    return store_lines(f, r, err);
}
