/* One HTTP POST of a webhook on a plain socket (http:// only; bot/net has the same function names
 * as the stand-ins' server, so it cannot be linked here). Any thread; blocks up to the limit. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct post_result {
    int status; /* 0 = no answer */
    struct buf head;
    struct buf body;     /* at most 64 KiB is kept */
    const char *failure; /* in GitHub's words: "timed out", "failed to connect to host" */
};
void post_result_done(struct post_result *r);
/* headers: whole "Name: value\r\n" lines. */
bool post_send(const char *url, struct str headers, struct str body, int64_t limit_ms,
               struct post_result *r) MUST_CHECK;
