/* Events and consequences. Payloads carry the full objects, as GitHub's do; whether they are sent
 * is hooks.c's business. */
#include "tests/standins/github/events.h"

#include "bot/base/json.h"
#include "bot/base/log.h"
#include "bot/base/mem.h"
#include "tests/standins/github/objects.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define PUSH_COMMITS_MAX 2048

static bool subscribed(const struct installation *i, const char *event)
{
    size_t k;
    json_t *e;
    if (strncmp(event, "installation", 12) == 0)
        return true; /* cannot be switched off */
    json_array_foreach(i->events, k, e)
    {
        if (strcmp(json_string_value(e), event) == 0)
            return true;
    }
    return false;
}

void event_repo(const struct repo *r, const char *event, const char *action,
                const struct user *sender, json_t *extra)
{
    const struct installation *in = installation_of(r);
    json_t *payload = extra ? extra : json_object();
    if (!in || in->suspended || !subscribed(in, event)) {
        json_decref(payload);
        return;
    }
    if (action)
        jset(payload, "action", json_string(action));
    jset(payload, "repository", obj_repo(r, NULL));
    jset(payload, "sender", obj_user(sender));
    jset(payload, "installation",
         json_pack("{s:I, s:o}", "id", (json_int_t)in->id, "node_id",
                   jnode("MDIzOkludGVncmF0aW9u", in->id)));
    if (strcmp(r->owner->type, "Organization") == 0) {
        json_t *org = json_pack("{s:s, s:I, s:s}", "login", r->owner->login, "id",
                                (json_int_t)r->owner->id, "description", "");
        static const char *const urls[] = {"repos", "events", "hooks", "issues"};
        jset(org, "node_id", jnode("O", r->owner->id));
        jsetf(org, "url", "%s/orgs/%s", S.api, r->owner->login);
        for (size_t i = 0; i < COUNT(urls); i++) {
            AUTO(mem_freep) char *key = mem_printf("%s_url", urls[i]);
            jsetf(org, key, "%s/orgs/%s/%s", S.api, r->owner->login, urls[i]);
        }
        jsetf(org, "members_url", "%s/orgs/%s/members{/member}", S.api, r->owner->login);
        jsetf(org, "public_members_url", "%s/orgs/%s/public_members{/member}", S.api,
              r->owner->login);
        jsetf(org, "avatar_url", "%s/avatars/u/%lld?v=4", S.base, (long long)r->owner->id);
        jset(payload, "organization", org);
    }
    hook_send(event, payload, in, r);
}

void event_issue(const struct issue *i, const char *action, const struct user *sender,
                 json_t *extra)
{
    json_t *payload = extra ? extra : json_object();
    if (i->pull) {
        jset(payload, "number", json_integer(i->number));
        jset(payload, "pull_request", obj_pull(i, true, false));
    } else {
        jset(payload, "issue", obj_issue(i));
    }
    event_repo(i->repo, i->pull ? "pull_request" : "issues", action, sender, payload);
}

void event_comment(const struct comment *c, const char *action, const struct user *sender,
                   json_t *extra)
{
    json_t *payload = extra ? extra : json_object();
    if (c->path) {
        jset(payload, "pull_request", obj_pull(c->issue, false, false));
        jset(payload, "comment", obj_review_comment(c));
        event_repo(c->issue->repo, "pull_request_review_comment", action, sender, payload);
        return;
    }
    jset(payload, "issue", obj_issue(c->issue));
    jset(payload, "comment", obj_comment(c));
    event_repo(c->issue->repo, "issue_comment", action, sender, payload);
}

void event_installation(const struct installation *i, const char *event, const char *action,
                        json_t *extra)
{
    json_t *payload = extra ? extra : json_object();
    jset(payload, "action", json_string(action));
    jset(payload, "installation", obj_installation(i));
    jset(payload, "sender", obj_user(i->account));
    hook_send(event, payload, i, NULL);
}

/* ---- consequences ---- */

void issue_close(struct issue *i, const char *reason, struct user *by)
{
    if (i->closed)
        return;
    i->closed = true;
    i->reason = i->pull ? NULL : reason;
    i->closed_at = i->updated = now_ms();
    i->closed_by = by;
    event_issue(i, "closed", by, NULL);
}

