/* What a test or the quickstart orders, none of it GitHub's API: README.md has the list. Each order
 * is one function over the world, run with the state lock held. */
#include "tests/standins/github/control.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"

#include <strings.h>

#define BODY_MAX_BYTES ((size_t)256 * 1024 * 1024)

struct order {
    struct http_exchange *x;
    json_t *body;
    const char *part[3];
    int status;
    json_t *out;
};

static void done(struct order *o, int status, json_t *out)
{
    o->status = status;
    o->out = out;
}

static void wrong(struct order *o, const char *text)
{
    done(o, 422, json_pack("{s:s}", "message", text));
}

static struct repo *repo_named(const char *full)
{
    const char *slash = full ? strchr(full, '/') : NULL;
    bool moved;
    if (!slash)
        return NULL;
    AUTO(mem_freep) char *owner = str_dup((struct str){full, (size_t)(slash - full)});
    return repo_find(owner, slash + 1, &moved);
}

/* ---- state and settings ---- */

static void get_state(struct order *o)
{
    json_t *users = json_array();
    json_t *repos = json_array();
    json_t *installations = json_array();
    for (size_t i = 0; i < S.users.n; i++)
        json_array_append_new(users, obj_user(S.users.at[i]));
    for (size_t i = 0; i < S.repos.n; i++)
        json_array_append_new(repos, obj_repo_ref(S.repos.at[i]));
    for (size_t i = 0; i < S.installations.n; i++)
        json_array_append_new(installations, obj_installation(S.installations.at[i]));
    done(o, 200,
         json_pack("{s:o, s:o, s:o, s:o, s:s, s:s}", "app", obj_app(), "users", users,
                   "repositories", repos, "installations", installations, "api_url", S.api, "url",
                   S.base));
}

