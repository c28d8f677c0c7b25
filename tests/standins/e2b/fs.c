/* Files of a sandbox from outside; see fs.h. */
#include "tests/standins/e2b/fs.h"

#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 100

char *fs_absolute(struct arena *arena, const struct box_user *user, struct str path)
{
    AUTO(buf_done) struct buf raw = {0};
    if (path.n == 0 || path.p[0] != '/') {
        buf_puts(&raw, user->home);
        buf_putc(&raw, '/');
    }
    if (path.n && path.p[0] == '~' && (path.n == 1 || path.p[1] == '/'))
        path = str_sub(path, 1, path.n);
    buf_add_str(&raw, path);
    char *out = arena_alloc(arena, raw.len + 2);
    size_t n = 0;
    struct str rest = buf_str(&raw);
    struct str part;
    while (str_split(&rest, '/', &part)) {
        if (part.n == 0 || str_eq(part, STR(".")))
            continue;
        if (str_eq(part, STR(".."))) {
            while (n > 0 && out[--n] != '/') {
            }
            continue;
        }
        out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = '\0';
    return out;
}

int fs_open(const struct box *b, const char *path, int flags, mode_t mode)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, jail_root(b->jail), path, &how, sizeof how);
}

bool fs_is_dir(const struct box *b, const char *path)
{
    AUTO(fd_close) int fd = fs_open(b, path, O_PATH | O_DIRECTORY, 0);
    return fd >= 0;
}

const char *fs_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* The folder that holds path; -1 with errno. */
static int open_parent(const struct box *b, const char *path)
{
    size_t n = (size_t)(fs_name(path) - path);
    AUTO(mem_freep) char *parent = str_dup((struct str){path, n ? n : 1});
    return fs_open(b, parent, O_PATH | O_DIRECTORY, 0);
}

bool fs_make_dirs(const struct box *b, const char *path)
{
    AUTO(mem_freep) char *prefix = mem_strdup(path);
    for (size_t i = 1;; i++) {
        char c = path[i];
        if (c != '/' && c != '\0')
            continue;
        prefix[i] = '\0';
        AUTO(fd_close) int parent = open_parent(b, prefix);
        if (parent < 0)
            return false;
        if (strcmp(prefix, "/") != 0 && mkdirat(parent, fs_name(prefix), 0755) != 0 &&
            errno != EEXIST)
            return false;
        prefix[i] = c;
        if (c == '\0')
            break;
    }
    if (fs_is_dir(b, path))
        return true;
    errno = ENOTDIR;
    return false;
}

bool fs_make_parents(const struct box *b, const char *path)
{
    size_t n = (size_t)(fs_name(path) - path);
    AUTO(mem_freep) char *parent = str_dup((struct str){path, n > 1 ? n - 1 : 1});
    return fs_is_dir(b, parent) || fs_make_dirs(b, parent);
}

/* Empties the folder fd (given away). */
static bool empty_dir(int fd, int depth)
{
    DIR *dir = fdopendir(fd);
    if (!dir)
        return false;
    bool ok = depth < DEPTH_MAX;
    for (struct dirent *e; ok && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(dir), e->d_name, 0) == 0)
            continue;
        int sub = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        ok = sub >= 0 && empty_dir(sub, depth + 1) &&
             unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR) == 0;
    }
    closedir(dir);
    return ok;
}

