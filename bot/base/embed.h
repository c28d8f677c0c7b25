/* Files put into the binary by bot/embed.cmake. */
#pragma once

#include <stddef.h>

struct embedded_file {
    const char *name; /* NULL ends a table */
    const unsigned char *data;
    size_t size;
};
