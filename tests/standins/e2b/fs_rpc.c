/* filesystem.Filesystem. Not modelled: watching folders (answered as unimplemented). */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/fs.h"
#include "tests/standins/e2b/rpc.h"

#include <errno.h>

static void fail_errno(struct rpc *r, const char *what, const char *path)
{
    if (errno == ENOENT)
        rpc_fail(r, "not_found", "%s not found: %s", what, path);
    else if (errno == ENOTDIR)
        rpc_fail(r, "invalid_argument", "path is not a directory: %s", path);
    else
        rpc_fail(r, "internal", "%s: %s", path, strerror(errno));
}

static void reply_entry(struct rpc *r, const char *path)
{
    json_t *entry = fs_entry(r->b, path);
    if (entry)
        rpc_reply(r, json_pack("{so}", "entry", entry));
    else
        fail_errno(r, "file", path);
}

static const char *path_of(struct rpc *r, const char *field)
{
    return fs_absolute(r->arena, &r->user, json_str(r->request, field));
}

static void run_stat(struct rpc *r)
{
    reply_entry(r, path_of(r, "path"));
}

static void run_list_dir(struct rpc *r)
{
    const char *path = path_of(r, "path");
    int64_t depth = json_int(r->request, "depth", 1);
    json_t *entries = json_array();
    if (depth < 0) {
        rpc_fail(r, "invalid_argument", "depth should be at least 1");
    } else if (!fs_list(r->b, path, depth ? depth : 1, entries)) {
        fail_errno(r, "directory", path);
    } else {
        json_t *reply = json_object();
        if (json_array_size(entries))
            json_object_set(reply, "entries", entries);
        rpc_reply(r, reply);
    }
    json_decref(entries);
}

static void run_make_dir(struct rpc *r)
{
    const char *path = path_of(r, "path");
    AUTO(json_decrefp) json_t *there = fs_entry(r->b, path);
    if (there && fs_is_dir(r->b, path))
        rpc_fail(r, "already_exists", "directory already exists: %s", path);
    else if (there)
        rpc_fail(r, "invalid_argument", "path already exists but it is not a directory: %s", path);
    else if (fs_make_dirs(r->b, path))
        reply_entry(r, path);
    else
        fail_errno(r, "directory", path);
}

static void run_move(struct rpc *r)
{
    const char *from = path_of(r, "source");
    const char *to = path_of(r, "destination");
    if (fs_move(r->b, from, to))
        reply_entry(r, to);
    else
        fail_errno(r, "source file", from);
}

static void run_remove(struct rpc *r)
{
    const char *path = path_of(r, "path");
    if (fs_remove(r->b, path))
        rpc_reply(r, json_object());
    else
        fail_errno(r, "path", path);
}

static void run_unimplemented(struct rpc *r)
{
    rpc_fail(r, "unimplemented", STR_FMT " is not implemented", STR_ARG(http_path(r->x)));
}

const struct rpc_method filesystem_methods[] = {
    {"/filesystem.Filesystem/Stat",             false, run_stat         },
    {"/filesystem.Filesystem/ListDir",          false, run_list_dir     },
    {"/filesystem.Filesystem/MakeDir",          false, run_make_dir     },
    {"/filesystem.Filesystem/Move",             false, run_move         },
    {"/filesystem.Filesystem/Remove",           false, run_remove       },
    {"/filesystem.Filesystem/WatchDir",         true,  run_unimplemented},
    {"/filesystem.Filesystem/CreateWatcher",    false, run_unimplemented},
    {"/filesystem.Filesystem/GetWatcherEvents", false, run_unimplemented},
    {"/filesystem.Filesystem/RemoveWatcher",    false, run_unimplemented},
    {NULL,                                      false, NULL             },
};
