/* Walking a query over JSON objects: aliases, connections, type conditions; unknown fields are
 * errors, as on GitHub, so that a wrong query fails in our tests and not in production. */
#include "tests/standins/github/graphql.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"

#include <stdarg.h>

#define PAGE_MAX 100

json_t *gql_error(struct gql *g, const char *type, const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    json_t *row = json_pack("{s:s, s:o, s:[s]}", "type", type, "message", json_vsprintf(fmt, ap),
                            "path", field);
    va_end(ap);
    json_array_append_new(g->errors, row);
    return json_null();
}

static json_t *project(struct gql *g, json_t *value, const json_t *field);

/* Types of which an object can only be one; any other condition (an interface) always holds. */
static bool condition_holds(const json_t *object, const char *on)
{
    static const char *const exact[] = {
        "User",       "Bot",          "Organization",     "Mannequin",     "Team",
        "Issue",      "PullRequest",  "CheckRun",         "StatusContext", "Commit",
        "Repository", "IssueComment", "PullRequestReview"};
    const char *own = json_cstr(object, "__typename");
    if (!on || !own || strcmp(own, on) == 0)
        return true;
    for (size_t i = 0; i < COUNT(exact); i++)
        if (strcmp(exact[i], on) == 0)
            return false;
    return true;
}

static bool is_connection(const json_t *sel)
{
    static const char *const words[] = {"nodes", "edges", "totalCount", "pageInfo"};
    for (size_t i = 0; i < COUNT(words); i++)
        if (gql_wants(sel, words[i]))
            return true;
    return false;
}

static json_t *cursor_of(int64_t index)
{
    AUTO(mem_freep) char *text = mem_printf("cursor:%lld", (long long)index);
    struct buf b = {0};
    enc_base64(&b, text, strlen(text));
    json_t *out = json_string(buf_cstr(&b));
    buf_done(&b);
    return out;
}

static int64_t cursor_read(const json_t *args, const char *name, int64_t fallback)
{
    AUTO(buf_done) struct buf b = {0};
    int64_t n = fallback;
    struct str text = json_str(args, name);
    if (text.n > 0 && enc_unbase64(text, &b) &&
        !str_to_i64(str_sub(buf_str(&b), 7, b.len), 0, INT64_MAX, &n))
        n = fallback;
    return n;
}

static json_t *connection(struct gql *g, const json_t *rows, const json_t *field)
{
    const json_t *args = json_object_get(field, "args");
    int64_t total = (int64_t)json_array_size(rows);
    int64_t first = json_int(args, "first", -1);
    int64_t last = json_int(args, "last", -1);
    int64_t from = cursor_read(args, "after", -1) + 1;
    int64_t to = cursor_read(args, "before", total);
    const char *name = json_cstr(field, "name");
    if (first > PAGE_MAX || last > PAGE_MAX)
        return gql_error(
            g, "EXCESSIVE_PAGINATION", name,
            "Requesting %lld records on the `%s` connection exceeds the `first` limit of "
            "100 records.",
            (long long)(first > last ? first : last), name);
    if (first < 0 && last < 0 &&
        (gql_wants(json_object_get(field, "sel"), "nodes") ||
         gql_wants(json_object_get(field, "sel"), "edges")))
        return gql_error(g, "MISSING_PAGINATION_BOUNDARIES", name,
                         "You must provide a `first` or `last` value to properly paginate the `%s` "
                         "connection.",
                         name);
    if (first >= 0 && from + first < to)
        to = from + first;
    if (last >= 0 && to - last > from)
        from = to - last;
    json_t *nodes = json_array();
    json_t *edges = json_array();
    for (int64_t i = from; i < to; i++) {
        json_t *row = json_array_get(rows, (size_t)i);
        json_array_append(nodes, row);
        json_array_append_new(edges, json_pack("{s:O, s:o}", "node", row, "cursor", cursor_of(i)));
    }
    bool more = to < total;
    bool less = from > 0;
    bool some = to > from;
    json_t *info = json_pack("{s:b, s:b, s:o, s:o}", "hasNextPage", more, "hasPreviousPage", less,
                             "endCursor", some ? cursor_of(to - 1) : json_null(), "startCursor",
                             some ? cursor_of(from) : json_null());
    json_t *o =
        json_pack("{s:I, s:I, s:o, s:o, s:o}", "totalCount", (json_int_t)total, "issueCount",
                  (json_int_t)total, "nodes", nodes, "edges", edges, "pageInfo", info);
    json_t *bare =
        json_pack("{s:s, s:{}, s:O}", "name", name, "args", "sel", json_object_get(field, "sel"));
    json_t *out = project(g, o, bare);
    json_decref(bare);
    return out;
}

