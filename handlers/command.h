/* Commands in comments: "/squadbot WORD text" or "@slug text" as the first word of a line, outside
 * code, quotes, HTML comments. Pure. */
#pragma once

#include "bot/base/str.h"

#include <stdbool.h>

enum command_word {
    COMMAND_RUN,
    COMMAND_STOP,
    COMMAND_RETRY,
    COMMAND_STATUS,
    COMMAND_STEER,
    COMMAND_HELP,
    COMMAND_MENTION, /* "@slug text" */
    COMMAND_UNKNOWN  /* "/squadbot" with another word, or none */
};

struct command {
    enum command_word word;
    struct str text; /* the rest of the line, trimmed; a slice of the comment */
};

/* The first command of a comment; false when there is none. slug may be NULL. */
bool command_find(struct str comment, const char *slug, struct command *out);
