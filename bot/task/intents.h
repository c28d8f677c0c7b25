/* Intents: what a handler wants done, as plain data. A handler decides and does no I/O; the intent
 * is stored with the closed delivery (outbox) and performed later by bot/work/performer.c, which
 * also checks what the intent requires of the sender. Pure; strings belong to the arena. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"

#include <stdbool.h>
#include <stdint.h>

enum intent_kind {
    INTENT_START,        /* a task for an issue */
    INTENT_STOP,         /* cancel the issue's live task */
    INTENT_STATUS,       /* say how the issue's task stands */
    INTENT_HELP,         /* say which commands there are */
    INTENT_STEER,        /* pass `text` to the running agent */
    INTENT_PULL_CLOSED,  /* a pull request from a task branch was merged or closed */
    INTENT_INSTALLATION, /* the App was installed, changed, suspended, removed */
    INTENT_KINDS
};
const char *intent_kind_name(enum intent_kind kind);

struct intent {
    enum intent_kind kind;
    bool requires_write; /* the sender must have write permission, asked live, fail-closed */
    const char *source;  /* "label" or "comment" */
    const char *task_id; /* of INTENT_START: chosen once, so that performing twice makes one task */

    int64_t installation_id;
    int64_t repository_id;
    const char *repository;
    const char *sender;
    int64_t sender_id;

    int issue;
    bool on_pull_request; /* the issue number is a pull request's */
    int64_t comment;      /* id of the comment that commanded, or 0 */
    const char *title;    /* snapshot at the trigger: later edits do not count */
    const char *description;
    const char *agent;  /* squad role of "label:ROLE" */
    const char *text;   /* words behind the command */
    const char *reason; /* of INTENT_STOP */

    int pull_request;
    bool merged;
    const char *branch;
    const char *head_sha;
    const char *merged_by;

    const char *account; /* of INTENT_INSTALLATION */
    int64_t account_id;
    const char *account_type;
    const char *action;
    const char *permissions; /* JSON */
    const char *events;      /* JSON */
};

#define INTENTS_MAX 8
struct intents {
    struct arena *arena;
    struct intent rows[INTENTS_MAX];
    int n;
};
/* Room for one more, zeroed, of a kind; aborts over INTENTS_MAX (a handler makes one or two). */
struct intent *intents_add(struct intents *in, enum intent_kind kind);

/* The stored form. Everything that is set travels, nothing else. */
void intent_write(const struct intent *i, struct buf *json);
bool intent_read(const char *json, struct arena *arena, struct intent *out,
                 struct err *err) MUST_CHECK;
