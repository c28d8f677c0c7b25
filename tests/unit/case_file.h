/* Reads tests/cases/NAME: one case a line, "#" comments and empty lines left out. For unit tests.
 */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/io.h"
#include "bot/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

/* Calls fn(line) for each case; at least `least` must be there. */
static inline void case_file_each(const char *name, int least, void (*fn)(struct str line))
{
    char path[512];
    snprintf(path, sizeof(path), "%s/cases/%s", TESTS_DIR, name);
    struct buf text = {0};
    struct err err = {0};
    if (!file_read(path, (size_t)4 << 20, &text, &err))
        fail_msg("%s: %s", path, err.text);
    struct str rest = buf_str(&text);
    struct str line;
    int n = 0;
    while (rest.n && str_line(&rest, &line)) {
        if (line.n == 0 || line.p[0] == '#')
            continue;
        fn(line);
        n++;
    }
    assert_true(n >= least);
    buf_done(&text);
}

/* \n, \t and \\ in a case become the characters. */
static inline void case_unescape(struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '\\' || i + 1 == in.n) {
            buf_putc(out, in.p[i]);
            continue;
        }
        i++;
        buf_putc(out, in.p[i] == 'n' ? '\n' : in.p[i] == 't' ? '\t' : in.p[i]);
    }
}
