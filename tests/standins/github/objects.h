/* GitHub's JSON objects, complete enough to satisfy its OpenAPI description: every function gives a
 * new reference. With the state lock held. Each family has its own objects_*.c. */
#pragma once

#include "tests/standins/github/state.h"

/* ---- pieces ---- */
json_t *jtext(const char *text);             /* a string, or null for NULL */
json_t *jtime(int64_t ms);                   /* 2026-11-20T18:00:00Z, or null for 0 */
json_t *jnode(const char *type, int64_t id); /* a node id that node_id_read() understands */
bool node_id_read(const char *node, const char *type, int64_t *id) MUST_CHECK;
/* object[key] = "text…"; keeps the calls below to one line a field. */
void jset(json_t *object, const char *key, json_t *value);
void jsetf(json_t *object, const char *key, const char *fmt, ...) PRINTF(3, 4);
json_t *jlogins(const struct list *users); /* array of user objects */

/* ---- objects_user.c: accounts, the App, installations ---- */
json_t *obj_user(const struct user *u); /* null for NULL */
json_t *obj_user_full(const struct user *u, bool self);
json_t *obj_app(void);
json_t *obj_app_public(void); /* as performed_via_github_app */
json_t *obj_installation(const struct installation *i);
const char *association(const struct repo *r, const struct user *u);

/* ---- objects_repo.c ---- */
/* viewer decides `permissions`; app_admin shows merge settings also to an installation token. */
json_t *obj_repo(const struct repo *r, const char *role);
json_t *obj_repo_ref(const struct repo *r); /* id, node_id, name, full_name, private */
json_t *obj_label(const struct repo *r, const struct label *l);
json_t *obj_ref(const struct repo *r, const char *ref, const char *sha);
json_t *obj_branch(const struct repo *r, const char *name, const char *sha, bool full);

/* ---- objects_issue.c ---- */
json_t *obj_labels(const struct issue *i);
json_t *obj_reactions(int64_t subject, const char *url);
json_t *obj_issue(const struct issue *i);
json_t *obj_comment(const struct comment *c);
json_t *obj_reaction(const struct reaction *r);

/* ---- objects_pull.c ---- */
/* full = with mergeable and counts, as of GET pulls/{n}; known = mergeable is computed. */
json_t *obj_pull(const struct issue *i, bool full, bool known);
json_t *obj_review(const struct review *r, bool lower_state);
json_t *obj_review_comment(const struct comment *c);
/* "clean", "dirty", "blocked", "behind", "unstable", "draft" */
const char *pull_merge_state(const struct issue *i, bool *mergeable);
bool pull_base_of_diff(const struct issue *i, char sha[SHA_TEXT]); /* the merge base */

/* ---- objects_git.c ---- */
json_t *obj_commit(const struct repo *r, json_t *commit /* of git_commit_read, taken */,
                   bool files);
json_t *obj_git_commit(const struct repo *r, json_t *commit /* taken */);
json_t *obj_files(const struct repo *r, const char *ref, json_t *rows /* of git_diff, taken */);
json_t *obj_compare(const struct repo *r, const char *spec, const char *base, const char *head);
json_t *obj_push_commit(const struct repo *r, json_t *commit /* taken */);

/* ---- objects_check.c ---- */
json_t *obj_check(const struct check *c);
json_t *obj_check_pulls(const struct repo *r, const char *sha);
json_t *obj_check_suite(const struct repo *r, const char *sha, int64_t id);
