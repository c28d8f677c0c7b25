/* The head of a bundle (gitformat-bundle(5), version 2). Any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/git/refname.h"

#include <stdbool.h>
#include <stdint.h>

#define BUNDLE_MAX_BYTES ((int64_t)50 * 1024 * 1024)

struct bundle {
    char prerequisite[GIT_OID_HEX + 1]; /* "" = none */
    char tip[GIT_OID_HEX + 1];
    char ref[256];
    int64_t pack_at; /* offset of the pack in the file */
    int64_t size;    /* of the file */
};
/* ERR_INPUT when it is no bundle of version 2, ERR_POLICY when it is too large or has more than one
 * ref or prerequisite. */
bool bundle_read(int fd, struct bundle *out, struct err *err) MUST_CHECK;
/* The only ref we wait for, upon the only commit we gave out. */
bool bundle_check(const struct bundle *b, const char *base_oid, const char *ref,
                  struct err *err) MUST_CHECK;
