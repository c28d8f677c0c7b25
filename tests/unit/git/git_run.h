/* Real git in temporary folders, for the tests of bot/git. Failures end the test. */
#pragma once

#include "tests/unit/row.h"

#include "bot/base/buf.h"
#include "bot/base/err.h"
#include "bot/base/io.h"
#include "bot/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GIT_ARGS_MAX 40

static inline char *tmp_make(void)
{
    const char *root = getenv("TMPDIR");
    char *path = mem_printf("%s/squadbot-git-XXXXXX", root ? root : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void tmp_remove(char *path)
{
    struct err err = {0};
    if (!dir_remove(path, &err))
        fail_msg("%s", err.text);
    free(path);
}

static inline void make_folder(const char *path)
{
    struct err err = {0};
    if (!dir_make(path, 0700, &err))
        fail_msg("%s", err.text);
}

static inline void write_file(const char *path, struct str content)
{
    struct err err = {0};
    if (!file_write(path, content, 0644, &err))
        fail_msg("%s", err.text);
}

static inline void read_file(const char *path, struct buf *out)
{
    struct err err = {0};
    out->max = (size_t)512 * 1024 * 1024;
    if (!file_read(path, out->max, out, &err))
        fail_msg("%s", err.text);
}

/* Any program; returns its exit code. out may be NULL. */
static inline int run_argv(const char *const *argv, struct buf *out)
{
    static const char *const env[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/nonexistent",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_AUTHOR_NAME=A U Thor",
        "GIT_AUTHOR_EMAIL=author@example.com",
        "GIT_COMMITTER_NAME=C O Mitter",
        "GIT_COMMITTER_EMAIL=committer@example.com",
        "LC_ALL=C.UTF-8",
        NULL,
    };
    struct err err = {0};
    struct call call = call_in(60000, NULL);
    struct proc_result result = {.out = {.max = (size_t)16 * 1024 * 1024}};
    if (!proc_run(argv, env, NULL, &call, &result, &err))
        fail_msg("%s: %s", argv[0], err.text);
    if (out)
        buf_add_str(out, buf_str(&result.out));
    else if (result.exit_code != 0)
        print_error("%s %s: %s\n", argv[0], argv[3] ? argv[3] : "", buf_cstr(&result.out));
    buf_done(&result.out);
    return result.exit_code;
}

/* git -C folder …; the arguments end with NULL. */
#define git_code(folder, out, ...)                                                                 \
    run_argv((const char *const[]){"git", "-C", folder, __VA_ARGS__, NULL}, out)
#define git_run(folder, ...) assert_int_equal(git_code(folder, NULL, __VA_ARGS__), 0)
/* Its output, trimmed, in a static place; for one line. */
#define git_line(folder, ...)                                                                      \
    git_line_of((const char *const[]){"git", "-C", folder, __VA_ARGS__, NULL})

static inline const char *git_line_of(const char *const *argv)
{
    static char lines[8][256];
    static size_t next;
    char *line = lines[next++ % 8];
    struct buf out = {0};
    int code = run_argv(argv, &out);
    if (code != 0)
        fail_msg("git %s: %s", argv[3], buf_cstr(&out));
    assert_true(str_copy(line, sizeof(lines[0]), str_trim(buf_str(&out))));
    buf_done(&out);
    return line;
}

/* Writes folder/name and commits it. */
static inline void git_commit_file(const char *folder, const char *name, const char *content,
                                   const char *message)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    write_file(path, str_of(content));
    git_run(folder, "add", "-A");
    git_run(folder, "commit", "-q", "-m", message);
}

/* A work tree with n commits to README.md and a few folders beside it. */
static inline void git_sample(const char *folder, int n)
{
    char path[1024], text[128];
    make_folder(folder);
    git_run(folder, "init", "-q", "-b", "main");
    snprintf(path, sizeof(path), "%s/src/deep", folder);
    make_folder(path);
    snprintf(path, sizeof(path), "%s/src/deep/a.c", folder);
    write_file(path, STR("int a;\n"));
    for (int i = 1; i <= n; i++) {
        snprintf(text, sizeof(text), "line %d\n", i);
        snprintf(path, sizeof(path), "commit %d", i);
        git_commit_file(folder, "README.md", text, path);
    }
}
