/* Push rules. Git itself runs our `update` program for each ref before it moves; that program reads
 * the rules of this push from a folder, prints what GitHub prints to the side band and leaves the
 * one-line reason; push_report() puts the reason into the report, where clients look for it. */
#include "tests/standins/github/push.h"

#include "bot/base/clock.h"
#include "bot/base/enc.h"
#include "bot/base/io.h"
#include "bot/base/json.h"
#include "bot/base/mem.h"
#include "tests/standins/github/events.h"
#include "tests/standins/github/smart.h"

#include <stdio.h>
#include <sys/stat.h>

#define PKT_MAX 65520

/* $STANDIN_PUSH/rules: kind TAB pattern TAB type TAB parameter. */
static const char update_program[] =
    "#!/bin/sh\n"
    "# The rules of one push, per ref: see push.c.\n"
    "ref=$1 old=$2 new=$3\n"
    "zero=0000000000000000000000000000000000000000\n"
    "tab=$(printf '\\t')\n"
    "decline() { printf '%s\\t%s\\n' \"$ref\" \"$1\" >>\"$STANDIN_PUSH/reasons\"; exit 1; }\n"
    "broken() {\n"
    "    if [ \"$kind\" = protection ]; then\n"
    "        echo \"error: GH006: Protected branch update failed for $ref.\" >&2\n"
    "        echo \"error: $1\" >&2\n"
    "        decline 'protected branch hook declined'\n"
    "    fi\n"
    "    echo \"error: GH013: Repository rule violations found for $ref.\" >&2\n"
    "    echo \"\" >&2\n"
    "    echo \"- $1\" >&2\n"
    "    decline 'push declined due to repository rule violations'\n"
    "}\n"
    "fresh() { [ \"$new\" = $zero ] || git rev-list \"$new\" --not --all; }\n"
    "if [ \"$STANDIN_WORKFLOWS\" = 0 ]; then\n"
    "    for c in $(fresh); do\n"
    "        f=$(git diff-tree --no-commit-id --name-only -r -m --root \"$c\" -- "
    ".github/workflows | head -n 1)\n"
    "        [ -z \"$f\" ] || decline \"refusing to allow a GitHub App to create or update "
    "workflow \\`$f\\` without \\`workflows\\` permission\"\n"
    "    done\n"
    "fi\n"
    "if [ \"$new\" != $zero ]; then\n"
    "    big=$(git rev-list --objects --no-object-names \"$new\" --not --all |\n"
    "        git cat-file --batch-check='%(objectname) %(objecttype) %(objectsize)' |\n"
    "        awk '$2 == \"blob\" && $3 > 104857600 { print $1; exit }')\n"
    "    if [ -n \"$big\" ]; then\n"
    "        echo \"error: GH001: Large files detected. You may want to try Git Large File "
    "Storage - https://git-lfs.github.com.\" >&2\n"
    "        decline 'pre-receive hook declined'\n"
    "    fi\n"
    "fi\n"
    "case $ref in refs/heads/*) branch=${ref#refs/heads/} ;; *) exit 0 ;; esac\n"
    "while IFS=$tab read -r kind pattern type parameter; do\n"
    "    case $branch in $pattern) ;; *) continue ;; esac\n"
    "    case $type in\n"
    "    creation) [ \"$old\" != $zero ] || broken 'Cannot create ref due to creations being "
    "restricted.' ;;\n"
    "    update) [ \"$old\" = $zero ] || [ \"$new\" = $zero ] || broken 'Cannot update this "
    "protected ref.' ;;\n"
    "    deletion) [ \"$new\" != $zero ] || broken 'Cannot delete this branch' ;;\n"
    "    non_fast_forward) [ \"$old\" = $zero ] || [ \"$new\" = $zero ] ||\n"
    "        git merge-base --is-ancestor \"$old\" \"$new\" || broken 'Cannot force-push to this "
    "branch' ;;\n"
    "    pull_request) [ \"$old\" = $zero ] || [ \"$new\" = $zero ] || broken 'Changes must be "
    "made through a pull request.' ;;\n"
    "    required_status_checks) [ \"$old\" = $zero ] || [ \"$new\" = $zero ] || broken \"Required "
    "status check \\\"$parameter\\\" is expected.\" ;;\n"
    "    required_signatures)\n"
    "        for c in $(fresh); do\n"
    "            git cat-file commit \"$c\" | grep -q '^gpgsig ' || broken 'Commits must have "
    "verified signatures.'\n"
    "        done ;;\n"
    "    commit_message_pattern)\n"
    "        for c in $(fresh); do\n"
    "            git log -1 --format=%B \"$c\" | grep -qE -e \"$parameter\" || broken 'Commit "
    "message must match a given regex pattern.'\n"
    "        done ;;\n"
    "    branch_name_pattern) printf '%s' \"$branch\" | grep -qE -e \"$parameter\" || broken "
    "\"Branch name must match a given regex pattern: $parameter\" ;;\n"
    "    file_path_restriction)\n"
    "        for c in $(fresh); do\n"
    "            git diff-tree --no-commit-id --name-only -r -m --root \"$c\" |\n"
    "                while read -r f; do case $f in $parameter) exit 1 ;; esac; done ||\n"
    "                broken \"File path is restricted: $parameter\"\n"
    "        done ;;\n"
    "    secret) [ \"$new\" = $zero ] || {\n"
    "        echo 'error: GH013: Repository rule violations found for '\"$ref\" >&2\n"
    "        echo '- GITHUB PUSH PROTECTION' >&2\n"
    "        echo '    Push cannot contain secrets' >&2\n"
    "        decline 'push declined due to repository rule violations'\n"
    "    } ;;\n"
    "    lock) decline \"cannot lock ref '$ref': is at $zero but expected $old\" ;;\n"
    "    esac\n"
    "done <\"$STANDIN_PUSH/rules\"\n"
    "exit 0\n";