static json_t *field_of(struct gql *g, json_t *object, const json_t *field)
{
    const char *name = json_cstr(field, "name");
    json_t *value = json_object_get(object, name);
    int64_t repo = json_int(object, "__repo", 0);
    if (value)
        return json_incref(value);
    if (repo) {
        struct repo *r = repo_by_id(repo);
        value = r ? gql_repo_field(g, r, field) : NULL;
        if (value)
            return value;
    }
    const char *type = json_cstr(object, "__typename");
    return gql_error(g, "undefinedField", name, "Field '%s' doesn't exist on type '%s'", name,
                     type ? type : "Object");
}

static void select_into(struct gql *g, json_t *object, const json_t *sel, json_t *out)
{
    size_t i;
    json_t *row;
    json_array_foreach(sel, i, row)
    {
        const char *alias = json_cstr(row, "alias");
        if (!alias) {
            if (condition_holds(object, json_cstr(row, "on")))
                select_into(g, object, json_object_get(row, "sel"), out);
            continue;
        }
        json_t *value = field_of(g, object, row);
        json_object_set_new(out, alias, project(g, value, row));
    }
}

/* Takes value. */
static json_t *project(struct gql *g, json_t *value, const json_t *field)
{
    const json_t *sel = json_object_get(field, "sel");
    json_t *out;
    if (!sel || json_is_null(value) || (!json_is_object(value) && !json_is_array(value)))
        return value;
    if (json_is_array(value) && is_connection(sel)) {
        out = connection(g, value, field);
    } else if (json_is_array(value)) {
        size_t i;
        json_t *row;
        out = json_array();
        json_array_foreach(value, i, row)
        {
            json_array_append_new(out, project(g, json_incref(row), field));
        }
    } else {
        out = json_object();
        select_into(g, value, sel, out);
    }
    json_decref(value);
    return out;
}

/* ---- the root ---- */

static json_t *repository(struct gql *g, const json_t *args)
{
    const char *owner = json_cstr(args, "owner");
    const char *name = json_cstr(args, "name");
    bool moved;
    struct repo *r = owner && name ? repo_find(owner, name, &moved) : NULL;
    if (r && actor_sees(&g->q->who, r))
        return gql_repo(g, r);
    return gql_error(g, "NOT_FOUND", "repository",
                     "Could not resolve to a Repository with the name '%s/%s'.", owner, name);
}

static json_t *node(struct gql *g, const json_t *field, const char *id)
{
    struct issue *i = gql_issue_of(id);
    const struct comment *c = gql_comment_of(id);
    int64_t repo = 0;
    struct repo *r = id && node_id_read(id, "R", &repo) ? repo_by_id(repo) : NULL;
    if (i && actor_sees(&g->q->who, i->repo))
        return gql_issue(g, i, json_object_get(field, "sel"));
    if (c && actor_sees(&g->q->who, c->issue->repo))
        return strncmp(id, "PRRT", 4) == 0 ? gql_thread(c) : gql_comment(c);
    if (r && actor_sees(&g->q->who, r))
        return gql_repo(g, r);
    return gql_error(g, "NOT_FOUND", "node",
                     "Could not resolve to a node with the global id of '%s'", id ? id : "");
}

/* The words of a search that tests use: repo:, is:, state:, label:, author:, head:, free text. */
static bool found_by(const struct issue *i, struct str query)
{
    struct str word;
    while (str_split(&query, ' ', &word)) {
        struct str value = word;
        struct str key;
        if (word.n == 0 || !str_split(&value, ':', &key) || !value.p)
            continue;
        if (value.n > 1 && value.p[0] == '"')
            value = str_sub(value, 1, value.n - 1);
        AUTO(mem_freep) char *text = str_dup(value);
        const struct label *l = label_find(i->repo, text);
        if (str_eq(key, STR("repo")) && !str_eq_nocase(value, str_of(i->repo->full)))
            return false;
        if ((str_eq(value, STR("pr")) && !i->pull) || (str_eq(value, STR("issue")) && i->pull) ||
            (str_eq(value, STR("open")) && i->closed) ||
            (str_eq(value, STR("closed")) && !i->closed))
            return false;
        if (str_eq(key, STR("label")) && (!l || !list_has(&i->labels, l)))
            return false;
        if (str_eq(key, STR("author")) && !str_eq_nocase(value, str_of(i->user->login)))
            return false;
        if (str_eq(key, STR("head")) && (!i->pull || !str_eq(value, str_of(i->pull->head_ref))))
            return false;
    }
    return true;
}

