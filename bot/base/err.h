/* The one error type. A function that can fail returns bool, takes `struct err *` last and, on
 * false, has set it and left its outputs untouched. Plain data: copy it freely, from any thread. */
#pragma once

#include "bot/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* The order is that of the policy table in err.c; the names are the contract's `error.kind`. */
enum err_kind {
    ERR_NONE,
    ERR_INPUT,     /* the caller or the user gave something wrong */
    ERR_DENIED,    /* not allowed, by GitHub or by us */
    ERR_GONE,      /* the thing does not exist (any more) */
    ERR_CONFLICT,  /* somebody else changed it first */
    ERR_LIMIT,     /* a rate limit or a full queue; see retry_after_s */
    ERR_TIMEOUT,   /* a deadline passed */
    ERR_CANCELLED, /* a cancel token fired */
    ERR_UPSTREAM,  /* an outside party failed in a passing way (5xx, reset, garbage) */
    ERR_AUTH,      /* our own credentials were refused */
    ERR_BUDGET,    /* a money limit */
    ERR_POLICY,    /* the work breaks a rule of the repository or of ours */
    ERR_AGENT,     /* the coding agent failed */
    ERR_SANDBOX,   /* the sandbox died or misbehaved */
    ERR_BUG,       /* our own mistake */
    ERR_KINDS
};

#define ERR_TEXT_MAX 512

struct err {
    enum err_kind kind;
    int retry_after_s;       /* 0 = the caller's own back-off; else wait at least that long */
    char text[ERR_TEXT_MAX]; /* one line, "outer: inner: cause" */
};

/* What to do with an error of a kind: the single place that decides it. */
struct err_policy {
    const char *name;  /* as in the contract */
    bool retry;        /* may the same call succeed later? */
    bool user_visible; /* is the text meant for the user (else: "internal error", and the log) */
    int http_status;   /* of our own API's answer */
};

const struct err_policy *err_policy(enum err_kind kind);

/* Sets err and returns false, so that `return err_set(err, …)` reads well. err may be NULL. */
bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);

/* Puts "text: " in front and returns false. */
bool err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* ERR_NONE and an empty text. */
void err_clear(struct err *err);
