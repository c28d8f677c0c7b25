/* The stand-in's world: users, the one App, installations, tokens, repositories, issues, pulls.
 * One process holds one world, so it is one global, S. Everything in it is read and changed only
 * with S.lock held (state_lock). Rows live until the process ends: nothing here is freed, deleted
 * things are only marked, so pointers between rows are always good. Times are wall clock ms. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/str.h"
#include "tests/standins/github/git.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A growing array of pointers. */
struct list {
    void **at;
    size_t n;
    size_t cap;
};
void list_add(struct list *l, void *row);
bool list_remove(struct list *l, const void *row); /* keeps the order; false when absent */
bool list_has(const struct list *l, const void *row);

struct user {
    int64_t id;
    char *login;
    const char *type; /* "User", "Bot", "Organization" */
    char *name;       /* NULL = none */
    char *email;
    int64_t created;
};

struct app {
    int64_t id;
    char *client_id;
    char *slug;
    char *name;
    EVP_PKEY *key; /* public; NULL = every JWT is refused */
    struct user *owner;
    struct user *bot;
    json_t *permissions;
    json_t *events;
    char *hook_url; /* NULL = no deliveries are made */
    char *hook_secret;
    char *hook_content_type;
    int64_t hook_id;
    int64_t created;
    bool long_tokens;
    json_t *manifests; /* code -> App object to hand out */
};

struct installation {
    int64_t id;
    struct user *account;
    bool all; /* every repository of the account; else `repos` */
    struct list repos;
    json_t *permissions;
    json_t *events;
    int64_t created;
    int64_t suspended; /* 0 = active */
    bool deleted;
    int64_t limit; /* primary, an hour; 0 = no headers and no limit, as on GHES */
    int64_t used;
    int64_t reset; /* s */
};

enum token_kind { TOKEN_PERSONAL, TOKEN_INSTALLATION };

struct token {
    enum token_kind kind;
    char *text;
    struct user *user;         /* of a personal one */
    struct installation *inst; /* of the other */
    bool scoped;               /* to `repos` only */
    struct list repos;
    json_t *permissions; /* NULL = whatever the user may */
    int64_t created;
    int64_t expires; /* 0 = never */
    bool revoked;
    int64_t used; /* of the user's hourly limit */
    int64_t reset;
};

struct label {
    int64_t id;
    char *name;
    char *color;
    char *description; /* NULL = none */
};

struct repo {
    int64_t id;
    struct user *owner;
    char *name;
    char *full; /* owner/name */
    char *dir;  /* of the bare repository */
    char *default_branch;
    json_t *settings; /* what PATCH /repos changes: description, delete_branch_on_merge, … */
    bool is_private;
    bool archived;
    bool deleted;
    struct repo *parent; /* a fork's */
    json_t *roles;       /* login -> admin, maintain, write, triage, read */
    json_t *protection;  /* [{pattern, rules: [...], bypass: [...]}] */
    json_t *old_names;   /* full names it had: answered with 301 */
    struct list labels;
    struct list issues; /* and pulls, by number - 1 */
    struct list comments;
    struct list reviews;
    struct list review_comments;
    struct list checks;
    json_t *statuses; /* rows as answered, newest last */
    int64_t created;
    int64_t updated;
    int64_t pushed;
};

struct pull {
    struct repo *head_repo; /* may be deleted later */
    char *head_ref;
    char *base_ref;
    char head_sha[SHA_TEXT];
    char base_sha[SHA_TEXT];
    bool draft;
    bool modify; /* maintainer_can_modify */
    int64_t merged;
    struct user *merged_by;
    char merge_sha[SHA_TEXT];
    int unknown_reads; /* so many more reads answer mergeable: null */
    struct list reviewers;
    json_t *auto_merge; /* NULL = off */
    /* What the difference counts, for these two SHAs: it is asked for often and costs processes. */
    char counted_base[SHA_TEXT];
    char counted_head[SHA_TEXT];
    int64_t additions;
    int64_t deletions;
    int64_t files;
    int64_t commits;
    char tried_base[SHA_TEXT]; /* and whether these two can be merged */
    char tried_head[SHA_TEXT];
    bool merges;
};

