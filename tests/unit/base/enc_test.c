/* Encodings, digests, random values. */
#include "bot/base/enc.h"

#include "bot/base/clock.h"
#include "tests/unit/row.h"

#include <pthread.h>
#include <stdlib.h>

static void base64(void **state)
{
    (void)state;
    static const struct {
        const char *plain;
        const char *standard;
        const char *url;
    } rows[] = {
        {"",             "",         ""        },
        {"f",            "Zg==",     "Zg"      },
        {"fo",           "Zm8=",     "Zm8"     },
        {"foo",          "Zm9v",     "Zm9v"    },
        {"foob",         "Zm9vYg==", "Zm9vYg"  },
        {"fooba",        "Zm9vYmE=", "Zm9vYmE" },
        {"foobar",       "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+",     "-__-"    },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(buf_done) struct buf out = {0};
        enc_base64(&out, rows[i].plain, strlen(rows[i].plain));
        ROW_TEXT(rows[i].plain, buf_cstr(&out), rows[i].standard);
        buf_clear(&out);
        enc_base64url(&out, rows[i].plain, strlen(rows[i].plain));
        ROW_TEXT(rows[i].plain, buf_cstr(&out), rows[i].url);
        buf_clear(&out);
        ROW_TRUE(rows[i].plain, enc_unbase64(str_of(rows[i].standard), &out));
        ROW_TEXT(rows[i].plain, buf_cstr(&out), rows[i].plain);
        buf_clear(&out);
        ROW_TRUE(rows[i].plain, enc_unbase64(str_of(rows[i].url), &out));
        ROW_TEXT(rows[i].plain, buf_cstr(&out), rows[i].plain);
    }
    static const char *const bad[] = {
        "A",    "AAAAA",     "Zg=",    "Zg===",    "Z===", "=",
        "====", "Zm9v Yg==", "Zm9v\n", "Zg==Zg==", "Z!9v", "\xff\xff\xff\xff"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        AUTO(buf_done) struct buf out = {0};
        buf_puts(&out, "kept");
        ROW_TRUE(bad[i], !enc_unbase64(str_of(bad[i]), &out));
        ROW_TEXT(bad[i], buf_cstr(&out), "kept");
    }
}

static void hex(void **state)
{
    (void)state;
    AUTO(buf_done) struct buf out = {0};
    enc_hex(&out, "\x00\x7f\xff", 3);
    assert_string_equal(buf_cstr(&out), "007fff");
    unsigned char bytes[3] = {9, 9, 9};
    assert_true(enc_unhex(STR("007fff"), bytes, 3));
    assert_memory_equal(bytes, "\x00\x7f\xff", 3);
    static const char *const bad[] = {"", "00", "007ff", "007fff0", "007FFF", "00 fff", "00zzff"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        ROW_TRUE(bad[i], !enc_unhex(str_of(bad[i]), bytes, 3));
        ROW_TRUE(bad[i], bytes[1] == 0x7f);
    }
}

