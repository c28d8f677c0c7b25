/* A growing byte buffer. It doubles, so that n small writes cost n; its ceiling is checked before
 * anything is written, so that an overflowing write leaves no half behind. */
#include "bot/base/buf.h"

#include "bot/base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define FIRST_BYTES ((size_t)64)

static size_t ceiling(const struct buf *b)
{
    return b->max ? b->max : BUF_MAX_DEFAULT;
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->data)
        b->data[0] = '\0';
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->data, b->len};
}

const char *buf_cstr(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *data = b->data ? b->data : str_dup((struct str){NULL, 0});
    *b = (struct buf){.max = b->max};
    return data;
}

char *buf_reserve(struct buf *b, size_t n)
{
    size_t max = ceiling(b);
    if (n > max || b->len > max - n) {
        b->overflow = true;
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : FIRST_BYTES;
        while (cap < need)
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        b->data = mem_grow(b->data, cap, 1);
        b->cap = cap;
    }
    b->data[b->len] = '\0';
    return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const void *data, size_t n)
{
    char *room = buf_reserve(b, n);
    if (!room)
        return;
    if (n > 0)
        memcpy(room, data, n);
    buf_added(b, n);
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_puts(struct buf *b, const char *text)
{
    buf_add_str(b, str_of(text));
}

void buf_putc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_list again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t spare = b->cap > b->len ? b->cap - b->len : 0;
    int n = vsnprintf(spare ? b->data + b->len : NULL, spare, fmt, args);
    va_end(args);
    char *room = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (room) {
        vsnprintf(room, (size_t)n + 1, fmt, again);
        buf_added(b, (size_t)n);
    } else if (spare) {
        b->data[b->len] = '\0';
    }
    va_end(again);
}

void buf_drop_front(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
    } else {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
    if (b->data)
        b->data[b->len] = '\0';
}
