/* The token cache. One entry a (installation, repository, permission set, handed out or not), in a
 * list that is swept of dead entries whenever one is added. Who finds no token that lives long
 * enough puts up a flight (an eventfd that the others poll together with their own cancel token)
 * and mints; the rest wait and take the result, or share the error unless it was only the minter's
 * own deadline.
 *
 * Lifetimes count from GitHub's Date header on our monotonic clock, so a wrong wall clock does not
 * matter. A token is renewed with less than RENEW_S left, never by timer. Handed-out tokens are
 * counted: the last one to drop it revokes it, so that two tasks of one repository do not cut each
 * other off.
 *
 * Limits: tokens are opaque text of at most TOKEN_MAX_BYTES. GitHub gives them an hour, so that a
 * longer life than PROMISE_MAX_S cannot be promised and is not asked for. Copies that jansson made
 * while parsing are zeroed as far as we can reach them. */
#include "github-app/token.h"

#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "github-app/names.h"
#include "github-app/rest.h"
#include "github-app/signer.h"
#include "github-app/state.h"

#include <errno.h>
#include <poll.h>
#include <strings.h>

#define RENEW_S         300
#define PROMISE_MAX_S   3000
#define TOKEN_MAX_BYTES 4096
#define LIFE_MAX_S      86400
#define JWT_REUSE_MS    (8 * 60 * 1000)
#define SKEW_NOTICE_S   5
#define NAME_MAX_BYTES  160
#define NO_FD_SLICE_MS  100 /* when no eventfd was to be had */

struct key {
    int64_t installation_id;
    int64_t repo_id;
    char name[NAME_MAX_BYTES]; /* owner/name when the id is not known; "" = all repositories */
    enum github_need need;
    bool handed;
};

struct token {
    struct token *next;
    struct key key;
    struct secret value;
    int64_t minted_ms, until_ms; /* monotonic */
    int holders;                 /* of a handed-out token */
    struct cancel *flight;       /* somebody is minting; fires when done */
    uint64_t flights;            /* ended so far */
    struct err err;              /* of the last flight; ERR_NONE = it worked */
};

/* ---------------------------------------------------------------------- list, under the lock */

static bool key_eq(const struct key *a, const struct key *b)
{
    return a->installation_id == b->installation_id && a->repo_id == b->repo_id &&
           a->need == b->need && a->handed == b->handed && strcasecmp(a->name, b->name) == 0;
}

static struct token *find(const struct github *g, const struct key *key)
{
    for (struct token *t = g->tokens; t; t = t->next)
        if (key_eq(&t->key, key))
            return t;
    return NULL;
}

static void sweep(struct github *g, int64_t now_ms)
{
    for (struct token **at = &g->tokens; *at;) {
        struct token *t = *at;
        if (t->flight || (secret_is_set(&t->value) && t->until_ms > now_ms)) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        secret_done(&t->value);
        free(t);
    }
}

static struct token *find_or_add(struct github *g, const struct key *key)
{
    struct token *t = find(g, key);
    if (t)
        return t;
    sweep(g, clock_mono_ms());
    t = mem_alloc(sizeof(*t));
    t->key = *key;
    t->next = g->tokens;
    g->tokens = t;
    return t;
}

static bool make_key(const struct github_repo *repo, enum github_need need, bool handed,
                     struct key *key, struct err *err)
{
    struct str name = str_of(repo->id == 0 ? repo->full_name : NULL);
    *key = (struct key){.installation_id = repo->installation_id,
                        .repo_id = repo->id,
                        .need = need,
                        .handed = handed};
    if (repo->installation_id <= 0)
        return err_set(err, ERR_BUG, "no installation is known for the repository");
    if (need == TOKEN_METADATA)
        return true;
    if (repo->id == 0 && !name_repo_ok(name))
        return err_set(err, ERR_INPUT, "not a repository name (owner/name)");
    if (!str_copy(key->name, sizeof(key->name), name))
        return err_set(err, ERR_INPUT, "repository name is too long");
    return true;
}

