/* Only added lines are looked at, because a file that the repository has may hold examples that
 * look like tokens, and touching such a file must not block a task. Lines are told apart by a hash:
 * at 64 bits, two of a file's lines do not meet by chance, and whoever makes them meet on purpose
 * needs the old line to be in the file already. Long files are searched by the window, overlapping.
 */
#include "bot/git/content.h"

#include "bot/base/buf.h"
#include "bot/base/mem.h"
#include "bot/base/redact.h"

#include <stdint.h>
#include <stdlib.h>

#define WINDOW_BYTES  ((size_t)1024 * 1024)
#define OVERLAP_BYTES ((size_t)16 * 1024) /* longer than any token; a PEM block's head suffices */

struct lines {
    uint64_t *hashes; /* sorted */
    size_t n;
};

static uint64_t hash(struct str s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static int compare(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static struct lines lines_of(struct str text)
{
    struct lines l = {0};
    size_t room = 0;
    struct str line;
    while (str_line(&text, &line)) {
        if (l.n == room) {
            room = room ? room * 2 : 256;
            l.hashes = mem_grow(l.hashes, room, sizeof(*l.hashes));
        }
        l.hashes[l.n++] = hash(line);
    }
    if (l.n > 0)
        qsort(l.hashes, l.n, sizeof(*l.hashes), compare);
    return l;
}

static bool has_line(const struct lines *l, struct str line)
{
    uint64_t h = hash(line);
    return l->n > 0 && bsearch(&h, l->hashes, l->n, sizeof(h), compare);
}

static bool window_finds(struct buf *window)
{
    bool found = redact_finds(buf_str(window));
    if (window->len > OVERLAP_BYTES)
        buf_drop_front(window, window->len - OVERLAP_BYTES);
    return found;
}

bool content_adds_secret(struct str old, struct str new)
{
    struct lines known = lines_of(old);
    struct buf window = {0};
    struct str line;
    bool found = false;
    while (!found && str_line(&new, &line)) {
        if (has_line(&known, line))
            continue;
        for (size_t at = 0; at < line.n && !found; at += WINDOW_BYTES) {
            buf_add_str(&window, str_sub(line, at, at + WINDOW_BYTES));
            if (window.len >= WINDOW_BYTES)
                found = window_finds(&window);
        }
        buf_putc(&window, '\n');
    }
    found = found || window_finds(&window);
    buf_done(&window);
    free(known.hashes);
    return found;
}
