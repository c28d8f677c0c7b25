/* Who we are, and what the App may do. The App's own user (SLUG[bot]) has a numeric id that only
 * /users tells, which the JWT does not open: it is asked without credentials first (the least that
 * works on github.com), else with a token of the first installation that allows nothing but
 * metadata (servers in private mode, or a shared address whose anonymous budget is used up). */
#include "bot/base/clock.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "github-app/names.h"
#include "github-app/rest.h"
#include "github-app/state.h"
#include "github-app/token.h"

#include <stdio.h>

#define ANONYMOUS_MS 10000

struct found {
    const char *login;
    const char *slug;
    int64_t user_id;
    int64_t app_id;
};

/* Under no lock; the first to come stores it, and it never changes afterwards. */
static bool remember(struct github *g, const struct found *f, struct err *err)
{
    bool ok = true;
    struct github_self self = {.user_id = f->user_id, .app_id = f->app_id};
    int n = snprintf(self.email, sizeof(self.email), "%lld+%s@users.noreply.%s",
                     (long long)f->user_id, f->login, g->host);
    if (n < 0 || (size_t)n >= sizeof(self.email))
        return err_set(err, ERR_INPUT, "the no-reply address is longer than %zu bytes",
                       sizeof(self.email));
    pthread_mutex_lock(&g->mutex);
    if (!g->self_known) {
        g->self_slug = mem_strdup(f->slug);
        g->self_login = mem_strdup(f->login);
        self.slug = g->self_slug;
        self.login = g->self_login;
        g->self = self;
        g->self_known = true;
    }
    pthread_mutex_unlock(&g->mutex);
    return ok;
}

static bool known(struct github *g)
{
    pthread_mutex_lock(&g->mutex);
    bool yes = g->self_known;
    pthread_mutex_unlock(&g->mutex);
    return yes;
}

static bool owner_of_token(struct github *g, const struct call *call, struct err *err)
{
    AUTO(rest_answer_done) struct rest_answer a = {0};
    struct rest q = {.method = "GET", .path = "/user", .label = "GET /user"};
    if (!rest_call(g, &q, call, &a, err))
        return false;
    struct found f = {.login = json_cstr(a.json, "login"), .user_id = json_int(a.json, "id", 0)};
    f.slug = f.login;
    if (!f.login || !name_login_ok(str_of(f.login)) || f.user_id <= 0)
        return rest_bad_answer("login and id", err);
    return remember(g, &f, err);
}

static bool ask_user(struct github *g, const char *path, const struct github_repo *repo,
                     const struct call *call, int64_t *id, struct err *err)
{
    AUTO(rest_answer_done) struct rest_answer a = {0};
    struct rest q = {.method = "GET",
                     .path = path,
                     .label = "GET /users/*",
                     .auth = repo ? REST_INSTALLATION : REST_ANONYMOUS,
                     .repo = repo,
                     .need = TOKEN_METADATA};
    if (!rest_call(g, &q, call, &a, err))
        return false;
    *id = json_int(a.json, "id", 0);
    return *id > 0 || rest_bad_answer("user id", err);
}

static bool first_installation(struct github *g, const struct call *call, int64_t *id,
                               struct err *err)
{
    AUTO(rest_answer_done) struct rest_answer a = {0};
    struct rest q = {.method = "GET",
                     .path = "/app/installations?per_page=30",
                     .label = "GET /app/installations",
                     .auth = REST_JWT};
    if (!rest_call(g, &q, call, &a, err))
        return false;
    for (size_t i = 0; i < json_array_size(a.json); i++) {
        const json_t *one = json_array_get(a.json, i);
        *id = json_int(one, "id", 0);
        if (*id > 0 && !json_cstr(one, "suspended_at"))
            return true;
    }
    return err_set(err, ERR_GONE, "the App is not installed anywhere");
}

static bool bot_user_id(struct github *g, const char *slug, const struct call *call, int64_t *id,
                        struct err *err)
{
    AUTO(mem_freep) char *path = mem_printf("/users/%s%%5Bbot%%5D", slug);
    struct github_repo any = {0};
    struct call soon = call_within(call, ANONYMOUS_MS);
    if (ask_user(g, path, NULL, &soon, id, err))
        return true;
    return call_check(call, err) && first_installation(g, call, &any.installation_id, err) &&
           ask_user(g, path, &any, call, id, err);
}

static bool get_app(struct github *g, const struct call *call, struct rest_answer *a,
                    struct err *err)
{
    struct rest q = {.method = "GET", .path = "/app", .label = "GET /app", .auth = REST_JWT};
    return rest_call(g, &q, call, a, err);
}

static bool app_itself(struct github *g, const struct call *call, struct err *err)
{
    AUTO(rest_answer_done) struct rest_answer a = {0};
    if (!get_app(g, call, &a, err))
        return false;
    struct found f = {.slug = json_cstr(a.json, "slug"), .app_id = json_int(a.json, "id", 0)};
    if (!f.slug || !name_login_ok(str_of(f.slug)) || f.app_id <= 0)
        return rest_bad_answer("slug and id", err);
    AUTO(mem_freep) char *login = mem_printf("%s[bot]", f.slug);
    f.login = login;
    return bot_user_id(g, f.slug, call, &f.user_id, err) && remember(g, &f, err);
}

bool github_self(struct github *g, const struct call *call, const struct github_self **out,
                 struct err *err)
{
    if (!known(g) &&
        !(github_is_personal(g) ? owner_of_token(g, call, err) : app_itself(g, call, err)))
        return err_wrap(err, "ask GitHub who we are");
    *out = &g->self;
    return true;
}

static const char *as_text(struct arena *arena, const json_t *j, const char *fallback)
{
    AUTO(buf_done) struct buf text = {0};
    if (!j)
        return fallback;
    json_write(&text, j);
    return arena_str(arena, buf_str(&text));
}

bool github_check(struct github *g, const struct call *call, struct arena *arena,
                  const char **permissions, const char **events, int64_t *skew_s, struct err *err)
{
    AUTO(rest_answer_done) struct rest_answer a = {0};
    struct rest user = {.method = "GET", .path = "/user", .label = "GET /user"};
    if (github_is_personal(g) ? !rest_call(g, &user, call, &a, err) : !get_app(g, call, &a, err))
        return false;
    *permissions = as_text(arena, json_at(a.json, "permissions"), "{}");
    *events = as_text(arena, json_at(a.json, "events"), "[]");
    *skew_s = a.date_ms > 0 ? (a.date_ms - clock_wall_ms()) / 1000 : 0;
    return true;
}
