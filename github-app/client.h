/* GitHub's REST API as the App (or as GITHUB_TOKEN's owner). Tokens are narrowed to one repository
 * and the least permissions, cached, single-flight, and minted anew early; they live in memory
 * only. Thread-safe, blocking. Answers become kinds here, once: 401 ERR_AUTH, 403/429 with a rate
 * limit ERR_LIMIT (retry_after_s), other 403/451 ERR_DENIED, 404/410 ERR_GONE, 409 ERR_CONFLICT,
 * 422 ERR_INPUT, 5xx and broken answers ERR_UPSTREAM. Passing faults are retried inside the call's
 * deadline where repeating is harmless; a limit pauses the whole installation. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/base/secret.h"
#include "bot/net/http.h"

#include <stdbool.h>
#include <stdint.h>

struct github;
struct signer;
struct github_config { /* copied */
    const char *api_url;
    const char *web_url;
    const char *app_id;         /* "" with a personal token */
    struct signer *signer;      /* NULL with a personal token; borrowed */
    const struct secret *token; /* personal token or NULL */
};
struct github *github_new(struct http *http, const struct github_config *config);
void github_free(struct github *g);

/* Which repository a call is about. full_name is for URLs, id for the token's scope. */
struct github_repo {
    int64_t installation_id; /* 0 with a personal token */
    int64_t id;
    const char *full_name;
};

enum github_need {              /* permission sets, one row each in client.c */
                   GITHUB_READ, /* metadata, contents:read */
                   GITHUB_PUSH, /* contents:write */
                   GITHUB_WRITE /* pull_requests:write, issues:write, contents:read */
};
/* A token for git (wire.h) that stays valid for at least min_life_s, of which at most 50 minutes
 * can be promised. The caller's copy. Each one is to be dropped. */
bool github_token(struct github *g, const struct github_repo *repo, enum github_need need,
                  int min_life_s, const struct call *call, struct secret *out,
                  struct err *err) MUST_CHECK;
/* Ends the use of a token that was handed out: the last one of those who share it revokes it.
 * Tokens that the calls below use themselves are others. */
bool github_token_drop(struct github *g, const struct github_repo *repo, enum github_need need,
                       const struct call *call, struct err *err) MUST_CHECK;

/* Git was refused with this token (ERR_AUTH): the next github_token() mints a new one. */
void github_token_refused(struct github *g, const struct github_repo *repo, enum github_need need,
                          const struct secret *refused);

/* Who we are, asked once and remembered: slug "squadbot", login "squadbot[bot]" and numeric user id
 * (with a personal token: its owner). Strings live as long as g. */
struct github_self {
    const char *slug;
    const char *login;
    int64_t user_id;
    int64_t app_id;  /* numeric; 0 with a personal token */
    char email[160]; /* ID+LOGIN@users.noreply.HOST */
};
bool github_self(struct github *g, const struct call *call, const struct github_self **out,
                 struct err *err) MUST_CHECK;

enum github_role { GITHUB_ROLE_NONE, GITHUB_ROLE_READ, GITHUB_ROLE_WRITE, GITHUB_ROLE_ADMIN };
/* Live; triage counts as read, maintain as write; 404 = none. Any other failure is an error, which
 * callers must treat as "no". */
bool github_permission(struct github *g, const struct github_repo *repo, const char *login,
                       const struct call *call, enum github_role *out, struct err *err) MUST_CHECK;

struct github_repo_info { /* arena */
    int64_t id;
    const char *full_name;
    const char *default_branch;
    bool archived;
    bool is_private;
    bool delete_branch_on_merge;
    const char *clone_url;
};
bool github_repo_get(struct github *g, const struct github_repo *repo, const struct call *call,
                     struct arena *arena, struct github_repo_info *out, struct err *err) MUST_CHECK;
/* With a personal token or before an installation is known: find it by name. */
bool github_repo_find(struct github *g, const char *full_name, const struct call *call,
                      struct arena *arena, struct github_repo *repo, struct github_repo_info *out,
                      struct err *err) MUST_CHECK;

/* *found = false: no such ref (or an empty repository). oid: 40 digits. */
bool github_ref_get(struct github *g, const struct github_repo *repo, const char *branch,
                    const struct call *call, char oid[41], bool *found, struct err *err) MUST_CHECK;
/* True also when it is gone already. */
bool github_branch_delete(struct github *g, const struct github_repo *repo, const char *branch,
                          const struct call *call, struct err *err) MUST_CHECK;
bool github_branch_protected(struct github *g, const struct github_repo *repo, const char *branch,
                             const struct call *call, bool *out, struct err *err) MUST_CHECK;

struct github_issue { /* arena */
    int number;
    const char *title;
    const char *body;
    const char *state; /* open, closed */
    const char *user;
    bool is_pull_request;
    bool has_label; /* the label asked for */
};
bool github_issue_get(struct github *g, const struct github_repo *repo, int number,
                      const char *label, const struct call *call, struct arena *arena,
                      struct github_issue *out, struct err *err) MUST_CHECK;

struct github_pull { /* arena */
    int number;
    const char *url;   /* html */
    const char *state; /* open, closed */
    bool draft;
    bool merged;
    const char *head_sha;
    const char *head_branch;
    const char *head_repo; /* owner/name; NULL when deleted */
    const char *base_branch;
    int64_t user_id; /* author */
};
/* The newest with this head branch in this repository; *found = false when there is none. */
bool github_pull_of_branch(struct github *g, const struct github_repo *repo, const char *branch,
                           const struct call *call, struct arena *arena, struct github_pull *out,
                           bool *found, struct err *err) MUST_CHECK;
bool github_pull_get(struct github *g, const struct github_repo *repo, int number,
                     const struct call *call, struct arena *arena, struct github_pull *out,
                     struct err *err) MUST_CHECK;
/* Open pull requests that use the branch as head or base, other than `except`. */
bool github_branch_in_use(struct github *g, const struct github_repo *repo, const char *branch,
                          int except, const struct call *call, bool *out,
                          struct err *err) MUST_CHECK;
struct github_pull_text {
    const char *title;
    const char *body;
    const char *head;
    const char *base;
    bool draft;
};
/* Creates; when one is open for this head already (also after a lost answer) updates that one.
 * draft refused by the plan falls back to an ordinary one. */
bool github_pull_open(struct github *g, const struct github_repo *repo,
                      const struct github_pull_text *text, const struct call *call,
                      struct arena *arena, struct github_pull *out, struct err *err) MUST_CHECK;

/* One comment per marker ("<!-- squadbot:task=ID -->", the body's first line by our making): edits
 * *comment_id when set and still there, else finds the marker, else posts. */
bool github_comment_put(struct github *g, const struct github_repo *repo, int issue,
                        const char *marker, const char *body, const struct call *call,
                        int64_t *comment_id, struct err *err) MUST_CHECK;
/* content: eyes, rocket, confused …; on a comment when comment_id is not 0, else on the issue. */
bool github_react(struct github *g, const struct github_repo *repo, int issue, int64_t comment_id,
                  const char *content, const struct call *call, struct err *err) MUST_CHECK;

/* Doctor: the App's granted permissions and events as JSON, and the skew between GitHub's clock and
 * ours in seconds. */
bool github_check(struct github *g, const struct call *call, struct arena *arena,
                  const char **permissions, const char **events, int64_t *skew_s,
                  struct err *err) MUST_CHECK;
