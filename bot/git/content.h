/* What new files hold: secrets. One thread. */
#pragma once

#include "bot/base/str.h"

#include <stdbool.h>

/* Does `new` hold what looks like a secret, in lines that `old` (may be empty) does not have? */
bool content_adds_secret(struct str old, struct str new);
