/* SHA-256, HMAC, random bytes and what is made of them. HMAC is on the path of every webhook, so
 * it is done with two plain digests on one context a thread: OpenSSL 3 looks algorithms up by name
 * and allocates on every use of its one-call functions, which costs more than hashing a small body
 * (figures in tests/bench). */
#include "bot/base/enc.h"

#include "bot/base/clock.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#define BLOCK_BYTES 64

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;
static EVP_MD *algorithm;

static void context_free(void *context)
{
    EVP_MD_CTX_free(context);
}

static void setup(void)
{
    algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!algorithm || pthread_key_create(&context_key, context_free) != 0)
        abort();
}

/* This thread's digest context, ready to take data. Aborts when OpenSSL has no memory. */
static EVP_MD_CTX *begin(void)
{
    pthread_once(&once, setup);
    EVP_MD_CTX *context = pthread_getspecific(context_key);
    if (!context) {
        context = EVP_MD_CTX_new();
        if (!context || pthread_setspecific(context_key, context) != 0 ||
            !EVP_DigestInit_ex2(context, algorithm, NULL))
            abort();
        return context;
    }
    if (!EVP_DigestInit_ex2(context, NULL, NULL))
        abort();
    return context;
}

static void update(EVP_MD_CTX *context, const void *data, size_t n)
{
    if (n > 0 && !EVP_DigestUpdate(context, data, n))
        abort();
}

static void finish(EVP_MD_CTX *context, unsigned char out[SHA256_BYTES])
{
    if (!EVP_DigestFinal_ex(context, out, NULL))
        abort();
}

void sha256(const void *data, size_t n, unsigned char out[SHA256_BYTES])
{
    EVP_MD_CTX *context = begin();
    update(context, data, n);
    finish(context, out);
}

void hmac_sha256(struct str key, struct str data, unsigned char out[SHA256_BYTES])
{
    unsigned char block[BLOCK_BYTES] = {0};
    unsigned char inner[SHA256_BYTES];
    if (key.n > BLOCK_BYTES)
        sha256(key.p, key.n, block);
    else if (key.n > 0)
        memcpy(block, key.p, key.n);

    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] ^= 0x36;
    EVP_MD_CTX *context = begin();
    update(context, block, BLOCK_BYTES);
    update(context, data.p, data.n);
    finish(context, inner);

    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] ^= 0x36 ^ 0x5c;
    context = begin();
    update(context, block, BLOCK_BYTES);
    update(context, inner, SHA256_BYTES);
    finish(context, out);
    OPENSSL_cleanse(block, sizeof(block));
}

bool bytes_eq_consttime(const void *a, const void *b, size_t n)
{
    return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}

void random_bytes(void *out, size_t n)
{
    unsigned char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno != EINTR)
            abort();
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
}

void random_hex(char *out, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < digits;) {
        unsigned char block[32];
        random_bytes(block, sizeof(block));
        for (size_t k = 0; k < sizeof(block) && i < digits; k++, i++)
            out[i] = hex[block[k] & 15];
    }
    out[digits] = '\0';
}

double random_unit(void)
{
    uint64_t v;
    random_bytes(&v, sizeof(v));
    return (double)(v >> 11) * 0x1p-53;
}

/* 48 bits of milliseconds and 12 bits below them, which start at random and count on within a
 * millisecond: ids made by one process sort in the order they were made, even if the clock steps
 * back. */
static uint64_t next_stamp(void)
{
    static _Atomic uint64_t last;
    uint16_t low;
    random_bytes(&low, sizeof(low));
    uint64_t now = (uint64_t)clock_wall_ms() << 12 | (low & 0x7ff);
    uint64_t seen = atomic_load(&last);
    uint64_t next;
    do {
        next = now > seen ? now : seen + 1;
    } while (!atomic_compare_exchange_weak(&last, &seen, next));
    return next;
}

void uuid_v7(char out[UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    uint64_t stamp = next_stamp();
    unsigned char id[16];
    random_bytes(id + 8, 8);
    for (int i = 0; i < 6; i++)
        id[i] = (unsigned char)(stamp >> (52 - 8 * i) & 255);
    id[6] = (unsigned char)(0x70 | (stamp >> 8 & 15));
    id[7] = (unsigned char)(stamp & 255);
    id[8] = (unsigned char)(0x80 | (id[8] & 0x3f));
    size_t used = 0;
    for (size_t i = 0; i < sizeof(id); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[used++] = '-';
        out[used++] = hex[id[i] >> 4];
        out[used++] = hex[id[i] & 15];
    }
    out[used] = '\0';
}