struct issue {
    int64_t id;
    int64_t number;
    struct repo *repo;
    struct user *user;
    char *title;
    char *body; /* NULL = null */
    bool closed;
    const char *reason; /* state_reason; NULL */
    bool locked;
    bool deleted;
    struct list labels;
    struct list assignees;
    int64_t created;
    int64_t updated;
    int64_t closed_at;
    struct user *closed_by;
    bool via_app;
    struct pull *pull; /* NULL = an issue */
};

struct review {
    int64_t id;
    struct issue *issue;
    struct user *user;
    char *body;
    char *state; /* as in REST: APPROVED, CHANGES_REQUESTED, COMMENTED, DISMISSED */
    char commit[SHA_TEXT];
    int64_t submitted;
};

/* Of an issue or pull's conversation, or (with a path) of a pull's diff. */
struct comment {
    int64_t id;
    struct issue *issue;
    struct user *user;
    char *body;
    int64_t created;
    int64_t updated;
    bool via_app;
    struct review *review; /* the rest only for comments on the diff */
    char *path;
    char *hunk;
    char *side;
    int64_t line;
    int64_t start_line;
    int64_t reply_to;
    char commit[SHA_TEXT];
    bool resolved;
};

struct reaction {
    int64_t id;
    int64_t subject; /* the issue's or comment's id: ids are unique over both */
    struct user *user;
    char *content;
    int64_t created;
};

struct check {
    int64_t id;
    int64_t suite;
    struct repo *repo;
    char sha[SHA_TEXT];
    json_t *fields; /* as sent: name, status, conclusion, output, … */
};

struct state {
    pthread_mutex_t lock;
    char *data;        /* folder */
    char *base;        /* http://127.0.0.1:PORT: git, pages */
    char *api;         /* base and API prefix: what answers link to */
    char *hooks;       /* folder of the repositories' hook programs */
    char *enterprise;  /* version to show as a GHES server; NULL = github.com */
    int mergeable_lag; /* how many reads of a pull answer mergeable: null after each change */
    struct app app;
    struct list users;
    struct list installations;
    struct list tokens;
    struct list repos;
    struct list reactions;
};
extern struct state S;

void state_lock(void);
void state_unlock(void);

enum id_kind {
    ID_USER,
    ID_REPO,
    ID_ISSUE,
    ID_LABEL,
    ID_CHECK,
    ID_DELIVERY,
    ID_INSTALLATION,
    ID_KINDS
};
int64_t state_id(enum id_kind kind); /* fresh; over 32 bits where GitHub's are */
int64_t now_ms(void);

struct user *user_find(const char *login); /* any case; NULL */
struct user *user_by_id(int64_t id);
struct user *user_new(const char *login, const char *type);
struct token *token_find(struct str text);
struct installation *installation_by_id(int64_t id);        /* not a deleted one */
struct installation *installation_of(const struct repo *r); /* covers it; NULL */
bool installation_covers(const struct installation *i, const struct repo *r);
struct repo *repo_find(const char *owner, const char *name, bool *moved); /* moved = an old name */
struct repo *repo_by_id(int64_t id);
bool repo_new(struct user *owner, const char *name, const char *branch,
              struct repo **out) MUST_CHECK;
/* "admin", "maintain", "write", "triage", "read" or "none". */
const char *repo_role(const struct repo *r, const struct user *u);
int role_rank(const char *role); /* none 0, read 1, triage 2, write 3, maintain 4, admin 5 */
bool repo_flag(const struct repo *r, const char *setting);
struct label *label_find(const struct repo *r, const char *name);
struct label *label_new(struct repo *r, const char *name, const char *color,
                        const char *description);
struct issue *issue_find(const struct repo *r, int64_t number); /* pulls too */
struct issue *issue_new(struct repo *r, struct user *u, const char *title, const char *body);
int64_t issue_comments(const struct issue *i);
void text_set(char **slot, const char *value); /* frees the old text, copies the new */
/* The first rule row of a branch with that type, among all patterns that match; NULL. */
json_t *branch_rule(const struct repo *r, const char *branch, const char *type);
/* All of them, as a new array of borrowed rows. */
json_t *branch_rules(const struct repo *r, const char *branch);
bool branch_protected(const struct repo *r, const char *branch);
