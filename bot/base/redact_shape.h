/* The shapes of tokens that redact.c masks without knowing their value. Internal to the redactor.
 * Pure; any thread. */
#pragma once

#include "bot/base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* Kinds of bytes, or-ed to classes. */
enum shape_class {
    IS_UPPER = 1,
    IS_LOWER_HEX = 2, /* a-f */
    IS_LOWER = 4,     /* g-z */
    IS_DIGIT = 8,
    IS_DOT = 16,
    IS_DASH = 32,
    IS_UNDERSCORE = 64,
    IS_BASE64 = 128, /* + / = */
    /* Not a kind, but a state: inside a PEM block. */
    IN_PEM = 256
};
#define CLASS_ALNUM  (IS_UPPER | IS_LOWER_HEX | IS_LOWER | IS_DIGIT)
#define CLASS_BASE64 (CLASS_ALNUM | IS_BASE64 | IS_DASH | IS_UNDERSCORE)

unsigned shape_kind(unsigned char c);

enum shape_result { SHAPE_NONE, SHAPE_PARTIAL, SHAPE_HIT };

/* Bits for the first and the second byte of a shape: one may begin where the two have a bit in
 * common. Looked at for every byte of every text. */
extern const unsigned char shape_first[256];
extern const unsigned char shape_second[256];
/* Does a token start at the front of s? HIT: *n bytes are certainly part of it, and all bytes of
 * class *swallow that follow are too. PARTIAL: s is too short to say. */
enum shape_result shape_at(struct str s, size_t *n, unsigned *swallow);
/* Is a shape that must start a word allowed to start behind these bytes? */
bool shape_boundary(struct str before);
/* How many bytes of s, which is inside a PEM block, belong to it: up to and with its END line (then
 * *ended), or as many as are certain. `final`: nothing follows s. */
size_t shape_pem_rest(struct str s, bool final, bool *ended);
