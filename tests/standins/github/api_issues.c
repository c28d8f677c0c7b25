/* Issues, their comments, labels, assignees and reactions. */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"

#include <ctype.h>
#include <strings.h>

#define BODY_MAX_CHARS 65536
#define BOTH_READ      "issues=read; pull_requests=read"
#define BOTH_WRITE     "issues=write; pull_requests=write"

/* ---- labels ---- */

static void list_repo_labels(struct req *q)
{
    json_t *all = json_array();
    for (size_t i = 0; i < q->repo->labels.n; i++)
        json_array_append_new(all, obj_label(q->repo, q->repo->labels.at[i]));
    reply_list(q, all);
}

static void create_label(struct req *q)
{
    const char *name = body_text(q, "name");
    const char *color = body_text(q, "color");
    const char *text = body_text(q, "description");
    if (!name || !*name || strlen(name) > 200 || (text && strlen(text) > 400) ||
        (color && (strlen(color) != 6 || strspn(color, "0123456789abcdefABCDEF") != 6))) {
        invalid(q, "Label",
                !name || !*name ? "name"
                : color         ? "color"
                                : "description",
                !name ? "missing_field" : "invalid", NULL);
        return;
    }
    if (label_find(q->repo, name)) {
        invalid(q, "Label", "name", "already_exists", NULL);
        return;
    }
    reply(q, 201, obj_label(q->repo, label_new(q->repo, name, color, text)));
}

static void get_label(struct req *q)
{
    const struct label *l = label_find(q->repo, q->part[0]);
    if (l)
        reply(q, 200, obj_label(q->repo, l));
    else
        not_found(q);
}

static void delete_label(struct req *q)
{
    struct label *l = label_find(q->repo, q->part[0]);
    if (!l) {
        not_found(q);
        return;
    }
    for (size_t i = 0; i < q->repo->issues.n; i++)
        (void)list_remove(&((struct issue *)q->repo->issues.at[i])->labels, l);
    (void)list_remove(&q->repo->labels, l);
    reply(q, 204, NULL);
}

/* Names, or objects with a name, that are not there yet are made on the way. */
static void put_labels(struct req *q, struct issue *i, const json_t *names)
{
    size_t k;
    json_t *v;
    json_array_foreach(names, k, v)
    {
        const char *name = json_is_string(v) ? json_string_value(v) : json_cstr(v, "name");
        if (!name || !*name)
            continue;
        struct label *l = label_find(q->repo, name);
        issue_label(i, l ? l : label_new(q->repo, name, NULL, NULL), q->who.user);
    }
}

static void list_labels(struct req *q)
{
    const struct issue *i = want_issue(q, 0);
    if (i)
        reply_list(q, obj_labels(i));
}

static void add_labels(struct req *q)
{
    struct issue *i = want_issue(q, 0);
    if (!i)
        return;
    put_labels(q, i, json_object_get(q->body, "labels"));
    reply_list(q, obj_labels(i));
}

static void drop_label(struct req *q, struct issue *i, struct label *l)
{
    if (!list_remove(&i->labels, l))
        return;
    i->updated = now_ms();
    event_issue(i, "unlabeled", q->who.user, json_pack("{s:o}", "label", obj_label(q->repo, l)));
}

static void set_labels(struct req *q)
{
    struct issue *i = want_issue(q, 0);
    if (!i)
        return;
    while (i->labels.n > 0)
        drop_label(q, i, i->labels.at[i->labels.n - 1]);
    put_labels(q, i, json_object_get(q->body, "labels"));
    reply_list(q, obj_labels(i));
}

static void remove_label(struct req *q)
{
    struct issue *i = want_issue(q, 0);
    struct label *l = label_find(q->repo, q->part[1]);
    if (!i)
        return;
    if (!l || !list_has(&i->labels, l)) {
        fail(q, 404, "Label does not exist");
        return;
    }
    drop_label(q, i, l);
    reply_list(q, obj_labels(i));
}

/* ---- issues ---- */

