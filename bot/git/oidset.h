/* A set of object ids that keeps the order in which they came. One thread. */
#pragma once

#include <git2/oid.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oidset { /* {0} is empty */
    git_oid *ids;
    size_t n;
    uint32_t *slots; /* index + 1 into ids; 0 = free */
    size_t slots_n;  /* a power of two */
};
bool oidset_has(const struct oidset *s, const git_oid *id);
bool oidset_add(struct oidset *s, const git_oid *id); /* false when it was there */
void oidset_done(struct oidset *s);
