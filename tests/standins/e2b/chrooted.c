/* In a chroot (a debootstrap root, a simple build environment) the kernel refuses new user
 * namespaces, and bubblewrap cannot pivot from a root that is no mount point. As root we can mend
 * that for ourselves alone: a mount namespace of our own whose root is the chroot's folder. Nothing
 * outside this process and its children sees it. When a step fails, things stay as they are and the
 * first sandbox says what is wrong. */
#include "tests/standins/e2b/chrooted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH_MAX 64

/* Only a clear refusal counts: with a second thread (a sanitizer's) the call fails otherwise. */
static bool namespaces_work(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER) == 0 || errno != EPERM ? 0 : 1);
    int status = 0;
    return child < 0 || (waitpid(child, &status, 0) == child && status == 0);
}

/* From the chroot's folder up to the root of our (private) mount namespace. */
static bool climb(int here, char *below)
{
    bool ok = mkdtemp(below) && chroot(below) == 0 && fchdir(here) == 0;
    for (int i = 0; ok && i < DEPTH_MAX; i++)
        ok = chdir("..") == 0;
    return ok && chroot(".") == 0;
}

void chrooted_leave(char **argv)
{
    char folder[PATH_MAX], was[PATH_MAX], self[PATH_MAX], below[] = "/tmp/standin-XXXXXX";
    if (geteuid() != 0 || namespaces_work() || !getcwd(was, sizeof(was)) ||
        !realpath("/proc/self/exe", self))
        return;
    bool ok = unshare(CLONE_NEWNS) == 0; /* first: a descriptor would stay in the old one */
    int here = ok ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    ok = here >= 0 && climb(here, below) &&
         mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && fchdir(here) == 0 &&
         getcwd(folder, sizeof(folder)) &&
         mount(folder, folder, NULL, MS_BIND | MS_REC, NULL) == 0 && chdir(folder) == 0 &&
         syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0;
    rmdir(below); /* we are back where it was made */
    if (!ok)
        perror("sandboxes in a chroot");
    if (here >= 0)
        close(here);
    if (chdir(was) != 0)
        perror(was);
    if (ok) /* once more from the start, so that every path and descriptor is of the new world */
        execv(self, argv);
}