static bool assignable(const struct repo *r, const struct user *u)
{
    return u && strcmp(u->type, "Bot") != 0 && role_rank(repo_role(r, u)) >= role_rank("read") &&
           (u == r->owner || json_object_get(r->roles, u->login));
}

/* Unassignable logins are dropped without a word. */
static void assign(struct req *q, struct issue *i, const json_t *logins)
{
    size_t k;
    json_t *login;
    json_array_foreach(logins, k, login)
    {
        struct user *u = user_find(json_string_value(login));
        if (!assignable(q->repo, u) || list_has(&i->assignees, u))
            continue;
        list_add(&i->assignees, u);
        event_issue(i, "assigned", q->who.user, json_pack("{s:o}", "assignee", obj_user(u)));
    }
}

static bool body_fits(struct req *q, const char *resource, const char *body)
{
    if (!body || strlen(body) <= BODY_MAX_CHARS)
        return true;
    invalid(q, resource, "body", "custom", "body is too long (maximum is 65536 characters)");
    return false;
}

static void create_issue(struct req *q)
{
    const char *title = body_text(q, "title");
    if (!repo_flag(q->repo, "has_issues")) {
        fail(q, 410, "Issues are disabled for this repo");
        return;
    }
    if (!title || !*title) {
        invalid(q, "Issue", "title", "missing_field", NULL);
        return;
    }
    if (!body_fits(q, "Issue", body_text(q, "body")))
        return;
    struct issue *i = issue_new(q->repo, q->who.user, title, body_text(q, "body"));
    i->via_app = via_app(q);
    event_issue(i, "opened", q->who.user, NULL);
    /* Labels and assignees of people without triage are dropped. */
    if (via_app(q) || role_rank(repo_role(q->repo, q->who.user)) >= role_rank("triage")) {
        put_labels(q, i, json_object_get(q->body, "labels"));
        assign(q, i, json_object_get(q->body, "assignees"));
    }
    reply(q, 201, obj_issue(i));
}

static bool has_labels(const struct issue *i, const char *names)
{
    struct str rest = str_of(names);
    struct str name;
    while (str_split(&rest, ',', &name)) {
        AUTO(mem_freep) char *one = str_dup(str_trim(name));
        const struct label *l = label_find(i->repo, one);
        if (!l || !list_has(&i->labels, l))
            return false;
    }
    return true;
}

static void list_issues(struct req *q)
{
    AUTO(mem_freep) char *state = query_text(q, "state");
    AUTO(mem_freep) char *labels = query_text(q, "labels");
    AUTO(mem_freep) char *direction = query_text(q, "direction");
    const char *want = state ? state : "open";
    bool rising = direction && strcmp(direction, "asc") == 0;
    size_t n = q->repo->issues.n;
    json_t *all = json_array();
    for (size_t k = 0; k < n; k++) {
        const struct issue *i = q->repo->issues.at[rising ? k : n - 1 - k];
        bool right = strcmp(want, "all") == 0 || (strcmp(want, "closed") == 0) == i->closed;
        if (right && !i->deleted && (!labels || !*labels || has_labels(i, labels)))
            json_array_append_new(all, obj_issue(i));
    }
    reply_list(q, all);
}

static void get_issue(struct req *q)
{
    const struct issue *i = want_issue(q, 0);
    if (i)
        reply(q, 200, obj_issue(i));
}

static const char *reason_of(const char *text)
{
    static const char *const known[] = {"completed", "not_planned", "duplicate", "reopened"};
    for (size_t i = 0; text && i < COUNT(known); i++)
        if (strcmp(text, known[i]) == 0)
            return known[i];
    return NULL;
}

static void edit_texts(struct req *q, struct issue *i)
{
    const char *title = body_text(q, "title");
    json_t *changes = json_object();
    if (title && strcmp(title, i->title) != 0) {
        jset(changes, "title", json_pack("{s:s}", "from", i->title));
        text_set(&i->title, title);
    }
    if (json_object_get(q->body, "body")) {
        jset(changes, "body", json_pack("{s:s}", "from", i->body ? i->body : ""));
        text_set(&i->body, body_text(q, "body"));
    }
    i->updated = now_ms();
    if (json_object_size(changes) > 0)
        event_issue(i, "edited", q->who.user, json_pack("{s:O}", "changes", changes));
    json_decref(changes);
}

