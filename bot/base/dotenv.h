/* Dotenv files: NAME=VALUE lines. Internal to the settings. One thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct dotenv {
    struct dotenv_pair {
        char *name;
        char *value;
    } * pairs;
    size_t count;
};

/* ERR_INPUT names the line, never its content. Of a name that occurs twice the last counts. */
bool dotenv_read(const char *path, struct dotenv *out, struct err *err) MUST_CHECK;
const char *dotenv_get(const struct dotenv *d, const char *name); /* NULL = not there */
void dotenv_wipe(struct dotenv *d, const char *name);
void dotenv_done(struct dotenv *d); /* zeroes the values */