static const char post_program[] = "#!/bin/sh\n"
                                   "# Tells the stand-in which refs really moved.\n"
                                   "exec cat >\"$STANDIN_PUSH/done\"\n";

bool push_hooks_write(struct err *err)
{
    AUTO(mem_freep) char *update = mem_printf("%s/update", S.hooks);
    AUTO(mem_freep) char *post = mem_printf("%s/post-receive", S.hooks);
    return dir_make(S.hooks, 0755, err) && file_write(update, str_of(update_program), 0755, err) &&
           file_write(post, str_of(post_program), 0755, err);
}

bool smart_start(struct err *err)
{
    return push_hooks_write(err);
}

static bool bypasses(const json_t *row, const struct actor *who)
{
    size_t i;
    json_t *login;
    json_array_foreach(json_object_get(row, "bypass"), i, login)
    {
        if (who->user && str_eq_nocase(str_of(json_string_value(login)), str_of(who->user->login)))
            return true;
    }
    return false;
}

static const char *parameter_of(const json_t *rule)
{
    static const char *const paths[] = {"parameters.pattern", "parameters.restricted_file_paths",
                                        "parameters.required_status_checks"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        json_t *value = json_at(rule, paths[i]);
        if (json_is_array(value))
            value = json_array_get(value, 0);
        if (json_is_object(value))
            value = json_object_get(value, "context");
        if (json_is_string(value))
            return json_string_value(value);
    }
    return "";
}

bool push_open(struct push *p, const struct repo *r, const struct actor *who)
{
    char name[17];
    struct err err;
    AUTO(buf_done) struct buf rules = {0};
    size_t i;
    size_t k;
    json_t *row;
    json_t *rule;
    random_hex(name, 16);
    p->dir = mem_printf("%s/push/%s", S.data, name);
    p->workflows = who->kind != ACTOR_INSTALLATION || actor_may(who, r, "workflows=write", "write");
    json_array_foreach(r->protection, i, row)
    {
        if (bypasses(row, who))
            continue;
        json_array_foreach(json_object_get(row, "rules"), k, rule)
        {
            const char *kind = json_cstr(row, "kind");
            buf_printf(&rules, "%s\t%s\t%s\t%s\n", kind ? kind : "ruleset",
                       json_cstr(row, "pattern"), json_cstr(rule, "type"), parameter_of(rule));
        }
    }
    AUTO(mem_freep) char *path = mem_printf("%s/rules", p->dir);
    return dir_make(p->dir, 0755, &err) && file_write(path, buf_str(&rules), 0644, &err);
}

void push_close(struct push *p)
{
    struct err err;
    if (p->dir && !dir_remove(p->dir, &err))
        fprintf(stderr, "%s\n", err.text);
    free(p->dir);
    p->dir = NULL;
}

