/* A growing byte buffer with a ceiling. Always terminated by a NUL that does not count, so data
 * can be used as a C string. A write over the ceiling is dropped whole and marks the buffer as
 * overflowed: check once, at the end. {0} is an empty buffer with BUF_MAX_DEFAULT as ceiling. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUF_MAX_DEFAULT ((size_t)64 * 1024 * 1024)

struct buf {
    char *data; /* NULL while nothing was written */
    size_t len;
    size_t cap;
    size_t max; /* 0 = BUF_MAX_DEFAULT */
    bool overflow;
};

void buf_done(struct buf *b);  /* frees; b is {0} with the same max afterwards */
void buf_clear(struct buf *b); /* keeps the memory */
struct str buf_str(const struct buf *b);
const char *buf_cstr(const struct buf *b); /* "" when empty */
char *buf_take(struct buf *b);             /* terminated, the caller frees; b is empty then */

void buf_add(struct buf *b, const void *data, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Room for n more bytes to write into directly; then buf_added(). NULL over the ceiling. */
char *buf_reserve(struct buf *b, size_t n) MUST_CHECK;
void buf_added(struct buf *b, size_t n);
void buf_drop_front(struct buf *b, size_t n);
