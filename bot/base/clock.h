/* Time. Deadlines use the monotonic clock; wall time is only for people, JWTs and signatures
 * (leases use PostgreSQL's clock). Tests may shift both. Thread-safe. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void); /* since 1970, UTC */
int64_t clock_wall_s(void);
void clock_test_shift_ms(int64_t mono, int64_t wall); /* added to both from now on */

#define TIME_TEXT 32
/* RFC 3339, UTC, milliseconds: 2026-11-20T18:00:00.123Z */
void time_format(int64_t wall_ms, char out[TIME_TEXT]);
/* RFC 3339 with any offset and up to 9 decimals. */
bool time_parse(struct str text, int64_t *wall_ms) MUST_CHECK;
/* IMF-fixdate of HTTP headers: Fri, 20 Nov 2026 18:00:00 GMT */
bool time_parse_http(struct str text, int64_t *wall_ms) MUST_CHECK;