static bool read_file(const struct push *p, const char *name, struct buf *out)
{
    struct err err;
    AUTO(mem_freep) char *path = mem_printf("%s/%s", p->dir, name);
    return file_exists(path) && file_read(path, BUF_MAX_DEFAULT, out, &err);
}

/* The next packet of git's framing: false at the end or when cut; a flush gives n = 0. */
static bool pkt_next(struct str *rest, struct str *payload)
{
    unsigned char bytes[2];
    if (rest->n < 4 || !enc_unhex(str_sub(*rest, 0, 4), bytes, sizeof(bytes)))
        return false;
    size_t n = (size_t)bytes[0] << 8 | bytes[1];
    if (n > rest->n || (n > 0 && n < 4))
        return false;
    *payload = n ? str_sub(*rest, 4, n) : (struct str){rest->p, 0};
    *rest = str_sub(*rest, n ? n : 4, rest->n);
    return true;
}

static void pkt_add(struct buf *out, char band, struct str data)
{
    while (data.n > 0) {
        struct str piece = str_sub(data, 0, PKT_MAX - 5);
        buf_printf(out, "%04zx", piece.n + 4 + (band != 0));
        if (band)
            buf_putc(out, band);
        buf_add_str(out, piece);
        data = str_sub(data, piece.n, data.n);
    }
}

static bool reason_of(struct str reasons, struct str ref, struct str *reason)
{
    struct str line;
    while (str_line(&reasons, &line)) {
        struct str name;
        if (str_split(&line, '\t', &name) && str_eq(name, ref)) {
            *reason = line;
            return true;
        }
    }
    return false;
}

/* The report itself: "unpack ok", "ok REF", "ng REF hook declined". */
static void report_rewrite(struct str report, struct str reasons, struct buf *out)
{
    struct str payload;
    while (pkt_next(&report, &payload)) {
        struct str rest = str_trim(payload);
        struct str word;
        struct str ref = {NULL, 0};
        struct str reason;
        if (payload.n == 0) {
            buf_puts(out, "0000");
        } else if (str_split(&rest, ' ', &word) && str_eq(word, STR("ng")) &&
                   str_split(&rest, ' ', &ref) && str_eq(rest, STR("hook declined")) &&
                   reason_of(reasons, ref, &reason)) {
            AUTO(mem_freep)
            char *line = mem_printf("ng " STR_FMT " " STR_FMT "\n", STR_ARG(ref), STR_ARG(reason));
            pkt_add(out, 0, str_of(line));
        } else {
            pkt_add(out, 0, payload);
        }
    }
}

void push_report(const struct push *p, struct str answer, struct buf *out)
{
    AUTO(buf_done) struct buf reasons = {0};
    AUTO(buf_done) struct buf report = {0};
    AUTO(buf_done) struct buf rewritten = {0};
    struct str rest = answer;
    struct str payload;
    if (!read_file(p, "reasons", &reasons)) {
        buf_add_str(out, answer);
        return;
    }
    bool banded = answer.n > 4 && answer.p[4] >= 1 && answer.p[4] <= 3;
    if (!banded) {
        report_rewrite(answer, buf_str(&reasons), out);
        return;
    }
    while (pkt_next(&rest, &payload)) {
        if (payload.n > 0 && payload.p[0] == 1)
            buf_add_str(&report, str_sub(payload, 1, payload.n));
        else if (payload.n > 0)
            pkt_add(out, 0, payload);
    }
    report_rewrite(buf_str(&report), buf_str(&reasons), &rewritten);
    pkt_add(out, 1, buf_str(&rewritten));
    buf_puts(out, "0000");
}

void push_effects(const struct push *p, struct repo *r, struct user *by)
{
    AUTO(buf_done) struct buf done = {0};
    struct str line;
    if (!read_file(p, "done", &done))
        return;
    struct str rest = buf_str(&done);
    while (str_line(&rest, &line)) {
        struct str old;
        struct str new_sha;
        if (!str_split(&line, ' ', &old) || !str_split(&line, ' ', &new_sha))
            continue;
        AUTO(mem_freep) char *before = str_dup(old);
        AUTO(mem_freep) char *after = str_dup(new_sha);
        AUTO(mem_freep) char *ref = str_dup(line);
        ref_changed(r, ref, before, after, by);
    }
}
