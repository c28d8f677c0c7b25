/* Accounts, limits, meta: what does not belong to a repository. */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"

static void get_user(struct req *q)
{
    const struct user *u = user_find(q->part[0]);
    if (u)
        reply(q, 200, obj_user_full(u, false));
    else
        not_found(q);
}

static void get_self(struct req *q)
{
    if (q->who.kind == ACTOR_USER) {
        set_header(q, "X-OAuth-Scopes", "repo, read:org, workflow, gist");
        reply(q, 200, obj_user_full(q->who.user, true));
    } else if (q->who.kind == ACTOR_NONE) {
        fail(q, 401, "Requires authentication");
    } else {
        fail(q, 403, "Resource not accessible by integration");
    }
}

static void rate_limit(struct req *q)
{
    reply(q, 200, limits_overview(q));
    if (str_eq(http_header(q->x, "X-GitHub-Api-Version"), STR("2026-03-10")))
        json_object_del(q->out, "rate");
}

static void meta(struct req *q)
{
    static const char *const lists[] = {"hooks", "web", "api", "git"};
    json_t *o = json_pack("{s:b}", "verifiable_password_authentication", 0);
    for (size_t i = 0; i < COUNT(lists); i++)
        jset(o, lists[i], json_pack("[s, s]", "127.0.0.0/8", "::1/128"));
    reply(q, 200, o);
}

/* gh asks it for the scopes of a token. */
static void root(struct req *q)
{
    json_t *o = json_object();
    set_header(q, "X-OAuth-Scopes", "repo, read:org, workflow, gist");
    jsetf(o, "current_user_url", "%s/user", S.api);
    jsetf(o, "repository_url", "%s/repos/{owner}/{repo}", S.api);
    reply(q, 200, o);
}

const struct route routes_misc[] = {
    {"GET",     "user", get_self, NULL, NULL},
    {"GET", "users/:", get_user, NULL, NULL},
    {"GET",     "rate_limit", rate_limit, NULL, NULL},
    {"GET",     "meta", meta, NULL, NULL},
    {"GET", "", root, NULL, NULL},
    {0    },
};
