/* Allocation that cannot fail, and arenas. An arena is a list of chunks; what is larger than half
 * a chunk gets one of its own, so that a big value does not waste the rest of the current one.
 * Nothing is given back before arena_free(). */
#include "bot/base/mem.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)8 * 1024)

struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    alignas(max_align_t) unsigned char data[];
};

struct arena {
    struct chunk *chunks; /* the first is the one being filled */
};

NORETURN static void die(void)
{
    static const char text[] = "squadbot: out of memory\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        abort();
    abort();
}

void *mem_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        die();
    return p;
}

void *mem_array(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        die();
    return p;
}

void *mem_grow(void *p, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        die();
    void *grown = realloc(p, n ? n : 1);
    if (!grown)
        die();
    return grown;
}

char *mem_strdup(const char *text)
{
    return text ? str_dup(str_of(text)) : NULL;
}

PRINTF(2, 0) static char *format(struct arena *a, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0)
        die();
    size_t size = (size_t)n + 1;
    char *text = a ? arena_alloc(a, size) : mem_alloc(size);
    vsnprintf(text, size, fmt, again);
    va_end(again);
    return text;
}

char *mem_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = format(NULL, fmt, args);
    va_end(args);
    return text;
}

void mem_freep(void *pointer_to_pointer)
{
    void *p;
    memcpy(&p, pointer_to_pointer, sizeof(p));
    free(p);
    memset(pointer_to_pointer, 0, sizeof(p));
}

struct arena *arena_new(void)
{
    return mem_alloc(sizeof(struct arena));
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    for (struct chunk *c = a->chunks; c;) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
    free(a);
}

void arena_freep(struct arena **a)
{
    arena_free(*a);
    *a = NULL;
}

static struct chunk *chunk_new(size_t size)
{
    struct chunk *c = mem_alloc(sizeof(*c) + size);
    c->size = size;
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    if (n > SIZE_MAX / 2)
        die();
    n = (n + align - 1) / align * align;
    struct chunk *c = a->chunks;
    if (n > CHUNK_BYTES / 2) {
        struct chunk *own = chunk_new(n);
        own->used = n;
        own->next = c ? c->next : NULL;
        if (c)
            c->next = own;
        else
            a->chunks = own;
        return own->data;
    }
    if (!c || c->size - c->used < n) {
        c = chunk_new(CHUNK_BYTES);
        c->next = a->chunks;
        a->chunks = c;
    }
    void *p = c->data + c->used;
    c->used += n;
    return p;
}

char *arena_str(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.n + 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = format(a, fmt, args);
    va_end(args);
    return text;
}
