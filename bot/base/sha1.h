/* SHA-1 of a stream. Git names its objects and packs by it; nothing that needs secrecy uses it. One
 * thread a stream. */
#pragma once

#include <stddef.h>

#define SHA1_BYTES 20

struct sha1;
struct sha1 *sha1_new(void);
void sha1_add(struct sha1 *s, const void *data, size_t n);
void sha1_end(struct sha1 *s, unsigned char out[SHA1_BYTES]); /* s starts anew afterwards */
void sha1_free(struct sha1 *s);                               /* NULL is fine */
void sha1_freep(struct sha1 **s);
