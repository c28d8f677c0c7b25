/* What every task run and outbox job needs of the outside, put together once by bot/app.c. All
 * borrowed; all of it safe from many threads. */
#pragma once

#include "bot/agent/agent.h"
#include "bot/base/call.h"
#include "bot/base/settings.h"
#include "bot/net/http.h"
#include "bot/sandbox/sandbox.h"
#include "bot/store/store.h"
#include "github-app/client.h"

struct task_env {
    const struct settings *settings;
    struct store *store;
    struct http *http;
    struct github *github;
    struct sandbox_client *sandbox;
    struct agent_settings agent;
    const char *web_url;    /* https://github.com, no slash at the end */
    const char *public_url; /* ours, "" = unknown */
    const char *work_dir;   /* data folder / work */
    const char *template_id;
    const char *instance; /* shared by all replicas on one database */
    const char *owner;    /* of leases: this process */
    int lease_s;
    int task_timeout_s;
    int sandbox_ttl_s;
    int clone_depth;
    int64_t pack_max_bytes;
};
