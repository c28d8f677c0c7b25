/* A secret text: zeroed when freed, never printable by accident, and known to the redactor
 * (bot/base/redact.h) from its birth on. Not thread-safe to change; fine to read. */
#pragma once

#include "bot/base/str.h"

#include <stdbool.h>

struct secret {
    char *p; /* terminated; NULL = not set */
    size_t n;
};

void secret_set(struct secret *s, struct str value); /* replaces; the empty value clears */
void secret_done(struct secret *s);                  /* zeroes, frees, forgets */
static inline struct str secret_str(const struct secret *s)
{
    return (struct str){s->p, s->n};
}
static inline bool secret_is_set(const struct secret *s)
{
    return s->n > 0;
}
