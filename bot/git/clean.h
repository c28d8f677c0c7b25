/* Text that others wrote, made harmless to look at: no controls, no terminal sequences, nothing
 * that changes the direction of what follows or that cannot be seen, no invalid UTF-8. Pure. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* The next character of *rest. Invalid bytes are skipped; false at the end. */
bool clean_next(struct str *rest, uint32_t *c) MUST_CHECK;
/* Bytes of c in UTF-8, written to out: 1 to 4. */
size_t clean_encode(uint32_t c, char out[4]);

bool clean_is_bidi(uint32_t c);      /* changes the direction of text */
bool clean_is_invisible(uint32_t c); /* bidi too, controls not */
bool clean_is_space(uint32_t c);     /* of any width; line ends too */

/* One line: runs of white space and line ends become one space, none at the ends. */
void clean_line(struct str in, struct buf *out);
/* Many lines, each ended by LF: no spaces at their ends, no empty lines at the beginning or the
 * end, nowhere two in a row. */
void clean_text(struct str in, struct buf *out);