/* -------------------------------------------------------------------------------- minting */

struct permission {
    const char *name;
    const char *access;
};
static const struct permission permissions[][5] = {
    [GITHUB_READ] = {{"metadata", "read"},   {"contents", "read"}},
    [GITHUB_PUSH] = {{"metadata", "read"},                      {"contents", "write"}},
    [GITHUB_WRITE] = {{"metadata", "read"},
                     {"contents", "read"},
                     {"pull_requests", "write"},
                     {"issues", "write"}},
    [TOKEN_METADATA] = {{"metadata", "read"}  },
};

static json_t *mint_body(const struct key *key)
{
    json_t *granted = json_object();
    for (const struct permission *p = permissions[key->need]; p->name; p++)
        json_object_set_new(granted, p->name, json_string(p->access));
    json_t *body = json_pack("{s:o}", "permissions", granted);
    if (key->repo_id != 0)
        json_object_set_new(body, "repository_ids", json_pack("[I]", (json_int_t)key->repo_id));
    else if (key->name[0]) /* GitHub wants the name without its owner */
        json_object_set_new(body, "repositories", json_pack("[s]", strchr(key->name, '/') + 1));
    return body;
}

/* It goes into a header line: printable, no spaces. Its form is GitHub's business. */
static bool token_ok(struct str token)
{
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] == 0x7f)
            return false;
    return token.n > 0 && token.n <= TOKEN_MAX_BYTES;
}

static bool read_minted(const struct rest_answer *a, struct secret *value, int64_t *life_ms,
                        struct err *err)
{
    struct str token = json_str(a->json, "token");
    int64_t until = 0, now = a->date_ms > 0 ? a->date_ms : clock_wall_ms();
    bool ok = token_ok(token) && time_parse(json_str(a->json, "expires_at"), &until);
    if (ok) {
        secret_set(value, token);
        *life_ms = until - now < LIFE_MAX_S * 1000LL ? until - now : LIFE_MAX_S * 1000LL;
    }
    if (token.n > 0) /* the tree is ours and is freed next, so writing into it is fine */
        explicit_bzero((char *)(uintptr_t)token.p, token.n);
    return ok || rest_bad_answer("usable token", err);
}

static bool mint(struct github *g, const struct key *key, const struct call *call,
                 struct secret *value, int64_t *life_ms, struct err *err)
{
    AUTO(rest_answer_done) struct rest_answer a = {0};
    AUTO(json_decrefp) json_t *body = mint_body(key);
    AUTO(mem_freep)
    char *path =
        mem_printf("/app/installations/%lld/access_tokens", (long long)key->installation_id);
    /* Repeating is harmless: a token whose answer was lost is known to nobody. */
    struct rest q = {.method = "POST",
                     .path = path,
                     .label = "POST /app/installations/*/access_tokens",
                     .auth = REST_JWT,
                     .body = body,
                     .repeatable = true};
    if (rest_call(g, &q, call, &a, err))
        return read_minted(&a, value, life_ms, err);
    if (a.status == 422 && err) /* the installation does not have what we ask for */
        err->kind = ERR_DENIED;
    return false;
}

/* ----------------------------------------------------------------------------- single flight */

/* Waits until the flight ends; false when the call ends first. */
static bool flight_wait(const struct cancel *flight, const struct call *call, struct err *err)
{
    while (!cancel_fired(flight)) {
        if (!call_check(call, err))
            return false;
        struct pollfd fds[] = {
            {.fd = cancel_fd(flight),                   .events = POLLIN},
            {.fd = call ? cancel_fd(call->cancel) : -1, .events = POLLIN}
        };
        int64_t left = call ? call_left_ms(call) : -1;
        int slice_ms = fds[0].fd >= 0 ? 60000 : NO_FD_SLICE_MS;
        int rc = poll(fds, COUNT(fds), left < 0 || left > slice_ms ? slice_ms : (int)left);
        if (rc < 0 && errno != EINTR)
            return err_set(err, ERR_BUG, "poll: %m");
    }
    return true;
}

