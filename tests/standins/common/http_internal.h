/* One exchange on one connection; shared by http.c (server, answers) and http_request.c. */
#pragma once

#include "bot/base/mem.h"
#include "tests/standins/common/http.h"

#include <stdatomic.h>

#define HEAD_MAX_BYTES ((size_t)256 * 1024)
#define HEADERS_MAX    100

struct http_field {
    struct str name;
    struct str value;
};

struct http_connection {
    int fd;
    struct buf in; /* read, not yet used */
    struct http_server *server;
};

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

struct http_exchange {
    struct http_connection *c;
    struct arena *arena;
    atomic_bool aborted;
    int64_t began_ms;

    /* request */
    struct str method, target, path, query;
    struct http_field fields[HEADERS_MAX];
    size_t nfields;
    bool http10, close_after, expects_continue;
    enum framing in_framing;
    int64_t in_length; /* as announced */
    int64_t in_left;   /* of the body, or of the current chunk */
    bool in_started;   /* chunked: a chunk was read before */
    bool in_done, in_failed;
    bool body_held;
    struct buf body;

    /* answer */
    struct http_field set[HEADERS_MAX];
    size_t nset;
    int status;
    enum framing out_framing;
    int64_t out_left; /* of a given length */
    int64_t out_body; /* bytes of body sent */
    bool ended, dead; /* dead: nothing reaches the client any more */
    bool reset;       /* leave with a RST */
    bool lose, split;
    int64_t cut_after; /* -1 = never */
    int64_t slow_bytes, slow_ms;
};

/* http_request.c. False: the connection is over (closed, silent too long, or not HTTP). */
bool http_request_read(struct http_exchange *x) MUST_CHECK;
/* Throws the unread rest of the body away. False: the connection cannot be used again. */
bool http_request_drain(struct http_exchange *x) MUST_CHECK;
/* http.c: bytes as they are, whatever the state of the answer. */
bool http_send_raw(struct http_exchange *x, const void *data, size_t n);
