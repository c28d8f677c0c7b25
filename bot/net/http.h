/* Blocking HTTP over libcurl, the only folder that includes it. One `struct http` holds the shared
 * settings (CA file, user agent, pool of idle easy handles for keep-alive); calls are safe from any
 * thread. Limits: redirects are never followed, no proxy from the environment, no cookies, no
 * .netrc, only http and https, every answer has a ceiling, connect time-out 10 s. A call ends early
 * when its deadline passes or its cancel token fires (at once: curl_multi_poll on the token's fd).
 */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/base/secret.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct http;
/* ca_file: extra PEM file or NULL. Call once, on the main thread, before others start. */
struct http *http_new(const char *user_agent, const char *ca_file);
void http_free(struct http *h);

/* Gets each piece of a streamed answer; false stops the transfer with err set by the callee. Only
 * called for a status in 200–299; other answers are collected in response.body. */
typedef bool (*http_sink_fn)(void *arg, struct str piece, struct err *err);

#define HTTP_HEADERS_MAX 16

struct http_request {
    const char *method; /* "GET", … */
    const char *url;
    /* "Name: value" lines; unused slots NULL. Secrets go in here only through auth. */
    const char *headers[HTTP_HEADERS_MAX];
    /* "Authorization: <auth_scheme> <auth>" when auth is not NULL ("Bearer", "Basic" with the value
     * already encoded); or, with auth_scheme NULL, `auth_header: <auth>` (e.g. X-API-Key). */
    const struct secret *auth;
    const char *auth_scheme;
    const char *auth_header;

    struct str body; /* borrowed; with method POST/PUT/PATCH always sent, also when empty */
    int body_fd;     /* > 0: the body is this file from its start, streamed; body is ignored */
    int64_t body_fd_size;
    struct str body_prefix; /* borrowed; sent before what body_fd holds */

    /* Bytes; 0 = 16 MiB, for what goes to a sink 0 = no ceiling. Over it: ERR_LIMIT. */
    size_t response_max;
    http_sink_fn sink; /* NULL = collect in response.body */
    void *sink_arg;
    int low_speed_s; /* fail with ERR_TIMEOUT after so many seconds without a byte; 0 = 60 */
    /* On a connection of its own, for what must not reach the server twice: when a kept connection
     * breaks before the answer, libcurl sends the request again without asking, a POST as well. */
    bool only_once;
};

struct http_response {
    int status;
    struct buf body;
    struct buf head; /* raw header lines of the final answer; http_header() reads it */
};
void http_response_done(struct http_response *r);
/* First value of a header (any case), trimmed; empty slice when absent. Borrowed from r. */
struct str http_header(const struct http_response *r, const char *name);

/* True whenever a whole answer came, whatever its status. False: ERR_TIMEOUT, ERR_CANCELLED,
 * ERR_LIMIT (answer too big), ERR_UPSTREAM (connect, TLS, reset, cut), or the sink's own error.
 * r must be {0} or done; its memory is the caller's also after false. */
bool http_do(struct http *h, const struct http_request *q, const struct call *call,
             struct http_response *r, struct err *err) MUST_CHECK;
/* Milliseconds to wait per Retry-After (seconds or HTTP date); 0 when absent or senseless. */
int64_t http_retry_after_ms(const struct http_response *r);
