/* Conventional Commits 1.0.0: check a message, make a valid subject from free text. Pure. What
 * passes here passes commitlint with config-conventional too; tests/integration compares them. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/str.h"

#include <stdbool.h>

/* Characters as JavaScript counts them: UTF-16 units. */
#define COMMIT_SUBJECT_MAX 100 /* config-conventional: header-max-length */
#define COMMIT_LINE_MAX    100 /* body-max-line-length, footer-max-line-length */

/* Valid for config-conventional too (type list, lower-case type, no full stop at the end, subject
 * case, blank line before body and footer, line lengths)? err says what is wrong. */
bool commit_message_check(struct str message, struct err *err) MUST_CHECK;
/* A valid subject: keeps `text` when it is one already, else "feat: …" / "fix: …" guessed from the
 * words (bug, fix, error, crash → fix; docs → docs; test → test), cleaned of controls, bidi and
 * invisible characters, cut at a word. Only the first line with something in it counts. */
void commit_subject_make(struct str text, struct buf *out);
/* subject, blank line, body wrapped at COMMIT_LINE_MAX, blank line, trailers. Empty parts are left
 * out; a trailer is never wrapped, and lines that could pass for the start of a patch are quoted.
 */
void commit_message_join(struct str subject, struct str body, struct str trailers, struct buf *out);

/* Parts of "type(scope)!: subject", slices of the line; false when it is not of that form. */
struct commit_header {
    struct str type;
    struct str scope; /* p is NULL when there are no parentheses */
    struct str subject;
    bool breaking; /* has the "!" */
};
bool commit_header_parse(struct str line, struct commit_header *out) MUST_CHECK;
const char *commit_type_named(struct str word); /* in any case of letters; NULL = no type */
/* "Token: value" or "BREAKING CHANGE: value". */
bool commit_is_trailer(struct str line);
size_t commit_length(struct str s); /* in UTF-16 units */
