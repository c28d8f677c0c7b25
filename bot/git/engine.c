/* Start of libgit2 and its errors. It reads no configuration of the machine: the search paths are
 * empty, and no repository on disk is ever opened. Its caches are small, because every import is
 * one short walk over objects that are not met again. It starts with the first import, because its
 * own TLS library, which we do not use, then reads all CA certificates of the machine: 1.5 MB that
 * an idle bot need not have. */
#include "bot/git/engine.h"

#include "bot/git/import.h"

#include <assert.h>
#include <pthread.h>

#define OBJECT_CACHE_BYTES ((ssize_t)16 * 1024 * 1024)
#define MAPPED_MAX_BYTES   ((size_t)256 * 1024 * 1024)

static bool started;

static void start(void)
{
    static const int levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                 GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL};
    int rc = git_libgit2_init();
    assert(rc > 0);
    for (size_t i = 0; i < COUNT(levels); i++) {
        rc = git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
        assert(rc == 0);
    }
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, OBJECT_CACHE_BYTES);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, MAPPED_MAX_BYTES);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    started = true;
}

void git_engine_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
}

void git_engine_done(void)
{
    if (started)
        git_libgit2_shutdown();
}

bool engine_err(struct err *err, enum err_kind kind, const char *what)
{
    const git_error *last = git_error_last();
    /* A full disk says nothing about the data. */
    if (last && (last->klass == GIT_ERROR_OS || last->klass == GIT_ERROR_NOMEMORY))
        kind = ERR_UPSTREAM;
    return err_set(err, kind, "%s: %s", what, last && last->message ? last->message : "no reason");
}

bool engine_err_call(const struct call *call, struct err *err, enum err_kind kind, const char *what)
{
    return call_check(call, err) && engine_err(err, kind, what);
}

void engine_odb_freep(git_odb **odb)
{
    git_odb_free(*odb);
}

void engine_object_freep(git_odb_object **object)
{
    git_odb_object_free(*object);
}
