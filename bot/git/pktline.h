/* pkt-lines, the framing of git's protocols: four hex digits of length, then the bytes; 0000, 0001
 * and 0002 are marks. Pure: no input or output here. One thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/str.h"

#include <stdbool.h>

#define PKT_PAYLOAD_MAX 65516

enum pkt_kind { PKT_FLUSH, PKT_DELIM, PKT_END, PKT_DATA };

void pkt_put(struct buf *out, struct str payload); /* at most PKT_PAYLOAD_MAX bytes */
void pkt_printf(struct buf *out, const char *fmt, ...) PRINTF(2, 3);
void pkt_mark(struct buf *out, enum pkt_kind mark); /* all kinds but PKT_DATA */

/* Gets each packet whole; false with err set ends the feeding. */
typedef bool (*pkt_fn)(void *arg, enum pkt_kind kind, struct str payload, struct err *err);

struct pkt_reader {  /* {0} to begin */
    struct buf held; /* the start of a packet: never more than one */
};
/* Cuts what arrived into packets. ERR_UPSTREAM when it is none. */
bool pkt_feed(struct pkt_reader *r, struct str piece, pkt_fn fn, void *arg,
              struct err *err) MUST_CHECK;
/* True when the input ended between two packets. */
bool pkt_reader_idle(const struct pkt_reader *r);
void pkt_reader_done(struct pkt_reader *r);

/* Without the LF that most text packets end with. */
struct str pkt_text(struct str payload);
