/* Every sentence that we post to GitHub, in one place. Everything given back is redacted, and what
 * the agent wrote stands in fenced blocks, where GitHub makes no mentions, links or commands of it.
 * Pure; results are appended to a buffer. */
#pragma once

#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/store/tasks.h"

#include <stdbool.h>

#define COMMENT_MAX 65000 /* GitHub: 65536 UTF-16 units */

/* Hidden first lines by which we find our comments again. */
void text_task_marker(const char *task_id, struct buf *out);
void text_reply_marker(const char *key, struct buf *out);

struct text_links {
    const char *web_url;    /* https://github.com */
    const char *public_url; /* ours; "" = none */
    const char *bot_login;  /* squadbot[bot] */
};
/* The status comment: state, step, branch, pull request, what happened. state as it will be. */
void text_status(const struct task *t, enum task_state state, const struct err *error,
                 const struct text_links *links, struct buf *out);

/* The pull request. `facts` is the task's facts object: what the bot itself measured; `agent_words`
 * is the end of the agent's log. */
/* A valid Conventional Commit subject made of the task's title. */
void text_subject(const struct task *t, struct buf *out);
/* The only commit's own subject, or one made of the task's title when there are several. */
void text_pull_title(const struct task *t, struct buf *out);
void text_pull_body(const struct task *t, const char *agent_words, const struct text_links *links,
                    struct buf *out);

/* Answers to commands. */
void text_help(const char *slug, struct buf *out);
void text_refused(const char *login, const char *repository, struct buf *out);
void text_busy(const struct task *live, struct buf *out);
void text_nothing_to_stop(struct buf *out);
void text_issues_only(struct buf *out);
void text_no_task(struct buf *out);
void text_steer_unsupported(const char *driver, struct buf *out);

/* The agent's prompt: the task in plain words, foreign text between delimiters and stripped of
 * characters that a reader cannot see. */
void text_prompt(const struct task *t, struct buf *out);
/* Removes HTML comments and invisible or direction-changing characters. */
void text_strip_hidden(struct str in, struct buf *out);
/* A fenced block that its content cannot end. */
void text_fenced(const char *info, struct str content, struct buf *out);
