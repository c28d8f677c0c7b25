/* Webhook payloads into struct event. The event's name comes from a header that is not signed, so a
 * recorded body could be sent again under another name; therefore each name that we act on says in
 * the table which members its body must have and which tell that it belongs to another event. An
 * unknown event is fine and gets the common fields only. Missing and null members are tolerated
 * everywhere else: GitHub sends null for deleted users, forks and empty texts. */
#include "github-app/event.h"

#include "bot/base/json.h"

#include <limits.h>

#define NAME_MAX_BYTES 64

struct shape {
    const char *name;
    const char *must[2]; /* present and not null */
    const char *must_not[3];
};

/* "repository" has no member of its own: its row keeps out the subscribed events that have actions
 * of the same names (deleted, transferred, edited). */
static const struct shape shapes[] = {
    {"check_run",                   {"check_run"},                                  {"deployment"}                      },
    {"check_suite",                 {"check_suite"},                                {0}                                 },
    {"create",                      {"ref_type", "master_branch"},                  {0}                                 },
    {"delete",                      {"ref", "ref_type"},                            {"master_branch"}                   },
    {"installation",                {"installation.account"},                       {"repositories_added", "repository"}},
    {"installation_repositories",   {"installation.account", "repositories_added"}, {0}                                 },
    {"installation_target",         {"account"},                                    {0}                                 },
    {"issue_comment",               {"issue", "comment"},                           {0}                                 },
    {"issues",                      {"issue"},                                      {"comment"}                         },
    {"ping",                        {"hook_id"},                                    {0}                                 },
    {"pull_request",                {"pull_request"},                               {"comment", "review", "thread"}     },
    {"pull_request_review",         {"pull_request", "review"},                     {"comment"}                         },
    {"pull_request_review_comment", {"pull_request", "comment"},                    {"review"}                          },
    {"pull_request_review_thread",  {"pull_request", "thread"},                     {0}                                 },
    {"push",                        {"ref", "after"},                               {0}                                 },
    {"repository",                  {"repository"},                                 {"issue", "pull_request", "comment"}},
    {"workflow_job",                {"workflow_job"},                               {0}                                 },
    {"workflow_run",                {"workflow_run"},                               {"deployment"}                      },
};

static bool is_there(const json_t *root, const char *path)
{
    const json_t *j = json_at(root, path);
    return j && !json_is_null(j);
}

static bool fits(const struct shape *s, const json_t *root, struct err *err)
{
    for (size_t i = 0; i < COUNT(s->must); i++)
        if (s->must[i] && !is_there(root, s->must[i]))
            return err_set(err, ERR_INPUT, "not a %s payload: no \"%s\"", s->name, s->must[i]);
    for (size_t i = 0; i < COUNT(s->must_not); i++)
        if (s->must_not[i] && is_there(root, s->must_not[i]))
            return err_set(err, ERR_INPUT, "not a %s payload: it has \"%s\"", s->name,
                           s->must_not[i]);
    return true;
}

static bool name_fits(struct str name, const json_t *root, struct err *err)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return err_set(err, ERR_INPUT, "event name is empty or too long");
    for (size_t i = 0; i < name.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name.p[i]) || name.p[i] == '\0')
            return err_set(err, ERR_INPUT, "event name has other characters than a-z, 0-9 and _");
    for (size_t i = 0; i < COUNT(shapes); i++)
        if (str_eq(name, str_of(shapes[i].name)))
            return fits(&shapes[i], root, err);
    return true;
}

/* ---------------------------------------------------------------------------------- getters */

/* A terminated copy, or NULL when absent or null. A NUL inside would hide the rest: it is left out.
 */
static const char *text(const json_t *root, const char *path, struct arena *arena)
{
    const json_t *j = json_at(root, path);
    if (!json_is_string(j))
        return NULL;
    size_t n = json_string_length(j), kept = 0;
    char *copy = arena_str(arena, (struct str){json_string_value(j), n});
    for (size_t i = 0; i < n; i++)
        if (copy[i] != '\0')
            copy[kept++] = copy[i];
    copy[kept] = '\0';
    return copy;
}

static const char *as_json(const json_t *root, const char *path, struct arena *arena)
{
    AUTO(buf_done) struct buf out = {0};
    const json_t *j = json_at(root, path);
    if (!j || json_is_null(j))
        return NULL;
    json_write(&out, j);
    return arena_str(arena, buf_str(&out));
}

static int number(const json_t *root, const char *path)
{
    int64_t n = json_int(root, path, 0);
    return n > 0 && n <= INT_MAX ? (int)n : 0; /* in range by the line itself */
}

static void read_common(const json_t *root, struct arena *arena, struct event *out)
{
    const char *action = text(root, "action", arena);
    out->action = action ? action : "";
    out->installation_id = json_int(root, "installation.id", 0);
    out->sender.id = json_int(root, "sender.id", 0);
    out->sender.login = text(root, "sender.login", arena);
    out->sender.type = text(root, "sender.type", arena);
    out->repository.id = json_int(root, "repository.id", 0);
    out->repository.full_name = text(root, "repository.full_name", arena);
    out->repository.default_branch = text(root, "repository.default_branch", arena);
    out->installation.id = out->installation_id;
    out->installation.account_login = text(root, "installation.account.login", arena);
    out->installation.account_id = json_int(root, "installation.account.id", 0);
    out->installation.account_type = text(root, "installation.account.type", arena);
    out->installation.permissions = as_json(root, "installation.permissions", arena);
    out->installation.events = as_json(root, "installation.events", arena);
}

static void read_subject(const json_t *root, struct arena *arena, struct event *out)
{
    out->issue.number = number(root, "issue.number");
    out->issue.title = text(root, "issue.title", arena);
    out->issue.body = text(root, "issue.body", arena);
    out->issue.state = text(root, "issue.state", arena);
    out->issue.user = text(root, "issue.user.login", arena);
    out->issue.is_pull_request = is_there(root, "issue.pull_request");
    if (str_ends(str_of(out->action), STR("labeled"))) /* unlabeled too */
        out->label = text(root, "label.name", arena);
    out->comment.id = json_int(root, "comment.id", 0);
    out->comment.body = text(root, "comment.body", arena);
    out->comment.user = text(root, "comment.user.login", arena);
    out->comment.app_id = json_int(root, "comment.performed_via_github_app.id", 0);
    out->pull.number = number(root, "pull_request.number");
    out->pull.merged = json_bool(root, "pull_request.merged", false);
    out->pull.head_branch = text(root, "pull_request.head.ref", arena);
    out->pull.head_sha = text(root, "pull_request.head.sha", arena);
    out->pull.head_repo_id = json_int(root, "pull_request.head.repo.id", 0);
    out->pull.base_branch = text(root, "pull_request.base.ref", arena);
    out->pull.merged_by = text(root, "pull_request.merged_by.login", arena);
}

bool event_parse(struct str name, struct str body, struct arena *arena, struct event *out,
                 struct err *err)
{
    AUTO(json_decrefp) json_t *root = NULL;
    struct event e = {0};
    if (!json_parse(body, &root, err))
        return err_wrap(err, "payload");
    if (!json_is_object(root))
        return err_set(err, ERR_INPUT, "payload is not a JSON object");
    if (!name_fits(name, root, err))
        return false;
    e.name = arena_str(arena, name);
    read_common(root, arena, &e);
    read_subject(root, arena, &e);
    *out = e;
    return true;
}
