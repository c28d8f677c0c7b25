/* Log lines from raw bytes. Lines are made whole before they reach the redactor, so its secrets are
 * cut only where a secret itself spans lines (a PEM key); while it holds something back, the stored
 * position waits, so that a restart never begins in the middle of a secret. */
#include "bot/task/follow.h"

#include "bot/base/mem.h"

#define LINE_MAX_BYTES ((size_t)16 * 1024) /* a longer line is cut into several */
#define HELD_MAX_BYTES                                                                             \
    ((size_t)256 * 1024) /* then lines are stored whatever the redactor holds                      \
                          */
#define STREAM "stdout"

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
static struct str text_line(struct run *r, struct str line)
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
    struct str copy = {arena_str(r->arena, buf_str(&out)), out.len};
    buf_done(&out);
    return copy;
}

static bool store_lines(struct follow *f, struct run *r, struct err *err)
{
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
            lines[n++] = text_line(r, str_sub(line, 0, cut));
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

bool follow_take(struct follow *f, struct run *r, struct str bytes, bool last, struct err *err)
{
    buf_add_str(&f->raw, bytes);
    f->read += (int64_t)bytes.n;
    struct str raw = buf_str(&f->raw);
    size_t whole = raw.n;
    if (!last && raw.n < LINE_MAX_BYTES)
        while (whole && raw.p[whole - 1] != '\n')
            whole--;
    redact_feed(&f->redactor, str_sub(raw, 0, whole), &f->clean);
    f->fed += (int64_t)whole;
    buf_drop_front(&f->raw, whole);
    if (last)
        redact_finish(&f->redactor, &f->clean);
    if (f->clean.len == 0 || (f->redactor.held.len && f->clean.len < HELD_MAX_BYTES && !last))
        return true;
    return store_lines(f, r, err);
}
