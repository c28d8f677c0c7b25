/* Git over HTTP: real `git http-backend` behind GitHub's authentication and push rules. */
#pragma once

#include "tests/standins/common/faults.h"
#include "tests/standins/common/http.h"

#include <stdbool.h>

/* Writes the repositories' hook programs; once, at start. */
bool smart_start(struct err *err) MUST_CHECK;
/* False when the address is not one of git's. */
bool smart_is(const struct http_exchange *x);
void smart_serve(struct http_exchange *x, struct faults *f, uint64_t entry);
