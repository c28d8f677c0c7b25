/* The one place that keeps secrets out of what we write: log lines, events, comments, pull-request
 * texts, errors in the database. It knows exact live secrets (raw, base64, URL-encoded, hex) and
 * the shapes of tokens (gh?_…, github_pat_…, sk-…, AKIA…, xox?-…, AIza…, e2b_…, whsec_…, JWTs,
 * PEM private keys). Thread-safe. */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/str.h"

/* Counted: the same value may be registered twice. Values under 8 bytes are not registered,
 * because masking them would eat ordinary text. */
void redact_add(struct str value);
void redact_remove(struct str value);

/* Appends s to out with every secret replaced by "***". */
void redact(struct buf *out, struct str s);
/* True when redact() would change s. */
bool redact_finds(struct str s);

/* For text that arrives in pieces (a followed log): feed() holds back what may be the start of a
 * secret, finish() gives the rest. One stream, one thread. {0} is a fresh stream. */
struct redact_stream {
    struct buf held;  /* at most 8 KiB, or the longest registered form */
    unsigned swallow; /* which kind of secret we are in the middle of; 0 = none */
    size_t swallowed; /* bytes of it so far */
    char before[16];  /* the last bytes that left, for the word boundary */
};
void redact_feed(struct redact_stream *r, struct str piece, struct buf *out);
void redact_finish(struct redact_stream *r, struct buf *out);
void redact_stream_done(struct redact_stream *r);
