/* Sandboxes: E2B over its public wire protocol (../shared/e2b-protocol.md in the planning pages).
 * A `struct sandbox_client` is safe from any thread; a `struct sandbox` is plain data that tells
 * how to reach one. Nothing is remembered here: after a restart sandbox_get() is all that is
 * needed. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/buf.h"
#include "bot/base/call.h"
#include "bot/base/err.h"
#include "bot/base/secret.h"
#include "bot/base/str.h"
#include "bot/net/http.h"

#include <stdbool.h>
#include <stdint.h>

struct sandbox_client;
struct sandbox_config { /* copied */
    const char *api_url;
    const char *sandbox_url; /* data plane of every sandbox */
    const char *domain;
    const struct secret *api_key;
};
struct sandbox_client *sandbox_client_new(struct http *http, const struct sandbox_config *config);
void sandbox_client_free(struct sandbox_client *c);

#define SANDBOX_ID_MAX 64
enum sandbox_state { SANDBOX_RUNNING, SANDBOX_PAUSED };
struct sandbox {
    char id[SANDBOX_ID_MAX];
    char domain[128]; /* "" = the configured one */
    struct secret access_token;
    enum sandbox_state state;
    int cpu_count; /* 0 = not told */
    int memory_mb;
    int64_t end_ms;        /* wall time; 0 = not told */
    char envd_version[24]; /* of the daemon inside; "" = not told */
};
void sandbox_done(struct sandbox *s);

struct sandbox_meta {
    const char *key; /* [A-Za-z0-9._-]+ both */
    const char *value;
};
struct sandbox_spec {
    const char *template_id;
    int timeout_s;
    const struct sandbox_meta *metadata;
    int metadata_n;
    const char *nonce; /* put into metadata as "nonce": finds the sandbox when the answer is lost */
    bool no_internet;
};
/* Creates one, or adopts the one that an earlier, ambiguous attempt with the same nonce made
 * (looked up first when `maybe_exists`, and after any ambiguous outcome). Extra ones are killed.
 * ERR_LIMIT: concurrency or rate (retry_after_s); ERR_INPUT: template or settings; ERR_AUTH: key.
 */
bool sandbox_create(struct sandbox_client *c, const struct sandbox_spec *spec, bool maybe_exists,
                    const struct call *call, struct sandbox *out, struct err *err) MUST_CHECK;
/* ERR_GONE: it does not exist any more. */
bool sandbox_get(struct sandbox_client *c, const char *id, const struct call *call,
                 struct sandbox *out, struct err *err) MUST_CHECK;
/* True also when it is gone already. */
bool sandbox_kill(struct sandbox_client *c, const char *id, const struct call *call,
                  struct err *err) MUST_CHECK;
bool sandbox_set_timeout(struct sandbox_client *c, const char *id, int timeout_s,
                         const struct call *call, struct err *err) MUST_CHECK;
struct sandbox_listed {
    char id[SANDBOX_ID_MAX];
    char task[80];  /* metadata "task"; "" = none */
    char nonce[80]; /* metadata "nonce" */
    int64_t started_ms;
    enum sandbox_state state;
};
/* All pages of the running and paused ones that carry every pair of metadata. */
bool sandbox_list(struct sandbox_client *c, const struct sandbox_meta *metadata, int metadata_n,
                  const struct call *call, struct sandbox_listed **out, int *n,
                  struct err *err) MUST_CHECK; /* *out: free() */
/* Does the key work and the template exist? For doctor. */
bool sandbox_check(struct sandbox_client *c, const char *template_id, const struct call *call,
                   struct err *err) MUST_CHECK;

/* --- inside one sandbox. A transient 502 is confirmed by /health and sandbox_get before anything
 * is declared dead: then ERR_GONE. Other passing faults are retried within the call's deadline
 * where repeating is harmless, else ERR_UPSTREAM. */

