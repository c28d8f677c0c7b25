/* Finds an embedded script by its file name. */
#include "bot/task/scripts.h"

#include "bot/base/embed.h"

#include <assert.h>

extern const struct embedded_file sandbox_scripts_files[];

struct str script(const char *name)
{
    const struct embedded_file *f = sandbox_scripts_files;
    while (f->name && !str_eq(str_of(f->name), str_of(name)))
        f++;
    assert(f->name);
    return (struct str){(const char *)f->data, f->size};
}
