/* Inside of bot/sandbox: small scripts of ours, run by the sandbox's /bin/sh. */
#pragma once

#include "bot/sandbox/sandbox.h"

/* sh -c script sh arg1 arg2 (arg2 may be NULL). The script must be fine to repeat. True: it ended;
 * *exit_code is -1 when a signal ended it. output (may be NULL) gets the first 4 KiB it wrote. */
bool process_script(struct sandbox_client *c, const struct sandbox *s, const char *script,
                    const char *arg1, const char *arg2, const struct call *call, int *exit_code,
                    struct buf *output, struct err *err) MUST_CHECK;
