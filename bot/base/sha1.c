/* SHA-1 through OpenSSL. Its failures here can only mean that memory is out, so they abort. */
#include "bot/base/sha1.h"

#include "bot/base/mem.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

struct sha1 {
    EVP_MD_CTX *ctx;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

struct sha1 *sha1_new(void)
{
    struct sha1 *s = mem_alloc(sizeof(*s));
    s->ctx = EVP_MD_CTX_new();
    must(s->ctx && EVP_DigestInit_ex(s->ctx, EVP_sha1(), NULL) == 1);
    return s;
}

void sha1_add(struct sha1 *s, const void *data, size_t n)
{
    must(EVP_DigestUpdate(s->ctx, data, n) == 1);
}

void sha1_end(struct sha1 *s, unsigned char out[SHA1_BYTES])
{
    must(EVP_DigestFinal_ex(s->ctx, out, NULL) == 1);
    must(EVP_DigestInit_ex(s->ctx, EVP_sha1(), NULL) == 1);
}

void sha1_free(struct sha1 *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void sha1_freep(struct sha1 **s)
{
    sha1_free(*s);
    *s = NULL;
}
