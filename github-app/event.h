/* What handlers may know of a webhook: one flat struct, filled from the payload. Strings in the
 * arena (NULL = absent), numbers 0 when absent. Pure. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct event {
    const char *name;   /* issues, issue_comment, … */
    const char *action; /* labeled, …; "" when the event has none */
    int64_t installation_id;
    struct {
        int64_t id;
        const char *login;
        const char *type; /* User, Bot, Organization */
    } sender;
    struct {
        int64_t id;
        const char *full_name;
        const char *default_branch;
    } repository;
    struct {
        int number;
        const char *title;
        const char *body;
        const char *state;
        const char *user;
        bool is_pull_request;
    } issue;
    const char *label; /* of labeled / unlabeled */
    struct {
        int64_t id;
        const char *body;
        const char *user;
        int64_t app_id; /* performed_via_github_app */
    } comment;
    struct {
        int number;
        bool merged;
        const char *head_branch;
        const char *head_sha;
        int64_t head_repo_id;
        const char *base_branch;
        const char *merged_by;
    } pull;
    struct {
        int64_t id;
        const char *account_login;
        int64_t account_id;
        const char *account_type;
        const char *permissions; /* JSON */
        const char *events;      /* JSON */
    } installation;
};
/* ERR_INPUT when the body is not a JSON object or does not fit the event's name (the event header
 * is not signed: an "issues" delivery must have an issue). */
bool event_parse(struct str name, struct str body, struct arena *arena, struct event *out,
                 struct err *err) MUST_CHECK;
