/* GraphQL in four pieces: text to a tree (parse), the tree over objects (graphql.c), the objects
 * (graphql_objects.c), the mutations (graphql_mutate.c). Objects are plain JSON; a hidden "__repo"
 * makes fields with arguments (pullRequest(number:)) work below a repository. An array is a
 * connection when its selection asks for nodes, edges, totalCount or pageInfo. State lock held. */
#pragma once

#include "tests/standins/github/api.h"

/* One operation's selections: {"kind":"query"|"mutation", "sel":[{"name","alias","args","sel"} |
 * {"on","sel"}]}; fragments are put in place, variables and directives are resolved. */
bool graphql_parse(struct str text, const json_t *variables, const char *operation, json_t **out,
                   struct err *err) MUST_CHECK;

struct gql {
    struct req *q;
    json_t *errors; /* array */
};
/* Adds {type, message, path}; returns null, so that `return gql_error(…)` reads well. */
json_t *gql_error(struct gql *g, const char *type, const char *field, const char *fmt, ...)
    PRINTF(4, 5);

json_t *gql_user(const struct user *u);
json_t *gql_repo(struct gql *g, struct repo *r);
json_t *gql_issue(struct gql *g, struct issue *i, const json_t *sel); /* pulls too */
json_t *gql_comment(const struct comment *c);
json_t *gql_thread(const struct comment *top);
json_t *gql_commit(const struct repo *r, const char *sha);
/* Fields of a repository that take arguments; NULL = no such field. */
json_t *gql_repo_field(struct gql *g, struct repo *r, const json_t *field);
/* Does a selection ask for this name anywhere at its top? */
bool gql_wants(const json_t *sel, const char *name);
/* The issue, pull or comment behind a node id; NULL. */
struct issue *gql_issue_of(const char *id);
struct comment *gql_comment_of(const char *id);

/* The value of one mutation field; NULL = unknown mutation. */
json_t *gql_mutate(struct gql *g, const char *name, const json_t *input, const json_t *sel);

/* In api.c: a REST call inside a request, as the same actor. Gives the status; *out is the answer.
 */
int api_inside(struct req *q, const char *method, const char *path, json_t *body, json_t **out);