static void percent(void **state)
{
    (void)state;
    static const struct {
        const char *plain;
        const char *all;
        const char *keep;
    } rows[] = {
        {"a-b._~Z9",   "a-b._~Z9",     "a-b._~Z9"    },
        {"a/b c",      "a%2Fb%20c",    "a/b%20c"     },
        {"\xc3\xa9+%", "%C3%A9%2B%25", "%C3%A9%2B%25"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(buf_done) struct buf out = {0};
        enc_percent(&out, str_of(rows[i].plain), false);
        ROW_TEXT(rows[i].plain, buf_cstr(&out), rows[i].all);
        buf_clear(&out);
        enc_percent(&out, str_of(rows[i].plain), true);
        ROW_TEXT(rows[i].plain, buf_cstr(&out), rows[i].keep);
        buf_clear(&out);
        ROW_TRUE(rows[i].plain, enc_unpercent(str_of(rows[i].all), &out));
        ROW_TEXT(rows[i].plain, buf_cstr(&out), rows[i].plain);
    }
    AUTO(buf_done) struct buf out = {0};
    assert_true(enc_unpercent(STR("a+%2b%2B"), &out));
    assert_string_equal(buf_cstr(&out), "a+++");
    assert_false(enc_unpercent(STR("%2"), &out));
    assert_false(enc_unpercent(STR("%"), &out));
    assert_false(enc_unpercent(STR("%zz"), &out));
    assert_string_equal(buf_cstr(&out), "a+++");
}

static void json_escape(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str in;
        const char *want;
    } rows[] = {
        {"plain",          {"abc", 3},            "abc"                                   },
        {"quote",          {"a\"b\\c/", 6},       "a\\\"b\\\\c/"                          },
        {"short escapes",  {"\b\f\n\r\t", 5},     "\\b\\f\\n\\r\\t"                       },
        {"nul and others", {"\0\x01\x1f\x7f", 4}, "\\u0000\\u0001\\u001f\\u007f"          },
        {"utf-8",          {"\xe2\x82\xac", 3},   "\xe2\x82\xac"                          },
        {"invalid",        {"a\xff\xe2\x82z", 5}, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(buf_done) struct buf out = {0};
        enc_json(&out, rows[i].in);
        ROW_TEXT(rows[i].name, buf_cstr(&out), rows[i].want);
    }
}

static void check_hmac(const char *row, struct str key, struct str data, const char *want)
{
    unsigned char mac[SHA256_BYTES];
    hmac_sha256(key, data, mac);
    AUTO(buf_done) struct buf text = {0};
    enc_hex(&text, mac, sizeof(mac));
    ROW_TEXT(row, buf_cstr(&text), want);
}

/* RFC 4231's cases, and GitHub's own example. */
static void digests(void **state)
{
    (void)state;
    static char filled[131];
    memset(filled, 0xaa, sizeof(filled));
    static char data_dd[50];
    memset(data_dd, 0xdd, sizeof(data_dd));
    static char key_0b[20];
    memset(key_0b, 0x0b, sizeof(key_0b));
    const struct {
        const char *name;
        struct str key, data;
        const char *want;
    } rows[] = {
        {"1",
         {key_0b, 20},
         STR("Hi There"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"2",           STR("Jefe"),                       STR("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"3",
         {filled, 20},
         {data_dd, 50},
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {"6, long key",
         {filled, 131},
         STR("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {"github",      STR("It's a Secret to Everybody"), STR("Hello, World!"),
         "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        {"empty",
         {NULL, 0},
         {NULL, 0},
         "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    /* Each twice, and mixed, because a thread remembers the last key. */
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < COUNT(rows); i++)
            for (size_t again = 0; again < 2; again++)
                check_hmac(rows[i].name, rows[i].key, rows[i].data, rows[i].want);

    unsigned char digest[SHA256_BYTES];
    sha256("abc", 3, digest);
    AUTO(buf_done) struct buf text = {0};
    enc_hex(&text, digest, sizeof(digest));
    assert_string_equal(buf_cstr(&text),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(bytes_eq_consttime("abc", "abc", 3));
    assert_false(bytes_eq_consttime("abc", "abd", 3));
    assert_true(bytes_eq_consttime(NULL, NULL, 0));
}

static void *hmac_worker(void *arg)
{
    const char *key = arg;
    unsigned char first[SHA256_BYTES];
    unsigned char now[SHA256_BYTES];
    hmac_sha256(str_of(key), STR("data"), first);
    for (int i = 0; i < 2000; i++) {
        hmac_sha256(str_of(key), STR("data"), now);
        if (memcmp(first, now, sizeof(now)) != 0)
            return arg;
    }
    return NULL;
}

static void digests_in_threads(void **state)
{
    (void)state;
    static char keys[4][8] = {"key-one", "key-two", "key-3", "key-4"};
    pthread_t threads[COUNT(keys)];
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hmac_worker, keys[i]), 0);
    for (size_t i = 0; i < COUNT(keys); i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        ROW_TRUE(keys[i], failed == NULL);
    }
}

static void random_values(void **state)
{
    (void)state;
    char a[41];
    char b[41];
    random_hex(a, 40);
    random_hex(b, 40);
    assert_int_equal(strlen(a), 40);
    assert_int_equal(strspn(a, "0123456789abcdef"), 40);
    assert_string_not_equal(a, b);
    for (int i = 0; i < 1000; i++) {
        double unit = random_unit();
        assert_true(unit >= 0 && unit < 1);
    }
}

static void uuids(void **state)
{
    (void)state;
    char last[UUID_TEXT] = "";
    for (int i = 0; i < 20000; i++) {
        char id[UUID_TEXT];
        if (i == 10000)
            clock_test_shift_ms(0, -5000); /* the clock steps back */
        uuid_v7(id);
        assert_int_equal(strlen(id), 36);
        assert_true(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_true(strcmp(last, id) < 0);
        memcpy(last, id, sizeof(id));
    }
    clock_test_shift_ms(0, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64),        cmocka_unit_test(hex),
        cmocka_unit_test(percent),       cmocka_unit_test(json_escape),
        cmocka_unit_test(digests),       cmocka_unit_test(digests_in_threads),
        cmocka_unit_test(random_values), cmocka_unit_test(uuids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
