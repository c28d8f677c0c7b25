/* The tests' own door, /_standin/…: README.md has the list. */
#pragma once

#include "tests/standins/common/http.h"

#include <stdbool.h>

/* False when the address is not one of these. */
bool control_serve(struct http_exchange *x);
