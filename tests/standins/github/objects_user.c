/* Accounts, the App and its installations as GitHub shows them. */
#include "tests/standins/github/objects.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

json_t *jtext(const char *text)
{
    return text ? json_text(str_of(text)) : json_null();
}

json_t *jtime(int64_t ms)
{
    char text[TIME_TEXT];
    if (ms == 0)
        return json_null();
    time_format(ms, text);
    return json_sprintf("%.19sZ", text);
}

json_t *jnode(const char *type, int64_t id)
{
    return json_sprintf("%s_kwDO%lld", type, (long long)id);
}

bool node_id_read(const char *node, const char *type, int64_t *id)
{
    struct str rest = str_of(node);
    AUTO(mem_freep) char *start = mem_printf("%s_kwDO", type);
    return str_starts(rest, str_of(start)) &&
           str_to_i64(str_sub(rest, strlen(start), rest.n), 1, INT64_MAX, id);
}

void jset(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

void jsetf(json_t *object, const char *key, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    json_object_set_new(object, key, json_vsprintf(fmt, ap));
    va_end(ap);
}

json_t *jlogins(const struct list *users)
{
    json_t *all = json_array();
    for (size_t i = 0; i < users->n; i++)
        json_array_append_new(all, obj_user(users->at[i]));
    return all;
}

static const struct {
    const char *key;
    const char *tail;
} user_urls[] = {
    {"url",                 ""                       },
    {"followers_url",       "/followers"             },
    {"following_url",       "/following{/other_user}"},
    {"gists_url",           "/gists{/gist_id}"       },
    {"starred_url",         "/starred{/owner}{/repo}"},
    {"subscriptions_url",   "/subscriptions"         },
    {"organizations_url",   "/orgs"                  },
    {"repos_url",           "/repos"                 },
    {"events_url",          "/events{/privacy}"      },
    {"received_events_url", "/received_events"       },
};

static bool is_bot(const struct user *u)
{
    return strcmp(u->type, "Bot") == 0;
}

json_t *obj_user(const struct user *u)
{
    if (!u)
        return json_null();
    AUTO(buf_done) struct buf login = {0};
    enc_percent(&login, str_of(u->login), false);
    json_t *o = json_pack("{s:s, s:I, s:s, s:b, s:s}", "login", u->login, "id", (json_int_t)u->id,
                          "gravatar_id", "", "site_admin", 0, "user_view_type", "public");
    jset(o, "node_id", jnode(is_bot(u) ? "BOT" : "U", u->id));
    jset(o, "type", jtext(u->type));
    jsetf(o, "avatar_url", "%s/avatars/u/%lld?v=4", S.base, (long long)u->id);
    /* "squadbot[bot]" has the page /apps/squadbot. */
    if (is_bot(u))
        jsetf(o, "html_url", "%s/apps/%s", S.base, S.app.slug);
    else
        jsetf(o, "html_url", "%s/%s", S.base, u->login);
    for (size_t i = 0; i < COUNT(user_urls); i++)
        jsetf(o, user_urls[i].key, "%s/users/%s%s", S.api, buf_cstr(&login), user_urls[i].tail);
    return o;
}

json_t *obj_user_full(const struct user *u, bool self)
{
    json_t *o = obj_user(u);
    static const char *const nulls[] = {"company", "location", "hireable", "bio",
                                        "twitter_username"};
    static const char *const zeros[] = {"public_gists", "followers", "following"};
    int64_t repos = 0;
    for (size_t i = 0; i < S.repos.n; i++) {
        const struct repo *r = S.repos.at[i];
        repos += r->owner == u && !r->is_private && !r->deleted;
    }
    for (size_t i = 0; i < COUNT(nulls); i++)
        jset(o, nulls[i], json_null());
    for (size_t i = 0; i < COUNT(zeros); i++)
        jset(o, zeros[i], json_integer(0));
    jset(o, "public_repos", json_integer(repos));
    jset(o, "blog", json_string(""));
    jset(o, "name", jtext(u->name));
    jset(o, "email", jtext(u->email));
    jset(o, "created_at", jtime(u->created));
    jset(o, "updated_at", jtime(u->created));
    if (self) {
        static const char *const own[] = {"private_gists", "total_private_repos",
                                          "owned_private_repos", "disk_usage", "collaborators"};
        for (size_t i = 0; i < COUNT(own); i++)
            jset(o, own[i], json_integer(0));
        jset(o, "two_factor_authentication", json_true());
    }
    return o;
}

json_t *obj_app_public(void)
{
    const struct app *a = &S.app;
    json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:O, s:O}", "id", (json_int_t)a->id, "slug",
                          a->slug, "client_id", a->client_id, "name", a->name, "description",
                          "A stand-in's App", "permissions", a->permissions, "events", a->events);
    jset(o, "node_id", jnode("A", a->id));
    jset(o, "owner", obj_user(a->owner));
    jsetf(o, "external_url", "%s", S.base);
    jsetf(o, "html_url", "%s/apps/%s", S.base, a->slug);
    jset(o, "created_at", jtime(a->created));
    jset(o, "updated_at", jtime(a->created));
    return o;
}

json_t *obj_app(void)
{
    int64_t n = 0;
    for (size_t i = 0; i < S.installations.n; i++)
        n += !((struct installation *)S.installations.at[i])->deleted;
    json_t *o = obj_app_public();
    jset(o, "installations_count", json_integer(n));
    return o;
}

json_t *obj_installation(const struct installation *i)
{
    json_t *o = json_pack(
        "{s:I, s:o, s:s, s:I, s:s, s:I, s:s, s:O, s:O, s:n, s:b, s:[], s:s}", "id",
        (json_int_t)i->id, "account", obj_user(i->account), "repository_selection",
        i->all ? "all" : "selected", "app_id", (json_int_t)S.app.id, "client_id", S.app.client_id,
        "target_id", (json_int_t)i->account->id, "target_type", i->account->type, "permissions",
        i->permissions, "events", i->events, "single_file_name", "has_multiple_single_files", 0,
        "single_file_paths", "app_slug", S.app.slug);
    jset(o, "node_id", jnode("MDIzOkludGVncmF0aW9u", i->id));
    jsetf(o, "access_tokens_url", "%s/app/installations/%lld/access_tokens", S.api,
          (long long)i->id);
    jsetf(o, "repositories_url", "%s/installation/repositories", S.api);
    jsetf(o, "html_url", "%s/settings/installations/%lld", S.base, (long long)i->id);
    jset(o, "created_at", jtime(i->created));
    jset(o, "updated_at", jtime(i->created));
    jset(o, "suspended_by", i->suspended ? obj_user(i->account) : json_null());
    jset(o, "suspended_at", jtime(i->suspended));
    return o;
}

const char *association(const struct repo *r, const struct user *u)
{
    if (u == r->owner)
        return "OWNER";
    const char *login;
    json_t *role;
    json_object_foreach(r->roles, login, role)
    {
        if (u && strcasecmp(login, u->login) == 0 && role_rank(json_string_value(role)) > 0)
            return "COLLABORATOR";
    }
    return "NONE";
}