void issue_reopen(struct issue *i, struct user *by)
{
    if (!i->closed)
        return;
    i->closed = false;
    i->reason = i->pull ? NULL : "reopened";
    i->closed_at = 0;
    i->closed_by = NULL;
    i->updated = now_ms();
    event_issue(i, "reopened", by, NULL);
}

void issue_label(struct issue *i, struct label *l, struct user *by)
{
    if (list_has(&i->labels, l))
        return;
    list_add(&i->labels, l);
    i->updated = now_ms();
    event_issue(i, "labeled", by, json_pack("{s:o}", "label", obj_label(i->repo, l)));
}

/* "Closes #3", "fixes: #4", "resolved owner/repo#5": the numbers of this repository's issues that
 * the text promises to close. */
static void close_promised(struct issue *pull, const char *text, struct user *by)
{
    static const char *const words[] = {"close", "closes",  "closed",   "fix",     "fixes",
                                        "fixed", "resolve", "resolves", "resolved"};
    for (const char *p = text; p && *p; p++) {
        if (p > text && (isalnum((unsigned char)p[-1]) || p[-1] == '_'))
            continue;
        for (size_t k = 0; k < COUNT(words); k++) {
            size_t n = strlen(words[k]);
            size_t full = strlen(pull->repo->full);
            if (strncasecmp(p, words[k], n) != 0 || isalnum((unsigned char)p[n]))
                continue;
            const char *q = p + n + (p[n] == ':');
            while (*q == ' ')
                q++;
            if (strncasecmp(q, pull->repo->full, full) == 0)
                q += full;
            int64_t number = 0;
            size_t digits = *q == '#' ? strspn(q + 1, "0123456789") : 0;
            if (!str_to_i64((struct str){q + 1, digits}, 1, INT32_MAX, &number))
                continue;
            struct issue *i = issue_find(pull->repo, number);
            if (i && !i->pull)
                issue_close(i, "completed", by);
        }
    }
}

static bool branch_in_use(const struct issue *done)
{
    for (size_t k = 0; k < done->repo->issues.n; k++) {
        const struct issue *i = done->repo->issues.at[k];
        if (i != done && i->pull && !i->closed && i->pull->head_repo == done->pull->head_repo &&
            strcmp(i->pull->head_ref, done->pull->head_ref) == 0)
            return true;
    }
    return false;
}

void pull_merged(struct issue *i, const char *sha, struct user *by)
{
    struct pull *p = i->pull;
    i->closed = true;
    i->closed_at = i->updated = p->merged = now_ms();
    i->closed_by = p->merged_by = by;
    sha_copy(p->merge_sha, sha);
    event_issue(i, "closed", by, NULL);
    if (strcmp(p->base_ref, i->repo->default_branch) == 0) {
        close_promised(i, i->body, by);
        close_promised(i, i->title, by);
    }
    AUTO(mem_freep) char *ref = mem_printf("refs/heads/%s", p->head_ref);
    char head[SHA_TEXT];
    if (repo_flag(i->repo, "delete_branch_on_merge") && p->head_repo == i->repo &&
        !branch_in_use(i) && ref_read(i->repo->dir, ref, head) && ref_delete(i->repo->dir, ref))
        ref_changed(i->repo, ref, head, ZERO_SHA, by);
}

static void pulls_follow(struct repo *r, const char *branch, const char *old, const char *new_sha,
                         struct user *by)
{
    bool deleted = strcmp(new_sha, ZERO_SHA) == 0;
    /* The commits that are new on this branch, one a line: one process for all pull requests. */
    AUTO(buf_done) struct buf fresh = {0};
    AUTO(mem_freep)
    char *range =
        strcmp(old, ZERO_SHA) == 0 ? mem_strdup(new_sha) : mem_printf("%s..%s", old, new_sha);
    if (!deleted && !git_run(r->dir, &fresh, "rev-list", range, NULL))
        log_warn("cannot list the new commits", "range", range, NULL);
    for (size_t k = 0; k < S.repos.n; k++) {
        struct repo *base = S.repos.at[k];
        for (size_t n = 0; n < base->issues.n; n++) {
            struct issue *i = base->issues.at[n];
            struct pull *p = i->pull;
            if (!p || i->closed)
                continue;
            if (base == r && strcmp(p->base_ref, branch) == 0 && !deleted) {
                p->unknown_reads = S.mergeable_lag;
                if (fresh.len > 0 && strstr(fresh.data, p->head_sha))
                    pull_merged(i, new_sha, by); /* its commits arrived by a push */
                else
                    sha_copy(p->base_sha, new_sha);
                continue;
            }
            if (p->head_repo != r || strcmp(p->head_ref, branch) != 0)
                continue;
            if (deleted) {
                issue_close(i, NULL, by);
                continue;
            }
            sha_copy(p->head_sha, new_sha);
            AUTO(mem_freep) char *ref = mem_printf("refs/pull/%lld/head", (long long)i->number);
            if (base != r)
                (void)git_run(base->dir, NULL, "fetch", "-q", r->dir, new_sha, NULL);
            if (!ref_write(base->dir, ref, new_sha))
                log_warn("cannot move the pull's ref", "ref", ref, NULL);
            p->unknown_reads = S.mergeable_lag;
            i->updated = now_ms();
            event_issue(i, "synchronize", by,
                        json_pack("{s:s, s:s}", "before", old, "after", new_sha));
        }
    }
}

