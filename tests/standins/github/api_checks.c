/* Check runs and commit statuses. Only Apps write check runs. */
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/api.h"
#include "tests/standins/github/events.h"

#define ANNOTATIONS_MAX 50
#define TEXT_MAX_CHARS  65535
#define ACTIONS_MAX     3
#define STATUSES_MAX    1000

static const char *const statuses[] = {"queued", "in_progress", "completed"};
static const char *const conclusions[] = {"success", "failure",   "neutral",        "cancelled",
                                          "skipped", "timed_out", "action_required"};

static bool one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static bool output_ok(struct req *q, const json_t *output)
{
    size_t i;
    json_t *a;
    static const char *const needed[] = {"path", "annotation_level", "message"};
    if (!json_is_object(output))
        return true;
    const char *summary = json_cstr(output, "summary");
    const char *text = json_cstr(output, "text");
    if (!json_cstr(output, "title") || !summary)
        return invalid(q, "CheckRun", "output", "missing_field", NULL), false;
    if (strlen(summary) > TEXT_MAX_CHARS || (text && strlen(text) > TEXT_MAX_CHARS))
        return invalid(q, "CheckRun", "summary", "custom",
                       "Only 65535 characters are allowed; this is longer."),
               false;
    if (json_array_size(json_object_get(output, "annotations")) > ANNOTATIONS_MAX)
        return fail(q, 422,
                    "Invalid request.\n\nNo more than 50 items are allowed; more were supplied."),
               false;
    json_array_foreach(json_object_get(output, "annotations"), i, a)
    {
        for (size_t k = 0; k < COUNT(needed); k++)
            if (!json_cstr(a, needed[k]))
                return invalid(q, "CheckAnnotation", needed[k], "missing_field", NULL), false;
        if (json_int(a, "start_line", 0) < 1 || json_int(a, "end_line", 0) < 1)
            return invalid(q, "CheckAnnotation", "start_line", "invalid", NULL), false;
    }
    return true;
}

static bool actions_ok(struct req *q)
{
    const json_t *actions = json_object_get(q->body, "actions");
    size_t i;
    json_t *a;
    if (json_array_size(actions) > ACTIONS_MAX)
        return fail(q, 422, "Invalid request.\n\nNo more than 3 items are allowed."), false;
    json_array_foreach(actions, i, a)
    {
        struct str label = json_str(a, "label");
        struct str text = json_str(a, "description");
        struct str id = json_str(a, "identifier");
        if (!label.n || !text.n || !id.n || label.n > 20 || text.n > 40 || id.n > 20)
            return invalid(q, "CheckRun", "actions", "invalid", NULL), false;
    }
    return true;
}

static bool fields_ok(struct req *q)
{
    const char *status = body_text(q, "status");
    const char *conclusion = body_text(q, "conclusion");
    if (status && !one_of(status, statuses, COUNT(statuses)))
        return invalid(q, "CheckRun", "status", "invalid", NULL), false;
    if (conclusion && !one_of(conclusion, conclusions, COUNT(conclusions)))
        return invalid(q, "CheckRun", "conclusion", "invalid", NULL), false;
    if (status && strcmp(status, "completed") == 0 && !conclusion)
        return invalid(q, "CheckRun", "conclusion", "missing_field", NULL), false;
    return output_ok(q, json_object_get(q->body, "output")) && actions_ok(q);
}

/* Takes what was sent over the old values; annotations are added, not replaced. */
static void fields_merge(struct check *c, const json_t *body)
{
    json_t *now = json_deep_copy(body);
    json_t *old = json_incref(json_at(c->fields, "output.annotations"));
    json_t *fresh = json_at(now, "output.annotations");
    if (json_is_array(old) && json_is_object(json_object_get(now, "output"))) {
        json_t *all = json_copy(old);
        if (json_is_array(fresh))
            json_array_extend(all, fresh);
        json_object_set_new(json_object_get(now, "output"), "annotations", all);
    }
    json_decref(old);
    json_object_update(c->fields, now);
    json_decref(now);
    if (json_cstr(c->fields, "conclusion")) {
        jset(c->fields, "status", json_string("completed"));
        if (!json_cstr(c->fields, "completed_at"))
            jset(c->fields, "completed_at", jtime(now_ms()));
    }
    if (!json_cstr(c->fields, "status"))
        jset(c->fields, "status", json_string("queued"));
    if (!json_cstr(c->fields, "started_at"))
        jset(c->fields, "started_at", jtime(now_ms()));
}

static void event_check(const struct check *c, const char *action, const struct user *by,
                        json_t *extra)
{
    json_t *payload = extra ? extra : json_object();
    json_t *run = obj_check(c);
    jset(run, "check_suite", obj_check_suite(c->repo, c->sha, c->suite));
    jset(payload, "check_run", run);
    event_repo(c->repo, "check_run", action, by, payload);
}

