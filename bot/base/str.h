/* Slices: borrowed bytes with a length, not terminated. Everything that parses input takes these,
 * because h2o, jansson and libpq all give lengths. No allocation here. */
#pragma once

#include "bot/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p; /* may be NULL when n is 0 */
    size_t n;
};

#define STR(literal)   ((struct str){"" literal, sizeof(literal) - 1})
#define STR_FMT        "%.*s"
#define STR_ARG(slice) (int)(slice).n, (slice).p ? (slice).p : ""

static inline struct str str_of(const char *text) /* NULL gives the empty slice */
{
    return (struct str){text, text ? strlen(text) : 0};
}

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII only */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Offset of the first needle at or after `from`, or s.n when there is none. */
size_t str_find(struct str s, struct str needle, size_t from);
struct str str_trim(struct str s);                        /* ASCII white space off both ends */
struct str str_sub(struct str s, size_t from, size_t to); /* clamped to s */

/* Cuts up to the first `sep` off the front of *rest. False when *rest was already used up
 * (its p is then NULL). An empty last field counts: "a," gives "a" and "". */
bool str_split(struct str *rest, char sep, struct str *field);
/* The next line without its LF or CR LF. */
bool str_line(struct str *rest, struct str *line);

/* Strict decimal: optional '-', digits, nothing else, in [min, max]. *out untouched on false. */
bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *out) MUST_CHECK;
bool str_to_double(struct str s, double min, double max, double *out) MUST_CHECK;

/* Valid UTF-8 (no surrogates, no overlong forms, up to U+10FFFF)? */
bool str_is_utf8(struct str s);
/* Bytes of the valid UTF-8 character that s starts with; 0 = none or an invalid one. */
size_t str_utf8_char(struct str s);
/* Length of the longest prefix of at most `max` bytes that does not cut a UTF-8 character. */
size_t str_utf8_floor(struct str s, size_t max);

/* A terminated heap copy that the caller frees. Aborts when memory is out. */
char *str_dup(struct str s);
/* Copies into a fixed array, terminated; false (dst = "") when it does not fit. */
bool str_copy(char *dst, size_t dst_size, struct str s) MUST_CHECK;
