/* The shell scripts that run in the sandbox (the .sh files of bot/task), embedded in the binary. */
#pragma once

#include "bot/base/str.h"

/* Aborts for a name that is not embedded: our own mistake. */
struct str script(const char *name);
