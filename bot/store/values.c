/* Parameters and results in PostgreSQL's binary formats: integers in network order, text and bytea
 * as they are, arrays with a header of five words. Declared in pg.h. */
#include "bot/store/pg.h"

#include <assert.h>
#include <endian.h>
#include <limits.h>

static void arg(struct pg_args *a, const void *value, size_t n)
{
    assert(a->n < PG_ARGS_MAX && n <= INT_MAX);
    a->values[a->n] = value;
    a->lengths[a->n] = (int)n;
    a->formats[a->n] = 1;
    a->n++;
}

void pg_arg_text(struct pg_args *a, const char *text)
{
    arg(a, text, text ? strlen(text) : 0);
}

void pg_arg_str(struct pg_args *a, struct str s)
{
    arg(a, s.p ? s.p : "", s.n);
}

void pg_arg_bytes(struct pg_args *a, const void *p, size_t n)
{
    arg(a, p, n);
}

void pg_arg_int(struct pg_args *a, int64_t v)
{
    assert(a->n < PG_ARGS_MAX);
    uint64_t wire = htobe64((uint64_t)v);
    memcpy(a->numbers[a->n], &wire, sizeof(wire));
    arg(a, a->numbers[a->n], sizeof(wire));
}

void pg_arg_id(struct pg_args *a, int64_t v)
{
    if (v)
        pg_arg_int(a, v);
    else
        arg(a, NULL, 0);
}

void pg_arg_num(struct pg_args *a, double v)
{
    int64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    pg_arg_int(a, bits);
}

void pg_arg_bool(struct pg_args *a, bool v)
{
    assert(a->n < PG_ARGS_MAX);
    a->numbers[a->n][0] = v;
    arg(a, a->numbers[a->n], 1);
}

void pg_arg_array(struct pg_args *a, const struct buf *array)
{
    assert(!array->overflow);
    arg(a, array->data, array->len);
}

static void add_word(struct buf *b, uint32_t v)
{
    uint32_t wire = htobe32(v);
    buf_add(b, &wire, sizeof(wire));
}

void pg_array_begin(struct buf *b, enum pg_oid type, int n)
{
    assert(n > 0);
    buf_clear(b);
    add_word(b, 1); /* dimensions */
    add_word(b, 1); /* may hold NULLs */
    add_word(b, (uint32_t)type);
    add_word(b, (uint32_t)n);
    add_word(b, 1); /* lower bound */
}

void pg_array_add(struct buf *b, struct str element)
{
    assert(element.n <= INT_MAX);
    add_word(b, (uint32_t)element.n);
    buf_add_str(b, element);
}

void pg_array_add_null(struct buf *b)
{
    add_word(b, UINT32_MAX);
}

void pg_array_add_int(struct buf *b, int64_t v)
{
    uint64_t wire = htobe64((uint64_t)v);
    add_word(b, sizeof(wire));
    buf_add(b, &wire, sizeof(wire));
}

void pg_array_add_text(struct buf *b, struct str text)
{
    size_t zeros = 0;
    for (size_t i = 0; i < text.n; i++)
        zeros += text.p[i] == '\0';
    if (zeros == 0) {
        pg_array_add(b, text);
        return;
    }
    add_word(b, (uint32_t)(text.n + 2 * zeros));
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\0')
            buf_puts(b, "\xef\xbf\xbd");
        else
            buf_putc(b, text.p[i]);
    }
}

void pg_resultp(PGresult **res)
{
    PQclear(*res);
    *res = NULL;
}

int64_t pg_int(const PGresult *res, int row, int col)
{
    if (PQgetisnull(res, row, col))
        return 0;
    const char *p = PQgetvalue(res, row, col);
    uint64_t v8;
    uint32_t v4;
    uint16_t v2;
    int n = PQgetlength(res, row, col);
    assert(n == 8 || n == 4 || n == 2); /* an integer column */
    switch (n) {
    case 8:
        memcpy(&v8, p, sizeof(v8));
        return (int64_t)be64toh(v8);
    case 4:
        memcpy(&v4, p, sizeof(v4));
        return (int32_t)be32toh(v4);
    default:
        memcpy(&v2, p, sizeof(v2));
        return (int16_t)be16toh(v2);
    }
}

bool pg_bool(const PGresult *res, int row, int col)
{
    return !PQgetisnull(res, row, col) && *PQgetvalue(res, row, col) != 0;
}

double pg_num(const PGresult *res, int row, int col)
{
    double v = 0;
    int64_t bits = pg_int(res, row, col);
    memcpy(&v, &bits, sizeof(v));
    return v;
}

struct str pg_str(const PGresult *res, int row, int col)
{
    return (struct str){PQgetvalue(res, row, col), (size_t)PQgetlength(res, row, col)};
}

char *pg_dup(struct arena *arena, const PGresult *res, int row, int col)
{
    return PQgetisnull(res, row, col) ? NULL : arena_str(arena, pg_str(res, row, col));
}
