/* The message of a commit made anew. Pure. */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/str.h"

#include <stdbool.h>

/* `raw` is the agent's message, `title` a valid subject to fall back on, `trailers` ours. True when
 * the agent's own subject was not kept. */
bool reword(struct str raw, const char *title, const char *trailers, struct buf *out);
