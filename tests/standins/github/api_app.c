/* The App's own calls: itself, its installations, their tokens, its webhook and the delivery log.
 */
#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"

#include <strings.h>

#define TOKEN_REPOS_MAX 500

static bool as_app(struct req *q)
{
    if (q->who.kind == ACTOR_APP)
        return true;
    fail(q, 401, "A JSON web token could not be decoded");
    return false;
}

static void get_app(struct req *q)
{
    if (as_app(q))
        reply(q, 200, obj_app());
}

static void get_public_app(struct req *q)
{
    if (strcasecmp(q->part[0], S.app.slug) == 0)
        reply(q, 200, obj_app_public());
    else
        not_found(q);
}

static void list_installations(struct req *q)
{
    json_t *all = json_array();
    if (as_app(q)) {
        for (size_t i = 0; i < S.installations.n; i++)
            if (!((struct installation *)S.installations.at[i])->deleted)
                json_array_append_new(all, obj_installation(S.installations.at[i]));
        reply_list(q, json_incref(all));
    }
    json_decref(all);
}

static struct installation *want_installation(struct req *q)
{
    struct installation *i = NULL;
    if (!as_app(q))
        return NULL;
    i = installation_by_id(part_id(q, 0));
    if (!i)
        not_found(q);
    return i;
}

static void get_installation(struct req *q)
{
    const struct installation *i = want_installation(q);
    if (i)
        reply(q, 200, obj_installation(i));
}

static void delete_installation(struct req *q)
{
    struct installation *i = want_installation(q);
    if (!i)
        return;
    event_installation(i, "installation", "deleted", json_pack("{s:[]}", "repositories"));
    i->deleted = true;
    reply(q, 204, NULL);
}

static void suspend(struct req *q)
{
    struct installation *i = want_installation(q);
    bool on = str_eq(q->method, STR("PUT"));
    if (!i)
        return;
    i->suspended = on ? now_ms() : 0;
    event_installation(i, "installation", on ? "suspend" : "unsuspend", NULL);
    reply(q, 204, NULL);
}

/* The repositories that a token asks for, by name or id; false = one of them is not covered. */
static bool token_repos(const struct req *q, const struct installation *in, struct token *t)
{
    const json_t *names = json_object_get(q->body, "repositories");
    const json_t *ids = json_object_get(q->body, "repository_ids");
    size_t i;
    json_t *v;
    t->scoped = json_array_size(names) > 0 || json_array_size(ids) > 0;
    json_array_foreach(names, i, v)
    {
        bool moved = false;
        struct repo *r =
            json_is_string(v) ? repo_find(in->account->login, json_string_value(v), &moved) : NULL;
        if (!r || !installation_covers(in, r))
            return false;
        list_add(&t->repos, r);
    }
    json_array_foreach(ids, i, v)
    {
        struct repo *r = repo_by_id(json_integer_value(v));
        if (!r || !installation_covers(in, r))
            return false;
        if (!list_has(&t->repos, r))
            list_add(&t->repos, r);
    }
    return t->repos.n <= TOKEN_REPOS_MAX;
}

/* What is asked for must be part of what the installation has. */
static json_t *token_permissions(const struct req *q, const struct installation *in)
{
    json_t *asked = json_object_get(q->body, "permissions");
    const char *name;
    json_t *level;
    if (!json_is_object(asked) || json_object_size(asked) == 0)
        return json_deep_copy(in->permissions);
    json_object_foreach(asked, name, level)
    {
        const char *have = json_string_value(json_object_get(in->permissions, name));
        const char *want = json_string_value(level);
        if (!have || !want || (strcmp(want, "read") != 0 && strcmp(have, want) != 0))
            return NULL;
    }
    json_t *result = json_deep_copy(asked);
    jset(result, "metadata", json_string("read"));
    return result;
}

static bool long_wanted(struct req *q)
{
    struct str forced = http_header(q->x, "X-GitHub-Stateless-S2S-Token");
    if (str_eq(forced, STR("enabled")))
        return true;
    return !str_eq(forced, STR("disabled")) && S.app.long_tokens;
}

static void create_token(struct req *q)
{
    struct installation *in = want_installation(q);
    if (!in)
        return;
    if (in->suspended) {
        fail(q, 403, "This installation has been suspended");
        return;
    }
    struct token scope = {0};
    json_t *permissions = token_permissions(q, in);
    if (!token_repos(q, in, &scope)) {
        fail(q, 422,
             "There is at least one repository that does not exist or is not accessible to the "
             "parent installation.");
        json_decref(permissions);
        return;
    }
    if (!permissions) {
        fail(q, 422, "The permissions requested are not granted to this installation.");
        return;
    }
    struct token *t = token_new(TOKEN_INSTALLATION, long_wanted(q));
    t->inst = in;
    t->scoped = scope.scoped;
    t->repos = scope.repos;
    t->permissions = permissions;
    json_t *o = json_pack("{s:s, s:o, s:O, s:s}", "token", t->text, "expires_at", jtime(t->expires),
                          "permissions", permissions, "repository_selection",
                          in->all && !t->scoped ? "all" : "selected");
    if (t->scoped) {
        json_t *repos = json_array();
        for (size_t i = 0; i < t->repos.n; i++)
            json_array_append_new(repos, obj_repo(t->repos.at[i], "none"));
        jset(o, "repositories", repos);
    }
    reply(q, 201, o);
}

static void installation_of_repo(struct req *q)
{
    const struct installation *i = installation_of(q->repo);
    if (!as_app(q))
        return;
    if (i)
        reply(q, 200, obj_installation(i));
    else
        not_found(q);
}