static void patch_config(struct order *o)
{
    const json_t *b = o->body;
    const struct {
        const char *key;
        char **slot;
    } texts[] = {
        {"enterprise",     &S.enterprise     },
        {"client_id",      &S.app.client_id  },
        {"webhook_url",    &S.app.hook_url   },
        {"webhook_secret", &S.app.hook_secret},
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        if (json_object_get(b, texts[i].key))
            text_set(texts[i].slot, json_cstr(b, texts[i].key));
    S.app.id = json_int(b, "app_id", S.app.id);
    S.mergeable_lag = (int)json_int(b, "mergeable_lag", S.mergeable_lag);
    if (json_cstr(b, "app_slug")) {
        text_set(&S.app.slug, json_cstr(b, "app_slug"));
        text_set(&S.app.name, json_cstr(b, "app_slug"));
        free(S.app.bot->login);
        S.app.bot->login = mem_printf("%s[bot]", S.app.slug);
    }
    if (json_cstr(b, "token_format"))
        S.app.long_tokens = strcmp(json_cstr(b, "token_format"), "long") == 0;
    if (json_object_get(b, "permissions"))
        json_object_update(S.app.permissions, json_object_get(b, "permissions"));
    if (json_cstr(b, "app_key_pub") && !app_key_set(json_str(b, "app_key_pub"))) {
        wrong(o, "app_key_pub is not a PEM public key");
        return;
    }
    if (json_cstr(b, "public_url"))
        text_set(&S.base, json_cstr(b, "public_url"));
    if (json_cstr(b, "public_url") || json_cstr(b, "api_prefix")) {
        const char *prefix = json_cstr(b, "api_prefix");
        free(S.api);
        S.api = mem_printf("%s%s", S.base, prefix ? prefix : "");
    }
    get_state(o);
}

/* ---- people ---- */

static void post_user(struct order *o)
{
    static const char *const types[] = {"User", "Organization", "Bot"};
    const char *login = json_cstr(o->body, "login");
    const char *type = json_cstr(o->body, "type");
    const char *known = "User";
    if (!login || !*login) {
        wrong(o, "login is missing");
        return;
    }
    for (size_t i = 0; type && i < COUNT(types); i++)
        if (strcmp(type, types[i]) == 0)
            known = types[i];
    struct user *u = user_find(login);
    if (!u)
        u = user_new(login, known);
    if (json_cstr(o->body, "name"))
        text_set(&u->name, json_cstr(o->body, "name"));
    if (json_cstr(o->body, "email"))
        text_set(&u->email, json_cstr(o->body, "email"));
    done(o, 201, obj_user(u));
}

static void post_token(struct order *o)
{
    struct user *u = user_find(json_cstr(o->body, "login"));
    size_t i;
    json_t *name;
    if (!u) {
        wrong(o, "no such user");
        return;
    }
    struct token *t = token_new(TOKEN_PERSONAL, false);
    t->user = u;
    if (json_is_object(json_object_get(o->body, "permissions")))
        t->permissions = json_deep_copy(json_object_get(o->body, "permissions"));
    json_array_foreach(json_object_get(o->body, "repositories"), i, name)
    {
        t->scoped = true;
        if (repo_named(json_string_value(name)))
            list_add(&t->repos, repo_named(json_string_value(name)));
    }
    done(o, 201, json_pack("{s:s}", "token", t->text));
}

static void expire_tokens(struct order *o)
{
    int64_t at = now_ms() + json_int(o->body, "seconds", 0) * 1000;
    int64_t n = 0;
    for (size_t i = 0; i < S.tokens.n; i++) {
        struct token *t = S.tokens.at[i];
        if (t->kind == TOKEN_INSTALLATION && t->expires > at) {
            t->expires = at;
            n++;
        }
    }
    done(o, 200, json_pack("{s:I}", "expired", (json_int_t)n));
}

/* ---- repositories ---- */

static bool files_commit(struct repo *r, const char *branch, json_t *files, const char *message,
                         struct user *by)
{
    char tree[SHA_TEXT];
    char sha[SHA_TEXT];
    char old[SHA_TEXT] = ZERO_SHA;
    const char *path;
    json_t *content;
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", branch);
    AUTO(mem_freep) char *main_ref = mem_printf("refs/heads/%s", r->default_branch);
    AUTO(mem_freep)
    char *mail = mem_printf("%lld+%s@users.noreply.github.com", (long long)by->id, by->login);
    AUTO(json_decrefp) json_t *rows = json_array();
    json_object_foreach(files, path, content)
    {
        char blob[SHA_TEXT];
        const char *text = json_string_value(content);
        if (text && !git_blob_make(r->dir, str_of(text), blob))
            return false;
        json_array_append_new(rows, json_pack("{s:s, s:s, s:o}", "path", path, "mode", "100644",
                                              "sha", text ? json_string(blob) : json_null()));
    }
    bool exists = ref_read(r->dir, ref, old);
    bool based = exists || ref_read(r->dir, main_ref, old);
    struct git_person who = {by->name ? by->name : by->login, by->email ? by->email : mail, NULL};
    const char *const parents[] = {based ? old : NULL, NULL};
    if (!git_tree_make(r->dir, based ? old : NULL, rows, tree) ||
        !git_commit_make(r->dir, tree, parents, message ? message : "Initial commit", &who, &who,
                         sha) ||
        !ref_write(r->dir, ref, sha))
        return false;
    ref_changed(r, ref, exists ? old : ZERO_SHA, sha, by);
    return true;
}

static void apply(struct repo *r, const json_t *b)
{
    size_t i;
    json_t *name;
    json_object_update(r->roles, json_object_get(b, "collaborators"));
    json_object_update(r->settings, json_object_get(b, "settings"));
    if (json_is_array(json_object_get(b, "protection"))) {
        json_decref(r->protection);
        r->protection = json_deep_copy(json_object_get(b, "protection"));
    }
    json_array_foreach(json_object_get(b, "labels"), i, name)
    {
        if (!label_find(r, json_string_value(name)))
            (void)label_new(r, json_string_value(name), NULL, NULL);
    }
    r->is_private = json_bool(b, "private", r->is_private);
    r->archived = json_bool(b, "archived", r->archived);
    r->deleted = json_bool(b, "deleted", r->deleted);
}

/* Only the web pages delete issues. */
static void issues_delete(struct repo *r, const json_t *numbers, const struct user *by)
{
    size_t k;
    json_t *n;
    json_array_foreach(numbers, k, n)
    {
        struct issue *i = issue_find(r, json_integer_value(n));
        if (!i || i->pull || i->deleted)
            continue;
        event_issue(i, "deleted", by, NULL);
        i->deleted = true;
    }
}

static void post_repo(struct order *o)
{
    struct user *owner = user_find(json_cstr(o->body, "owner"));
    const char *name = json_cstr(o->body, "name");
    const char *branch = json_cstr(o->body, "default_branch");
    json_t *files = json_object_get(o->body, "files");
    struct repo *r = NULL;
    bool moved;
    if (!owner || !name || (repo_find(owner->login, name, &moved) && !moved)) {
        wrong(o, !owner ? "no such owner" : !name ? "name is missing" : "exists already");
        return;
    }
    if (!repo_new(owner, name, branch ? branch : "main", &r)) {
        wrong(o, "git init failed");
        return;
    }
    apply(r, o->body);
    if (json_object_size(files) > 0 &&
        !files_commit(r, r->default_branch, files, json_cstr(o->body, "message"), owner)) {
        wrong(o, "the first commit failed");
        return;
    }
    event_repo(r, "repository", "created", owner, NULL);
    done(o, 201, obj_repo(r, "admin"));
}

static void patch_repo(struct order *o)
{
    bool moved;
    struct repo *r = repo_find(o->part[0], o->part[1], &moved);
    json_t *files = json_object_get(o->body, "files");
    const char *branch = json_cstr(o->body, "branch");
    struct user *by = user_find(json_cstr(o->body, "by"));
    if (!r) {
        done(o, 404, json_pack("{s:s}", "message", "no such repository"));
        return;
    }
    apply(r, o->body);
    issues_delete(r, json_object_get(o->body, "delete_issues"), by ? by : r->owner);
    if (json_object_size(files) > 0 &&
        !files_commit(r, branch ? branch : r->default_branch, files, json_cstr(o->body, "message"),
                      by ? by : r->owner)) {
        wrong(o, "the commit failed");
        return;
    }
    done(o, 200, obj_repo(r, "admin"));
}

/* ---- installations ---- */

static json_t *refs_of(const struct list *repos)
{
    json_t *all = json_array();
    for (size_t i = 0; i < repos->n; i++)
        json_array_append_new(all, obj_repo_ref(repos->at[i]));
    return all;
}

static void add_repos(struct list *to, const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        struct repo *r = repo_named(json_string_value(name));
        if (r && !list_has(to, r))
            list_add(to, r);
    }
}

