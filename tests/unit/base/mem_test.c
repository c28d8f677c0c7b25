/* Allocation helpers, arenas and buffers. */
#include "bot/base/mem.h"

#include "bot/base/buf.h"
#include "tests/unit/row.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void allocation(void **state)
{
    (void)state;
    unsigned char *p = mem_array(3, 5);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(p[i], 0);
    p = mem_grow(p, 100, 5);
    p[499] = 1;
    mem_freep(&p);
    assert_null(p);
    assert_null(mem_strdup(NULL));
    AUTO(mem_freep) char *text = mem_printf("%s-%d", "a", 7);
    assert_string_equal(text, "a-7");
    free(mem_alloc(0));
}

/* Too much to have aborts instead of wrapping around. */
static void exhaustion(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        int null = dup2(STDOUT_FILENO, STDERR_FILENO);
        (void)null;
        free(mem_grow(NULL, SIZE_MAX / 2, 4));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void arenas(void **state)
{
    (void)state;
    AUTO(arena_freep) struct arena *a = arena_new();
    char *texts[300];
    for (size_t i = 0; i < COUNT(texts); i++) {
        size_t n = (i * 97) % 9000 + 1;
        unsigned char *p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xee, n);
        texts[i] = arena_printf(a, "text %zu", i);
    }
    for (size_t i = 0; i < COUNT(texts); i++) {
        char want[32];
        snprintf(want, sizeof(want), "text %zu", i);
        ROW_TEXT(want, texts[i], want);
    }
    assert_string_equal(arena_str(a, STR("abc")), "abc");
    assert_string_equal(arena_str(a, (struct str){NULL, 0}), "");
    arena_free(NULL);
}

static void buffers(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf b = {0};
    assert_string_equal(buf_cstr(&b), "");
    buf_puts(&b, "one");
    buf_putc(&b, ' ');
    buf_printf(&b, "%05d", 42);
    buf_add_str(&b, STR("!"));
    assert_string_equal(buf_cstr(&b), "one 00042!");
    buf_drop_front(&b, 4);
    assert_string_equal(buf_cstr(&b), "00042!");
    buf_drop_front(&b, 99);
    assert_string_equal(buf_cstr(&b), "");
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    char *taken = buf_take(&b);
    assert_memory_equal(taken, "0,1,2,", 6);
    free(taken);
    assert_int_equal(b.len, 0);
    taken = buf_take(&b);
    assert_string_equal(taken, "");
    free(taken);
}

static void ceiling(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf b = {.max = 10};
    buf_puts(&b, "12345678");
    buf_puts(&b, "abc");
    assert_true(b.overflow);
    assert_string_equal(buf_cstr(&b), "12345678");
    buf_printf(&b, "%s", "xyz");
    assert_string_equal(buf_cstr(&b), "12345678");
    buf_puts(&b, "90");
    assert_string_equal(buf_cstr(&b), "1234567890");
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_clear(&b);
    assert_false(b.overflow);
    char *room = buf_reserve(&b, 10);
    assert_non_null(room);
    memset(room, 'r', 10);
    buf_added(&b, 10);
    assert_string_equal(buf_cstr(&b), "rrrrrrrrrr");
    buf_done(&b);
    assert_int_equal(b.max, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocation), cmocka_unit_test(exhaustion), cmocka_unit_test(arenas),
        cmocka_unit_test(buffers),    cmocka_unit_test(ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
