/* Takes the raw bytes of the agent's log and stores it as whole, redacted lines, each once: the
 * position in the raw log moves in the same transaction as the lines. */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/redact.h"
#include "bot/task/run.h"

struct follow {
    struct redact_stream redactor;
    struct buf raw;   /* read, but not a whole line yet */
    struct buf clean; /* redacted, not stored yet */
    int64_t read;     /* offset after the last byte read */
    int64_t fed;      /* offset after the last byte given to the redactor */
};
bool follow_start(struct follow *f, struct run *r, struct err *err) MUST_CHECK;
/* `bytes` came at f->read before the call. last = the log has ended: a last line without LF counts.
 */
bool follow_take(struct follow *f, struct run *r, struct str bytes, bool last,
                 struct err *err) MUST_CHECK;
void follow_done(struct follow *f);