bool sandbox_put(struct sandbox_client *c, const struct sandbox *s, const char *path,
                 struct str data, const struct call *call, struct err *err) MUST_CHECK;
bool sandbox_put_fd(struct sandbox_client *c, const struct sandbox *s, const char *path, int fd,
                    int64_t size, const struct call *call, struct err *err) MUST_CHECK;
/* Appends the bytes from `offset` on, at most `max`. *found = false when the file does not exist;
 * nothing new at the offset is true with nothing appended. */
bool sandbox_read(struct sandbox_client *c, const struct sandbox *s, const char *path,
                  int64_t offset, size_t max, const struct call *call, struct buf *out, bool *found,
                  struct err *err) MUST_CHECK;
/* The whole file into fd; ERR_GONE (text "no such file") when absent is told apart by *found;
 * over max bytes: ERR_LIMIT. */
bool sandbox_read_fd(struct sandbox_client *c, const struct sandbox *s, const char *path, int fd,
                     int64_t max, const struct call *call, bool *found, struct err *err) MUST_CHECK;

struct sandbox_run {
    const char *const *argv; /* NULL-terminated; no shell */
    const char *const *envp; /* NAME=value; NULL = none. Never secrets of ours */
    const char *cwd;         /* NULL = home */
    const char *tag;         /* NULL = none */
    size_t output_max; /* kept bytes of stdout and stderr together; 0 = 1 MiB. More is dropped */
};
struct sandbox_exit {
    bool exited;   /* false = killed by a signal */
    int exit_code; /* 128 + … is not used; -1 with exited = false */
    struct buf output;
    bool output_cut; /* bytes are missing: over output_max, or lost while a stream was broken */
};
/* Runs to its end; a stream that breaks before the end event is re-attached by pid. Only for
 * commands that may be repeated: when the end cannot be learned the call fails with ERR_UPSTREAM.
 */
bool sandbox_exec(struct sandbox_client *c, const struct sandbox *s, const struct sandbox_run *run,
                  const struct call *call, struct sandbox_exit *out, struct err *err) MUST_CHECK;

/* --- a long run that survives us: own session and process group, output to files under `dir`
 * (log, exit, pgid), nothing depends on a stream. Starting twice with one dir starts once. What the
 * command leaves behind in sessions of its own (daemons) is not part of the job. */
struct sandbox_job {
    const char *dir; /* absolute, in the sandbox */
    const char *const *argv;
    const char *const *envp; /* NAME=value; goes by a file in a folder of mode 0700, removed on
                              * start: never in argv, in a process list or in E2B's own logs */
    const char *cwd;         /* NULL = home */
};
bool sandbox_job_start(struct sandbox_client *c, const struct sandbox *s,
                       const struct sandbox_job *job, const struct call *call,
                       struct err *err) MUST_CHECK;
struct sandbox_job_state { /* {0} before the first look; hand the same one to every look */
    bool started;
    bool ended;
    int exit_code;      /* as the shell sees it: 128 + signal */
    bool lost;          /* ended without an exit status (137 is put for it): somebody killed the
                         * job's own shell too, or the sandbox ran out of memory */
    int64_t checked_ms; /* when the job was last seen alive (monotonic) */
};
/* Reads the log from *offset on (appends to out, at most max, moves *offset) and the state. When
 * nothing is new it answers at once: the caller waits (call_wait) between two looks. `ended` is
 * only told once the log was read up to where it was when the command ended. */
bool sandbox_job_poll(struct sandbox_client *c, const struct sandbox *s, const char *dir,
                      int64_t *offset, size_t max, const struct call *call, struct buf *out,
                      struct sandbox_job_state *state, struct err *err) MUST_CHECK;
/* SIGTERM to the whole group, SIGKILL after grace_s; true when it is gone (also: was never there).
 */
bool sandbox_job_kill(struct sandbox_client *c, const struct sandbox *s, const char *dir,
                      int grace_s, const struct call *call, struct err *err) MUST_CHECK;
