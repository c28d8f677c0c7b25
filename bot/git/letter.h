/* Upper and lower case of letters, independent of the locale. Pure. */
#pragma once

#include <stdint.h>

/* UNSURE: a letter, or something that may count as one, of a script that the table does not know.
 */
enum letter_case { LETTER_NONE, LETTER_LOWER, LETTER_UPPER, LETTER_UNSURE };

enum letter_case letter_case(uint32_t c);
uint32_t letter_lower(uint32_t c); /* c itself when it is not LETTER_UPPER */
