/* The world's rows: making and finding them. Lists are walked, not indexed: a test's world has
 * hundreds of rows, not millions. */
#include "tests/standins/github/state.h"

#include "bot/base/clock.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <fnmatch.h>
#include <strings.h>

struct state S;

void list_add(struct list *l, void *row)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 8;
        l->at = mem_grow(l->at, l->cap, sizeof(*l->at));
    }
    l->at[l->n++] = row;
}

bool list_remove(struct list *l, const void *row)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->at[i] == row) {
            memmove(&l->at[i], &l->at[i + 1], (l->n - i - 1) * sizeof(*l->at));
            l->n--;
            return true;
        }
    }
    return false;
}

bool list_has(const struct list *l, const void *row)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i] == row)
            return true;
    return false;
}

void state_lock(void)
{
    pthread_mutex_lock(&S.lock);
}

void state_unlock(void)
{
    pthread_mutex_unlock(&S.lock);
}

int64_t state_id(enum id_kind kind)
{
    static int64_t last[ID_KINDS] = {
        [ID_USER] = 4200100,
        [ID_REPO] = 910000000,
        [ID_ISSUE] = 3200000000, /* over 32 bits, as on github.com */
        [ID_LABEL] = 8100000000,
        [ID_CHECK] = 52000000000,
        [ID_DELIVERY] = 190000000000000, /* and these over 2^47 */
        [ID_INSTALLATION] = 71000000,
    };
    return ++last[kind];
}

int64_t now_ms(void)
{
    return clock_wall_ms();
}

void text_set(char **slot, const char *value)
{
    char *copy = mem_strdup(value);
    free(*slot);
    *slot = copy;
}

struct user *user_find(const char *login)
{
    for (size_t i = 0; login && i < S.users.n; i++) {
        struct user *u = S.users.at[i];
        if (strcasecmp(u->login, login) == 0)
            return u;
    }
    return NULL;
}

struct user *user_by_id(int64_t id)
{
    for (size_t i = 0; i < S.users.n; i++) {
        struct user *u = S.users.at[i];
        if (u->id == id)
            return u;
    }
    return NULL;
}

struct user *user_new(const char *login, const char *type)
{
    struct user *u = mem_alloc(sizeof(*u));
    u->id = state_id(ID_USER);
    u->login = mem_strdup(login);
    u->type = type;
    u->created = now_ms();
    list_add(&S.users, u);
    return u;
}

struct token *token_find(struct str text)
{
    for (size_t i = S.tokens.n; i > 0; i--) {
        struct token *t = S.tokens.at[i - 1];
        if (str_eq(str_of(t->text), text))
            return t;
    }
    return NULL;
}

struct installation *installation_by_id(int64_t id)
{
    for (size_t i = 0; i < S.installations.n; i++) {
        struct installation *in = S.installations.at[i];
        if (in->id == id && !in->deleted)
            return in;
    }
    return NULL;
}

bool installation_covers(const struct installation *i, const struct repo *r)
{
    return !i->deleted && i->account == r->owner && (i->all || list_has(&i->repos, r));
}

struct installation *installation_of(const struct repo *r)
{
    for (size_t i = 0; r && i < S.installations.n; i++)
        if (installation_covers(S.installations.at[i], r))
            return S.installations.at[i];
    return NULL;
}

struct repo *repo_find(const char *owner, const char *name, bool *moved)
{
    AUTO(mem_freep) char *full = mem_printf("%s/%s", owner, name);
    *moved = false;
    for (size_t i = 0; i < S.repos.n; i++) {
        struct repo *r = S.repos.at[i];
        if (!r->deleted && strcasecmp(r->full, full) == 0)
            return r;
    }
    for (size_t i = 0; i < S.repos.n; i++) {
        struct repo *r = S.repos.at[i];
        for (size_t k = 0; !r->deleted && k < json_array_size(r->old_names); k++) {
            if (strcasecmp(json_string_value(json_array_get(r->old_names, k)), full) == 0) {
                *moved = true;
                return r;
            }
        }
    }
    return NULL;
}

struct repo *repo_by_id(int64_t id)
{
    for (size_t i = 0; i < S.repos.n; i++) {
        struct repo *r = S.repos.at[i];
        if (r->id == id && !r->deleted)
            return r;
    }
    return NULL;
}

static json_t *default_settings(void)
{
    return json_pack("{s:n, s:n, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:[], s:b, s:b}",
                     "description", "homepage", "has_issues", 1, "has_projects", 1, "has_wiki", 1,
                     "has_discussions", 0, "delete_branch_on_merge", 0, "allow_auto_merge", 0,
                     "allow_squash_merge", 1, "allow_merge_commit", 1, "allow_rebase_merge", 1,
                     "web_commit_signoff_required", 0, "topics", "is_template", 0,
                     "allow_update_branch", 0);
}

