/* The strict reading of a request's head. The whole table again, over a socket, is in
 * tests/integration/http-edge.test.mjs. */
#include "bot/web/head.h"

#include "tests/unit/row.h"

#include <stdlib.h>

#define LINE "GET /x HTTP/1.1\r\n"
#define HOST "host: a\r\n"

static void good(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int64_t length;
        bool chunked;
    } rows[] = {
        {LINE HOST "\r\n",                                                        -1, false},
        {"POST /a/b?c=%20&d HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",                  -1, false},
        {"GET / HTTP/1.0\r\n\r\n",                                                -1, false},
        {LINE HOST "content-length: 0\r\n\r\n",                                   0,  false},
        {LINE HOST "Content-Length:  12 \t\r\n\r\n",                              12, false},
        {LINE HOST "Transfer-Encoding: Chunked\r\n\r\n",                          -1, true },
        {LINE HOST "x-a:\r\nx-b: \tq\xc3\xa4\x80 \r\nx!#$%&'*+.^_`|~: 1\r\n\r\n", -1, false},
        {LINE "host:\r\n\r\n",                                                    -1, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct head head;
        size_t size, n = strlen(rows[i].head);
        char *text = malloc(n + 20);
        memcpy(text, rows[i].head, n);
        memcpy(text + n, "GET /next HTTP/1.1\r\n", 20);
        ROW_TRUE(rows[i].head, head_check((struct str){text, n + 20}, &head, &size));
        ROW_INT(rows[i].head, size, n);
        ROW_INT(rows[i].head, head.content_length, rows[i].length);
        ROW_INT(rows[i].head, head.chunked, rows[i].chunked);
        free(text);
        /* Not before its last byte is there. */
        for (size_t cut = 0; cut < n; cut++) {
            char *part = malloc(cut + 1);
            memcpy(part, rows[i].head, cut);
            ROW_TRUE(rows[i].head, !head_check((struct str){part, cut}, &head, &size));
            free(part);
        }
    }
}

static void bad(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "\r\n" LINE HOST "\r\n",
        "get / HTTP/1.1\r\n" HOST "\r\n",
        "TRACE / HTTP/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1.2\r\n" HOST "\r\n",
        "GET / HTTP/1.1 \r\n" HOST "\r\n",
        "GET /\r\n" HOST "\r\n",
        "GET  / HTTP/1.1\r\n" HOST "\r\n",
        "GET * HTTP/1.1\r\n" HOST "\r\n",
        "GET http://a/ HTTP/1.1\r\n" HOST "\r\n",
        "GET /\x7f HTTP/1.1\r\n" HOST "\r\n",
        "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n",
        "GET /#a HTTP/1.1\r\n" HOST "\r\n",
        LINE "\r\n",
        LINE HOST HOST "\r\n",
        LINE "host: a b\r\n\r\n",
        LINE "host: a/b\r\n\r\n",
        LINE "host: u@a\r\n\r\n",
        LINE HOST " x: folded\r\n\r\n",
        LINE HOST "x-a: 1\r\n\tfolded\r\n\r\n",
        LINE HOST "x-a : 1\r\n\r\n",
        LINE HOST "x a: 1\r\n\r\n",
        LINE HOST ": 1\r\n\r\n",
        LINE HOST "x-a\r\n\r\n",
        LINE HOST "x-a: \x01\r\n\r\n",
        LINE HOST "x-a: \x7f\r\n\r\n",
        LINE HOST "x-a: b\rc\r\n\r\n",
        LINE HOST "x-a: b\n\r\n",
        LINE HOST "\n",
        "GET / HTTP/1.1\n" HOST "\r\n",
        LINE HOST "content-length: 1\r\ncontent-length: 1\r\n\r\n",
        LINE HOST "content-length: 1, 1\r\n\r\n",
        LINE HOST "content-length: +1\r\n\r\n",
        LINE HOST "content-length: -0\r\n\r\n",
        LINE HOST "content-length: 0x1\r\n\r\n",
        LINE HOST "content-length:\r\n\r\n",
        LINE HOST "content-length: 9223372036854775808\r\n\r\n",
        LINE HOST "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        LINE HOST "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        LINE HOST "transfer-encoding: gzip, chunked\r\n\r\n",
        LINE HOST "transfer-encoding: identity\r\n\r\n",
        LINE HOST "transfer-encoding: \x0b"
                  "chunked\r\n\r\n",
        "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct head head = {0};
        size_t size;
        ROW_TRUE(rows[i], !head_check(str_of(rows[i]), &head, &size));
        ROW_TRUE(rows[i], head.why && !head.too_large);
    }
    struct head head;
    size_t size;
    assert_false(head_check((struct str){LINE HOST "x-a: \0\r\n\r\n", 34}, &head, &size));
}

static void large(void **state)
{
    (void)state;
    size_t n = HEAD_MAX_BYTES + 100, size;
    char *text = malloc(n);
    memset(text, 'a', n);
    memcpy(text, LINE HOST "x-a: ", 31);
    memcpy(text + n - 4, "\r\n\r\n", 4);
    struct head head;
    assert_false(head_check((struct str){text, n}, &head, &size));
    assert_true(head.too_large);
    /* A large body behind a small head is fine. */
    memcpy(text, LINE HOST "\r\n", 28);
    assert_true(head_check((struct str){text, n}, &head, &size));
    assert_int_equal(size, 28);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad),
                                       cmocka_unit_test(large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
