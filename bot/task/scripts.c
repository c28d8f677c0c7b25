/* Finds an embedded script by its file name. */
#include "bot/task/scripts.h"

#include "bot/base/embed.h"

#include <assert.h>

extern const struct embedded_file sandbox_scripts_files[];

struct str script(const char *name)
{
    for (const struct embedded_file *f = sandbox_scripts_files; f->name; f++)
        if (str_eq(str_of(f->name), str_of(name)))
            return (struct str){(const char *)f->data, f->size};
    assert(!"script is not embedded");
    return (struct str){0};
}
