/* Memory. Running out aborts: every buffer that the network can fill has its own ceiling, so an
 * allocation that fails is our mistake. Arenas hold plain data that lives as long as one unit of
 * work (a delivery, a task run). Not thread-safe: an arena belongs to one thread at a time. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/str.h"

#include <stddef.h>
#include <stdlib.h>

void *mem_alloc(size_t n);                          /* zeroed */
void *mem_array(size_t count, size_t size);         /* zeroed, overflow-checked */
void *mem_grow(void *p, size_t count, size_t size); /* realloc of an array, overflow-checked */
char *mem_strdup(const char *text);                 /* NULL gives NULL */
char *mem_printf(const char *fmt, ...) PRINTF(1, 2);
void mem_freep(void *pointer_to_pointer); /* for AUTO(mem_freep) char *s = … */

struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */
void arena_freep(struct arena **a);
void *arena_alloc(struct arena *a, size_t n);   /* zeroed, aligned for any type */
char *arena_str(struct arena *a, struct str s); /* terminated copy */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
