/* Installations of the App, kept fresh by its events. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct installation {
    int64_t id;
    const char *account_login;
    int64_t account_id;
    const char *account_type;
    const char *permissions; /* JSON object */
    const char *events;      /* JSON array */
    bool suspended;
    bool deleted;
};
bool installation_put(struct store *s, const struct installation *i, struct err *err) MUST_CHECK;
/* Cancels the live tasks of a suspended or deleted installation; *n counts them. */
bool installation_stop_tasks(struct store *s, int64_t id, const char *reason, int *n,
                             struct err *err) MUST_CHECK;
