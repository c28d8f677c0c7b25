/* Masks secrets. Two searches run over the text at once: a hash of the next four bytes asks whether
 * a registered form may start here, and a table of first bytes asks the same for token shapes; most
 * bytes need one look at each. A registered value is searched for in the forms in which it leaks:
 * as it is, JSON-escaped, percent-encoded, in hex, in base64 at each of the three alignments
 * (because it is usually a part of what was encoded), and line by line. Streams hold back only what
 * may be the start of a secret, and what is known to be one is swallowed without being held.
 * Limits: encodings inside of encodings, and encoded tokens that were not registered, are not
 * found; nor is base64 whose first line break falls into the first four characters of the value. */
#include "bot/base/redact.h"

#include "bot/base/enc.h"
#include "bot/base/mem.h"
#include "bot/base/redact_shape.h"

#include <pthread.h>

#define VALUE_MIN     8 /* bytes */
#define CORE_MIN      16
#define LINE_MIN      40
#define PEM_MAX_BYTES ((size_t)64 * 1024)
#define PIECE_BYTES   ((size_t)64 * 1024)
#define FILTER_BITS   15
#define BUCKETS       1024
#define KEY_BYTES     4
#define MASK          "***"
#define BEFORE_BYTES  sizeof(((struct redact_stream *)0)->before)

struct value {
    struct value *next;
    char *p;
    size_t n;
    unsigned refs;
};

struct form {
    struct form *next;
    const struct value *owner;
    unsigned swallow; /* class of bytes that belong to it when they follow */
    size_t n;
    char bytes[];
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct value *values;
static struct form *buckets[BUCKETS];
static uint64_t filter[(1u << FILTER_BITS) / 64];
static size_t form_count;
static unsigned first_counts[256]; /* forms by first byte, for the last bytes of a piece */

static uint32_t hash(const char *p)
{
    uint32_t v;
    memcpy(&v, p, KEY_BYTES);
    return v * UINT32_C(0x9e3779b1) >> (32 - FILTER_BITS);
}

static void filter_add(uint32_t h)
{
    filter[h / 64] |= UINT64_C(1) << (h % 64);
}

static struct form **bucket_of(uint32_t h)
{
    return &buckets[h % BUCKETS];
}

static void add_form(const struct value *owner, struct str bytes, unsigned swallow)
{
    if (bytes.n < VALUE_MIN)
        return;
    uint32_t h = hash(bytes.p);
    struct form **bucket = bucket_of(h);
    for (const struct form *f = *bucket; f; f = f->next)
        if (f->owner == owner && str_eq((struct str){f->bytes, f->n}, bytes))
            return;
    struct form *f = mem_alloc(sizeof(*f) + bytes.n);
    f->owner = owner;
    f->swallow = swallow;
    f->n = bytes.n;
    memcpy(f->bytes, bytes.p, bytes.n);
    f->next = *bucket;
    *bucket = f;
    filter_add(h);
    form_count++;
    first_counts[(unsigned char)bytes.p[0]]++;
}

/* Adds what is in b as a form and wipes b. */
static void add_built(const struct value *owner, struct buf *b, unsigned swallow)
{
    add_form(owner, buf_str(b), swallow);
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_clear(b);
}

static void change_case(struct buf *b, char from, char to, int by)
{
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] >= from && b->data[i] <= to)
            b->data[i] = (char)(b->data[i] + by);
}

static void add_base64_forms(const struct value *v, struct buf *b)
{
    if (v->n < CORE_MIN) {
        enc_base64(b, v->p, v->n);
        add_built(v, b, CLASS_BASE64);
        enc_base64url(b, v->p, v->n);
        add_built(v, b, CLASS_BASE64);
        return;
    }
    /* The groups of three bytes that lie wholly within the value, for each way they may fall. */
    for (size_t skip = 0; skip < 3; skip++) {
        size_t n = (v->n - skip) / 3 * 3;
        enc_base64(b, v->p + skip, n);
        add_built(v, b, CLASS_BASE64);
        enc_base64url(b, v->p + skip, n);
        add_built(v, b, CLASS_BASE64);
    }
}