static void patch_issue(struct req *q)
{
    struct issue *i = want_issue(q, 0);
    const char *state = body_text(q, "state");
    const char *reason = reason_of(body_text(q, "state_reason"));
    if (!i || !body_fits(q, "Issue", body_text(q, "body")))
        return;
    bool author = i->user == q->who.user;
    if (!via_app(q) && !author &&
        role_rank(repo_role(q->repo, q->who.user)) < role_rank("triage")) {
        fail(q, 403, "Must have admin rights to Repository.");
        return;
    }
    if (body_text(q, "state_reason") && !reason) {
        fail(q, 422, "state_reason is not valid");
        return;
    }
    edit_texts(q, i);
    if (json_object_get(q->body, "labels")) {
        while (i->labels.n > 0)
            drop_label(q, i, i->labels.at[i->labels.n - 1]);
        put_labels(q, i, json_object_get(q->body, "labels"));
    }
    assign(q, i, json_object_get(q->body, "assignees"));
    if (state && strcmp(state, "closed") == 0)
        issue_close(i, reason ? reason : "completed", q->who.user);
    else if (state)
        issue_reopen(i, q->who.user);
    reply(q, 200, obj_issue(i));
}

static void add_assignees(struct req *q)
{
    struct issue *i = want_issue(q, 0);
    if (!i)
        return;
    assign(q, i, json_object_get(q->body, "assignees"));
    reply(q, 201, obj_issue(i));
}

static void remove_assignees(struct req *q)
{
    struct issue *i = want_issue(q, 0);
    size_t k;
    json_t *login;
    if (!i)
        return;
    json_array_foreach(json_object_get(q->body, "assignees"), k, login)
    {
        struct user *u = user_find(json_string_value(login));
        if (u && list_remove(&i->assignees, u))
            event_issue(i, "unassigned", q->who.user, json_pack("{s:o}", "assignee", obj_user(u)));
    }
    reply(q, 200, obj_issue(i));
}

static void lock(struct req *q)
{
    struct issue *i = want_issue(q, 0);
    bool on = str_eq(q->method, STR("PUT"));
    if (!i)
        return;
    i->locked = on;
    event_issue(i, on ? "locked" : "unlocked", q->who.user, NULL);
    reply(q, 204, NULL);
}

/* ---- comments ---- */

static void create_comment(struct req *q)
{
    struct issue *i = want_issue(q, 0);
    const char *body = body_text(q, "body");
    if (!i)
        return;
    if (!body || !*body) {
        invalid(q, "IssueComment", "body", "missing_field", NULL);
        return;
    }
    if (!body_fits(q, "IssueComment", body))
        return;
    if (i->locked && !via_app(q) &&
        role_rank(repo_role(q->repo, q->who.user)) < role_rank("write")) {
        fail(q, 403, "Unable to create comment because issue is locked.");
        return;
    }
    struct comment *c = mem_alloc(sizeof(*c));
    c->id = state_id(ID_ISSUE);
    c->issue = i;
    c->user = q->who.user;
    c->body = mem_strdup(body);
    c->via_app = via_app(q);
    c->created = c->updated = i->updated = now_ms();
    list_add(&q->repo->comments, c);
    event_comment(c, "created", q->who.user, NULL);
    reply(q, 201, obj_comment(c));
}

static struct comment *want_comment(struct req *q)
{
    for (size_t k = 0; k < q->repo->comments.n; k++) {
        struct comment *c = q->repo->comments.at[k];
        if (c->id == part_id(q, 0))
            return c;
    }
    not_found(q);
    return NULL;
}

