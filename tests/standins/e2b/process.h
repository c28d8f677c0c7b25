/* Running commands of a sandbox and those who follow their output. */
#pragma once

#include "tests/standins/e2b/world.h"

#define SUB_QUEUE      8
#define OUT_READ_BYTES 32768
#define PTY_READ_BYTES 16384

/* One piece of output for one follower. */
struct out_event {
    const char *channel; /* "stdout", "stderr", "pty" */
    char *data;          /* malloc'ed */
    size_t n;
};

/* A follower of a process: a stream that waits on event_fd (readable = look again). */
struct sub {
    struct sub *next;
    int event_fd;
    struct out_event queue[SUB_QUEUE];
    size_t n;
};

struct proc_start {
    const struct box_user *user;
    const char *cmd;
    const char *const *args; /* NULL-terminated */
    json_t *config;          /* borrowed: as shown by List; "envs" is taken from it */
    const char *cwd;         /* absolute */
    const char *tag;         /* NULL = none */
    bool stdin_pipe;
    bool pty;
    unsigned cols, rows;
    int64_t kill_at_ms;
};
/* Starts it and subscribes sub. *out is referenced for the caller. The box is entered. */
bool proc_start(struct world *w, struct box *b, const struct proc_start *s, struct sub *sub,
                struct proc **out, struct err *err) MUST_CHECK;

/* All locked. pid > 0 or tag != NULL selects; ended ones only when asked for. */
struct proc *proc_select(struct box *b, int64_t pid, const char *tag, bool ended_too);
struct proc *proc_ref(struct proc *p);
void proc_unref(struct proc *p);               /* locked */
bool sub_add(struct proc *p, struct sub *sub); /* false: no descriptor left */
void sub_remove(struct world *w, struct proc *p, struct sub *sub);
void out_event_done(struct out_event *e);

/* The end event's object: exitCode, exited, status, error. New reference. */
json_t *proc_end_json(const struct proc *p);