bool fs_remove(const struct box *b, const char *path)
{
    AUTO(fd_close) int parent = open_parent(b, path);
    if (parent < 0)
        return errno == ENOENT || errno == ENOTDIR;
    const char *name = fs_name(path);
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return true;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && empty_dir(fd, 0) && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

bool fs_move(const struct box *b, const char *from, const char *to)
{
    AUTO(fd_close) int source = open_parent(b, from);
    struct stat st;
    if (source < 0 || fstatat(source, fs_name(from), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !fs_make_parents(b, to))
        return false;
    AUTO(fd_close) int target = open_parent(b, to);
    return target >= 0 && renameat(source, fs_name(from), target, fs_name(to)) == 0;
}

/* ---- entries ---- */

static void set_permissions(json_t *entry, mode_t mode)
{
    char text[11];
    snprintf(text, sizeof text, "%c%c%c%c%c%c%c%c%c%c",
             S_ISDIR(mode)   ? 'd'
             : S_ISLNK(mode) ? 'L'
                             : '-',
             mode & 0400 ? 'r' : '-', mode & 0200 ? 'w' : '-', mode & 0100 ? 'x' : '-',
             mode & 0040 ? 'r' : '-', mode & 0020 ? 'w' : '-', mode & 0010 ? 'x' : '-',
             mode & 0004 ? 'r' : '-', mode & 0002 ? 'w' : '-', mode & 0001 ? 'x' : '-');
    if (mode & 07777)
        json_object_set_new(entry, "mode", json_integer((json_int_t)(mode & 07777)));
    json_object_set_new(entry, "permissions", json_string(text));
}

static void set_time(json_t *entry, struct timespec at)
{
    struct tm tm;
    char seconds[32];
    char text[64];
    if (!gmtime_r(&at.tv_sec, &tm) || !strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm))
        return;
    if (at.tv_nsec)
        snprintf(text, sizeof text, "%s.%09ldZ", seconds, at.tv_nsec);
    else
        snprintf(text, sizeof text, "%sZ", seconds);
    json_object_set_new(entry, "modifiedTime", json_string(text));
}

/* The X-Metadata-* values of an upload, kept as attributes of the file. */
static void set_metadata(json_t *entry, const struct box *b, const char *path)
{
    static const char prefix[] = "user.e2b.";
    char names[4096];
    char value[4096];
    AUTO(fd_close) int fd = fs_open(b, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
    ssize_t n = fd >= 0 ? flistxattr(fd, names, sizeof names) : -1;
    json_t *all = json_object();
    for (char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(fd, name, value, sizeof value);
        if (strncmp(name, prefix, sizeof prefix - 1) == 0 && size >= 0)
            json_object_set_new(all, name + sizeof prefix - 1,
                                json_text((struct str){value, (size_t)size}));
    }
    if (json_object_size(all))
        json_object_set(entry, "metadata", all);
    json_decref(all);
}

json_t *fs_entry(const struct box *b, const char *path)
{
    struct stat st;
    AUTO(fd_close) int fd = fs_open(b, path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0 || fstat(fd, &st) != 0)
        return NULL;
    json_t *entry = json_object();
    char size[32];
    snprintf(size, sizeof size, "%lld", (long long)st.st_size);
    json_object_set_new(entry, "name", json_text(str_of(fs_name(path))));
    json_object_set_new(entry, "type",
                        json_string(S_ISDIR(st.st_mode)   ? "FILE_TYPE_DIRECTORY"
                                    : S_ISLNK(st.st_mode) ? "FILE_TYPE_SYMLINK"
                                                          : "FILE_TYPE_FILE"));
    json_object_set_new(entry, "path", json_text(str_of(path)));
    if (st.st_size)
        json_object_set_new(entry, "size", json_string(size));
    set_permissions(entry, st.st_mode);
    const char *owner = st.st_uid == geteuid() ? "user" : "root";
    json_object_set_new(entry, "owner", json_string(owner));
    json_object_set_new(entry, "group", json_string(owner));
    set_time(entry, st.st_mtim);
    if (S_ISLNK(st.st_mode)) {
        char target[4096];
        ssize_t n = readlinkat(fd, "", target, sizeof target);
        if (n > 0)
            json_object_set_new(entry, "symlinkTarget", json_text((struct str){target, (size_t)n}));
    } else if (S_ISREG(st.st_mode)) {
        set_metadata(entry, b, path);
    }
    return entry;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

bool fs_list(const struct box *b, const char *path, int64_t depth, json_t *entries)
{
    AUTO(fd_close) int fd = fs_open(b, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return false;
    struct dirent **found = NULL;
    int n = scandirat(fd, ".", &found, not_dots, by_name);
    for (int i = 0; i < n; i++) {
        AUTO(mem_freep)
        char *child = mem_printf("%s/%s", strcmp(path, "/") == 0 ? "" : path, found[i]->d_name);
        json_t *entry = fs_entry(b, child);
        if (entry) {
            bool folder = str_eq(json_str(entry, "type"), STR("FILE_TYPE_DIRECTORY"));
            json_array_append_new(entries, entry);
            if (folder && depth > 1 && depth < DEPTH_MAX)
                fs_list(b, child, depth - 1, entries); /* what vanished meanwhile is not listed */
        }
        free(found[i]);
    }
    free(found);
    return n >= 0;
}