static void list_comments(struct req *q)
{
    const struct issue *i = want_issue(q, 0);
    json_t *all = json_array();
    for (size_t k = 0; i && k < q->repo->comments.n; k++)
        if (((struct comment *)q->repo->comments.at[k])->issue == i)
            json_array_append_new(all, obj_comment(q->repo->comments.at[k]));
    if (i)
        reply_list(q, json_incref(all));
    json_decref(all);
}

static void get_comment(struct req *q)
{
    const struct comment *c = want_comment(q);
    if (c)
        reply(q, 200, obj_comment(c));
}

/* An App edits only its own; people need write for those of others. */
static bool may_edit(struct req *q, const struct comment *c)
{
    if (c->user == q->who.user ||
        role_rank(repo_role(q->repo, q->who.user)) >= role_rank("write") || via_app(q))
        return true;
    fail(q, 403, "Must have admin rights to Repository.");
    return false;
}

static void patch_comment(struct req *q)
{
    struct comment *c = want_comment(q);
    const char *body = body_text(q, "body");
    if (!c || !may_edit(q, c))
        return;
    if (!body || !*body) {
        invalid(q, "IssueComment", "body", "missing_field", NULL);
        return;
    }
    if (!body_fits(q, "IssueComment", body))
        return;
    json_t *changes = json_pack("{s:{s:{s:s}}}", "changes", "body", "from", c->body);
    text_set(&c->body, body);
    c->updated = now_ms();
    event_comment(c, "edited", q->who.user, changes);
    reply(q, 200, obj_comment(c));
}

static void delete_comment(struct req *q)
{
    struct comment *c = want_comment(q);
    if (!c || !may_edit(q, c))
        return;
    event_comment(c, "deleted", q->who.user, NULL);
    (void)list_remove(&q->repo->comments, c);
    reply(q, 204, NULL);
}

/* ---- reactions ---- */

static bool content_ok(const char *content)
{
    static const char *const known[] = {"+1",    "-1",     "laugh",  "confused",
                                        "heart", "hooray", "rocket", "eyes"};
    for (size_t i = 0; content && i < COUNT(known); i++)
        if (strcmp(content, known[i]) == 0)
            return true;
    return false;
}

static void react(struct req *q, int64_t subject)
{
    const char *content = body_text(q, "content");
    if (!content_ok(content)) {
        invalid(q, "Reaction", "content", "invalid", NULL);
        return;
    }
    for (size_t i = 0; i < S.reactions.n; i++) {
        const struct reaction *r = S.reactions.at[i];
        if (r->subject == subject && r->user == q->who.user && strcmp(r->content, content) == 0) {
            reply(q, 200, obj_reaction(r));
            return;
        }
    }
    struct reaction *r = mem_alloc(sizeof(*r));
    r->id = state_id(ID_LABEL);
    r->subject = subject;
    r->user = q->who.user;
    r->content = mem_strdup(content);
    r->created = now_ms();
    list_add(&S.reactions, r);
    reply(q, 201, obj_reaction(r));
}

static void reactions(struct req *q, int64_t subject)
{
    json_t *all = json_array();
    for (size_t i = 0; i < S.reactions.n; i++)
        if (((struct reaction *)S.reactions.at[i])->subject == subject)
            json_array_append_new(all, obj_reaction(S.reactions.at[i]));
    reply_list(q, all);
}

static void unreact(struct req *q, int64_t subject, int64_t id)
{
    for (size_t i = 0; i < S.reactions.n; i++) {
        struct reaction *r = S.reactions.at[i];
        if (r->id == id && r->subject == subject) {
            (void)list_remove(&S.reactions, r);
            reply(q, 204, NULL);
            return;
        }
    }
    not_found(q);
}

/* The issue or comment that a reaction's path names; 0 = none, answered. */
static int64_t subject_of(struct req *q)
{
    struct str path = http_path(q->x);
    const struct list *all =
        str_find(path, STR("/pulls/comments/"), 0) < path.n    ? &q->repo->review_comments
        : str_find(path, STR("/issues/comments/"), 0) < path.n ? &q->repo->comments
                                                               : NULL;
    if (!all) {
        const struct issue *i = want_issue(q, 0);
        return i ? i->id : 0;
    }
    for (size_t k = 0; k < all->n; k++)
        if (((struct comment *)all->at[k])->id == part_id(q, 0))
            return part_id(q, 0);
    not_found(q);
    return 0;
}

