/* The second opinion on a request's head. h2o's parser lets things through that another server on
 * the way may read differently (two Content-Length, folded lines, bare LF), and hides them from the
 * handler. This one knows only the strict form. Pure; any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define HEAD_MAX_BYTES ((size_t)64 * 1024)

struct head {
    int64_t content_length; /* -1 = not given */
    bool chunked;
    bool too_large;  /* of a refused one: it is over HEAD_MAX_BYTES */
    const char *why; /* of a refused one */
};

/* input starts with the head. When it is refused nothing behind it can be trusted either: answer
 * and close. *size = bytes of the head with its empty line. */
bool head_check(struct str input, struct head *out, size_t *size) MUST_CHECK;
