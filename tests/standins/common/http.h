/* A small HTTP/1.1 server for the stand-ins: one thread a connection on plain sockets, so that a
 * handler may block, stream for hours, read a 300 MB body piece by piece, and misbehave on purpose
 * (reset, hang, lose or cut an answer), which a real server library does not let one do. Not for
 * product code: no TLS, no HTTP/2, no limit on connections.
 *
 * A handler is called once a request, on the connection's thread; it answers before it returns
 * (else the client gets a 500). Everything of an exchange belongs to that thread, except
 * http_abort(), which any thread may call while it knows the exchange to be alive. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct http_server;
struct http_exchange;
typedef void (*http_handler)(struct http_exchange *x, void *arg);

struct http_options {
    const char *listen; /* "127.0.0.1:0"; port 0 = any */
    const char
        *port_file; /* gets "<port>\n" (written whole, by rename) once listening; may be NULL */
    const char *access_log; /* one line a request is appended; may be NULL */
    http_handler handler;
    void *arg;
};
/* Prints "listening on http://HOST:PORT" to stdout. Blocks SIGTERM, SIGINT and SIGPIPE in the
 * calling thread: call it from main() before other threads start. */
bool http_serve(const struct http_options *options, struct http_server **out,
                struct err *err) MUST_CHECK;
int http_port(const struct http_server *s);
/* Until SIGTERM or SIGINT. The caller cleans up and leaves by _exit(): connection threads live. */
void http_wait(struct http_server *s);

/* ---- the request. Slices live until the handler returns. ---- */
struct str http_method(const struct http_exchange *x);
struct str http_target(const struct http_exchange *x);    /* as sent: "/a%20b?x=1" */
struct str http_path(const struct http_exchange *x);      /* without the query, still encoded */
struct str http_query_raw(const struct http_exchange *x); /* after the '?', may be empty */
bool http_is(const struct http_exchange *x, const char *method, const char *path);
/* Of a header, trimmed; the empty slice when absent. */
struct str http_header(const struct http_exchange *x, const char *name);
/* i counts from 0; false when there are no more. */
bool http_header_at(const struct http_exchange *x, size_t i, struct str *name, struct str *value);
/* The n-th (from 0) parameter of that name, '+' and percent decoded, into *out (cleared first);
 * false when absent. */
bool http_query(const struct http_exchange *x, const char *name, size_t n, struct buf *out);
/* Path segments: matches "/repos/(*)/(*)/pulls" against the path; each (*) stands for one non-empty
 * segment, decoded into a terminated copy in parts[] (freed with the exchange). A last (**) takes
 * the rest, slashes included. */
bool http_match(struct http_exchange *x, const char *pattern, const char *parts[],
                size_t max_parts);

/* Bytes of the request's body, de-chunked; 0 = end, -1 = the client left. "Expect: 100-continue" is
 * answered at the first read. What the handler does not read is read and thrown away. */
ssize_t http_body_read(struct http_exchange *x, void *to, size_t n);
/* The whole body, once; later calls give the same bytes. False (answered with 413 or the client
 * left): just return. */
bool http_body(struct http_exchange *x, size_t max, struct str *out) MUST_CHECK;
/* The whole body as JSON; an empty body gives NULL and true. False: not JSON (nothing answered). */
bool http_body_json(struct http_exchange *x, size_t max,
                    json_t **out) MUST_CHECK;            /* new reference */
int64_t http_body_length(const struct http_exchange *x); /* -1 = chunked */

/* ---- the answer ---- */
void http_set(struct http_exchange *x, const char *name,
              const char *value); /* a header; replaces */
void http_setf(struct http_exchange *x, const char *name, const char *fmt, ...) PRINTF(3, 4);
/* Whole answers, with Content-Length. content_type may be NULL (for 204 and the like). */
void http_answer(struct http_exchange *x, int status, const char *content_type, struct str body);
void http_answer_json(struct http_exchange *x, int status, json_t *body); /* takes the reference */
void http_answer_text(struct http_exchange *x, int status, const char *fmt, ...) PRINTF(3, 4);
/* Streamed: start, write…, end. length < 0 = chunked. */
void http_start(struct http_exchange *x, int status, const char *content_type, int64_t length);
bool http_write(struct http_exchange *x, struct str piece); /* false: the client left */
void http_end(struct http_exchange *x);
int http_status(const struct http_exchange *x); /* answered with; 0 = not yet */

/* ---- life and faults ---- */
int http_fd(const struct http_exchange *x); /* to poll() for POLLRDHUP beside something else */
bool http_gone(struct http_exchange *x);    /* the client closed, or http_abort() was called */
void http_abort(struct http_exchange *x);   /* from any thread: shuts the connection down */
void http_reset(struct http_exchange *x);   /* RST now; later writes vanish */
void http_hang(struct http_exchange *x);    /* returns when the client left */
/* Set before the answer: the handler works as ever, but … */
void http_lose_answer(struct http_exchange *x);                   /* … the client gets a RST */
void http_cut_after(struct http_exchange *x, int64_t body_bytes); /* … RST after so many of it */
void http_slow(struct http_exchange *x, int64_t bytes,
               int64_t ms); /* … ms pass each so many bytes */
/* Every http_write is sent in random pieces, each its own chunk: for parsers of streams. */
void http_split_writes(struct http_exchange *x, bool on);