static void add_percent_forms(const struct value *v, struct buf *b)
{
    enc_percent(b, (struct str){v->p, v->n}, false);
    add_built(v, b, 0);
    enc_percent(b, (struct str){v->p, v->n}, true);
    add_built(v, b, 0);
    enc_percent(b, (struct str){v->p, v->n}, false);
    for (size_t i = 0; i + 2 < b->len; i++) {
        if (b->data[i] != '%')
            continue;
        for (size_t k = i + 1; k <= i + 2; k++)
            if (b->data[k] >= 'A' && b->data[k] <= 'F')
                b->data[k] = (char)(b->data[k] + ('a' - 'A'));
        i += 2;
    }
    add_built(v, b, 0);
}

static void add_forms(const struct value *v)
{
    struct str raw = {v->p, v->n};
    /* One buffer for all, large enough that it never moves (moving would leave copies behind). */
    AUTO(buf_done) struct buf b = {.max = v->n * 6 + 64};
    if (!buf_reserve(&b, v->n * 6))
        return;
    add_form(v, raw, 0);
    enc_json(&b, raw);
    add_built(v, &b, 0);
    add_percent_forms(v, &b);
    enc_hex(&b, v->p, v->n);
    add_built(v, &b, 0);
    enc_hex(&b, v->p, v->n);
    change_case(&b, 'a', 'f', 'A' - 'a');
    add_built(v, &b, 0);
    add_base64_forms(v, &b);
    struct str line;
    for (struct str rest = raw; memchr(raw.p, '\n', raw.n) && str_line(&rest, &line);)
        if (line.n >= LINE_MIN)
            add_form(v, line, 0);
}

static struct value **find_value(struct str s)
{
    struct value **at = &values;
    while (*at && !str_eq((struct str){(*at)->p, (*at)->n}, s))
        at = &(*at)->next;
    return at;
}

void redact_add(struct str value)
{
    if (value.n < VALUE_MIN)
        return;
    pthread_rwlock_wrlock(&lock);
    struct value *v = *find_value(value);
    if (!v) {
        v = mem_alloc(sizeof(*v));
        v->p = str_dup(value);
        v->n = value.n;
        v->next = values;
        values = v;
        add_forms(v);
    }
    v->refs++;
    pthread_rwlock_unlock(&lock);
}

static void remove_forms(const struct value *v)
{
    memset(filter, 0, sizeof(filter));
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct form **at = &buckets[i]; *at;) {
            struct form *f = *at;
            if (f->owner != v) {
                filter_add(hash(f->bytes));
                at = &f->next;
                continue;
            }
            *at = f->next;
            form_count--;
            first_counts[(unsigned char)f->bytes[0]]--;
            explicit_bzero(f->bytes, f->n);
            free(f);
        }
    }
}

void redact_remove(struct str value)
{
    if (value.n < VALUE_MIN)
        return;
    pthread_rwlock_wrlock(&lock);
    struct value **at = find_value(value);
    struct value *v = *at;
    if (v && --v->refs == 0) {
        *at = v->next;
        remove_forms(v);
        explicit_bzero(v->p, v->n);
        free(v->p);
        free(v);
    }
    pthread_rwlock_unlock(&lock);
}

/* One pass over a text or a piece of it. */
struct pass {
    struct str s;
    bool final; /* nothing follows: what is undecided is no secret */
    unsigned swallow;
    size_t swallowed;
    struct str before;
    struct buf *out; /* NULL = only ask */
    bool found;
};

/* Compares a form with the text at s, which may end within it. Base64 may be broken into lines. */
static enum shape_result form_at(const struct form *f, struct str s, size_t *used)
{
    size_t same = 0;
    size_t i = 0;
    for (; same < f->n && i < s.n; i++) {
        if (s.p[i] == f->bytes[same])
            same++;
        else if (!f->swallow || same == 0 || (s.p[i] != '\n' && s.p[i] != '\r') || i > 2 * f->n)
            return SHAPE_NONE;
    }
    *used = i;
    return same == f->n ? SHAPE_HIT : SHAPE_PARTIAL;
}

