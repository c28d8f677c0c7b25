/* Open addressing on the first bytes of the id. Ids can be chosen to collide, but only at the price
 * of hashing objects until they do, and sets here hold no more than some ten thousand. */
#include "bot/git/oidset.h"

#include "bot/base/mem.h"

#include <string.h>

#define FIRST_SLOTS 256

static size_t slot_of(const struct oidset *s, const git_oid *id)
{
    uint32_t h;
    memcpy(&h, id->id, sizeof(h));
    size_t i = h & (s->slots_n - 1);
    while (s->slots[i] && git_oid_cmp(&s->ids[s->slots[i] - 1], id) != 0)
        i = (i + 1) & (s->slots_n - 1);
    return i;
}

static void grow(struct oidset *s)
{
    s->slots_n = s->slots_n ? s->slots_n * 2 : FIRST_SLOTS;
    free(s->slots);
    s->slots = mem_array(s->slots_n, sizeof(*s->slots));
    s->ids = mem_grow(s->ids, s->slots_n / 2, sizeof(*s->ids));
    for (size_t i = 0; i < s->n; i++)
        s->slots[slot_of(s, &s->ids[i])] = (uint32_t)i + 1;
}

bool oidset_has(const struct oidset *s, const git_oid *id)
{
    return s->n > 0 && s->slots[slot_of(s, id)] != 0;
}

bool oidset_add(struct oidset *s, const git_oid *id)
{
    if (oidset_has(s, id))
        return false;
    if (s->n == s->slots_n / 2)
        grow(s);
    s->ids[s->n++] = *id;
    s->slots[slot_of(s, id)] = (uint32_t)s->n;
    return true;
}

void oidset_done(struct oidset *s)
{
    free(s->ids);
    free(s->slots);
    *s = (struct oidset){0};
}
