/* The state of the E2B stand-in: options, sandboxes, their processes. One mutex guards all of it;
 * `changed` is broadcast after every change that somebody may wait for. Sandboxes are never freed:
 * dead ones are shown by /_standin/sandboxes. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/thread.h"
#include "tests/standins/common/faults.h"
#include "tests/standins/common/http.h"
#include "tests/standins/e2b/jail.h"

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define ENVD_PORT     49983
#define ENVD_VERSION  "0.6.13"
#define CLIENT_ID     "6532622b"
#define BOX_ID_TEXT   22 /* 'i' + 20 + NUL */
#define TOKEN_TEXT    65
#define TEMPLATE_ID   21
#define BOX_CPUS      2
#define BOX_MEMORY_MB 512
#define BOX_DISK_MB   10240
#define NAMES_MAX     16
#define SAMPLE_MS     5000
#define SAMPLES_MAX   720 /* an hour */
#define LOGS_MAX      1000

enum box_state { BOX_RUNNING, BOX_PAUSING, BOX_PAUSED, BOX_RESUMING, BOX_DEAD };

struct template
{
    const char *name;
    char id[TEMPLATE_ID];
    int64_t created_ms;
    int64_t spawned; /* creates so far */
};

/* What a create asks for; the json values are owned. */
struct box_spec {
    struct template *tpl;
    int64_t timeout_s;
    json_t *metadata, *env_vars, *network, *volume_mounts; /* network and volumes may be NULL */
    bool secure, internet, auto_pause, auto_pause_memory, auto_resume, public_traffic;
};

struct sub;
struct proc {
    struct proc *next; /* in box */
    int refs;
    struct box *box;
    uint64_t token;
    int pid;
    json_t *config; /* {"cmd","args","envs","cwd"} without defaults */
    char *tag;      /* NULL = none */
    bool pty;
    int in_fd, out_fd, err_fd; /* our ends; -1 = closed. For a pty out_fd is the terminal */
    int64_t kill_at_ms;        /* monotonic; 0 = never (Connect-Timeout-Ms) */
    bool muted;                /* a signal was sent: output is dropped from then on */
    bool leader_done;
    int wait_status;
    bool ended; /* leader done and output at its end */
    int64_t ended_ms;
    struct sub *subs;
};

struct sample {
    int64_t at_ms; /* wall */
    double cpu_pct;
    int64_t mem_used, mem_cache, disk_used, disk_total;
};

struct box {
    char id[BOX_ID_TEXT];
    char token[TOKEN_TEXT];         /* "" = insecure (v1 without secure) */
    char traffic_token[TOKEN_TEXT]; /* "" = public */
    struct box_spec spec;
    enum box_state state;
    const char *death; /* how it ended: "killed", "expired" */
    bool expiring;
    int64_t started_ms, end_ms, dead_ms; /* wall */
    char *dir;
    struct jail *jail;           /* NULL = none (dead, or paused without memory) */
    struct http_exchange **live; /* data-plane exchanges, aborted at kill and pause */
    size_t nlive;
    size_t users; /* of jail; kill and pause wait for 0 */
    struct proc *procs;
    struct sample *samples;
    size_t nsamples;
    int64_t cpu_ticks; /* at the last sample */
    json_t *logs;
};

struct world {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct bell tick; /* a deadline came nearer */
    struct faults *faults;

    const char *keys[NAMES_MAX];
    size_t nkeys;
    struct template templates[NAMES_MAX];
    size_t ntemplates;
    const char *data_dir;
    const char *bin_dir;
    size_t max_concurrent;
    int64_t plan_max_s;
    int64_t creates_per_s; /* 0 = no limit */

    /* may be changed by POST /_standin/options */
    bool blanks; /* random blanks in JSON of the data plane */
    bool split;  /* streams and reads of output in random pieces */
    int64_t end_kept_ms;

    struct box **boxes;
    size_t nboxes;
    size_t active; /* running or on the way */
    size_t peak;
    uint64_t last_token;
    int64_t window_ms; /* of the create rate */
    int64_t window_creates;
};

/* The one who asks on the data plane. */
struct box_user {
    const char *name;
    const char *home;
};

/* box.c. All take the mutex themselves unless "locked" is said. */
enum box_result {
    BOX_OK,
    BOX_LIMIT,    /* too many at once */
    BOX_RATE,     /* too many creates a second */
    BOX_FAILED,   /* the jail did not start; err is set */
    BOX_GONE,     /* not running and not paused */
    BOX_CONFLICT, /* is already so, or changing */
};
void world_lock(struct world *w);
void world_unlock(struct world *w);
struct box *box_find(struct world *w, struct str id); /* locked; NULL when never made */
bool box_alive(const struct box *b);                  /* locked: running, paused or changing */
/* Takes the json values of spec in any case. */
enum box_result box_create(struct world *w, struct box_spec *spec, struct box **out,
                           struct err *err);
enum box_result box_kill(struct world *w, struct box *b, const char *why);
enum box_result box_pause(struct world *w, struct box *b, bool keep_memory);
enum box_result box_resume(struct world *w, struct box *b, int64_t timeout_s, bool cold,
                           struct err *err);
/* Sets the end of life; locked. */
void box_set_end(struct world *w, struct box *b, int64_t end_ms);
/* A data-plane exchange uses the box between the two; false: not running. */
bool box_enter(struct world *w, struct box *b, struct http_exchange *x);
void box_leave(struct world *w, struct box *b, struct http_exchange *x);
void box_log(struct box *b, const char *message, json_t *fields); /* locked; takes fields */
void world_run_ticker(struct world *w);                           /* starts the thread */
void world_stop(struct world *w);                                 /* kills every sandbox */

/* sample.c. Measures now; the box must be entered or otherwise kept. */
void sample_take(struct world *w, struct box *b, struct sample *out);

/* process.c, locked: what the ticker and the box need of processes. They do not wait for the jail,
 * because its reader thread needs the mutex. */
void proc_exited(struct world *w, struct box *b, uint64_t token, int wait_status);
void procs_lost(struct world *w, struct box *b); /* the jail is gone */
/* Kills what is over its time (through the jail) and forgets old ends. The time of the next event,
 * monotonic. */
int64_t procs_tick(struct world *w, struct box *b, int64_t now_ms);

/* route.c */
void route(struct http_exchange *x, void *world);
/* control.c, options.c, envd.c: true = was theirs. */
void control_serve(struct world *w, struct http_exchange *x, json_t *body, uint64_t entry);
bool standin_serve(struct world *w, struct http_exchange *x);
void envd_serve(struct world *w, struct box *b, struct http_exchange *x, uint64_t entry);