static json_t *pusher(const struct user *by)
{
    AUTO(mem_freep)
    char *mail = mem_printf("%lld+%s@users.noreply.github.com", (long long)by->id, by->login);
    return json_pack("{s:s, s:s}", "name", by->login, "email", by->email ? by->email : mail);
}

static void event_push(struct repo *r, const char *ref, const char *old, const char *new_sha,
                       struct user *by)
{
    bool created = strcmp(old, ZERO_SHA) == 0;
    bool deleted = strcmp(new_sha, ZERO_SHA) == 0;
    json_t *commits = json_array();
    json_t *head = json_null();
    char base[SHA_TEXT] = "";
    AUTO(mem_freep) char *main_ref = mem_printf("refs/heads/%s", r->default_branch);
    if (!deleted) {
        /* A new branch brings what its default branch does not have yet. */
        bool against = !created || (strcmp(ref, main_ref) != 0 && ref_read(r->dir, main_ref, base));
        if (!created)
            sha_copy(base, old);
        AUTO(mem_freep)
        char *range = against ? mem_printf("%s..%s", base, new_sha) : mem_strdup(new_sha);
        AUTO(json_decrefp) json_t *list = git_commit_list(r->dir, range, ".", 0, PUSH_COMMITS_MAX);
        for (size_t i = json_array_size(list); i > 0; i--)
            json_array_append_new(commits,
                                  obj_push_commit(r, json_incref(json_array_get(list, i - 1))));
        json_t *newest = json_array_get(commits, json_array_size(commits) - 1);
        json_t *commit = newest ? NULL : git_commit_read(r->dir, new_sha);
        if (newest || commit)
            head = newest ? json_incref(newest) : obj_push_commit(r, commit);
    }
    json_t *payload =
        json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:n, s:o, s:o, s:o}", "ref", ref, "before", old,
                  "after", new_sha, "created", created, "deleted", deleted, "forced",
                  !created && !deleted && !git_is_ancestor(r->dir, old, new_sha), "base_ref",
                  "commits", commits, "head_commit", head, "pusher", pusher(by));
    jsetf(payload, "compare", "%s/%s/compare/%.12s...%.12s", S.base, r->full, old, new_sha);
    event_repo(r, "push", NULL, by, payload);
}

void ref_changed(struct repo *r, const char *ref, const char *old, const char *new_sha,
                 struct user *by)
{
    bool branch = strncmp(ref, "refs/heads/", 11) == 0;
    bool tag = strncmp(ref, "refs/tags/", 10) == 0;
    bool created = strcmp(old, ZERO_SHA) == 0;
    bool deleted = strcmp(new_sha, ZERO_SHA) == 0;
    if ((!branch && !tag) || strcmp(old, new_sha) == 0)
        return;
    const char *name = ref + (branch ? 11 : 10);
    r->pushed = r->updated = now_ms();
    event_push(r, ref, old, new_sha, by);
    if (created || deleted) {
        json_t *payload = json_pack("{s:s, s:s, s:s}", "ref", name, "ref_type",
                                    branch ? "branch" : "tag", "pusher_type", "user");
        if (created) {
            jset(payload, "master_branch", json_string(r->default_branch));
            jset(payload, "description", json_incref(json_object_get(r->settings, "description")));
        }
        event_repo(r, created ? "create" : "delete", NULL, by, payload);
    }
    if (branch)
        pulls_follow(r, name, old, new_sha, by);
}
