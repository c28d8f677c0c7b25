/* The rows of settings.def and the check of one value. Internal to the settings. Any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/settings.h"

#include <stdbool.h>
#include <stdint.h>

enum setting_type { TEXT, INT, NUM, SECRET, URL, ONE_OF };

struct setting_row {
    const char *name;
    enum setting_type type;
    const char *fallback; /* ONE_OF: the choices, the first is the default */
    int64_t min;          /* of a number; of a text's length in bytes */
    int64_t max;
    const char *help;
};

extern const struct setting_row setting_rows[SETTINGS];

struct setting_value {
    char *text; /* terminated; of a SECRET too, until settings.c moves it */
    int64_t i;
    double num;
};

/* Checks and normalizes; ERR_INPUT says name, shape and range. The caller frees out->text. */
bool setting_check(enum setting id, struct str text, struct setting_value *out,
                   struct err *err) MUST_CHECK;
void setting_accepted(enum setting id, struct buf *out); /* "a whole number from 1 to 10000" */
struct str setting_default(enum setting id);
/* The known name that is closest to a misspelt one; NULL when none is close. */
const char *setting_nearest(const char *name);