static void post_installation(struct order *o)
{
    struct user *account = user_find(json_cstr(o->body, "account"));
    json_t *permissions = json_object_get(o->body, "permissions");
    json_t *events = json_object_get(o->body, "events");
    if (!account) {
        wrong(o, "no such account");
        return;
    }
    struct installation *in = mem_alloc(sizeof(*in));
    in->id = state_id(ID_INSTALLATION);
    in->account = account;
    in->all = !json_is_array(json_object_get(o->body, "repositories"));
    add_repos(&in->repos, json_object_get(o->body, "repositories"));
    in->permissions = json_deep_copy(permissions ? permissions : S.app.permissions);
    in->events = json_deep_copy(events ? events : S.app.events);
    in->created = now_ms();
    in->limit = json_int(o->body, "limit", 5000);
    list_add(&S.installations, in);
    struct list all = {0};
    for (size_t i = 0; i < S.repos.n; i++)
        if (installation_covers(in, S.repos.at[i]))
            list_add(&all, S.repos.at[i]);
    event_installation(in, "installation", "created",
                       json_pack("{s:o, s:n}", "repositories", refs_of(&all), "requester"));
    free(all.at);
    done(o, 201, obj_installation(in));
}

static void patch_repos(struct installation *in, const json_t *body)
{
    struct list added = {0};
    struct list removed = {0};
    add_repos(&added, json_object_get(body, "add"));
    add_repos(&removed, json_object_get(body, "remove"));
    add_repos(&in->repos, json_object_get(body, "add"));
    for (size_t i = 0; i < removed.n; i++)
        (void)list_remove(&in->repos, removed.at[i]);
    if (added.n + removed.n > 0)
        event_installation(in, "installation_repositories", added.n ? "added" : "removed",
                           json_pack("{s:s, s:o, s:o, s:n}", "repository_selection",
                                     in->all ? "all" : "selected", "repositories_added",
                                     refs_of(&added), "repositories_removed", refs_of(&removed),
                                     "requester"));
    free(added.at);
    free(removed.at);
}

static void patch_installation(struct order *o)
{
    int64_t id = 0;
    const json_t *b = o->body;
    struct installation *in =
        str_to_i64(str_of(o->part[0]), 1, INT64_MAX, &id) ? installation_by_id(id) : NULL;
    if (!in) {
        done(o, 404, json_pack("{s:s}", "message", "no such installation"));
        return;
    }
    patch_repos(in, b);
    if (json_is_array(json_object_get(b, "events"))) {
        json_decref(in->events);
        in->events = json_deep_copy(json_object_get(b, "events"));
    }
    if (json_is_object(json_object_get(b, "permissions"))) {
        json_decref(in->permissions);
        in->permissions = json_deep_copy(json_object_get(b, "permissions"));
        event_installation(in, "installation", "new_permissions_accepted", NULL);
    }
    if (json_object_get(b, "suspended")) {
        in->suspended = json_bool(b, "suspended", false) ? now_ms() : 0;
        event_installation(in, "installation", in->suspended ? "suspend" : "unsuspend", NULL);
    }
    if (json_bool(b, "deleted", false)) {
        event_installation(in, "installation", "deleted", json_pack("{s:[]}", "repositories"));
        in->deleted = true;
    }
    done(o, 200, obj_installation(in));
}

/* ---- time, limits, deliveries ---- */

static void post_clock(struct order *o)
{
    clock_test_shift_ms(0, json_int(o->body, "advance_s", 0) * 1000);
    done(o, 200, json_pack("{s:I}", "now_s", (json_int_t)clock_wall_s()));
}

