/* One REST request inside the stand-in: who asks, for what, and the answer that takes shape. A
 * handler runs with the state lock held, on the connection's thread, and either calls one of the
 * reply functions or fails. Routes are tables, one an api_*.c; api.c walks them. */
#pragma once

#include "tests/standins/common/faults.h"
#include "tests/standins/common/http.h"
#include "tests/standins/github/objects.h"

#include <jansson.h>
#include <stdbool.h>

enum actor_kind { ACTOR_NONE, ACTOR_USER, ACTOR_APP, ACTOR_INSTALLATION };

struct actor {
    enum actor_kind kind;
    struct user *user; /* acts as: the person, or the App's bot; NULL for NONE */
    struct token *token;
    struct installation *inst;
};

#define REQ_PARTS 6

struct req {
    struct http_exchange *x;
    struct str method; /* of this call; not x's for a call inside another (api_inside) */
    struct actor who;
    char *part[REQ_PARTS]; /* what ':' and '*' of the pattern stood for, decoded */
    json_t *body;          /* an object or NULL */
    struct repo *repo;     /* of /repos/:/:…; its two parts are not in part[] */
    int status;
    json_t *out;
    json_t *headers; /* name -> value */
    struct buf raw;  /* sent instead of out when raw_type is set */
    const char *raw_type;
    bool list; /* out (or its only array) is paged */
};

typedef void (*route_fn)(struct req *q);

struct route {
    const char *method;
    const char *pattern; /* "repos/:/:/issues/:", ':' one segment, a last '*' the rest */
    route_fn run;
    const char *perm; /* "issues=write; pull_requests=write" (any of them); NULL = see api.c */
    const char *role; /* what a person needs in the repository; NULL = read */
};

extern const struct route routes_app[], routes_repo[], routes_git[], routes_contents[],
    routes_pulls[], routes_reviews[], routes_issues[], routes_checks[], routes_misc[];

/* Everything that is not under /_standin/ or git: REST and GraphQL. Takes the lock itself. */
void api_serve(struct http_exchange *x, struct faults *f, uint64_t entry, const char *path);

/* ---- answers ---- */
void reply(struct req *q, int status, json_t *body); /* takes body; NULL = no content */
void reply_list(struct req *q, json_t *array);       /* 200, paged */
void reply_counted(struct req *q, const char *key, json_t *array); /* {total_count, key: […]} */
void fail(struct req *q, int status, const char *fmt, ...) PRINTF(3, 4);
void not_found(struct req *q);
/* 422 with one row of `errors`; code "custom" shows message, others name the field. */
void invalid(struct req *q, const char *resource, const char *field, const char *code,
             const char *message);
void set_header(struct req *q, const char *name, const char *fmt, ...) PRINTF(3, 4);

/* ---- the request ---- */
const char *body_text(const struct req *q, const char *key); /* NULL when absent or no string */
char *query_text(struct req *q, const char *name);           /* NULL when absent; caller frees */
int64_t query_int(struct req *q, const char *name, int64_t fallback);
bool accepts(struct req *q, const char *piece); /* of the Accept header */
/* part[index] as a number of this repository's issues or pulls; 404 is answered when there is
 * none. */
struct issue *want_issue(struct req *q, size_t index);
struct issue *want_pull(struct req *q, size_t index);
int64_t part_id(const struct req *q, size_t index);
bool via_app(const struct req *q);
/* May this actor do what a permission allows, in this repository? */
bool may(const struct req *q, const char *perm);

/* ---- auth.c ---- */
/* False: the answer is in q. */
bool auth_request(struct req *q) MUST_CHECK;
/* By a token's text ("" = nobody); false = unknown, expired or revoked. */
bool auth_token(struct str text, struct actor *out) MUST_CHECK;
bool actor_sees(const struct actor *a, const struct repo *r);
/* perm like "contents=write"; role for people. */
bool actor_may(const struct actor *a, const struct repo *r, const char *perm, const char *role);
struct token *token_new(enum token_kind kind, bool long_form);
bool app_key_set(struct str pem) MUST_CHECK;

/* ---- limits.c ---- */
/* Counts the request; false: it is over a limit and answered. */
bool limits_enter(struct req *q) MUST_CHECK;
void limits_leave(struct req *q, bool counted);
void limits_headers(struct req *q);
json_t *limits_overview(const struct req *q);
void limits_set(const json_t *order);

/* Merges what waits for its checks (auto-merge); after every request that may have changed them. */
void merge_waiting(struct req *q);

/* ---- graphql.c ---- */
void graphql_serve(struct req *q);
