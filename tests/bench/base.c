/* Figures of the helpers that run for every webhook and every log line: HMAC-SHA256, json_valid(),
 * redact(), a whole log line. Prints microseconds a call, the best of several rounds. Asserts
 * nothing; the limits are in the load tests. */
#include "bot/base/buf.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/log.h"
#include "bot/base/redact.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 9

static struct buf payload; /* 12 KB, in the manner of GitHub's events */
static struct buf unicode; /* the same size, much of it not ASCII */
static struct buf out;
static volatile bool sink;

static const char line_plain[] =
    "2026-11-20T18:00:00.123Z INFO  Compiling module graph for packages/server (412 of 980 files), "
    "cache hit ratio 0.83, elapsed 12.4 s, resolved 77 imports, warnings: 3, see "
    "build/logs/server-1.txt";
static const char line_secret[] =
    "remote: fetching "
    "https://x-access-token:ghs_abcdefghijklmnopqrstuvwxyz0123456789@github.com/a/b "
    "with key sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789 and then some text to fill the "
    "line..";

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fill(struct buf *b, const char *body)
{
    buf_puts(b, "{\"action\":\"labeled\",\"issue\":{");
    for (int i = 0; b->len < 12000; i++)
        buf_printf(b,
                   "\"user_%d\":{\"login\":\"octocat\",\"id\":%d,\"site_admin\":false,\"url\":"
                   "\"https://api.github.com/users/octocat\",\"email\":null,\"body\":\"%s\"},",
                   i, i * 7919, body);
    buf_puts(b, "\"number\":12}}");
}

static void hmac_payload(void)
{
    unsigned char mac[SHA256_BYTES];
    hmac_sha256(STR("0123456789abcdef0123456789abcdef"), buf_str(&payload), mac);
    sink = mac[0] != 0;
}

static void hmac_small(void)
{
    unsigned char mac[SHA256_BYTES];
    hmac_sha256(STR("0123456789abcdef0123456789abcdef"), STR("0123456789"), mac);
    sink = mac[0] != 0;
}

static void valid_payload(void)
{
    sink = json_valid(buf_str(&payload));
}

static void valid_unicode(void)
{
    sink = json_valid(buf_str(&unicode));
}

static void parse_payload(void)
{
    AUTO(json_decrefp) json_t *j = NULL;
    struct err err;
    sink = json_parse(buf_str(&payload), &j, &err);
}

static void redact_plain(void)
{
    buf_clear(&out);
    redact(&out, str_of(line_plain));
}

static void redact_secret(void)
{
    buf_clear(&out);
    redact(&out, str_of(line_secret));
}

static void log_one(void)
{
    log_info("task started", "task", "0193a6b0-7c1e-7d52-8f00-1234567890ab", "repository",
             "owner/name", "attempt", "1", NULL);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
        int times;
    } rows[] = {
        {"hmac_sha256, 12 KB",                       hmac_payload,  4000 },
        {"hmac_sha256, 10 bytes",                    hmac_small,    40000},
        {"json_valid, 12 KB",                        valid_payload, 4000 },
        {"json_valid, 12 KB, half of it not ASCII",  valid_unicode, 4000 },
        {"json_parse, 12 KB",                        parse_payload, 400  },
        {"redact, 200 bytes, 40 secrets registered", redact_plain,  40000},
        {"redact, 200 bytes, two tokens in it",      redact_secret, 40000},
        {"log_info, three fields, to /dev/null",     log_one,       20000},
    };
    fill(&payload,
         "When I run the tests on Windows, 3 of them fail:\\r\\n\\r\\n```\\r\\nassertion\\r\\n```");
    fill(&unicode,
         "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xe4\xb8\x96\xe7\x95\x8c\xe4\xb8\x96"
         "\xe7\x95\x8c \xf0\x9f\x98\x80 \xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\xd0\x9f");
    for (int i = 0; i < 40; i++) {
        char secret[65];
        random_hex(secret, 64);
        redact_add(str_of(secret));
    }
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDERR_FILENO) < 0)
        return 1;
    for (size_t i = 0; i < COUNT(rows); i++) {
        double best = 1e12;
        for (int round = 0; round < ROUNDS; round++) {
            double start = now_us();
            for (int k = 0; k < rows[i].times; k++)
                rows[i].run();
            double each = (now_us() - start) / rows[i].times;
            best = each < best ? each : best;
        }
        printf("%-45s %8.3f us\n", rows[i].name, best);
    }
    buf_done(&payload);
    buf_done(&unicode);
    buf_done(&out);
    return 0;
}