static void create_reaction(struct req *q)
{
    int64_t subject = subject_of(q);
    if (subject)
        react(q, subject);
}

static void list_reactions(struct req *q)
{
    int64_t subject = subject_of(q);
    if (subject)
        reactions(q, subject);
}

static void delete_reaction(struct req *q)
{
    int64_t subject = subject_of(q);
    if (subject)
        unreact(q, subject, part_id(q, 1));
}

const struct route routes_issues[] = {
    {"GET",             "repos/:/:/labels", list_repo_labels, BOTH_READ, NULL},
    {"POST", "repos/:/:/labels", create_label, BOTH_WRITE, "triage"},
    {"GET",             "repos/:/:/labels/:", get_label, BOTH_READ, NULL},
    {"DELETE",            "repos/:/:/labels/:", delete_label, BOTH_WRITE, "write"},
    {"POST",     "repos/:/:/issues", create_issue, "issues=write", "read"},
    {"GET",         "repos/:/:/issues", list_issues, BOTH_READ, NULL},
    {"GET",             "repos/:/:/issues/comments/:", get_comment, BOTH_READ, NULL},
    {"PATCH",        "repos/:/:/issues/comments/:", patch_comment, BOTH_WRITE, "read"},
    {"DELETE",             "repos/:/:/issues/comments/:", delete_comment, BOTH_WRITE, "read"},
    {"GET",          "repos/:/:/issues/comments/:/reactions", list_reactions, BOTH_READ, NULL},
    {"POST",     "repos/:/:/issues/comments/:/reactions", create_reaction, BOTH_WRITE, "read"},
    {"DELETE",          "repos/:/:/issues/comments/:/reactions/:", delete_reaction, BOTH_WRITE, "read"},
    {"GET",            "repos/:/:/pulls/comments/:/reactions", list_reactions, "pull_requests=read", NULL},
    {"POST",     "repos/:/:/pulls/comments/:/reactions", create_reaction, "pull_requests=write",
     "read"},
    {"DELETE",           "repos/:/:/pulls/comments/:/reactions/:", delete_reaction, "pull_requests=write",
     "read"},
    {"GET",             "repos/:/:/issues/:", get_issue, BOTH_READ, NULL},
    {"PATCH",      "repos/:/:/issues/:", patch_issue, BOTH_WRITE, "read"},
    {"GET",             "repos/:/:/issues/:/comments", list_comments, BOTH_READ, NULL},
    {"POST",             "repos/:/:/issues/:/comments", create_comment, BOTH_WRITE, "read"},
    {"GET",      "repos/:/:/issues/:/labels", list_labels, BOTH_READ, NULL},
    {"POST",             "repos/:/:/issues/:/labels", add_labels, BOTH_WRITE, "triage"},
    {"PUT",           "repos/:/:/issues/:/labels", set_labels, BOTH_WRITE, "triage"},
    {"DELETE",    "repos/:/:/issues/:/labels/:", remove_label, BOTH_WRITE, "triage"},
    {"POST",           "repos/:/:/issues/:/assignees", add_assignees, BOTH_WRITE, "triage"},
    {"DELETE",          "repos/:/:/issues/:/assignees", remove_assignees, BOTH_WRITE, "triage"},
    {"PUT",   "repos/:/:/issues/:/lock", lock, BOTH_WRITE, "triage"},
    {"DELETE",           "repos/:/:/issues/:/lock", lock, BOTH_WRITE, "triage"},
    {"GET",             "repos/:/:/issues/:/reactions", list_reactions, BOTH_READ, NULL},
    {"POST",   "repos/:/:/issues/:/reactions", create_reaction, BOTH_WRITE, "read"},
    {"DELETE",             "repos/:/:/issues/:/reactions/:", delete_reaction, BOTH_WRITE, "read"},
    {0           },
};
