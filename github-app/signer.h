/* The signer child: the only process that holds the App's private key. Forked before any thread or
 * socket; it builds header and payload itself (iss fixed, exp at most nine minutes away), signs
 * RS256 and answers over a socketpair; not dumpable, under seccomp. Restarting it needs the key,
 * which we no longer have: when it dies, signer_jwt fails with ERR_AUTH and the bot says so. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/secret.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct signer;
/* ERR_INPUT when the key is unreadable or under 2048 bits. The caller wipes its own copy of the key
 * right afterwards. Main thread, before any other. */
bool signer_start(const struct secret *pem, const char *issuer, struct signer **out,
                  struct err *err) MUST_CHECK;
/* A JWT for now + skew_s (GitHub's clock minus ours; over a day is refused with ERR_INPUT).
 * Thread-safe, waits at most five seconds. out is a secret. */
bool signer_jwt(struct signer *s, int64_t skew_s, struct secret *out, struct err *err) MUST_CHECK;
/* base64(SHA-256(public key DER)), as GitHub's settings page shows it. */
const char *signer_fingerprint(const struct signer *s);
pid_t signer_pid(const struct signer *s);
void signer_stop(struct signer *s); /* NULL is fine */
