/* commitlint asks of a subject that it does not begin with a capital, in any script. The table
 * knows Latin, Greek, Cyrillic and Armenian letters and the large scripts without case; what it
 * does not name is UNSURE, and the callers then take the careful side. */
#include "bot/git/letter.h"

#include "bot/base/attr.h"

#include <stddef.h>

enum kind {
    NONE,
    LOWER,
    UPPER, /* lower case is `step` away */
    EVEN,  /* capitals at even places, each followed by its small letter */
    ODD
};

static const struct {
    uint32_t from, to;
    enum kind kind;
    uint32_t step;
} rows[] = {
  /* rising */
    {0x0000,  0x0040,  NONE,  0 },
    {0x0041,  0x005A,  UPPER, 32},
    {0x005B,  0x0060,  NONE,  0 },
    {0x0061,  0x007A,  LOWER, 0 },
    {0x007B,  0x00A9,  NONE,  0 },
    {0x00AB,  0x00B4,  NONE,  0 },
    {0x00B6,  0x00B9,  NONE,  0 },
    {0x00BB,  0x00BF,  NONE,  0 },
    {0x00C0,  0x00D6,  UPPER, 32},
    {0x00D7,  0x00D7,  NONE,  0 },
    {0x00D8,  0x00DE,  UPPER, 32},
    {0x00DF,  0x00F6,  LOWER, 0 },
    {0x00F7,  0x00F7,  NONE,  0 },
    {0x00F8,  0x00FF,  LOWER, 0 },
    {0x0100,  0x012F,  EVEN,  0 },
    {0x0132,  0x0137,  EVEN,  0 },
    {0x0139,  0x0148,  ODD,   0 },
    {0x014A,  0x0177,  EVEN,  0 },
    {0x0179,  0x017E,  ODD,   0 },
    {0x0391,  0x03A1,  UPPER, 32},
    {0x03A3,  0x03AB,  UPPER, 32},
    {0x03AC,  0x03AF,  LOWER, 0 },
    {0x03B1,  0x03CE,  LOWER, 0 },
    {0x0400,  0x040F,  UPPER, 80},
    {0x0410,  0x042F,  UPPER, 32},
    {0x0430,  0x045F,  LOWER, 0 },
    {0x0460,  0x0481,  EVEN,  0 },
    {0x048A,  0x04BF,  EVEN,  0 },
    {0x04D0,  0x052F,  EVEN,  0 },
    {0x0531,  0x0556,  UPPER, 48},
    {0x0561,  0x0586,  LOWER, 0 },
    {0x0590,  0x109F,  NONE,  0 },
    {0x1100,  0x139F,  NONE,  0 },
    {0x1780,  0x18AF,  NONE,  0 },
    {0x2010,  0x206F,  NONE,  0 },
    {0x20A0,  0x20CF,  NONE,  0 },
    {0x2190,  0x245F,  NONE,  0 },
    {0x2500,  0x2BFF,  NONE,  0 },
    {0x2E00,  0xA4CF,  NONE,  0 },
    {0xAC00,  0xD7A3,  NONE,  0 },
    {0xF900,  0xFAFF,  NONE,  0 },
    {0xFE30,  0xFE4F,  NONE,  0 },
    {0xFF01,  0xFF20,  NONE,  0 },
    {0xFF66,  0xFFDC,  NONE,  0 },
    {0x1F000, 0x1F12F, NONE,  0 },
    {0x1F300, 0x1FAFF, NONE,  0 },
    {0x20000, 0x3FFFF, NONE,  0 },
};

static size_t row_of(uint32_t c)
{
    for (size_t i = 0; i < COUNT(rows) && rows[i].from <= c; i++)
        if (c <= rows[i].to)
            return i;
    return COUNT(rows);
}

enum letter_case letter_case(uint32_t c)
{
    size_t i = row_of(c);
    if (i == COUNT(rows))
        return LETTER_UNSURE;
    switch (rows[i].kind) {
    case NONE:
        return LETTER_NONE;
    case LOWER:
        return LETTER_LOWER;
    case UPPER:
        return LETTER_UPPER;
    case EVEN:
        return c % 2 == 0 ? LETTER_UPPER : LETTER_LOWER;
    case ODD:
        return c % 2 == 1 ? LETTER_UPPER : LETTER_LOWER;
    }
    return LETTER_UNSURE;
}

uint32_t letter_lower(uint32_t c)
{
    if (letter_case(c) != LETTER_UPPER)
        return c;
    size_t i = row_of(c);
    return rows[i].kind == UPPER ? c + rows[i].step : c + 1;
}
