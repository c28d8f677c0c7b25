/* Deadlines and cancel tokens. A token is a flag (cheap to ask) and an eventfd (to wait on). When
 * the process is out of descriptors the token still works, but waits notice it only a little
 * later, because refusing to make a token would turn a passing shortage into a failed task. */
#include "bot/base/call.h"

#include "bot/base/mem.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NO_FD_SLICE_MS 100

struct cancel {
    atomic_int refs;
    atomic_bool fired;
    int fd; /* -1 = none was to be had */
};

struct cancel *cancel_new(void)
{
    struct cancel *c = mem_alloc(sizeof(*c));
    atomic_init(&c->refs, 1);
    atomic_init(&c->fired, false);
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c;
}

struct cancel *cancel_ref(struct cancel *c)
{
    if (c)
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void cancel_unref(struct cancel *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

void cancel_fire(struct cancel *c)
{
    if (!c || atomic_exchange(&c->fired, true))
        return;
    int saved = errno;
    const uint64_t one = 1;
    if (c->fd >= 0 && write(c->fd, &one, sizeof(one)) < 0)
        errno = 0; /* a counter of 1 cannot be full; nothing else can fail here */
    errno = saved;
}

bool cancel_fired(const struct cancel *c)
{
    return c && atomic_load(&c->fired);
}

int cancel_fd(const struct cancel *c)
{
    return c ? c->fd : -1;
}

struct call call_within(const struct call *outer, int64_t ms)
{
    struct call inner = call_in(ms, outer ? outer->cancel : NULL);
    if (outer && outer->deadline_ms != 0 && outer->deadline_ms < inner.deadline_ms)
        inner.deadline_ms = outer->deadline_ms;
    return inner;
}

int64_t call_left_ms(const struct call *call)
{
    if (!call || call->deadline_ms == 0)
        return -1;
    int64_t left = call->deadline_ms - clock_mono_ms();
    return left > 0 ? left : 0;
}

bool call_check(const struct call *call, struct err *err)
{
    if (!call)
        return true;
    if (cancel_fired(call->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (call_left_ms(call) == 0)
        return err_set(err, ERR_TIMEOUT, "deadline passed");
    return true;
}

bool call_wait(const struct call *call, int64_t ms, struct err *err)
{
    int64_t end = clock_mono_ms() + (ms > 0 ? ms : 0);
    struct pollfd fd = {.fd = call ? cancel_fd(call->cancel) : -1, .events = POLLIN};
    bool blind = call && call->cancel && fd.fd < 0;
    for (;;) {
        if (!call_check(call, err))
            return false;
        int64_t wait = end - clock_mono_ms();
        if (wait <= 0)
            return true;
        int64_t left = call_left_ms(call);
        if (left >= 0 && left < wait)
            wait = left;
        if (blind && wait > NO_FD_SLICE_MS)
            wait = NO_FD_SLICE_MS;
        if (wait > INT_MAX)
            wait = INT_MAX;
        if (poll(&fd, 1, (int)wait) < 0 && errno != EINTR)
            return err_set(err, ERR_BUG, "poll: %s", strerrordesc_np(errno));
    }
}
