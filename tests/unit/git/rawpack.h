/* Objects, packs and bundles written byte by byte, so that they can be wrong in every way. */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/enc.h"
#include "bot/base/mem.h"
#include "bot/base/sha1.h"
#include "bot/base/str.h"
#include "bot/git/refname.h"

#include <assert.h>
#include <stdio.h>
#include <zlib.h>

enum raw_type { RAW_COMMIT = 1, RAW_TREE, RAW_BLOB, RAW_TAG, RAW_OFS = 6, RAW_REF };

typedef char raw_oid[GIT_OID_HEX + 1];

struct raw { /* {0}: an empty pack; objects' memory goes with raw_done() */
    struct buf objects;
    uint32_t n;
};

static inline void raw_done(struct raw *r)
{
    buf_done(&r->objects);
    r->n = 0;
}

static inline void raw_hex(const unsigned char id[SHA1_BYTES], raw_oid out)
{
    struct buf hex = {0};
    enc_hex(&hex, id, SHA1_BYTES);
    snprintf(out, GIT_OID_HEX + 1, "%s", buf_cstr(&hex));
    buf_done(&hex);
}

static inline void raw_unhex(const char *hex, unsigned char id[SHA1_BYTES])
{
    bool ok = enc_unhex(str_of(hex), id, SHA1_BYTES);
    assert(ok);
}

static inline void raw_id(enum raw_type type, struct str content, raw_oid out)
{
    static const char *const names[] = {"", "commit", "tree", "blob", "tag"};
    char head[64];
    unsigned char id[SHA1_BYTES];
    struct sha1 *s = sha1_new();
    int n = snprintf(head, sizeof(head), "%s %zu", names[type], content.n);
    sha1_add(s, head, (size_t)n + 1);
    sha1_add(s, content.p ? content.p : "", content.n);
    sha1_end(s, id);
    sha1_free(s);
    raw_hex(id, out);
}

static inline void raw_head(struct raw *r, enum raw_type type, uint64_t size)
{
    unsigned char b = (unsigned char)((unsigned)type << 4 | (size & 15));
    for (size >>= 4; size > 0; size >>= 7) {
        buf_putc(&r->objects, (char)(b | 0x80));
        b = size & 0x7F;
    }
    buf_putc(&r->objects, (char)b);
    r->n++;
}

static inline void raw_deflate(struct raw *r, struct str content)
{
    uLongf n = compressBound((uLong)content.n);
    Bytef *out = mem_alloc(n);
    int rc = compress2(out, &n, (const Bytef *)(content.p ? content.p : ""), (uLong)content.n, 1);
    assert(rc == Z_OK);
    buf_add(&r->objects, out, n);
    free(out);
}

/* Adds an object whose head claims `size` bytes. */
static inline void raw_claim(struct raw *r, enum raw_type type, uint64_t size, struct str content)
{
    raw_head(r, type, size);
    raw_deflate(r, content);
}

static inline void raw_object(struct raw *r, enum raw_type type, struct str content, raw_oid out)
{
    raw_claim(r, type, content.n, content);
    raw_id(type, content, out);
}

static inline void raw_varint(struct buf *out, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        buf_putc(out, (char)((n & 0x7F) | 0x80));
    buf_putc(out, (char)n);
}

/* A delta upon `base` that says it makes `result` bytes and copies nothing. */
static inline void raw_delta(struct raw *r, const char *base, uint64_t base_n, uint64_t result)
{
    struct buf delta = {0};
    unsigned char id[SHA1_BYTES];
    raw_varint(&delta, base_n);
    raw_varint(&delta, result);
    raw_head(r, RAW_REF, delta.len);
    raw_unhex(base, id);
    buf_add(&r->objects, id, sizeof(id));
    raw_deflate(r, buf_str(&delta));
    buf_done(&delta);
}

/* A pack that claims `n` objects. */
static inline void raw_pack_claim(const struct raw *r, uint32_t n, struct buf *out)
{
    unsigned char head[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
    unsigned char id[SHA1_BYTES];
    for (int i = 0; i < 4; i++)
        head[8 + i] = (unsigned char)(n >> (24 - 8 * i));
    size_t from = out->len;
    buf_add(out, head, sizeof(head));
    buf_add_str(out, buf_str(&r->objects));
    struct sha1 *s = sha1_new();
    sha1_add(s, out->data + from, out->len - from);
    sha1_end(s, id);
    sha1_free(s);
    buf_add(out, id, sizeof(id));
}

static inline void raw_pack(const struct raw *r, struct buf *out)
{
    raw_pack_claim(r, r->n, out);
}

struct raw_entry {
    char mode[8];
    struct str name; /* borrowed */
    raw_oid oid;
};
struct raw_tree {
    struct raw_entry entries[128];
    size_t n;
};

static inline void raw_entry_add(struct raw_tree *t, const char *mode, struct str name,
                                 const char *oid)
{
    struct raw_entry *e = &t->entries[t->n++];
    assert(t->n <= COUNT(t->entries));
    snprintf(e->mode, sizeof(e->mode), "%s", mode);
    snprintf(e->oid, sizeof(e->oid), "%s", oid);
    e->name = name;
}

static inline int raw_order(const struct raw_entry *a, const struct raw_entry *b)
{
    struct buf x = {0}, y = {0};
    buf_add_str(&x, a->name);
    buf_add_str(&y, b->name);
    if (a->mode[0] == '4')
        buf_putc(&x, '/');
    if (b->mode[0] == '4')
        buf_putc(&y, '/');
    size_t n = x.len < y.len ? x.len : y.len;
    int c = n ? memcmp(x.data, y.data, n) : 0;
    if (c == 0)
        c = x.len < y.len ? -1 : x.len > y.len;
    buf_done(&x);
    buf_done(&y);
    return c;
}

static inline void raw_tree_write(struct raw *r, struct raw_tree *t, bool sorted, raw_oid out)
{
    struct buf text = {0};
    for (size_t i = 1; sorted && i < t->n; i++)
        for (size_t j = i; j > 0 && raw_order(&t->entries[j - 1], &t->entries[j]) > 0; j--) {
            struct raw_entry e = t->entries[j];
            t->entries[j] = t->entries[j - 1];
            t->entries[j - 1] = e;
        }
    for (size_t i = 0; i < t->n; i++) {
        unsigned char id[SHA1_BYTES];
        raw_unhex(t->entries[i].oid, id);
        buf_printf(&text, "%s ", t->entries[i].mode);
        buf_add_str(&text, t->entries[i].name);
        buf_putc(&text, '\0');
        buf_add(&text, id, sizeof(id));
    }
    raw_object(r, RAW_TREE, buf_str(&text), out);
    buf_done(&text);
}

/* parents: NULL-terminated. */
static inline void raw_commit(struct raw *r, const char *tree, const char *const *parents,
                              const char *message, raw_oid out)
{
    struct buf text = {0};
    buf_printf(&text, "tree %s\n", tree);
    for (; *parents; parents++)
        buf_printf(&text, "parent %s\n", *parents);
    buf_printf(&text,
               "author A <a@example.com> 1700000000 +0000\n"
               "committer C <c@example.com> 1700000000 +0000\n\n%s",
               message);
    raw_object(r, RAW_COMMIT, buf_str(&text), out);
    buf_done(&text);
}
