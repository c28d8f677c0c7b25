/* Looks a pack over before anything else opens it: sizes as declared, sizes as they are, checksum.
 * Constant memory but for 12 bytes an object. Any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PRESCAN_OBJECTS_MAX ((uint32_t)20000)
#define PRESCAN_OBJECT_MAX  ((uint64_t)100 * 1024 * 1024) /* bytes, uncompressed */
#define PRESCAN_TOTAL_MAX   ((uint64_t)256 * 1024 * 1024)
#define PRESCAN_DEPTH_MAX   4095 /* of a chain of deltas; git's own ceiling */

struct prescan {
    uint32_t objects;
    uint64_t bytes; /* of all objects, uncompressed */
};
/* The pack lies in the file from `from` to `to`. ERR_INPUT (pack.…) when it is broken, ERR_POLICY
 * (pack.…) when it is too much or holds tags. */
bool prescan_pack(int fd, int64_t from, int64_t to, const struct call *call, struct prescan *out,
                  struct err *err) MUST_CHECK;
