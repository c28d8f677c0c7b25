/* Secrets in memory: the redactor knows a value from the moment it is set until it is gone, and
 * the bytes are zeroed before they go back to the allocator. */
#include "bot/base/secret.h"

#include "bot/base/mem.h"
#include "bot/base/redact.h"

void secret_set(struct secret *s, struct str value)
{
    struct secret old = *s;
    *s = (struct secret){NULL, 0};
    if (value.n > 0) {
        s->p = str_dup(value);
        s->n = value.n;
        redact_add(secret_str(s));
    }
    secret_done(&old); /* last: value may be a part of it */
}

void secret_done(struct secret *s)
{
    if (s->p) {
        redact_remove(secret_str(s));
        explicit_bzero(s->p, s->n);
        free(s->p);
    }
    *s = (struct secret){NULL, 0};
}
