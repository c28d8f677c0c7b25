/* Every object's head is read and its data inflated into a scratch buffer, so that a claim of 2 GiB
 * or a bomb is refused before libgit2 allocates for it. Of deltas the size of their result counts
 * as well. Whether deltas apply and what the objects say is for the indexer and the validator. */
#include "bot/git/prescan.h"

#include "bot/base/mem.h"
#include "bot/base/sha1.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define READ_BYTES      65536
#define SCRATCH_BYTES   65536
#define DELTA_HEAD_MAX  20 /* two sizes of at most 10 bytes */
#define PACK_HEAD_BYTES 12

enum type { COMMIT = 1, TREE, BLOB, TAG, OFS_DELTA = 6, REF_DELTA };

struct place {
    int64_t at;
    uint32_t depth;
};

struct scan {
    int fd;
    int64_t next; /* offset in the file of what is read next */
    int64_t end;  /* where the checksum begins */
    struct sha1 *sha1;
    const struct call *call;
    struct err *err;
    z_stream z;
    struct place *places; /* of the objects so far */
    uint32_t count;
    uint64_t total;
    size_t pos, have; /* of data */
    unsigned char data[READ_BYTES];
    unsigned char scratch[SCRATCH_BYTES];
};

static int64_t offset_now(const struct scan *s)
{
    return s->next - (int64_t)(s->have - s->pos);
}

/* Makes at least one byte available. What is read goes into the checksum. */
static bool more(struct scan *s)
{
    if (s->pos < s->have)
        return true;
    int64_t left = s->end - s->next;
    size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
    if (want == 0)
        return err_set(s->err, ERR_INPUT, "pack.truncated: the pack ends too early");
    if (!call_check(s->call, s->err))
        return false;
    ssize_t n = pread(s->fd, s->data, want, s->next);
    if (n <= 0)
        return err_set(s->err, ERR_BUG, "the bundle cannot be read: %m");
    s->pos = 0;
    s->have = (size_t)n;
    s->next += n;
    sha1_add(s->sha1, s->data, s->have);
    return true;
}

static bool byte(struct scan *s, unsigned char *out)
{
    if (!more(s))
        return false;
    *out = s->data[s->pos++];
    return true;
}

static bool bytes(struct scan *s, unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!byte(s, out + i))
            return false;
    return true;
}

static bool object_head(struct scan *s, enum type *type, uint64_t *size)
{
    unsigned char b;
    if (!byte(s, &b))
        return false;
    unsigned shift = 4;
    *type = (enum type)(b >> 4 & 7);
    *size = b & 15;
    for (; b & 0x80; shift += 7) {
        if (!byte(s, &b))
            return false;
        if (shift > 53)
            return err_set(s->err, ERR_POLICY, "pack.object: an object claims an absurd size");
        *size |= (uint64_t)(b & 0x7F) << shift;
    }
    if (*size > PRESCAN_OBJECT_MAX)
        return err_set(s->err, ERR_POLICY, "pack.object: an object is larger than %llu MiB",
                       (unsigned long long)(PRESCAN_OBJECT_MAX >> 20));
    return true;
}

/* The object that begins at `at`, among those before. */
static const struct place *find_place(const struct scan *s, int64_t at)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (s->places[mid].at == at)
            return &s->places[mid];
        if (s->places[mid].at < at)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool offset_base(struct scan *s, int64_t start, uint32_t *depth)
{
    unsigned char b;
    if (!byte(s, &b))
        return false;
    uint64_t back = b & 0x7F;
    while (b & 0x80) {
        if (!byte(s, &b))
            return false;
        if (back > (uint64_t)1 << 48)
            break;
        back = ((back + 1) << 7) | (b & 0x7F);
    }
    const struct place *base = back < (uint64_t)start ? find_place(s, start - (int64_t)back) : NULL;
    if (!base)
        return err_set(s->err, ERR_INPUT, "pack.delta: a delta has no base");
    *depth = base->depth + 1;
    if (*depth > PRESCAN_DEPTH_MAX)
        return err_set(s->err, ERR_POLICY, "pack.delta: a chain of more than %d deltas",
                       PRESCAN_DEPTH_MAX);
    return true;
}

/* Inflates one object of `size` bytes; its first bytes go to head. */
static bool inflate_object(struct scan *s, uint64_t size, unsigned char head[DELTA_HEAD_MAX],
                           size_t *head_n)
{
    int rc = inflateReset(&s->z);
    uint64_t got = 0;
    *head_n = 0;
    while (rc == Z_OK) {
        if (!more(s))
            return false;
        s->z.next_in = s->data + s->pos;
        s->z.avail_in = (uInt)(s->have - s->pos);
        s->z.next_out = s->scratch;
        s->z.avail_out = SCRATCH_BYTES;
        rc = inflate(&s->z, Z_NO_FLUSH);
        s->pos = s->have - s->z.avail_in;
        size_t n = SCRATCH_BYTES - s->z.avail_out;
        for (size_t i = 0; i < n && *head_n < DELTA_HEAD_MAX; i++)
            head[(*head_n)++] = s->scratch[i];
        got += n;
        if (got > size)
            return err_set(s->err, ERR_INPUT, "pack.inflate: an object is larger than it says");
        if (rc == Z_BUF_ERROR && s->pos == s->have)
            rc = Z_OK; /* nothing to do yet */
    }
    if (rc != Z_STREAM_END)
        return err_set(s->err, ERR_INPUT, "pack.inflate: broken data");
    if (got != size)
        return err_set(s->err, ERR_INPUT, "pack.inflate: an object is smaller than it says");
    return true;
}

