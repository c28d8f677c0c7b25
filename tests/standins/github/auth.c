/* Who is asking: JWTs of the App, installation tokens of both formats, personal tokens, nobody. And
 * what they may: an installation token by its permissions and repositories, a person by the role in
 * the repository. Wordings are those that clients react to. */
#include "tests/standins/github/api.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define TOKEN_LIFE_MS  3600000
#define JWT_LIFE_S     600
#define LONG_TOKEN_MIN 520
#define SHORT_DIGITS   36

bool app_key_set(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (!key)
        return false;
    EVP_PKEY_free(S.app.key);
    S.app.key = key;
    return true;
}

static bool signature_ok(struct str signed_part, struct str signature)
{
    AUTO(buf_done) struct buf raw = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = S.app.key && enc_unbase64(signature, &raw) &&
              EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, S.app.key) == 1 &&
              EVP_DigestVerify(ctx, (const unsigned char *)raw.data, raw.len,
                               (const unsigned char *)signed_part.p, signed_part.n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool issuer_ok(const json_t *claims)
{
    const json_t *iss = json_object_get(claims, "iss");
    AUTO(mem_freep) char *id = mem_printf("%lld", (long long)S.app.id);
    if (json_is_integer(iss))
        return json_integer_value(iss) == S.app.id;
    const char *text = json_string_value(iss);
    return text && (strcmp(text, id) == 0 || strcmp(text, S.app.client_id) == 0);
}

static bool part_json(struct str part, json_t **out)
{
    struct err err;
    AUTO(buf_done) struct buf b = {0};
    return enc_unbase64(part, &b) && json_parse(buf_str(&b), out, &err);
}

static bool auth_jwt(struct req *q, struct str jwt)
{
    struct str rest = jwt;
    struct str head;
    struct str body;
    AUTO(json_decrefp) json_t *header = NULL;
    AUTO(json_decrefp) json_t *claims = NULL;
    if (!str_split(&rest, '.', &head) || !str_split(&rest, '.', &body) ||
        !part_json(head, &header) || !part_json(body, &claims) ||
        !str_eq(json_str(header, "alg"), STR("RS256")))
        return fail(q, 401, "A JSON web token could not be decoded"), false;
    if (!issuer_ok(claims))
        return fail(q, 404, "Integration not found"), false;
    if (!signature_ok(str_sub(jwt, 0, head.n + 1 + body.n), rest))
        return fail(q, 401, "A JSON web token could not be decoded"), false;
    const json_t *exp = json_object_get(claims, "exp");
    const json_t *iat = json_object_get(claims, "iat");
    int64_t now = clock_wall_s();
    if (json_is_integer(exp) && json_integer_value(exp) > now + JWT_LIFE_S)
        return fail(q, 401, "'Expiration time' claim ('exp') is too far in the future"), false;
    if (!json_is_integer(exp) || json_integer_value(exp) <= now)
        return fail(q, 401,
                    "'Expiration time' claim ('exp') must be a numeric value representing the "
                    "future time at which the assertion expires"),
               false;
    if (!json_is_integer(iat) || json_integer_value(iat) > now)
        return fail(q, 401,
                    "'Issued at' claim ('iat') must be an Integer representing the time that the "
                    "assertion was issued"),
               false;
    q->who = (struct actor){ACTOR_APP, S.app.bot, NULL, NULL};
    return true;
}

bool auth_token(struct str text, struct actor *out)
{
    struct token *t = text.n ? token_find(text) : NULL;
    *out = (struct actor){ACTOR_NONE, NULL, NULL, NULL};
    if (text.n == 0)
        return true;
    if (!t || t->revoked || (t->expires && t->expires <= now_ms()) || (t->inst && t->inst->deleted))
        return false;
    out->kind = t->kind == TOKEN_PERSONAL ? ACTOR_USER : ACTOR_INSTALLATION;
    out->user = t->kind == TOKEN_PERSONAL ? t->user : S.app.bot;
    out->token = t;
    out->inst = t->inst;
    return true;
}

/* The credential of "Bearer x", "token x" or "Basic base64(user:x)". */
static bool credential(struct str header, struct buf *out)
{
    struct str rest = header;
    struct str scheme;
    if (!str_split(&rest, ' ', &scheme) || !rest.p)
        return false;
    rest = str_trim(rest);
    if (!str_eq_nocase(scheme, STR("Basic"))) {
        buf_add_str(out, rest);
        return str_eq_nocase(scheme, STR("Bearer")) || str_eq_nocase(scheme, STR("token"));
    }
    AUTO(buf_done) struct buf plain = {0};
    if (!enc_unbase64(rest, &plain))
        return false;
    size_t colon = str_find(buf_str(&plain), STR(":"), 0);
    buf_add_str(out, str_sub(buf_str(&plain), colon + 1, plain.len));
    return true;
}

bool auth_request(struct req *q)
{
    AUTO(buf_done) struct buf text = {0};
    struct str header = http_header(q->x, "Authorization");
    if (header.n == 0)
        return true;
    if (!credential(header, &text))
        return fail(q, 401, "Bad credentials"), false;
    struct str value = buf_str(&text);
    if (str_starts(value, STR("ey")) && str_find(value, STR("."), 0) < value.n) {
        if (!str_starts(header, STR("Bearer")) && !str_starts(header, STR("bearer")))
            return fail(q, 401, "Bad credentials"), false;
        return auth_jwt(q, value);
    }
    if (!auth_token(value, &q->who) || q->who.kind == ACTOR_NONE)
        return fail(q, 401, "Bad credentials"), false;
    if (q->who.inst && q->who.inst->suspended)
        return fail(q, 403, "This installation has been suspended"), false;
    return true;
}

bool actor_sees(const struct actor *a, const struct repo *r)
{
    if (!r->is_private)
        return true;
    if (a->kind == ACTOR_USER)
        return role_rank(repo_role(r, a->user)) > 0 &&
               (!a->token->scoped || list_has(&a->token->repos, r));
    if (a->kind == ACTOR_INSTALLATION)
        return installation_covers(a->inst, r) &&
               (!a->token->scoped || list_has(&a->token->repos, r));
    /* The App itself sees its installations' repositories (GET /repos/O/R/installation). */
    return a->kind == ACTOR_APP && installation_of(r);
}

/* Is one of "a=write; b=read" in the granted set? */
static bool granted(const json_t *permissions, const char *wanted)
{
    struct str rest = str_of(wanted);
    struct str one;
    while (str_split(&rest, ';', &one)) {
        struct str level = str_trim(one);
        struct str name;
        AUTO(mem_freep) char *key = NULL;
        if (!str_split(&level, '=', &name))
            continue;
        key = str_dup(name);
        const char *have = json_string_value(json_object_get(permissions, key));
        if (have && (str_eq(level, STR("read")) || strcmp(have, "read") != 0))
            return true;
        /* Everybody who has anything has metadata=read. */
        if (strcmp(key, "metadata") == 0)
            return true;
    }
    return false;
}

bool actor_may(const struct actor *a, const struct repo *r, const char *perm, const char *role)
{
    /* What anybody may see of a public repository; its administration is not part of that. */
    bool reading = strstr(perm, "=write") == NULL && strncmp(perm, "administration", 14) != 0;
    if (!actor_sees(a, r))
        return false;
    if (a->kind == ACTOR_INSTALLATION) {
        bool covered =
            installation_covers(a->inst, r) && (!a->token->scoped || list_has(&a->token->repos, r));
        if (!covered)
            return reading && !r->is_private;
        return granted(a->token->permissions, perm) || (reading && !r->is_private);
    }
    if (a->kind == ACTOR_USER) {
        if (a->token->permissions && !granted(a->token->permissions, perm) &&
            !(reading && !r->is_private))
            return false;
        return role_rank(repo_role(r, a->user)) >= role_rank(role);
    }
    return reading && !r->is_private;
}

/* ghs_ and 36 letters and digits; or the stateless kind: ghs_APPID_ and a JWT, 520 characters or a
 * few more. Clients must treat both as opaque. */
struct token *token_new(enum token_kind kind, bool long_form)
{
    struct token *t = mem_alloc(sizeof(*t));
    char digits[SHORT_DIGITS + 1];
    random_hex(digits, SHORT_DIGITS);
    t->kind = kind;
    t->created = now_ms();
    if (kind == TOKEN_PERSONAL) {
        t->text = mem_printf("ghp_%s", digits);
    } else if (!long_form) {
        t->text = mem_printf("ghs_%s", digits);
    } else {
        AUTO(buf_done) struct buf b = {0};
        unsigned char bytes[256];
        random_bytes(bytes, sizeof(bytes));
        buf_printf(&b, "ghs_%lld_", (long long)S.app.id);
        enc_base64url(&b, "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", 27);
        buf_putc(&b, '.');
        AUTO(mem_freep)
        char *claims =
            mem_printf("{\"iat\":%lld,\"exp\":%lld,\"jti\":\"%s\"}", (long long)(t->created / 1000),
                       (long long)((t->created + TOKEN_LIFE_MS) / 1000), digits);
        enc_base64url(&b, claims, strlen(claims));
        buf_putc(&b, '.');
        enc_base64url(&b, bytes, sizeof(bytes));
        while (b.len < LONG_TOKEN_MIN)
            buf_putc(&b, 'A');
        t->text = buf_take(&b);
    }
    if (kind == TOKEN_INSTALLATION)
        t->expires = t->created + TOKEN_LIFE_MS;
    list_add(&S.tokens, t);
    return t;
}