/* Under the lock, which it gives up meanwhile: waits for t's flight. False when the call ended or
 * the flight failed for a reason that would meet us too. */
static bool join(struct github *g, struct token *t, const struct call *call, struct err *err)
{
    struct key key = t->key;
    struct cancel *flight = cancel_ref(t->flight);
    uint64_t before = t->flights;
    pthread_mutex_unlock(&g->mutex);
    bool ok = flight_wait(flight, call, err);
    cancel_unref(flight);
    pthread_mutex_lock(&g->mutex);
    t = ok ? find(g, &key) : NULL;
    if (!t || t->flights == before || t->err.kind == ERR_NONE || t->err.kind == ERR_TIMEOUT ||
        t->err.kind == ERR_CANCELLED)
        return ok;
    if (err)
        *err = t->err;
    return false;
}

/* Under the lock, which it gives up meanwhile: mints into t. */
static bool fly(struct github *g, struct token *t, const struct call *call, struct err *err)
{
    struct key key = t->key;
    struct secret value = {0};
    struct err why;
    int64_t life_ms = 0;
    err_clear(&why);
    t->flight = cancel_new();
    pthread_mutex_unlock(&g->mutex);
    bool ok = mint(g, &key, call, &value, &life_ms, &why);
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&g->mutex); /* t still stands: entries in flight are not swept */
    if (ok) {
        secret_set(&t->value, secret_str(&value));
        t->minted_ms = now;
        t->until_ms = now + life_ms;
    }
    t->err = why;
    t->flights++;
    cancel_fire(t->flight);
    cancel_unref(t->flight);
    t->flight = NULL;
    secret_done(&value);
    if (!ok && err)
        *err = why;
    return ok;
}

static bool take(struct github *g, const struct key *key, int64_t min_life_ms,
                 const struct call *call, struct secret *out, int64_t *minted_ms, struct err *err)
{
    bool ok = true, flown = false;
    pthread_mutex_lock(&g->mutex);
    for (;;) {
        struct token *t = find_or_add(g, key);
        bool lives = secret_is_set(&t->value) && t->until_ms - clock_mono_ms() >= min_life_ms;
        if (lives || flown) {
            secret_set(out, secret_str(&t->value));
            *minted_ms = t->minted_ms;
            t->holders += key->handed ? 1 : 0;
            break;
        }
        if (t->flight) {
            ok = join(g, t, call, err);
        } else {
            /* A token is used right after minting even if GitHub gave it a short life. */
            ok = fly(g, t, call, err);
            flown = ok && secret_is_set(&t->value);
        }
        if (!ok)
            break;
    }
    pthread_mutex_unlock(&g->mutex);
    return ok;
}

/* Takes the value out of the cache; the empty secret when it is not there or others hold it. */
static struct secret retire(struct github *g, const struct key *key)
{
    struct secret value = {0};
    pthread_mutex_lock(&g->mutex);
    struct token *t = find(g, key);
    if (t && t->holders > 0)
        t->holders--;
    if (t && t->holders == 0) {
        value = t->value;
        t->value = (struct secret){0};
    }
    pthread_mutex_unlock(&g->mutex);
    return value;
}

/* ---------------------------------------------------------------------------------- public */

bool token_get(struct github *g, const struct github_repo *repo, enum github_need need,
               const struct call *call, struct secret *out, int64_t *minted_ms, struct err *err)
{
    struct key key;
    return make_key(repo, need, false, &key, err) &&
           take(g, &key, RENEW_S * 1000, call, out, minted_ms, err);
}

static void forget(struct github *g, const struct key *key, const struct secret *refused)
{
    pthread_mutex_lock(&g->mutex);
    struct token *t = find(g, key);
    if (t && str_eq(secret_str(&t->value), secret_str(refused)))
        secret_done(&t->value);
    pthread_mutex_unlock(&g->mutex);
}

void token_forget(struct github *g, const struct github_repo *repo, enum github_need need,
                  const struct secret *refused)
{
    struct key key;
    if (make_key(repo, need, false, &key, NULL))
        forget(g, &key, refused);
}