bool repo_new(struct user *owner, const char *name, const char *branch, struct repo **out)
{
    struct repo *r = mem_alloc(sizeof(*r));
    r->id = state_id(ID_REPO);
    /* By id, not by name: a rename must not move it under a running clone. */
    r->dir = mem_printf("%s/repos/%lld.git", S.data, (long long)r->id);
    if (!git_init_bare(r->dir, branch)) {
        free(r->dir);
        free(r);
        return false;
    }
    r->owner = owner;
    r->name = mem_strdup(name);
    r->full = mem_printf("%s/%s", owner->login, name);
    r->default_branch = mem_strdup(branch);
    r->settings = default_settings();
    r->roles = json_object();
    r->protection = json_array();
    r->old_names = json_array();
    r->statuses = json_array();
    r->created = r->updated = r->pushed = now_ms();
    list_add(&S.repos, r);
    *out = r;
    return true;
}

static const char *const roles[] = {"none", "read", "triage", "write", "maintain", "admin"};

int role_rank(const char *role)
{
    for (size_t i = 0; role && i < COUNT(roles); i++)
        if (strcmp(roles[i], role) == 0)
            return (int)i;
    return 0;
}

const char *repo_role(const struct repo *r, const struct user *u)
{
    if (!u)
        return r->is_private ? "none" : "read";
    if (u == r->owner)
        return "admin";
    const char *login;
    json_t *role;
    json_object_foreach(r->roles, login, role)
    {
        if (strcasecmp(login, u->login) == 0)
            return roles[role_rank(json_string_value(role))];
    }
    return r->is_private ? "none" : "read";
}

bool repo_flag(const struct repo *r, const char *setting)
{
    return json_is_true(json_object_get(r->settings, setting));
}

struct label *label_find(const struct repo *r, const char *name)
{
    for (size_t i = 0; i < r->labels.n; i++) {
        struct label *l = r->labels.at[i];
        if (strcasecmp(l->name, name) == 0)
            return l;
    }
    return NULL;
}

struct label *label_new(struct repo *r, const char *name, const char *color,
                        const char *description)
{
    struct label *l = mem_alloc(sizeof(*l));
    l->id = state_id(ID_LABEL);
    l->name = mem_strdup(name);
    l->color = mem_strdup(color ? color : "ededed");
    l->description = mem_strdup(description);
    list_add(&r->labels, l);
    return l;
}

struct issue *issue_find(const struct repo *r, int64_t number)
{
    if (number < 1 || (size_t)number > r->issues.n)
        return NULL;
    return r->issues.at[number - 1];
}

struct issue *issue_new(struct repo *r, struct user *u, const char *title, const char *body)
{
    struct issue *i = mem_alloc(sizeof(*i));
    i->id = state_id(ID_ISSUE);
    i->repo = r;
    i->user = u;
    i->title = mem_strdup(title);
    i->body = mem_strdup(body);
    i->created = i->updated = now_ms();
    list_add(&r->issues, i);
    i->number = (int64_t)r->issues.n;
    return i;
}

int64_t issue_comments(const struct issue *i)
{
    int64_t n = 0;
    for (size_t k = 0; k < i->repo->comments.n; k++)
        n += ((struct comment *)i->repo->comments.at[k])->issue == i;
    return n;
}

json_t *branch_rules(const struct repo *r, const char *branch)
{
    json_t *found = json_array();
    size_t i;
    json_t *row;
    json_array_foreach(r->protection, i, row)
    {
        const char *pattern = json_cstr(row, "pattern");
        size_t k;
        json_t *rule;
        if (!pattern || fnmatch(pattern, branch, 0) != 0)
            continue;
        json_array_foreach(json_object_get(row, "rules"), k, rule)
        {
            json_array_append(found, rule);
        }
    }
    return found;
}

json_t *branch_rule(const struct repo *r, const char *branch, const char *type)
{
    AUTO(json_decrefp) json_t *all = branch_rules(r, branch);
    size_t i;
    json_t *rule;
    json_array_foreach(all, i, rule)
    {
        const char *have = json_cstr(rule, "type");
        if (have && strcmp(have, type) == 0)
            return rule; /* the repository's own array keeps it alive */
    }
    return NULL;
}

bool branch_protected(const struct repo *r, const char *branch)
{
    AUTO(json_decrefp) json_t *all = branch_rules(r, branch);
    return json_array_size(all) > 0;
}
