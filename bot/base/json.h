/* Guarded use of jansson: a structural budget before parsing (25 MB of "{}," would become 2 GB),
 * duplicate keys refused, and getters that tolerate what is missing or null. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define JSON_STRUCT_MAX 200000 /* of '{', '[' and ',' outside strings */

/* Seeds jansson's hash tables. Called once from main, before there are threads. */
void json_init(void);

/* A new reference, or ERR_INPUT with line and reason. Any JSON value is allowed at the top. */
bool json_parse(struct str text, json_t **out, struct err *err) MUST_CHECK;
/* Well-formed JSON (RFC 8259, depth up to 512, UTF-8)? Builds nothing. */
bool json_valid(struct str text);
/* For AUTO(json_decrefp) json_t *j = NULL; jansson itself has json_decrefp(). */

/* By dotted path ("pull_request.head.sha"). Missing, null or of another type: the empty slice,
 * `fallback`, false or NULL. Slices live as long as the tree. */
json_t *json_at(const json_t *j, const char *path);
struct str json_str(const json_t *j, const char *path);
const char *json_cstr(const json_t *j, const char *path); /* NULL when absent */
int64_t json_int(const json_t *j, const char *path, int64_t fallback);
double json_num(const json_t *j, const char *path, double fallback);
bool json_bool(const json_t *j, const char *path, bool fallback);

/* A JSON string or null (for p == NULL) as a new reference; invalid UTF-8 becomes U+FFFD. */
json_t *json_text(struct str s);
void json_write(struct buf *out, const json_t *j); /* compact */
