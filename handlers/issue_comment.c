/* issue_comment.created: commands. Who may command is checked live when the intent is performed. */
#include "handlers/handlers.h"

#include "bot/base/enc.h"
#include "bot/base/str.h"
#include "handlers/command.h"

static const enum intent_kind kind_of[] = {
    [COMMAND_RUN] = INTENT_START,     [COMMAND_STOP] = INTENT_STOP,
    [COMMAND_RETRY] = INTENT_START,   [COMMAND_STATUS] = INTENT_STATUS,
    [COMMAND_STEER] = INTENT_STEER,   [COMMAND_HELP] = INTENT_HELP,
    [COMMAND_MENTION] = INTENT_START, [COMMAND_UNKNOWN] = INTENT_HELP,
};

bool handle_issue_comment(const struct event *e, const struct repo_config *config,
                          struct intents *out, struct err *err)
{
    (void)err;
    struct command command;
    struct str body = str_of(e->comment.body);
    /* Our own comments carry a marker: with GITHUB_TOKEN they bear a person's name. */
    if (str_find(body, STR("<!-- squadbot:"), 0) < body.n ||
        !command_find(body, config->app_slug, &command))
        return true;
    struct intent *i = intent_from_event(out, kind_of[command.word], e);
    i->requires_write = true;
    i->source = "comment";
    i->comment = e->comment.id;
    if (command.text.n)
        i->text = arena_str(out->arena, command.text);
    if (i->kind == INTENT_STOP)
        i->reason = arena_printf(out->arena, "stopped by @%s", e->sender.login);
    if (i->kind == INTENT_START) {
        char id[UUID_TEXT];
        uuid_v7(id);
        i->task_id = arena_str(out->arena, str_of(id));
        i->title = e->issue.title;
        i->description = e->issue.body;
    }
    return true;
}
