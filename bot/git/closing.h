/* Closing words: "Fixes #7" in a commit closes issue 7 when the commit is merged. Pure. */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/str.h"

/* Appends text with each reference behind a closing word made mere words: "Fixes 7". Never longer
 * than the text. */
void closing_defuse(struct str text, struct buf *out);
