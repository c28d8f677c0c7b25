/* Checks of webhook signatures over the raw bytes. Pure, constant time, safe on event loops. */
#pragma once

#include "bot/base/enc.h"
#include "bot/base/secret.h"
#include "bot/base/str.h"

#include <stdbool.h>

/* header: the value of X-Hub-Signature-256, exactly "sha256=" + 64 lower-case hex digits. True when
 * one of the secrets (unset ones never match) made it; digest gets the 32 bytes. */
bool signature_github_ok(struct str header, struct str body, const struct secret *const *secrets,
                         int n, unsigned char digest[SHA256_BYTES]);
