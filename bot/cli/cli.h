/* The sub-commands other than serve. Each returns the program's exit status. */
#pragma once

#include "bot/base/settings.h"

int cli_migrate(struct settings *settings, int argc, char **argv);
int cli_doctor(struct settings *settings, int argc, char **argv);
int cli_task(struct settings *settings, int argc, char **argv);