static json_t *search(struct gql *g, const json_t *field)
{
    struct str query = json_str(json_object_get(field, "args"), "query");
    json_t *all = json_array();
    for (size_t r = 0; r < S.repos.n; r++) {
        const struct repo *repo = S.repos.at[r];
        for (size_t n = repo->issues.n; n > 0 && actor_sees(&g->q->who, repo); n--)
            if (found_by(repo->issues.at[n - 1], query))
                json_array_append_new(
                    all, gql_issue(g, repo->issues.at[n - 1], json_object_get(field, "sel")));
    }
    return all;
}

static json_t *rate_limit(const struct gql *g)
{
    AUTO(json_decrefp) json_t *all = limits_overview(g->q);
    const json_t *row = json_at(all, "resources.core");
    return json_pack("{s:i, s:i, s:I, s:I, s:I, s:o}", "cost", 1, "nodeCount", 1, "limit",
                     (json_int_t)json_int(row, "limit", 0), "remaining",
                     (json_int_t)json_int(row, "remaining", 0), "used",
                     (json_int_t)json_int(row, "used", 0), "resetAt",
                     jtime(json_int(row, "reset", 0) * 1000));
}

/* gh asks other hosts which fields a type has before it uses newer ones. */
static json_t *introspect(const char *type)
{
    static const struct {
        const char *type;
        const char *field;
    } known[] = {
        {"Issue",       "stateReason"         },
        {"PullRequest", "reviewDecision"      },
        {"PullRequest", "statusCheckRollup"   },
        {"PullRequest", "isDraft"             },
        {"Repository",  "pullRequestTemplates"},
        {"Repository",  "visibility"          },
        {"Repository",  "autoMergeAllowed"    },
    };
    json_t *fields = json_array();
    for (size_t i = 0; type && i < COUNT(known); i++)
        if (strcmp(known[i].type, type) == 0)
            json_array_append_new(fields, json_pack("{s:s}", "name", known[i].field));
    return json_pack("{s:o, s:o, s:[]}", "name", jtext(type), "fields", fields, "enumValues");
}

static json_t *root_field(struct gql *g, const json_t *field, bool mutation)
{
    const char *name = json_cstr(field, "name");
    const json_t *args = json_object_get(field, "args");
    if (strcmp(name, "__typename") == 0)
        return json_string(mutation ? "Mutation" : "Query");
    if (mutation) {
        json_t *value =
            gql_mutate(g, name, json_object_get(args, "input"), json_object_get(field, "sel"));
        return value ? value
                     : gql_error(g, "undefinedField", name,
                                 "Field '%s' doesn't exist on type 'Mutation'", name);
    }
    if (strcmp(name, "repository") == 0)
        return repository(g, args);
    if (strcmp(name, "node") == 0)
        return node(g, field, json_cstr(args, "id"));
    if (strcmp(name, "viewer") == 0)
        return gql_user(g->q->who.user);
    if (strcmp(name, "user") == 0 || strcmp(name, "repositoryOwner") == 0)
        return gql_user(user_find(json_cstr(args, "login")));
    if (strcmp(name, "search") == 0)
        return search(g, field);
    if (strcmp(name, "rateLimit") == 0)
        return rate_limit(g);
    if (strcmp(name, "__type") == 0)
        return introspect(json_cstr(args, "name"));
    return gql_error(g, "undefinedField", name, "Field '%s' doesn't exist on type 'Query'", name);
}

void graphql_serve(struct req *q)
{
    struct gql g = {q, json_array()};
    struct err err;
    const char *text = body_text(q, "query");
    AUTO(json_decrefp) json_t *operation = NULL;
    if (q->who.kind == ACTOR_NONE || q->who.kind == ACTOR_APP) {
        fail(q, 401,
             q->who.kind == ACTOR_NONE ? "This endpoint requires you to be authenticated."
                                       : "Bad credentials");
        json_decref(g.errors);
        return;
    }
    if (!text || !graphql_parse(str_of(text), json_object_get(q->body, "variables"),
                                body_text(q, "operationName"), &operation, &err)) {
        reply(q, 200,
              json_pack("{s:[{s:s}]}", "errors", "message",
                        text ? err.text
                             : "A query attribute must be specified and must be a "
                               "string."));
        json_decref(g.errors);
        return;
    }
    json_t *data = json_object();
    bool mutation = str_eq(json_str(operation, "kind"), STR("mutation"));
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(operation, "sel"), i, row)
    {
        const char *alias = json_cstr(row, "alias");
        if (alias)
            json_object_set_new(data, alias, project(&g, root_field(&g, row, mutation), row));
    }
    json_t *answer = json_pack("{s:o}", "data", data);
    if (json_array_size(g.errors) > 0)
        json_object_set(answer, "errors", g.errors);
    json_decref(g.errors);
    reply(q, 200, answer);
}