static bool delta_size(const unsigned char *head, size_t n, size_t *at, uint64_t *size)
{
    *size = 0;
    for (unsigned shift = 0; *at < n && shift <= 56; shift += 7) {
        unsigned char b = head[(*at)++];
        *size |= (uint64_t)(b & 0x7F) << shift;
        if (!(b & 0x80))
            return true;
    }
    return false;
}

/* Adds the size of what a delta makes. */
static bool delta_result(struct scan *s, const unsigned char *head, size_t n)
{
    size_t at = 0;
    uint64_t base, result;
    if (!delta_size(head, n, &at, &base) || !delta_size(head, n, &at, &result))
        return err_set(s->err, ERR_INPUT, "pack.delta: malformed delta");
    if (base > PRESCAN_OBJECT_MAX || result > PRESCAN_OBJECT_MAX)
        return err_set(s->err, ERR_POLICY, "pack.object: a delta makes more than %llu MiB",
                       (unsigned long long)(PRESCAN_OBJECT_MAX >> 20));
    s->total += result;
    return true;
}

static bool scan_object(struct scan *s)
{
    int64_t start = offset_now(s);
    uint32_t depth = 0;
    enum type type;
    uint64_t size;
    unsigned char head[DELTA_HEAD_MAX], oid[SHA1_BYTES];
    size_t head_n;
    if (!object_head(s, &type, &size))
        return false;
    if (type == TAG)
        return err_set(s->err, ERR_POLICY, "pack.tag: the bundle holds a tag");
    if (type != COMMIT && type != TREE && type != BLOB && type != OFS_DELTA && type != REF_DELTA)
        return err_set(s->err, ERR_INPUT, "pack.type: unknown type of object");
    if ((type == OFS_DELTA && !offset_base(s, start, &depth)) ||
        (type == REF_DELTA && !bytes(s, oid, sizeof(oid))))
        return false;
    s->total += size;
    if (s->total > PRESCAN_TOTAL_MAX)
        return err_set(s->err, ERR_POLICY, "pack.total: more than %llu MiB of objects",
                       (unsigned long long)(PRESCAN_TOTAL_MAX >> 20));
    if (!inflate_object(s, size, head, &head_n) ||
        ((type == OFS_DELTA || type == REF_DELTA) && !delta_result(s, head, head_n)))
        return false;
    if (s->total > PRESCAN_TOTAL_MAX)
        return err_set(s->err, ERR_POLICY, "pack.total: more than %llu MiB of objects",
                       (unsigned long long)(PRESCAN_TOTAL_MAX >> 20));
    s->places[s->count++] = (struct place){start, depth};
    return true;
}

static bool pack_head(struct scan *s, uint32_t *objects)
{
    unsigned char h[PACK_HEAD_BYTES];
    if (!bytes(s, h, sizeof(h)))
        return false;
    if (memcmp(h, "PACK\0\0\0\2", 8) != 0)
        return err_set(s->err, ERR_INPUT, "pack.header: not a pack of version 2");
    *objects = (uint32_t)h[8] << 24 | (uint32_t)h[9] << 16 | (uint32_t)h[10] << 8 | h[11];
    if (*objects > PRESCAN_OBJECTS_MAX)
        return err_set(s->err, ERR_POLICY, "pack.objects: more than %u objects",
                       (unsigned)PRESCAN_OBJECTS_MAX);
    return true;
}

static bool pack_end(struct scan *s)
{
    unsigned char want[SHA1_BYTES], is[SHA1_BYTES];
    if (offset_now(s) != s->end)
        return err_set(s->err, ERR_INPUT, "pack.trailing: bytes behind the last object");
    if (pread(s->fd, want, sizeof(want), s->end) != (ssize_t)sizeof(want))
        return err_set(s->err, ERR_BUG, "the bundle cannot be read: %m");
    sha1_end(s->sha1, is);
    if (memcmp(want, is, sizeof(is)) != 0)
        return err_set(s->err, ERR_INPUT, "pack.checksum: the checksum is wrong");
    return true;
}

static bool run(struct scan *s)
{
    uint32_t objects = 0;
    if (!pack_head(s, &objects))
        return false;
    s->places = mem_array(objects ? objects : 1, sizeof(*s->places));
    for (uint32_t i = 0; i < objects; i++)
        if (!scan_object(s))
            return false;
    return pack_end(s);
}

bool prescan_pack(int fd, int64_t from, int64_t to, const struct call *call, struct prescan *out,
                  struct err *err)
{
    if (to - from < PACK_HEAD_BYTES + SHA1_BYTES)
        return err_set(err, ERR_INPUT, "pack.truncated: there is no pack");
    struct scan *s = mem_alloc(sizeof(*s));
    s->fd = fd;
    s->next = from;
    s->end = to - SHA1_BYTES;
    s->call = call;
    s->err = err;
    s->sha1 = sha1_new();
    int rc = inflateInit(&s->z);
    assert(rc == Z_OK); /* fails only when memory is out */
    bool ok = run(s);
    if (ok)
        *out = (struct prescan){s->count, s->total};
    inflateEnd(&s->z);
    sha1_free(s->sha1);
    free(s->places);
    free(s);
    return ok;
}
