/* Connections by address. */
#include "bot/web/gate.h"

#include "tests/unit/row.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static struct gate_key key_of(const char *address)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_in in = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
        return gate_key_of((const struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    return gate_key_of((const struct sockaddr *)&in6);
}

static void keys(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same, exempt;
    } rows[] = {
        {"192.0.2.1",        "192.0.2.1",          true,  false},
        {"192.0.2.1",        "192.0.2.2",          false, false},
        {"192.0.2.1",        "::ffff:192.0.2.1",   true,  false},
        {"127.0.0.1",        "127.9.9.9",          false, true },
        {"::1",              "::1",                true,  true },
        {"::ffff:127.0.0.1", "127.0.0.1",          true,  true },
        {"2001:db8::1",      "2001:db8::ffff:1:2", true,  false},
        {"2001:db8::1",      "2001:db8:0:1::1",    false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gate_key a = key_of(rows[i].a), b = key_of(rows[i].b);
        ROW_INT(rows[i].b, memcmp(a.bytes, b.bytes, 16) == 0, rows[i].same);
        ROW_INT(rows[i].b, a.exempt, rows[i].exempt);
    }
}

static void limits(void **state)
{
    (void)state;
    struct gate *g = gate_new(5, 2);
    struct gate_key a = key_of("192.0.2.1"), b = key_of("192.0.2.2"), local = key_of("127.0.0.1");
    assert_true(gate_enter(g, &a));
    assert_true(gate_enter(g, &a));
    assert_false(gate_enter(g, &a));
    assert_true(gate_enter(g, &b));
    assert_true(gate_enter(g, &local));
    assert_true(gate_enter(g, &local));
    assert_false(gate_enter(g, &local));
    gate_leave(g, &a);
    assert_true(gate_enter(g, &a));
    assert_false(gate_enter(g, &b));
    gate_free(g);
}

/* Against a plain array: entries come and go in every order, so holes in the table are closed. */
static void churn(void **state)
{
    (void)state;
    enum { ADDRESSES = 300, STEPS = 200000, EACH = 3 };
    struct gate *g = gate_new(ADDRESSES * EACH, EACH);
    int counts[ADDRESSES] = {0};
    unsigned seed = 1;
    for (int i = 0; i < STEPS; i++) {
        seed = seed * 1103515245U + 12345U;
        int at = (int)(seed >> 8) % ADDRESSES;
        char text[32];
        snprintf(text, sizeof(text), "10.0.%d.%d", at / 250, at % 250);
        struct gate_key key = key_of(text);
        if (seed >> 30 & 1) {
            assert_int_equal(gate_enter(g, &key), counts[at] < EACH);
            counts[at] += counts[at] < EACH;
        } else if (counts[at] > 0) {
            gate_leave(g, &key);
            counts[at]--;
        }
    }
    gate_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys), cmocka_unit_test(limits),
                                       cmocka_unit_test(churn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
