/* Compiler attributes, wrapped so that the rest of the code is plain C17. */
#pragma once

#define MUST_CHECK       __attribute__((warn_unused_result))
#define PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define NORETURN         __attribute__((noreturn))
#define UNUSED           __attribute__((unused))

/* AUTO(buf_done) struct buf b = {0};  — fn gets the variable's address when the scope ends. */
#define AUTO(fn) __attribute__((cleanup(fn)))

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