static void post_limits(struct order *o)
{
    limits_set(o->body);
    done(o, 204, NULL);
}

static void post_webhooks(struct order *o)
{
    done(o, 200, hook_control(o->body));
}

static void get_deliveries(struct order *o)
{
    int64_t next;
    done(o, 200, hook_list(0, 100000, false, &next));
}

static void post_redeliver(struct order *o)
{
    int64_t id = 0;
    if (str_to_i64(str_of(o->part[0]), 1, INT64_MAX, &id) && hook_redeliver(id))
        done(o, 202, json_object());
    else
        done(o, 404, json_pack("{s:s}", "message", "no such delivery"));
}

static void post_ping(struct order *o)
{
    json_t *config = json_pack("{s:o, s:s, s:s}", "url", jtext(S.app.hook_url), "content_type",
                               "json", "insecure_ssl", "0");
    json_t *hook = json_pack("{s:s, s:I, s:s, s:b, s:O, s:o, s:I}", "type", "App", "id",
                             (json_int_t)S.app.hook_id, "name", "web", "active", 1, "events",
                             S.app.events, "config", config, "app_id", (json_int_t)S.app.id);
    jset(hook, "created_at", jtime(S.app.created));
    jset(hook, "updated_at", jtime(S.app.created));
    jsetf(hook, "deliveries_url", "%s/app/hook/deliveries", S.api);
    hook_send("ping",
              json_pack("{s:s, s:I, s:o}", "zen", "Practicality beats purity.", "hook_id",
                        (json_int_t)S.app.hook_id, "hook", hook),
              NULL, NULL);
    done(o, 202, json_object());
}

static void post_send(struct order *o)
{
    json_t *payload = json_object_get(o->body, "payload");
    const char *event = json_cstr(o->body, "event");
    if (!event || !payload) {
        wrong(o, "event and payload are needed");
        return;
    }
    int64_t id = json_int(payload, "installation.id", 0);
    hook_send(event, json_incref(payload), id ? installation_by_id(id) : NULL,
              repo_by_id(json_int(payload, "repository.id", 0)));
    done(o, 202, json_object());
}

static void post_manifest(struct order *o)
{
    const char *code = json_cstr(o->body, "code");
    json_t *app = json_object_get(o->body, "app"); /* client_secret, webhook_secret, pem, … */
    if (!code || !json_is_object(app)) {
        wrong(o, "code and app are needed");
        return;
    }
    json_t *whole = obj_app();
    json_object_update(whole, app);
    jset(S.app.manifests, code, whole);
    done(o, 201, json_pack("{s:s}", "code", code));
}

static const struct {
    const char *method;
    const char *pattern;
    void (*run)(struct order *o);
} orders[] = {
    {"GET",   "/_standin/state",                    get_state         },
    {"PATCH", "/_standin/config",                   patch_config      },
    {"POST",  "/_standin/users",                    post_user         },
    {"POST",  "/_standin/tokens",                   post_token        },
    {"POST",  "/_standin/tokens/expire",            expire_tokens     },
    {"POST",  "/_standin/repos",                    post_repo         },
    {"PATCH", "/_standin/repos/(*)/(*)",            patch_repo        },
    {"POST",  "/_standin/installations",            post_installation },
    {"PATCH", "/_standin/installations/(*)",        patch_installation},
    {"POST",  "/_standin/clock",                    post_clock        },
    {"POST",  "/_standin/limits",                   post_limits       },
    {"POST",  "/_standin/webhooks",                 post_webhooks     },
    {"GET",   "/_standin/deliveries",               get_deliveries    },
    {"POST",  "/_standin/deliveries/(*)/redeliver", post_redeliver    },
    {"POST",  "/_standin/ping",                     post_ping         },
    {"POST",  "/_standin/send",                     post_send         },
    {"POST",  "/_standin/manifests",                post_manifest     },
};

bool control_serve(struct http_exchange *x)
{
    struct order o = {.x = x};
    if (!str_starts(http_path(x), STR("/_standin/")))
        return false;
    if (!http_body_json(x, BODY_MAX_BYTES, &o.body)) {
        if (http_status(x) == 0)
            http_answer_text(x, 400, "not JSON\n");
        return true;
    }
    for (size_t i = 0; i < COUNT(orders) && o.status == 0; i++) {
        if (!str_eq(http_method(x), str_of(orders[i].method)) ||
            !http_match(x, orders[i].pattern, o.part, COUNT(o.part)))
            continue;
        state_lock();
        orders[i].run(&o);
        state_unlock();
    }
    json_decref(o.body);
    if (o.status == 0)
        http_answer_text(x, 404, "no such order\n");
    else if (o.out)
        http_answer_json(x, o.status, o.out);
    else
        http_answer(x, o.status, NULL, (struct str){NULL, 0});
    return true;
}
