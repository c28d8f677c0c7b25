/* libFuzzer driver of the Connect envelope reader: the first byte chooses the size of the pieces,
 * the rest is the stream. Whatever the cut, the same events must come out. */
#include "bot/base/enc.h"
#include "bot/sandbox/connect_stream.h"

#include <stdlib.h>

struct seen {
    uint64_t hash;
    uint64_t events;
};

static bool note(void *arg, const struct connect_event *e, struct err *err)
{
    struct seen *s = arg;
    (void)err;
    s->events++;
    for (size_t i = 0; i < e->data.n; i++)
        s->hash = s->hash * 31 + (unsigned char)e->data.p[i];
    s->hash = s->hash * 31 + (uint64_t)e->kind + (uint64_t)e->pid + (uint64_t)e->exit_code;
    return true;
}

static bool run(struct str in, size_t step, struct seen *seen)
{
    struct err err = {0};
    struct connect_stream s = {.on_event = note, .arg = seen};
    bool ok = true;
    for (size_t at = 0; ok && at < in.n; at += step)
        ok = connect_stream_feed(&s, str_sub(in, at, at + step), &err);
    if (!ok && err.kind != ERR_UPSTREAM)
        abort();
    connect_stream_done(&s);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct str in = {(const char *)data + 1, n - 1};
    struct seen whole = {0}, pieces = {0};
    bool a = run(in, in.n, &whole), b = run(in, (size_t)data[0] % 16 + 1, &pieces);
    if (a != b || whole.hash != pieces.hash || whole.events != pieces.events)
        abort();
    return 0;
}
