/* Reads Connect envelopes (one flag byte, four bytes of length, a JSON message) from a stream that
 * may be cut anywhere, and turns the messages of process streams into events. What it does not know
 * it passes over, because newer daemons add events and fields.
 *
 * Limits: a payload of at most CONNECT_PAYLOAD_MAX (real ones are below 64 KiB). The buffer grows
 * with what has arrived, not with what a header announces. */
#include "bot/sandbox/connect_stream.h"

#include "bot/base/enc.h"
#include "bot/base/json.h"

static bool parse(struct str text, json_t **out, struct err *err)
{
    struct err e = {0};
    if (!json_parse(text, out, &e))
        return err_set(err, ERR_UPSTREAM, "stream message: %s", e.text);
    return true;
}

static bool closing(struct connect_stream *s, const json_t *j, struct err *err)
{
    struct connect_event event = {.kind = CONNECT_CLOSE};
    struct str code = json_str(j, "error.code"), message = json_str(j, "error.message");
    message.n = str_utf8_floor(message, sizeof(event.message) - 1);
    if (!str_copy(event.message, sizeof(event.message), message))
        event.message[0] = '\0';
    /* An error without a code that we can hold is still an error. */
    if (json_at(j, "error") && (code.n == 0 || !str_copy(event.code, sizeof(event.code), code)) &&
        !str_copy(event.code, sizeof(event.code), STR("unknown")))
        return err_set(err, ERR_BUG, "code");
    s->closed = true;
    return s->on_event(s->arg, &event, err);
}

static bool data(struct connect_stream *s, const json_t *j, struct err *err)
{
    static const char *const channels[] = {"stdout", "stderr", "pty"};
    for (size_t i = 0; i < COUNT(channels); i++) {
        struct str text = json_str(j, channels[i]);
        if (text.n == 0)
            continue;
        struct connect_event event = {.kind = CONNECT_DATA};
        buf_clear(&s->decoded);
        s->decoded.max = CONNECT_PAYLOAD_MAX;
        if (!enc_unbase64(text, &s->decoded))
            return err_set(err, ERR_UPSTREAM, "stream message: not base64");
        event.data = buf_str(&s->decoded);
        if (!s->on_event(s->arg, &event, err))
            return false;
    }
    return true;
}

static bool message(struct connect_stream *s, const json_t *j, struct err *err)
{
    struct connect_event event = {.kind = CONNECT_OTHER};
    const json_t *start = json_at(j, "event.start"), *end = json_at(j, "event.end");
    const json_t *piece = json_at(j, "event.data");
    if (piece)
        return data(s, piece, err);
    if (start) {
        event.kind = CONNECT_START;
        event.pid = json_int(start, "pid", 0);
    } else if (end) {
        /* Defaults are left out: no exitCode is 0, but only of a process that exited. */
        event.kind = CONNECT_END;
        event.exited = json_bool(end, "exited", false);
        event.exit_code = event.exited ? (int)json_int(end, "exitCode", 0) : -1;
    }
    return s->on_event(s->arg, &event, err);
}

static bool envelope(struct connect_stream *s, struct err *err)
{
    AUTO(json_decrefp) json_t *j = NULL;
    /* All fields left out: some servers then leave out the braces as well. */
    if (!parse(s->need ? buf_str(&s->payload) : STR("{}"), &j, err))
        return false;
    return s->head[0] & CONNECT_FLAG_END ? closing(s, j, err) : message(s, j, err);
}

static bool head(struct connect_stream *s, struct err *err)
{
    const unsigned char *h = s->head;
    s->need = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | (size_t)h[4];
    if ((h[0] & ~CONNECT_FLAG_END) != 0)
        return err_set(err, ERR_UPSTREAM, "stream: unexpected flags 0x%02x", h[0]);
    if (s->need > CONNECT_PAYLOAD_MAX)
        return err_set(err, ERR_UPSTREAM, "stream: message of %zu bytes", s->need);
    s->payload.max = CONNECT_PAYLOAD_MAX;
    return true;
}

bool connect_stream_feed(struct connect_stream *s, struct str piece, struct err *err)
{
    while (piece.n > 0 && !s->closed) {
        bool in_head = s->head_n < CONNECT_HEAD_BYTES;
        size_t want = in_head ? CONNECT_HEAD_BYTES - s->head_n : s->need - s->payload.len;
        size_t n = piece.n < want ? piece.n : want;
        if (in_head) {
            memcpy(s->head + s->head_n, piece.p, n);
            s->head_n += n;
            if (s->head_n == CONNECT_HEAD_BYTES && !head(s, err))
                return false;
        } else {
            buf_add(&s->payload, piece.p, n);
        }
        piece = str_sub(piece, n, piece.n);
        if (s->head_n < CONNECT_HEAD_BYTES || s->payload.len < s->need)
            continue;
        if (!envelope(s, err))
            return false;
        s->head_n = 0;
        buf_clear(&s->payload);
    }
    return true;
}

void connect_stream_done(struct connect_stream *s)
{
    buf_done(&s->payload);
    buf_done(&s->decoded);
}

void connect_stream_wrap(struct buf *out, struct str json)
{
    const unsigned char h[CONNECT_HEAD_BYTES] = {
        0, (unsigned char)(json.n >> 24), (unsigned char)(json.n >> 16),
        (unsigned char)(json.n >> 8), (unsigned char)json.n};
    buf_add(out, h, sizeof(h));
    buf_add_str(out, json);
}
