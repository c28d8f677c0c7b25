/* For unit programs: cmocka with its includes in the right order, and checks that name the row of
 * the table that failed. Test thread only. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROW_TRUE(row, condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("row \"%s\": %s", row, #condition);                                           \
    } while (0)

#define ROW_INT(row, got, want)                                                                    \
    do {                                                                                           \
        long long got_ = (long long)(got);                                                         \
        long long want_ = (long long)(want);                                                       \
        if (got_ != want_)                                                                         \
            fail_msg("row \"%s\": %s is %lld, not %lld", row, #got, got_, want_);                  \
    } while (0)

#define ROW_TEXT(row, got, want)                                                                   \
    do {                                                                                           \
        const char *got_ = (got);                                                                  \
        const char *want_ = (want);                                                                \
        if (strcmp(got_, want_) != 0)                                                              \
            fail_msg("row \"%s\": %s is\n  \"%s\", not\n  \"%s\"", row, #got, got_, want_);        \
    } while (0)
