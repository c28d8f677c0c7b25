/* Measures a sandbox: processor time and memory of its processes as its own /proc tells them, disk
 * as its root file system tells it. */
#include "bot/base/clock.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"
#include "tests/standins/e2b/fs.h"

#include <dirent.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* utime and stime of /proc/PID/stat are the 14th and 15th field; rss the 24th. */
#define FIELD_UTIME 14
#define FIELD_STIME 15
#define FIELD_RSS   24

static void add_process(int proc, const char *pid, int64_t *ticks, int64_t *pages)
{
    char text[1024];
    AUTO(mem_freep) char *path = mem_printf("%s/stat", pid);
    AUTO(fd_close) int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (n <= 0)
        return; /* gone meanwhile */
    struct str rest = {text, (size_t)n};
    while (rest.n && str_find(rest, STR(")"), 0) < rest.n) /* the name may hold anything */
        rest = str_sub(rest, str_find(rest, STR(")"), 0) + 1, rest.n);
    rest = str_trim(rest);
    struct str field;
    for (int i = 3; str_split(&rest, ' ', &field); i++) {
        int64_t value;
        if ((i != FIELD_UTIME && i != FIELD_STIME && i != FIELD_RSS) ||
            !str_to_i64(field, 0, INT64_MAX, &value))
            continue;
        *(i == FIELD_RSS ? pages : ticks) += value;
    }
}

void sample_take(struct world *w, struct box *b, struct sample *out)
{
    int64_t ticks = 0;
    int64_t pages = 0;
    struct statvfs fs = {0};
    *out = (struct sample){.at_ms = clock_wall_ms()};
    int proc = fs_open(b, "/proc", O_RDONLY | O_DIRECTORY, 0);
    DIR *dir = proc >= 0 ? fdopendir(proc) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            add_process(dirfd(dir), e->d_name, &ticks, &pages);
    if (dir)
        closedir(dir);
    if (fstatvfs(jail_root(b->jail), &fs) == 0) {
        out->disk_total = (int64_t)(fs.f_blocks * fs.f_frsize);
        out->disk_used = (int64_t)((fs.f_blocks - fs.f_bfree) * fs.f_frsize);
    }
    out->mem_used = pages * sysconf(_SC_PAGESIZE);
    world_lock(w);
    int64_t since = b->nsamples ? b->samples[b->nsamples - 1].at_ms : b->started_ms;
    int64_t span = out->at_ms - since;
    int64_t used = ticks > b->cpu_ticks ? ticks - b->cpu_ticks : 0; /* the dead take theirs along */
    b->cpu_ticks = ticks;
    world_unlock(w);
    if (span > 0)
        out->cpu_pct =
            100.0 * (double)used * 1000.0 / (double)sysconf(_SC_CLK_TCK) / (double)span / BOX_CPUS;
}