/* The longest registered form at the front of s. */
static enum shape_result exact_at(struct str s, bool final, size_t *n, unsigned *swallow)
{
    *n = 0;
    if (s.n < KEY_BYTES) {
        if (final || first_counts[(unsigned char)s.p[0]] == 0)
            return SHAPE_NONE;
        for (size_t i = 0; i < BUCKETS; i++)
            for (const struct form *f = buckets[i]; f; f = f->next)
                if (form_at(f, s, n) != SHAPE_NONE)
                    return SHAPE_PARTIAL;
        return SHAPE_NONE;
    }
    uint32_t h = hash(s.p);
    if (!(filter[h / 64] >> (h % 64) & 1))
        return SHAPE_NONE;
    for (const struct form *f = *bucket_of(h); f; f = f->next) {
        size_t used;
        enum shape_result got = form_at(f, s, &used);
        if (got == SHAPE_PARTIAL && !final)
            return SHAPE_PARTIAL;
        if (got == SHAPE_HIT && used > *n) {
            *n = used;
            *swallow = f->swallow;
        }
    }
    return *n > 0 ? SHAPE_HIT : SHAPE_NONE;
}

static bool at_boundary(const struct pass *p, size_t i)
{
    /* PEM lines are their own boundary. */
    if (p->s.p[i] == '-')
        return true;
    if (i >= BEFORE_BYTES || p->before.n == 0)
        return shape_boundary(str_sub(p->s, i > BEFORE_BYTES ? i - BEFORE_BYTES : 0, i));
    char joined[BEFORE_BYTES];
    memcpy(joined, p->before.p + i, BEFORE_BYTES - i);
    memcpy(joined + BEFORE_BYTES - i, p->s.p, i);
    return shape_boundary((struct str){joined, sizeof(joined)});
}

/* What starts at i? HIT sets *n and the class to swallow afterwards. */
static enum shape_result secret_at(const struct pass *p, size_t i, size_t *n, unsigned *swallow)
{
    struct str s = str_sub(p->s, i, p->s.n);
    enum shape_result exact = form_count ? exact_at(s, p->final, n, swallow) : SHAPE_NONE;
    if (exact == SHAPE_PARTIAL)
        return SHAPE_PARTIAL;
    if (!shape_first[(unsigned char)s.p[0]] || !at_boundary(p, i))
        return exact;
    size_t shape_n = 0;
    unsigned shape_swallow = 0;
    enum shape_result shape = shape_at(s, &shape_n, &shape_swallow);
    if (shape == SHAPE_PARTIAL && !p->final)
        return SHAPE_PARTIAL;
    if (shape != SHAPE_HIT)
        return exact;
    /* A PEM block ends at its END line, whatever was registered of it. */
    if (exact == SHAPE_NONE || shape_swallow == IN_PEM || shape_n > *n)
        *n = shape_n;
    *swallow = shape_swallow;
    return SHAPE_HIT;
}

/* Skips the rest of a secret that was already masked; *i is then behind what is known of it. False
 * when more text is needed. */
static bool swallow(struct pass *p, size_t *i)
{
    if (p->swallow != IN_PEM) {
        while (*i < p->s.n && (shape_kind((unsigned char)p->s.p[*i]) & p->swallow))
            ++*i;
        if (*i < p->s.n)
            p->swallow = 0;
        return p->swallow == 0;
    }
    size_t left = PEM_MAX_BYTES - p->swallowed;
    struct str rest = str_sub(p->s, *i, p->s.n);
    bool ended;
    size_t n = shape_pem_rest(str_sub(rest, 0, left), p->final || rest.n > left, &ended);
    *i += n;
    p->swallowed += n;
    if (ended || p->swallowed >= PEM_MAX_BYTES)
        p->swallow = 0;
    return p->swallow == 0;
}

