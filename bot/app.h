/* `squadbot serve`: puts the rooms together, starts them in order, readiness last, and stops them
 * in the opposite order. */
#pragma once

#include "bot/base/settings.h"

/* Read again on SIGHUP; NULL = none. Set by main before any command runs. */
extern const char *app_env_file;

int app_serve(struct settings *settings, int argc, char **argv);
