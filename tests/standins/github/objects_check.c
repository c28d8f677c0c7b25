/* Check runs and suites as GitHub shows them. */
#include "tests/standins/github/objects.h"

#include "bot/base/json.h"
#include "bot/base/mem.h"

static json_t *pull_side(const struct repo *r, const char *ref, const char *sha)
{
    json_t *o = json_pack("{s:s, s:s, s:{s:I, s:s}}", "ref", ref, "sha", sha, "repo", "id",
                          (json_int_t)r->id, "name", r->name);
    jsetf(json_object_get(o, "repo"), "url", "%s/repos/%s", S.api, r->full);
    return o;
}

json_t *obj_check_pulls(const struct repo *r, const char *sha)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->issues.n; i++) {
        const struct issue *p = r->issues.at[i];
        if (!p->pull || p->closed || p->pull->head_repo != r || strcmp(p->pull->head_sha, sha) != 0)
            continue;
        json_t *o = json_pack("{s:I, s:I, s:o, s:o}", "id", (json_int_t)p->id, "number",
                              (json_int_t)p->number, "head",
                              pull_side(r, p->pull->head_ref, p->pull->head_sha), "base",
                              pull_side(r, p->pull->base_ref, p->pull->base_sha));
        jsetf(o, "url", "%s/repos/%s/pulls/%lld", S.api, r->full, (long long)p->number);
        json_array_append_new(all, o);
    }
    return all;
}

/* A copy of the sender's value, or null. */
static json_t *sent(const struct check *c, const char *path)
{
    json_t *v = json_at(c->fields, path);
    return v ? json_incref(v) : json_null();
}

json_t *obj_check(const struct check *c)
{
    static const char *const copied[] = {"external_id", "details_url", "conclusion", "started_at",
                                         "completed_at"};
    AUTO(mem_freep)
    char *url = mem_printf("%s/repos/%s/check-runs/%lld", S.api, c->repo->full, (long long)c->id);
    json_t *o = json_pack("{s:I, s:s, s:s, s:o, s:o, s:{s:I}}", "id", (json_int_t)c->id, "head_sha",
                          c->sha, "url", url, "name", sent(c, "name"), "status", sent(c, "status"),
                          "check_suite", "id", (json_int_t)c->suite);
    for (size_t i = 0; i < COUNT(copied); i++)
        jset(o, copied[i], sent(c, copied[i]));
    if (json_is_null(json_object_get(o, "external_id")))
        jset(o, "external_id", json_string(""));
    jset(o, "node_id", jnode("CR", c->id));
    jsetf(o, "html_url", "%s/%s/runs/%lld", S.base, c->repo->full, (long long)c->id);
    if (json_is_null(json_object_get(o, "details_url")))
        jset(o, "details_url", json_incref(json_object_get(o, "html_url")));
    json_t *output = json_pack("{s:o, s:o, s:o}", "title", sent(c, "output.title"), "summary",
                               sent(c, "output.summary"), "text", sent(c, "output.text"));
    size_t notes = json_array_size(json_at(c->fields, "output.annotations"));
    jset(output, "annotations_count", json_integer((json_int_t)notes));
    jsetf(output, "annotations_url", "%s/annotations", url);
    jset(o, "output", output);
    jset(o, "app", obj_app_public());
    jset(o, "pull_requests", obj_check_pulls(c->repo, c->sha));
    return o;
}

json_t *obj_check_suite(const struct repo *r, const char *sha, int64_t id)
{
    json_t *o =
        json_pack("{s:I, s:n, s:s, s:s, s:n, s:n, s:n}", "id", (json_int_t)id, "head_branch",
                  "head_sha", sha, "status", "queued", "conclusion", "before", "after");
    jset(o, "node_id", jnode("CS", id));
    jsetf(o, "url", "%s/repos/%s/check-suites/%lld", S.api, r->full, (long long)id);
    jset(o, "pull_requests", obj_check_pulls(r, sha));
    jset(o, "app", obj_app_public());
    jset(o, "created_at", jtime(now_ms()));
    jset(o, "updated_at", jtime(now_ms()));
    return o;
}