static bool revoke(struct github *g, const struct key *key, const struct call *call,
                   struct err *err)
{
    AUTO(rest_answer_done) struct rest_answer a = {0};
    AUTO(secret_done) struct secret value = retire(g, key);
    struct github_repo repo = {.installation_id = key->installation_id};
    struct rest q = {.method = "DELETE",
                     .path = "/installation/token",
                     .label = "DELETE /installation/token",
                     .auth = REST_GIVEN,
                     .repo = &repo, /* for its rate limit */
                     .token = &value,
                     .repeatable = true};
    if (!secret_is_set(&value) || rest_call(g, &q, call, &a, err))
        return true;
    return a.status == 401 || a.status == 404; /* it is void already */
}

bool token_end(struct github *g, const struct github_repo *repo, enum github_need need,
               const struct call *call, struct err *err)
{
    struct key key;
    if (github_is_personal(g))
        return true;
    return make_key(repo, need, false, &key, err) && revoke(g, &key, call, err);
}

bool github_token(struct github *g, const struct github_repo *repo, enum github_need need,
                  int min_life_s, const struct call *call, struct secret *out, struct err *err)
{
    struct key key;
    int64_t minted_ms;
    int life_s = min_life_s > RENEW_S ? min_life_s : RENEW_S;
    if (github_is_personal(g)) {
        secret_set(out, secret_str(&g->personal));
        return true;
    }
    life_s = life_s < PROMISE_MAX_S ? life_s : PROMISE_MAX_S;
    return make_key(repo, need, true, &key, err) &&
           take(g, &key, life_s * 1000LL, call, out, &minted_ms, err);
}

bool github_token_drop(struct github *g, const struct github_repo *repo, enum github_need need,
                       const struct call *call, struct err *err)
{
    struct key key;
    if (github_is_personal(g))
        return true;
    return make_key(repo, need, true, &key, err) && revoke(g, &key, call, err);
}

void github_token_refused(struct github *g, const struct github_repo *repo, enum github_need need,
                          const struct secret *refused)
{
    struct key key;
    if (!github_is_personal(g) && make_key(repo, need, true, &key, NULL))
        forget(g, &key, refused);
}

bool token_jwt(struct github *g, struct secret *out, struct err *err)
{
    int64_t now = clock_mono_ms();
    if (!g->signer)
        return err_set(err, ERR_BUG, "a call as the App, but there is only a personal token");
    pthread_mutex_lock(&g->mutex);
    int64_t skew_s = g->skew_s;
    bool fresh = secret_is_set(&g->jwt) && now < g->jwt_until_ms;
    if (fresh)
        secret_set(out, secret_str(&g->jwt));
    pthread_mutex_unlock(&g->mutex);
    if (fresh)
        return true;
    if (!signer_jwt(g->signer, skew_s, out, err))
        return false;
    pthread_mutex_lock(&g->mutex);
    if (skew_s == g->skew_s) {
        secret_set(&g->jwt, secret_str(out));
        g->jwt_until_ms = now + JWT_REUSE_MS;
    }
    pthread_mutex_unlock(&g->mutex);
    return true;
}

bool token_learn_skew(struct github *g, int64_t server_date_ms)
{
    int64_t skew_s = (server_date_ms - clock_wall_ms()) / 1000;
    if (server_date_ms <= 0)
        return false;
    pthread_mutex_lock(&g->mutex);
    int64_t change = skew_s - g->skew_s;
    bool explains = change > SKEW_NOTICE_S || change < -SKEW_NOTICE_S;
    if (explains) {
        g->skew_s = skew_s;
        secret_done(&g->jwt);
    }
    pthread_mutex_unlock(&g->mutex);
    return explains;
}

void token_free_all(struct github *g)
{
    while (g->tokens) {
        struct token *next = g->tokens->next;
        secret_done(&g->tokens->value);
        free(g->tokens);
        g->tokens = next;
    }
}
