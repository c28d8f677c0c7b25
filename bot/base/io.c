/* Files and folders. A file is replaced by a synced temporary and a rename, so that a crash leaves
 * the old or the new content. Folders are removed through descriptors, one level at a time, and
 * links are never followed: the content may be an agent's. */
#include "bot/base/io.h"

#include "bot/base/enc.h"
#include "bot/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_DEPTH_MAX 256

static bool fail(struct err *err, int code, const char *what, const char *path)
{
    static const struct {
        int code;
        enum err_kind kind;
    } kinds[] = {
        {ENOENT,  ERR_GONE    },
        {ENOTDIR, ERR_GONE    },
        {EACCES,  ERR_DENIED  },
        {EPERM,   ERR_DENIED  },
        {EROFS,   ERR_DENIED  },
        {EEXIST,  ERR_CONFLICT},
        {ENOSPC,  ERR_LIMIT   },
        {EDQUOT,  ERR_LIMIT   },
        {EMFILE,  ERR_LIMIT   },
        {ENFILE,  ERR_LIMIT   },
        {EAGAIN,  ERR_LIMIT   },
        {ENOMEM,  ERR_LIMIT   },
        {EPIPE,   ERR_UPSTREAM},
        {EIO,     ERR_UPSTREAM},
    };
    enum err_kind kind = ERR_BUG;
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (kinds[i].code == code)
            kind = kinds[i].kind;
    const char *why = strerrordesc_np(code);
    return err_set(err, kind, "%s %s: %s", what, path, why ? why : "unknown error");
}

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool fd_write_all(int fd, struct str data, struct err *err)
{
    while (data.n > 0) {
        ssize_t n = write(fd, data.p, data.n);
        if (n < 0 && errno != EINTR)
            return fail(err, errno, "write", "data");
        if (n > 0)
            data = str_sub(data, (size_t)n, data.n);
    }
    return true;
}

bool file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno, "open", path);
    AUTO(buf_done) struct buf data = {.max = max < SIZE_MAX - 1 ? max + 1 : max};
    for (;;) {
        size_t want = (size_t)16 * 1024;
        if (want > data.max - data.len)
            want = data.max - data.len;
        char *room = want ? buf_reserve(&data, want) : NULL;
        if (!room)
            break;
        ssize_t n = read(fd, room, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, errno, "read", path);
        if (n == 0)
            break;
        buf_added(&data, (size_t)n);
    }
    if (data.len > max)
        return err_set(err, ERR_INPUT, "%s is larger than %zu bytes", path, max);
    char *room = buf_reserve(out, data.len);
    if (!room)
        return err_set(err, ERR_INPUT, "%s does not fit the buffer", path);
    if (data.len > 0)
        memcpy(room, data.data, data.len);
    buf_added(out, data.len);
    /* The content may be a secret. */
    if (data.data)
        explicit_bzero(data.data, data.cap);
    return true;
}

/* The folder part of path, "." when there is none. The caller frees. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : str_dup((struct str){path, (size_t)(slash - path)});
}

static bool fill_and_rename(const char *temporary, const char *path, struct str data, mode_t mode,
                            struct err *err)
{
    AUTO(fd_close) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return fail(err, errno, "create", temporary);
    bool ok = fd_write_all(fd, data, err) || err_wrap(err, "%s", path);
    if (ok && (fchmod(fd, mode) != 0 || fsync(fd) != 0 || rename(temporary, path) != 0))
        ok = fail(err, errno, "write", path);
    if (!ok)
        unlink(temporary);
    return ok;
}

bool file_write(const char *path, struct str data, mode_t mode, struct err *err)
{
    char suffix[17];
    random_hex(suffix, sizeof(suffix) - 1);
    AUTO(mem_freep) char *temporary = mem_printf("%s.%s.tmp", path, suffix);
    AUTO(mem_freep) char *parent = parent_of(path);
    if (!fill_and_rename(temporary, path, data, mode, err))
        return false;
    AUTO(fd_close) int folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) != 0)
        return fail(err, errno, "sync", parent);
    return true;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* mkdir() with the mode as asked, whatever the process's umask; true also when it is there. */
static bool folder_make(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0)
        return chmod(path, mode) == 0;
    return errno == EEXIST;
}

bool dir_make(const char *path, mode_t mode, struct err *err)
{
    AUTO(mem_freep) char *at = mem_strdup(path);
    for (char *p = at; *p; p++) {
        if (*p != '/' || p == at)
            continue;
        *p = '\0';
        if (!folder_make(at, mode))
            return fail(err, errno, "make folder", at);
        *p = '/';
    }
    struct stat st;
    if (!folder_make(at, mode))
        return fail(err, errno, "make folder", path);
    if (stat(at, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_CONFLICT, "make folder %s: something else has that name", path);
    return true;
}

/* Opens a folder so that it can be emptied, whatever its mode. Goes through a descriptor, because
 * changing a mode by name would follow a link that takes the folder's place meanwhile. */
static int open_folder(int parent, const char *name)
{
    AUTO(fd_close) int handle = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (handle < 0)
        return -1;
    char self[32];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", handle);
    struct stat st;
    if (fstat(handle, &st) == 0 && (st.st_mode & 0700) != 0700 && chmod(self, 0700) != 0)
        return -1;
    return openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool empty_folder(int folder, const char *path, int depth, struct err *err);

static bool remove_entry(int folder, const char *name, const char *path, int depth, struct err *err)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return fail(err, errno, "remove", path);
    if (depth >= DIR_DEPTH_MAX)
        return err_set(err, ERR_INPUT, "remove %s: more than %d levels", path, DIR_DEPTH_MAX);
    int fd = open_folder(folder, name);
    if (fd < 0)
        return fail(err, errno, "open", path);
    if (!empty_folder(fd, path, depth + 1, err))
        return false;
    if (unlinkat(folder, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return fail(err, errno, "remove", path);
    return true;
}

/* Takes the descriptor. */
static bool empty_folder(int folder, const char *path, int depth, struct err *err)
{
    DIR *dir = fdopendir(folder);
    if (!dir) {
        int code = errno;
        close(folder);
        return fail(err, code, "read", path);
    }
    bool ok = true;
    bool again = true;
    /* Entries may be skipped when a folder changes while it is read: once more until none is left.
     */
    while (ok && again) {
        again = false;
        rewinddir(dir);
        for (struct dirent *e; ok && (e = readdir(dir)) != NULL;) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                continue;
            ok = remove_entry(dirfd(dir), e->d_name, path, depth, err);
            again = true;
        }
    }
    closedir(dir);
    return ok;
}

bool dir_remove(const char *path, struct err *err)
{
    return remove_entry(AT_FDCWD, path, path, 0, err);
}
