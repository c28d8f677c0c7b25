/* The reader is fed pieces of any size and hands out whole packets, without a copy where a packet
 * lies in one piece. What it holds back is bounded by the largest packet, 64 KiB. */
#include "bot/git/pktline.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define HEAD_BYTES 4

void pkt_put(struct buf *out, struct str payload)
{
    assert(payload.n <= PKT_PAYLOAD_MAX);
    buf_printf(out, "%04zx", payload.n + HEAD_BYTES);
    buf_add_str(out, payload);
}

void pkt_printf(struct buf *out, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < sizeof(text));
    pkt_put(out, (struct str){text, (size_t)n});
}

void pkt_mark(struct buf *out, enum pkt_kind mark)
{
    assert(mark != PKT_DATA);
    buf_printf(out, "%04x", (unsigned)mark);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* *n = bytes of the packet with its head; 0 when not even the head is there. */
static bool packet_size(struct str s, size_t *n, enum pkt_kind *kind, struct err *err)
{
    *n = 0;
    if (s.n < HEAD_BYTES)
        return true;
    unsigned value = 0;
    for (size_t i = 0; i < HEAD_BYTES; i++) {
        int digit = hex_digit(s.p[i]);
        if (digit < 0)
            return err_set(err, ERR_UPSTREAM, "not git's protocol (no packet length)");
        value = value * 16 + (unsigned)digit;
    }
    if (value == 3 || value > PKT_PAYLOAD_MAX + HEAD_BYTES)
        return err_set(err, ERR_UPSTREAM, "not git's protocol (packet length %u)", value);
    *kind = value < PKT_DATA ? (enum pkt_kind)value : PKT_DATA;
    *n = *kind == PKT_DATA ? value : HEAD_BYTES;
    return true;
}

/* Moves what one packet still lacks from *piece to held. */
static bool fill(struct pkt_reader *r, struct str *piece, bool *whole, enum pkt_kind *kind,
                 struct err *err)
{
    for (;;) {
        size_t n;
        if (!packet_size(buf_str(&r->held), &n, kind, err))
            return false;
        size_t want = (n ? n : HEAD_BYTES) - r->held.len;
        *whole = n > 0 && want == 0;
        if (*whole || piece->n == 0)
            return true;
        size_t take = want < piece->n ? want : piece->n;
        buf_add(&r->held, piece->p, take);
        *piece = str_sub(*piece, take, piece->n);
    }
}

bool pkt_feed(struct pkt_reader *r, struct str piece, pkt_fn fn, void *arg, struct err *err)
{
    enum pkt_kind kind = PKT_DATA;
    while (piece.n > 0) {
        size_t n = 0;
        if (r->held.len == 0 && !packet_size(piece, &n, &kind, err))
            return false;
        if (n > 0 && n <= piece.n) {
            if (!fn(arg, kind, str_sub(piece, HEAD_BYTES, n), err))
                return false;
            piece = str_sub(piece, n, piece.n);
            continue;
        }
        bool whole;
        if (!fill(r, &piece, &whole, &kind, err))
            return false;
        if (!whole)
            break;
        if (!fn(arg, kind, str_sub(buf_str(&r->held), HEAD_BYTES, r->held.len), err))
            return false;
        buf_clear(&r->held);
    }
    return true;
}

bool pkt_reader_idle(const struct pkt_reader *r)
{
    return r->held.len == 0;
}

void pkt_reader_done(struct pkt_reader *r)
{
    buf_done(&r->held);
}

struct str pkt_text(struct str payload)
{
    return payload.n && payload.p[payload.n - 1] == '\n' ? str_sub(payload, 0, payload.n - 1)
                                                         : payload;
}