static void create_check(struct req *q)
{
    const char *name = body_text(q, "name");
    const char *sha = body_text(q, "head_sha");
    char resolved[SHA_TEXT];
    if (q->who.kind != ACTOR_INSTALLATION) {
        fail(q, 403, "You must authenticate via a GitHub App.");
        return;
    }
    if (!name || !sha) {
        invalid(q, "CheckRun", name ? "head_sha" : "name", "missing_field", NULL);
        return;
    }
    if (strlen(sha) != SHA_TEXT - 1 || !git_resolve(q->repo->dir, sha, resolved)) {
        fail(q, 422, "No commit found for SHA: %s", sha);
        return;
    }
    if (!fields_ok(q))
        return;
    struct check *c = mem_alloc(sizeof(*c));
    c->id = state_id(ID_CHECK);
    c->repo = q->repo;
    c->suite = state_id(ID_CHECK);
    for (size_t i = 0; i < q->repo->checks.n; i++) {
        const struct check *other = q->repo->checks.at[i];
        if (strcmp(other->sha, resolved) == 0)
            c->suite = other->suite; /* one suite a commit and App */
    }
    memcpy(c->sha, resolved, SHA_TEXT);
    c->fields = json_object();
    fields_merge(c, q->body);
    list_add(&q->repo->checks, c);
    event_check(c, "created", q->who.user, NULL);
    if (json_cstr(c->fields, "conclusion"))
        event_check(c, "completed", q->who.user, NULL);
    reply(q, 201, obj_check(c));
}

static struct check *want_check(struct req *q)
{
    for (size_t i = 0; i < q->repo->checks.n; i++) {
        struct check *c = q->repo->checks.at[i];
        if (c->id == part_id(q, 0))
            return c;
    }
    not_found(q);
    return NULL;
}

static void patch_check(struct req *q)
{
    struct check *c = want_check(q);
    if (!c || !fields_ok(q))
        return;
    bool was_done = json_cstr(c->fields, "conclusion") != NULL;
    fields_merge(c, q->body);
    if (!was_done && json_cstr(c->fields, "conclusion"))
        event_check(c, "completed", q->who.user, NULL);
    reply(q, 200, obj_check(c));
}

static void get_check(struct req *q)
{
    const struct check *c = want_check(q);
    if (c)
        reply(q, 200, obj_check(c));
}

static void list_annotations(struct req *q)
{
    const struct check *c = want_check(q);
    if (!c)
        return;
    json_t *all = json_at(c->fields, "output.annotations");
    reply_list(q, all ? json_deep_copy(all) : json_array());
}

static void rerequest(struct req *q)
{
    const struct check *c = want_check(q);
    if (!c)
        return;
    event_check(c, "rerequested", q->who.user, NULL);
    reply(q, 201, json_object());
}

/* A person presses one of the run's buttons: only the web pages have that, so the address is the
 * stand-in's own. */
static void press_button(struct req *q)
{
    const struct check *c = want_check(q);
    const char *id = body_text(q, "identifier");
    if (!c)
        return;
    event_check(c, "requested_action", q->who.user,
                json_pack("{s:{s:s}}", "requested_action", "identifier", id ? id : ""));
    reply(q, 201, json_object());
}

static void checks_of_ref(struct req *q)
{
    AUTO(mem_freep) char *name = query_text(q, "check_name");
    AUTO(mem_freep) char *status = query_text(q, "status");
    AUTO(mem_freep) char *filter = query_text(q, "filter");
    bool latest = !filter || strcmp(filter, "all") != 0;
    char sha[SHA_TEXT];
    json_t *all = json_array();
    if (!git_resolve(q->repo->dir, q->part[0], sha)) {
        json_decref(all);
        fail(q, 422, "No commit found for SHA: %s", q->part[0]);
        return;
    }
    for (size_t i = q->repo->checks.n; i > 0; i--) {
        const struct check *c = q->repo->checks.at[i - 1];
        const char *own = json_cstr(c->fields, "name");
        bool newer = false;
        for (size_t k = i; latest && k < q->repo->checks.n; k++) {
            const struct check *other = q->repo->checks.at[k];
            newer = newer || (strcmp(other->sha, sha) == 0 &&
                              strcmp(json_cstr(other->fields, "name"), own) == 0);
        }
        if (strcmp(c->sha, sha) == 0 && !newer && (!name || strcmp(name, own) == 0) &&
            (!status || str_eq(json_str(c->fields, "status"), str_of(status))))
            json_array_append_new(all, obj_check(c));
    }
    reply_counted(q, "check_runs", all);
}

/* ---- statuses ---- */

