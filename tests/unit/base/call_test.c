/* Deadlines, cancel tokens, threads and bells. */
#include "bot/base/call.h"

#include "bot/base/thread.h"
#include "tests/unit/row.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define LONG_MS 60000

static void deadlines(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(call_left_ms(NULL), -1);
    assert_true(call_check(NULL, &err));
    const struct call none = {0, NULL};
    assert_int_equal(call_left_ms(&none), -1);
    assert_true(call_check(&none, &err));

    struct call call = call_in(LONG_MS, NULL);
    assert_true(call_left_ms(&call) > 0 && call_left_ms(&call) <= LONG_MS);
    struct call sooner = call_within(&call, 10);
    assert_true(sooner.deadline_ms < call.deadline_ms);
    struct call same = call_within(&call, 10 * LONG_MS);
    assert_int_equal(same.deadline_ms, call.deadline_ms);
    assert_true(call_within(NULL, 10).deadline_ms > 0);

    clock_test_shift_ms(LONG_MS + 1, 0);
    assert_int_equal(call_left_ms(&call), 0);
    assert_false(call_check(&call, &err));
    assert_int_equal(err.kind, ERR_TIMEOUT);
    clock_test_shift_ms(-LONG_MS - 1, 0);
}

static void cancelling(void **state)
{
    (void)state;
    struct err err = {0};
    struct cancel *c = cancel_new();
    struct call call = call_in(LONG_MS, c);
    assert_false(cancel_fired(c));
    assert_true(call_check(&call, &err));
    struct pollfd fd = {.fd = cancel_fd(c), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 0), 0);
    cancel_fire(c);
    cancel_fire(c);
    assert_true(cancel_fired(c));
    assert_int_equal(poll(&fd, 1, 0), 1);
    assert_false(call_check(&call, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_false(call_wait(&call, LONG_MS, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    struct cancel *second = cancel_ref(c);
    cancel_unref(c);
    assert_true(cancel_fired(second));
    cancel_unref(second);

    cancel_unref(NULL);
    cancel_fire(NULL);
    assert_null(cancel_ref(NULL));
    assert_false(cancel_fired(NULL));
    assert_int_equal(cancel_fd(NULL), -1);
}

static void waiting(void **state)
{
    (void)state;
    struct err err = {0};
    int64_t start = clock_mono_ms();
    assert_true(call_wait(NULL, 20, &err));
    assert_true(clock_mono_ms() - start >= 20);
    assert_true(call_wait(NULL, 0, &err));
    assert_true(call_wait(NULL, -5, &err));
    struct call call = call_in(20, NULL);
    assert_false(call_wait(&call, LONG_MS, &err));
    assert_int_equal(err.kind, ERR_TIMEOUT);
    assert_true(clock_mono_ms() - start < LONG_MS);
}

static void *fire(void *arg)
{
    cancel_fire(arg);
    return NULL;
}

static void check_woken(struct cancel *c)
{
    struct err err = {0};
    struct call call = call_in(LONG_MS, c);
    pthread_t thread;
    assert_true(thread_start(&thread, "a name that is too long", fire, c, &err));
    int64_t start = clock_mono_ms();
    assert_false(call_wait(&call, LONG_MS, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_true(clock_mono_ms() - start < LONG_MS / 2);
    pthread_join(thread, NULL);
}

static void woken(void **state)
{
    (void)state;
    struct cancel *c = cancel_new();
    check_woken(c);
    cancel_unref(c);
}

/* Without a descriptor to be had, a token still stops a wait. */
static void woken_without_descriptor(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {0, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct cancel *c = cancel_new();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(cancel_fd(c), -1);
    check_woken(c);
    cancel_unref(c);
}

struct seen {
    char name[16];
    sigset_t mask;
    size_t stack;
};

static void *look(void *arg)
{
    struct seen *seen = arg;
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    pthread_sigmask(SIG_BLOCK, NULL, &seen->mask);
    pthread_attr_t attr;
    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstacksize(&attr, &seen->stack);
    pthread_attr_destroy(&attr);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    struct err err = {0};
    struct seen seen = {0};
    pthread_t thread;
    assert_true(thread_start(&thread, "runner-1", look, &seen, &err));
    pthread_join(thread, NULL);
    assert_string_equal(seen.name, "runner-1");
    assert_true(sigismember(&seen.mask, SIGTERM));
    assert_true(sigismember(&seen.mask, SIGCHLD));
    /* A sanitizer adds to it. */
    assert_in_range(seen.stack, THREAD_STACK_BYTES, 2 * THREAD_STACK_BYTES);
    sigset_t mine;
    pthread_sigmask(SIG_BLOCK, NULL, &mine);
    assert_false(sigismember(&mine, SIGTERM));
}

static void *ring(void *arg)
{
    bell_ring(arg);
    return NULL;
}

static void bells(void **state)
{
    (void)state;
    struct err err = {0};
    struct bell bell;
    bell_init(&bell);
    assert_false(bell_wait(&bell, 0));
    assert_false(bell_wait(&bell, 5));
    bell_ring(&bell);
    bell_ring(&bell);
    assert_true(bell_wait(&bell, 0));
    assert_false(bell_wait(&bell, 0));
    pthread_t thread;
    assert_true(thread_start(&thread, "ring", ring, &bell, &err));
    assert_true(bell_wait(&bell, LONG_MS));
    pthread_join(thread, NULL);
    bell_done(&bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines),
        cmocka_unit_test(cancelling),
        cmocka_unit_test(waiting),
        cmocka_unit_test(woken),
        cmocka_unit_test(woken_without_descriptor),
        cmocka_unit_test(threads),
        cmocka_unit_test(bells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
