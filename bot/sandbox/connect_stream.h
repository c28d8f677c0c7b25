/* The framing of Connect streams as spoken inside a sandbox, read piece by piece as it comes from
 * the network, and the events of a process stream. Pure: no I/O; one stream belongs to one thread.
 */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define CONNECT_HEAD_BYTES  5
#define CONNECT_PAYLOAD_MAX ((size_t)16 * 1024 * 1024)
#define CONNECT_FLAG_PACKED 0x01 /* never asked for, so an error */
#define CONNECT_FLAG_END    0x02
#define CONNECT_CODE_MAX    32
#define CONNECT_MESSAGE_MAX 200

enum connect_kind {
    CONNECT_OTHER, /* a keepalive, or something newer than this code */
    CONNECT_START, /* pid */
    CONNECT_DATA,  /* data: stdout, stderr and pty alike */
    CONNECT_END,   /* the process ended: exited, exit_code */
    CONNECT_CLOSE, /* the stream ended: code ("" = fine), message */
};
struct connect_event {
    enum connect_kind kind;
    int64_t pid;
    struct str data; /* borrowed for the callback */
    bool exited;     /* false = killed by a signal, exit_code is -1 */
    int exit_code;
    char code[CONNECT_CODE_MAX];
    char message[CONNECT_MESSAGE_MAX];
};
/* False stops the reader with err set by the callee. */
typedef bool (*connect_event_fn)(void *arg, const struct connect_event *event, struct err *err);

struct connect_stream { /* {.on_event = …, .arg = …} is a fresh one; connect_stream_done() frees */
    connect_event_fn on_event;
    void *arg;
    unsigned char head[CONNECT_HEAD_BYTES];
    size_t head_n;
    size_t need; /* payload bytes of the envelope under way */
    struct buf payload;
    struct buf decoded;
    bool closed; /* the last envelope came: whatever follows is ignored */
};
/* Any cut is fine. ERR_UPSTREAM: not this protocol. */
bool connect_stream_feed(struct connect_stream *s, struct str piece, struct err *err) MUST_CHECK;
void connect_stream_done(struct connect_stream *s);

/* Appends one envelope around a message. */
void connect_stream_wrap(struct buf *out, struct str json);
