/* Encodings and digests: hex, base64, percent, JSON string escape, SHA-256, HMAC. Pure. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define SHA256_BYTES 32

void enc_hex(struct buf *out, const void *data, size_t n); /* lower case */
/* Exactly n bytes from 2n lower-case hex digits. */
bool enc_unhex(struct str hex, unsigned char *out, size_t n) MUST_CHECK;

void enc_base64(struct buf *out, const void *data, size_t n);    /* standard, padded */
void enc_base64url(struct buf *out, const void *data, size_t n); /* no padding */
/* Standard or URL-safe alphabet, padding optional, no white space. False on anything else. */
bool enc_unbase64(struct str text, struct buf *out) MUST_CHECK;

/* RFC 3986 unreserved characters stay; with keep_slash '/' stays too. */
void enc_percent(struct buf *out, struct str s, bool keep_slash);
bool enc_unpercent(struct str s, struct buf *out) MUST_CHECK; /* '+' stays '+' */

/* The text between the quotes of a JSON string; invalid UTF-8 becomes U+FFFD. */
void enc_json(struct buf *out, struct str s);

void sha256(const void *data, size_t n, unsigned char out[SHA256_BYTES]);
/* Safe from many threads at once. */
void hmac_sha256(struct str key, struct str data, unsigned char out[SHA256_BYTES]);
bool bytes_eq_consttime(const void *a, const void *b, size_t n);
void random_bytes(void *out, size_t n);    /* CSPRNG; aborts if it fails */
void random_hex(char *out, size_t digits); /* digits + NUL */
double random_unit(void);                  /* [0, 1), for jitter */
#define UUID_TEXT 37
void uuid_v7(char out[UUID_TEXT]); /* RFC 9562, rising with time */
