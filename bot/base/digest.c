/* SHA-256, HMAC, random bytes and what is made of them. HMAC is on the path of every webhook, so
 * each thread keeps its OpenSSL contexts and the state after the two pads of the key that it used
 * last: OpenSSL 3 looks algorithms up by name and allocates in its one-call functions, which takes
 * longer than hashing a small body (bench-base has the figures). */
#include "bot/base/enc.h"

#include "bot/base/clock.h"
#include "bot/base/mem.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#define BLOCK_BYTES 64

struct contexts {
    EVP_MD_CTX *work;
    EVP_MD_CTX *inner; /* after the inner pad of `key` */
    EVP_MD_CTX *outer;
    unsigned char key[BLOCK_BYTES];
    size_t key_n;
    bool keyed;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t contexts_key;
static EVP_MD *algorithm;

/* What cannot fail but for want of memory. */
static void must(bool ok)
{
    if (!ok)
        abort();
}

static void contexts_free(void *p)
{
    struct contexts *c = p;
    EVP_MD_CTX_free(c->work);
    EVP_MD_CTX_free(c->inner);
    EVP_MD_CTX_free(c->outer);
    OPENSSL_cleanse(c, sizeof(*c));
    free(c);
}

static void setup(void)
{
    algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(algorithm && pthread_key_create(&contexts_key, contexts_free) == 0);
}

static struct contexts *contexts(void)
{
    pthread_once(&once, setup);
    struct contexts *c = pthread_getspecific(contexts_key);
    if (c)
        return c;
    c = mem_alloc(sizeof(*c));
    c->work = EVP_MD_CTX_new();
    c->inner = EVP_MD_CTX_new();
    c->outer = EVP_MD_CTX_new();
    must(c->work && c->inner && c->outer && pthread_setspecific(contexts_key, c) == 0);
    return c;
}

void sha256(const void *data, size_t n, unsigned char out[SHA256_BYTES])
{
    EVP_MD_CTX *work = contexts()->work;
    must(EVP_DigestInit_ex2(work, algorithm, NULL) && (n == 0 || EVP_DigestUpdate(work, data, n)) &&
         EVP_DigestFinal_ex(work, out, NULL));
}

static void start_with_pad(EVP_MD_CTX *context, struct str key, unsigned char pad)
{
    unsigned char block[BLOCK_BYTES];
    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < key.n; i++)
        block[i] ^= (unsigned char)key.p[i];
    must(EVP_DigestInit_ex2(context, algorithm, NULL) &&
         EVP_DigestUpdate(context, block, BLOCK_BYTES));
    OPENSSL_cleanse(block, sizeof(block));
}

static void use_key(struct contexts *c, struct str key)
{
    c->keyed = true;
    c->key_n = key.n;
    if (key.n > 0)
        memcpy(c->key, key.p, key.n);
    start_with_pad(c->inner, key, 0x36);
    start_with_pad(c->outer, key, 0x5c);
}

void hmac_sha256(struct str key, struct str data, unsigned char out[SHA256_BYTES])
{
    struct contexts *c = contexts();
    unsigned char digest[SHA256_BYTES];
    if (key.n > BLOCK_BYTES) {
        sha256(key.p, key.n, digest);
        key = (struct str){(const char *)digest, sizeof(digest)};
    }
    if (!c->keyed || !str_eq(key, (struct str){(const char *)c->key, c->key_n}))
        use_key(c, key);
    must(EVP_MD_CTX_copy_ex(c->work, c->inner) &&
         (data.n == 0 || EVP_DigestUpdate(c->work, data.p, data.n)) &&
         EVP_DigestFinal_ex(c->work, digest, NULL));
    must(EVP_MD_CTX_copy_ex(c->work, c->outer) && EVP_DigestUpdate(c->work, digest, SHA256_BYTES) &&
         EVP_DigestFinal_ex(c->work, out, NULL));
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
