/* Issues, comments and reactions as GitHub shows them. */
#include "tests/standins/github/objects.h"

#include "bot/base/json.h"
#include "bot/base/mem.h"

json_t *obj_labels(const struct issue *i)
{
    json_t *all = json_array();
    for (size_t k = 0; k < i->labels.n; k++)
        json_array_append_new(all, obj_label(i->repo, i->labels.at[k]));
    return all;
}

json_t *obj_reactions(int64_t subject, const char *url)
{
    static const char *const contents[] = {"+1",    "-1",     "laugh",  "confused",
                                           "heart", "hooray", "rocket", "eyes"};
    json_t *o = json_object();
    int64_t total = 0;
    jsetf(o, "url", "%s/reactions", url);
    for (size_t k = 0; k < COUNT(contents); k++) {
        int64_t n = 0;
        for (size_t i = 0; i < S.reactions.n; i++) {
            const struct reaction *r = S.reactions.at[i];
            n += r->subject == subject && strcmp(r->content, contents[k]) == 0;
        }
        total += n;
        jset(o, contents[k], json_integer(n));
    }
    jset(o, "total_count", json_integer(total));
    return o;
}

static const struct {
    const char *key;
    const char *tail;
} issue_urls[] = {
    {"url",          ""              },
    {"labels_url",   "/labels{/name}"},
    {"comments_url", "/comments"     },
    {"events_url",   "/events"       },
    {"timeline_url", "/timeline"     },
};

static json_t *pull_key(const struct issue *i)
{
    json_t *o = json_object();
    long long n = (long long)i->number;
    jsetf(o, "url", "%s/repos/%s/pulls/%lld", S.api, i->repo->full, n);
    jsetf(o, "html_url", "%s/%s/pull/%lld", S.base, i->repo->full, n);
    jsetf(o, "diff_url", "%s/%s/pull/%lld.diff", S.base, i->repo->full, n);
    jsetf(o, "patch_url", "%s/%s/pull/%lld.patch", S.base, i->repo->full, n);
    jset(o, "merged_at", jtime(i->pull->merged));
    return o;
}

json_t *obj_issue(const struct issue *i)
{
    const struct repo *r = i->repo;
    AUTO(mem_freep)
    char *url = mem_printf("%s/repos/%s/issues/%lld", S.api, r->full, (long long)i->number);
    json_t *o = json_pack("{s:I, s:I, s:s, s:o, s:b, s:n, s:n, s:I}", "id", (json_int_t)i->id,
                          "number", (json_int_t)i->number, "state", i->closed ? "closed" : "open",
                          "title", jtext(i->title), "locked", i->locked, "active_lock_reason",
                          "milestone", "comments", (json_int_t)issue_comments(i));
    for (size_t k = 0; k < COUNT(issue_urls); k++)
        jsetf(o, issue_urls[k].key, "%s%s", url, issue_urls[k].tail);
    jset(o, "node_id", jnode(i->pull ? "PR" : "I", i->id));
    jsetf(o, "repository_url", "%s/repos/%s", S.api, r->full);
    jsetf(o, "html_url", "%s/%s/%s/%lld", S.base, r->full, i->pull ? "pull" : "issues",
          (long long)i->number);
    jset(o, "state_reason", jtext(i->reason));
    jset(o, "body", jtext(i->body));
    jset(o, "user", obj_user(i->user));
    jset(o, "labels", obj_labels(i));
    jset(o, "assignee", obj_user(i->assignees.n ? i->assignees.at[0] : NULL));
    jset(o, "assignees", jlogins(&i->assignees));
    jset(o, "created_at", jtime(i->created));
    jset(o, "updated_at", jtime(i->updated));
    jset(o, "closed_at", jtime(i->closed_at));
    jset(o, "author_association", jtext(association(r, i->user)));
    jset(o, "reactions", obj_reactions(i->id, url));
    jset(o, "performed_via_github_app", i->via_app ? obj_app_public() : json_null());
    jset(o, "closed_by", obj_user(i->closed_by));
    if (i->pull) {
        jset(o, "draft", json_boolean(i->pull->draft));
        jset(o, "pull_request", pull_key(i));
    } else {
        jset(o, "sub_issues_summary",
             json_pack("{s:i, s:i, s:i}", "total", 0, "completed", 0, "percent_completed", 0));
    }
    return o;
}

json_t *obj_comment(const struct comment *c)
{
    const struct repo *r = c->issue->repo;
    AUTO(mem_freep)
    char *url = mem_printf("%s/repos/%s/issues/comments/%lld", S.api, r->full, (long long)c->id);
    json_t *o = json_pack("{s:I, s:s, s:o, s:o}", "id", (json_int_t)c->id, "url", url, "body",
                          jtext(c->body), "user", obj_user(c->user));
    jset(o, "node_id", jnode("IC", c->id));
    jsetf(o, "html_url", "%s/%s/%s/%lld#issuecomment-%lld", S.base, r->full,
          c->issue->pull ? "pull" : "issues", (long long)c->issue->number, (long long)c->id);
    jsetf(o, "issue_url", "%s/repos/%s/issues/%lld", S.api, r->full, (long long)c->issue->number);
    jset(o, "created_at", jtime(c->created));
    jset(o, "updated_at", jtime(c->updated));
    jset(o, "author_association", jtext(association(r, c->user)));
    jset(o, "reactions", obj_reactions(c->id, url));
    jset(o, "performed_via_github_app", c->via_app ? obj_app_public() : json_null());
    return o;
}

json_t *obj_reaction(const struct reaction *r)
{
    json_t *o = json_pack("{s:I, s:s}", "id", (json_int_t)r->id, "content", r->content);
    jset(o, "node_id", jnode("REA", r->id));
    jset(o, "user", obj_user(r->user));
    jset(o, "created_at", jtime(r->created));
    return o;
}