static void create_status(struct req *q)
{
    static const char *const states[] = {"error", "failure", "pending", "success"};
    const char *state = body_text(q, "state");
    const char *text = body_text(q, "description");
    const char *context = body_text(q, "context") ? body_text(q, "context") : "default";
    char sha[SHA_TEXT];
    if (!one_of(state, states, COUNT(states)) || (text && strlen(text) > 140 * 4)) {
        invalid(q, "Status", state ? "description" : "state", "custom",
                state ? "description is too long (maximum is 140 characters)" : "state is invalid");
        return;
    }
    if (!git_resolve(q->repo->dir, q->part[0], sha)) {
        fail(q, 422, "No commit found for SHA: %s", q->part[0]);
        return;
    }
    json_t *o = json_pack("{s:I, s:s, s:s, s:o}", "id", (json_int_t)state_id(ID_LABEL), "state",
                          state, "context", context, "creator", obj_user(q->who.user));
    jset(o, "node_id", jnode("SC", q->repo->id));
    jsetf(o, "url", "%s/repos/%s/statuses/%s", S.api, q->repo->full, sha);
    jsetf(o, "avatar_url", "%s/avatars/u/%lld?v=4", S.base, (long long)q->who.user->id);
    jset(o, "description", jtext(text));
    jset(o, "target_url", jtext(body_text(q, "target_url")));
    jset(o, "created_at", jtime(now_ms()));
    jset(o, "updated_at", jtime(now_ms()));
    json_t *kept = json_copy(o);
    jset(kept, "sha", json_string(sha));
    json_array_append_new(q->repo->statuses, kept);
    reply(q, 201, o);
}

static const char *combined_of(const json_t *rows)
{
    const char *worst = json_array_size(rows) ? "success" : "pending";
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *state = json_cstr(row, "state");
        if (strcmp(state, "error") == 0 || strcmp(state, "failure") == 0)
            return "failure";
        if (strcmp(state, "pending") == 0)
            worst = "pending";
    }
    return worst;
}

/* The newest of each context, newest first. */
static json_t *statuses_of(const struct repo *r, const char *sha, bool all_of_them)
{
    json_t *seen = json_object();
    json_t *rows = json_array();
    for (size_t i = json_array_size(r->statuses); i > 0; i--) {
        json_t *row = json_array_get(r->statuses, i - 1);
        const char *context = json_cstr(row, "context");
        if (strcmp(json_cstr(row, "sha"), sha) != 0 ||
            (!all_of_them && json_object_get(seen, context)))
            continue;
        jset(seen, context, json_true());
        json_t *o = json_copy(row);
        json_object_del(o, "sha");
        json_array_append_new(rows, o);
    }
    json_decref(seen);
    return rows;
}

static void combined_status(struct req *q)
{
    char sha[SHA_TEXT];
    if (!git_resolve(q->repo->dir, q->part[0], sha)) {
        fail(q, 404, "No commit found for SHA: %s", q->part[0]);
        return;
    }
    json_t *rows = statuses_of(q->repo, sha, false);
    json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:o}", "state", combined_of(rows), "sha", sha,
                          "total_count", (json_int_t)json_array_size(rows), "statuses", rows,
                          "repository", obj_repo(q->repo, NULL));
    jsetf(o, "commit_url", "%s/repos/%s/commits/%s", S.api, q->repo->full, sha);
    jsetf(o, "url", "%s/repos/%s/commits/%s/status", S.api, q->repo->full, sha);
    reply(q, 200, o);
}

static void list_statuses(struct req *q)
{
    char sha[SHA_TEXT];
    if (git_resolve(q->repo->dir, q->part[0], sha))
        reply_list(q, statuses_of(q->repo, sha, true));
    else
        fail(q, 404, "No commit found for SHA: %s", q->part[0]);
}

const struct route routes_checks[] = {
    {"POST",            "repos/:/:/check-runs", create_check, "checks=write", "write"},
    {"GET",     "repos/:/:/check-runs/:", get_check, "checks=read", NULL},
    {"PATCH",          "repos/:/:/check-runs/:", patch_check, "checks=write", "write"},
    {"GET",             "repos/:/:/check-runs/:/annotations", list_annotations, "checks=read", NULL},
    {"POST",        "repos/:/:/check-runs/:/rerequest", rerequest, "checks=write", "write"},
    {"POST",             "repos/:/:/check-runs/:/standin-press", press_button, "checks=write", "write"},
    {"GET",           "repos/:/:/commits/:/check-runs", checks_of_ref, "checks=read", NULL},
    {"POST",      "repos/:/:/statuses/:", create_status, "statuses=write", "write"},
    {"GET",          "repos/:/:/commits/:/status", combined_status, "statuses=read", NULL},
    {"GET",             "repos/:/:/commits/:/statuses", list_statuses, "statuses=read", NULL},
    {0},
};