static void emit(struct pass *p, size_t from, size_t to)
{
    if (p->out)
        buf_add_str(p->out, str_sub(p->s, from, to));
}

/* From i on, the first byte where a secret may start; within the last bytes, any. */
static size_t candidate(struct str s, size_t i)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (; i + KEY_BYTES <= s.n; i++) {
        uint32_t h = hash(s.p + i);
        if ((filter[h / 64] >> (h % 64) & 1) || (shape_first[p[i]] & shape_second[p[i + 1]]))
            break;
    }
    return i;
}

/* How many bytes were dealt with; the rest has to be seen again with what follows. */
static size_t run(struct pass *p)
{
    size_t start = 0;
    size_t i = 0;
    while (i < p->s.n) {
        if (p->swallow) {
            bool done = swallow(p, &i);
            start = i;
            if (!done)
                return i;
            continue;
        }
        i = candidate(p->s, i);
        if (i == p->s.n)
            break;
        size_t n = 0;
        unsigned then = 0;
        enum shape_result got = secret_at(p, i, &n, &then);
        if (got == SHAPE_NONE) {
            i++;
            continue;
        }
        emit(p, start, i);
        start = i;
        if (got == SHAPE_PARTIAL)
            return i;
        p->found = true;
        if (!p->out)
            return i;
        buf_puts(p->out, MASK);
        i += n;
        start = i;
        p->swallow = then;
        p->swallowed = 0;
    }
    emit(p, start, i);
    return i;
}

void redact(struct buf *out, struct str s)
{
    struct pass p = {.s = s, .final = true, .out = out};
    pthread_rwlock_rdlock(&lock);
    run(&p);
    pthread_rwlock_unlock(&lock);
}

bool redact_finds(struct str s)
{
    struct pass p = {.s = s, .final = true};
    pthread_rwlock_rdlock(&lock);
    run(&p);
    pthread_rwlock_unlock(&lock);
    return p.found;
}

/* Keeps the last bytes that were dealt with. */
static void remember(struct redact_stream *r, struct str done)
{
    const size_t keep = sizeof(r->before);
    if (done.n >= keep) {
        memcpy(r->before, done.p + done.n - keep, keep);
    } else if (done.n > 0) {
        memmove(r->before, r->before + done.n, keep - done.n);
        memcpy(r->before + keep - done.n, done.p, done.n);
    }
}

static size_t stream_run(struct redact_stream *r, struct str s, bool final, struct buf *out)
{
    struct pass p = {
        .s = s,
        .final = final,
        .swallow = r->swallow,
        .swallowed = r->swallowed,
        .before = {r->before, sizeof(r->before)},
        .out = out
    };
    pthread_rwlock_rdlock(&lock);
    size_t done = run(&p);
    pthread_rwlock_unlock(&lock);
    r->swallow = p.swallow;
    r->swallowed = p.swallowed;
    remember(r, str_sub(s, 0, done));
    return done;
}

void redact_feed(struct redact_stream *r, struct str piece, struct buf *out)
{
    while (piece.n > 0) {
        struct str part = str_sub(piece, 0, PIECE_BYTES);
        piece = str_sub(piece, part.n, piece.n);
        if (r->held.len == 0) {
            size_t done = stream_run(r, part, false, out);
            buf_add_str(&r->held, str_sub(part, done, part.n));
            continue;
        }
        buf_add_str(&r->held, part);
        buf_drop_front(&r->held, stream_run(r, buf_str(&r->held), false, out));
    }
}

void redact_finish(struct redact_stream *r, struct buf *out)
{
    stream_run(r, buf_str(&r->held), true, out);
    redact_stream_done(r);
}

void redact_stream_done(struct redact_stream *r)
{
    if (r->held.data)
        explicit_bzero(r->held.data, r->held.cap);
    buf_done(&r->held);
    *r = (struct redact_stream){0};
}
