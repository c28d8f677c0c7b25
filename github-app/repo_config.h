/* What a handler may know of the bot's settings for one repository. Plain data. */
#pragma once

struct repo_config {
    const char *label;    /* starts a task; "label:ROLE" picks a squad member */
    const char *app_slug; /* "@slug text" is a command; NULL while GitHub has not told it yet */
};