static void installation_of_account(struct req *q)
{
    const struct user *u = user_find(q->part[0]);
    if (!as_app(q))
        return;
    for (size_t k = 0; u && k < S.installations.n; k++) {
        const struct installation *i = S.installations.at[k];
        if (i->account == u && !i->deleted) {
            reply(q, 200, obj_installation(i));
            return;
        }
    }
    not_found(q);
}

static void installation_repos(struct req *q)
{
    if (q->who.kind != ACTOR_INSTALLATION) {
        fail(q, 403,
             "You must authenticate with an installation access token in order to list "
             "repositories for an installation.");
        return;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < S.repos.n; i++) {
        const struct repo *r = S.repos.at[i];
        if (!r->deleted && installation_covers(q->who.inst, r) &&
            (!q->who.token->scoped || list_has(&q->who.token->repos, r)))
            json_array_append_new(all, obj_repo(r, "none"));
    }
    reply_counted(q, "repositories", all);
    jset(q->out, "repository_selection", json_string(q->who.inst->all ? "all" : "selected"));
}

static void revoke_token(struct req *q)
{
    if (q->who.kind != ACTOR_INSTALLATION) {
        fail(q, 403, "You must authenticate with an installation access token.");
        return;
    }
    q->who.token->revoked = true;
    reply(q, 204, NULL);
}

static json_t *hook_config(void)
{
    return json_pack("{s:o, s:s, s:o, s:s}", "url", jtext(S.app.hook_url), "content_type",
                     strcmp(S.app.hook_content_type, "application/json") == 0 ? "json" : "form",
                     "secret", S.app.hook_secret ? json_string("********") : json_null(),
                     "insecure_ssl", "0");
}

static void get_hook_config(struct req *q)
{
    if (as_app(q))
        reply(q, 200, hook_config());
}

static void patch_hook_config(struct req *q)
{
    if (!as_app(q))
        return;
    if (body_text(q, "url"))
        text_set(&S.app.hook_url, body_text(q, "url"));
    if (body_text(q, "secret"))
        text_set(&S.app.hook_secret, body_text(q, "secret"));
    if (body_text(q, "content_type"))
        text_set(&S.app.hook_content_type, strcmp(body_text(q, "content_type"), "json") == 0
                                               ? "application/json"
                                               : "application/x-www-form-urlencoded");
    reply(q, 200, hook_config());
}

/* Paged by an opaque cursor: the id below which the next page starts. */
static void list_deliveries(struct req *q)
{
    AUTO(mem_freep) char *cursor = query_text(q, "cursor");
    AUTO(mem_freep) char *status = query_text(q, "status");
    int64_t per_page = query_int(q, "per_page", 30);
    int64_t before = 0;
    int64_t next = 0;
    if (!as_app(q))
        return;
    if (cursor && (strncmp(cursor, "v1_", 3) != 0 ||
                   !str_to_i64(str_of(cursor + 3), 1, INT64_MAX, &before))) {
        fail(q, 422, "Invalid cursor");
        return;
    }
    per_page = per_page < 1 ? 30 : per_page > 100 ? 100 : per_page;
    json_t *rows =
        hook_list(before, (size_t)per_page, status && strcmp(status, "failure") == 0, &next);
    reply(q, 200, rows);
    if (next)
        set_header(q, "Link",
                   "<%s/app/hook/deliveries?per_page=%lld%s%s&cursor=v1_%lld>; rel=\"next\"", S.api,
                   (long long)per_page, status ? "&status=" : "", status ? status : "",
                   (long long)next);
}

static void get_delivery(struct req *q)
{
    json_t *row = as_app(q) ? hook_row(part_id(q, 0), true) : NULL;
    if (row)
        reply(q, 200, row);
    else if (q->status == 0)
        not_found(q);
}

static void redeliver(struct req *q)
{
    if (!as_app(q))
        return;
    if (hook_redeliver(part_id(q, 0)))
        reply(q, 202, json_object());
    else
        not_found(q);
}

/* The codes are put there by POST /_standin/manifests; each works once. */
static void convert_manifest(struct req *q)
{
    json_t *app = json_object_get(S.app.manifests, q->part[0]);
    if (!app) {
        not_found(q);
        return;
    }
    reply(q, 201, json_incref(app));
    json_object_del(S.app.manifests, q->part[0]);
}

const struct route routes_app[] = {
    {"GET",                "app", get_app, NULL, NULL},
    {"GET",             "apps/:", get_public_app, NULL, NULL},
    {"GET",                "app/installations", list_installations, NULL, NULL},
    {"GET",                "app/installations/:", get_installation, NULL, NULL},
    {"DELETE",      "app/installations/:", delete_installation, NULL, NULL},
    {"PUT",                "app/installations/:/suspended", suspend, NULL, NULL},
    {"DELETE",                "app/installations/:/suspended", suspend, NULL, NULL},
    {"POST",  "app/installations/:/access_tokens", create_token, NULL, NULL},
    {"GET",                "repos/:/:/installation", installation_of_repo, NULL, NULL},
    {"GET",                "users/:/installation", installation_of_account, NULL, NULL},
    {"GET",    "orgs/:/installation", installation_of_account, NULL, NULL},
    {"GET",                "installation/repositories", installation_repos, NULL, NULL},
    {"DELETE",             "installation/token", revoke_token, NULL, NULL},
    {"GET", "app/hook/config", get_hook_config, NULL, NULL},
    {"PATCH",                "app/hook/config", patch_hook_config, NULL, NULL},
    {"GET",                "app/hook/deliveries", list_deliveries, NULL, NULL},
    {"GET",             "app/hook/deliveries/:", get_delivery, NULL, NULL},
    {"POST",                "app/hook/deliveries/:/attempts", redeliver, NULL, NULL},
    {"POST",             "app-manifests/:/conversions", convert_manifest, NULL, NULL},
    {0            },
};
