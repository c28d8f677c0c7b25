/* Clocks and time texts. Dates are computed with integer arithmetic on the civil calendar (March
 * is the first month of the shifted year, so that the leap day comes last): the C library's
 * functions depend on the locale and the time zone, and some of them on shared state. */
#include "bot/base/clock.h"

#include <stdatomic.h>
#include <time.h>

#define DAY_S INT64_C(86400)

static _Atomic int64_t shift_mono_ms;
static _Atomic int64_t shift_wall_ms;

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC) + atomic_load_explicit(&shift_mono_ms, memory_order_relaxed);
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME) + atomic_load_explicit(&shift_wall_ms, memory_order_relaxed);
}

int64_t clock_wall_s(void)
{
    return clock_wall_ms() / 1000;
}

void clock_test_shift_ms(int64_t mono, int64_t wall)
{
    atomic_fetch_add(&shift_mono_ms, mono);
    atomic_fetch_add(&shift_wall_ms, wall);
}

/* Days since 1970-01-01 of a date of the Gregorian calendar, year >= 0. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t shifted = (5 * doy + 2) / 153;
    *day = doy - (153 * shifted + 2) / 5 + 1;
    *month = shifted + (shifted < 10 ? 3 : -9);
    *year = yoe + era * 400 + (*month <= 2);
}

/* A number of so many digits and what comes behind it. */
static void put(char *out, int digits, int64_t value, char behind)
{
    out[digits] = behind;
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void time_format(int64_t wall_ms, char out[TIME_TEXT])
{
    /* Years 0000 to 9999, the range of RFC 3339. */
    const int64_t lowest = days_of(0, 1, 1) * DAY_S * 1000;
    const int64_t highest = days_of(10000, 1, 1) * DAY_S * 1000 - 1;
    wall_ms = wall_ms < lowest ? lowest : wall_ms > highest ? highest : wall_ms;
    int64_t ms = wall_ms % 1000;
    ms += ms < 0 ? 1000 : 0;
    int64_t s = (wall_ms - ms) / 1000;
    int64_t of_day = s % DAY_S;
    of_day += of_day < 0 ? DAY_S : 0;
    int64_t year;
    int64_t month;
    int64_t day;
    date_of((s - of_day) / DAY_S, &year, &month, &day);
    put(out, 4, year, '-');
    put(out + 5, 2, month, '-');
    put(out + 8, 2, day, 'T');
    put(out + 11, 2, of_day / 3600, ':');
    put(out + 14, 2, of_day / 60 % 60, ':');
    put(out + 17, 2, of_day % 60, '.');
    put(out + 20, 3, ms, 'Z');
    out[24] = '\0';
}

/* Takes exactly `digits` digits, in [min, max], off the front. */
static bool take(struct str *s, size_t digits, int64_t min, int64_t max, int64_t *out)
{
    struct str head = str_sub(*s, 0, digits);
    if (head.n != digits || head.p[0] == '-' || !str_to_i64(head, min, max, out))
        return false;
    *s = str_sub(*s, digits, s->n);
    return true;
}

static bool take_char(struct str *s, const char *any_of)
{
    if (s->n == 0 || s->p[0] == '\0' || !strchr(any_of, s->p[0]))
        return false;
    *s = str_sub(*s, 1, s->n);
    return true;
}

static bool take_clock(struct str *s, int64_t *of_day_s)
{
    int64_t hour;
    int64_t minute;
    int64_t second;
    if (!take(s, 2, 0, 23, &hour) || !take_char(s, ":") || !take(s, 2, 0, 59, &minute) ||
        !take_char(s, ":") || !take(s, 2, 0, 60, &second))
        return false;
    *of_day_s = hour * 3600 + minute * 60 + second;
    return true;
}

static bool date_exists(int64_t year, int64_t month, int64_t day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= days[month - 1] + (leap && month == 2);
}

/* ".123456789" or nothing, cut to milliseconds. */
static bool take_fraction(struct str *s, int64_t *ms)
{
    *ms = 0;
    if (!take_char(s, "."))
        return true;
    size_t digits = 0;
    int64_t scale = 100;
    for (; digits < s->n && s->p[digits] >= '0' && s->p[digits] <= '9'; digits++) {
        *ms += (s->p[digits] - '0') * scale;
        scale /= 10;
    }
    *s = str_sub(*s, digits, s->n);
    return digits >= 1 && digits <= 9;
}

static bool take_offset(struct str *s, int64_t *offset_s)
{
    *offset_s = 0;
    if (take_char(s, "Zz"))
        return true;
    bool west = s->n > 0 && s->p[0] == '-';
    int64_t hours;
    int64_t minutes;
    if (!take_char(s, "+-") || !take(s, 2, 0, 23, &hours) || !take_char(s, ":") ||
        !take(s, 2, 0, 59, &minutes))
        return false;
    *offset_s = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

bool time_parse(struct str text, int64_t *wall_ms)
{
    int64_t year;
    int64_t month;
    int64_t day;
    int64_t of_day_s;
    int64_t ms;
    int64_t offset_s;
    if (!take(&text, 4, 0, 9999, &year) || !take_char(&text, "-") ||
        !take(&text, 2, 1, 12, &month) || !take_char(&text, "-") || !take(&text, 2, 1, 31, &day) ||
        !take_char(&text, "Tt ") || !take_clock(&text, &of_day_s) || !take_fraction(&text, &ms) ||
        !take_offset(&text, &offset_s) || text.n != 0 || !date_exists(year, month, day))
        return false;
    *wall_ms = (days_of(year, month, day) * DAY_S + of_day_s - offset_s) * 1000 + ms;
    return true;
}

/* Takes one of `count` three-letter names off the front; *index counts from 0. */
static bool take_name(struct str *s, const char *names, size_t count, int64_t *index)
{
    for (size_t i = 0; i < count; i++) {
        if (str_starts(*s, (struct str){names + 3 * i, 3})) {
            *index = (int64_t)i;
            *s = str_sub(*s, 3, s->n);
            return true;
        }
    }
    return false;
}

bool time_parse_http(struct str text, int64_t *wall_ms)
{
    int64_t weekday;
    int64_t day;
    int64_t month;
    int64_t year;
    int64_t of_day_s;
    if (!take_name(&text, "ThuFriSatSunMonTueWed", 7, &weekday) || !take_char(&text, ",") ||
        !take_char(&text, " ") || !take(&text, 2, 1, 31, &day) || !take_char(&text, " ") ||
        !take_name(&text, "JanFebMarAprMayJunJulAugSepOctNovDec", 12, &month) ||
        !take_char(&text, " ") || !take(&text, 4, 0, 9999, &year) || !take_char(&text, " ") ||
        !take_clock(&text, &of_day_s) || !str_eq(text, STR(" GMT")) ||
        !date_exists(year, month + 1, day))
        return false;
    /* The weekday is redundant; a server that gets it wrong still means the date. */
    *wall_ms = (days_of(year, month + 1, day) * DAY_S + of_day_s) * 1000;
    return true;
}
