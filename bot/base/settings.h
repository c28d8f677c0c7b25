/* Settings: one table (settings.def) of name, type, default, range, secret or not, help. Read once
 * at start from the environment, NAME_FILE files and a dotenv file; read-only afterwards, except
 * that settings_reload_secrets() swaps rotated secrets (main thread only). */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/secret.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTING(id, name, type, fallback, min, max, help) id,
enum setting {
#include "bot/base/settings.def"
    SETTINGS
};
#undef SETTING

struct settings;

/* env_file may be NULL. ERR_INPUT names the setting, the value's shape and the accepted range;
 * unknown SQUADBOT_… names are errors too. */
bool settings_load(const char *env_file, struct settings **out, struct err *err) MUST_CHECK;
void settings_free(struct settings *s);

/* Empty variable = unset = the default. A text without default is "" when unset. */
const char *settings_text(const struct settings *s, enum setting id);
int64_t settings_int(const struct settings *s, enum setting id);
double settings_num(const struct settings *s, enum setting id);
const struct secret *settings_secret(const struct settings *s, enum setting id);
bool settings_is_set(const struct settings *s, enum setting id); /* by the user */

/* Reads again the secrets that came from a NAME_FILE or from env_file and swaps those that changed;
 * all or nothing. Main thread only. A value got from settings_secret() before stays valid (and
 * masked) until settings_free(), so readers may go on with the old one: ask again for every use. */
bool settings_reload_secrets(const char *env_file, struct settings *s, struct err *err) MUST_CHECK;

/* Any variable by name, from the environment or else from the dotenv file (for the variables that
 * SQUADBOT_AGENT_ENV names); NULL when unset or empty. */
const char *settings_variable(const struct settings *s, const char *name);

/* Zeroes a secret here and, in place, in the process's environment (so that /proc/PID/environ
 * shows nothing): for the App key, which only the signer child keeps. */
void settings_wipe_secret(struct settings *s, enum setting id);

/* name=value lines, secrets as ***. */
void settings_print(const struct settings *s, struct buf *out);
/* The sample file: every setting as a comment with help, range and default. */
void settings_print_sample(struct buf *out);
