/* Conventional Commits 1.0.0: check a message, make a valid subject from free text. Pure. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/str.h"

#include <stdbool.h>

#define COMMIT_SUBJECT_MAX 100 /* config-conventional: header-max-length */
#define COMMIT_LINE_MAX    100 /* body-max-line-length, footer-max-line-length */

/* Valid for config-conventional too (type list, lower-case type, no full stop at the end, subject
 * case, blank line before body and footer, line lengths)? err says what is wrong. */
bool commit_message_check(struct str message, struct err *err) MUST_CHECK;
/* A valid subject: keeps `text` when it is one already, else "feat: …" / "fix: …" guessed from the
 * words (bug, fix, error, crash → fix; docs → docs; test → test), cleaned of controls, bidi and
 * invisible characters, cut at a word. */
void commit_subject_make(struct str text, struct buf *out);
/* subject, blank line, body wrapped at COMMIT_LINE_MAX, blank line, trailers. */
void commit_message_join(struct str subject, struct str body, struct str trailers, struct buf *out);
