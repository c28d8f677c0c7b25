/* Reads at most HEAD_MAX_BYTES of the file: a signature, prerequisites, refs, an empty line. */
#include "bot/git/bundle.h"

#include <sys/stat.h>
#include <unistd.h>

#define HEAD_MAX_BYTES 16384

static bool read_head(int fd, char *head, struct str *out, int64_t *size, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set(err, ERR_BUG, "the bundle cannot be read: %m");
    if (st.st_size > BUNDLE_MAX_BYTES)
        return err_set(err, ERR_POLICY, "bundle.size: the work is larger than %lld MiB",
                       (long long)(BUNDLE_MAX_BYTES >> 20));
    size_t want = st.st_size < HEAD_MAX_BYTES ? (size_t)st.st_size : HEAD_MAX_BYTES;
    ssize_t n = pread(fd, head, want, 0);
    if (n < 0 || (size_t)n != want)
        return err_set(err, ERR_BUG, "the bundle cannot be read: %m");
    *out = (struct str){head, want};
    *size = st.st_size;
    return true;
}

static bool take_prerequisite(struct str line, struct bundle *b, struct err *err)
{
    struct str oid = str_sub(line, 1, 1 + GIT_OID_HEX);
    if (b->prerequisite[0])
        return err_set(err, ERR_POLICY, "bundle.prerequisite: more than one prerequisite");
    if (!refname_oid_ok(oid) || (line.n > GIT_OID_HEX + 1 && line.p[GIT_OID_HEX + 1] != ' '))
        return err_set(err, ERR_INPUT, "bundle.header: malformed prerequisite");
    return str_copy(b->prerequisite, sizeof(b->prerequisite), oid) ||
           err_set(err, ERR_BUG, "prerequisite");
}

static bool take_ref(struct str line, struct bundle *b, struct err *err)
{
    struct str oid, name;
    if (b->tip[0])
        return err_set(err, ERR_POLICY, "bundle.refs: more than one ref");
    if (!refname_oid_line(line, &oid, &name) || !str_copy(b->ref, sizeof(b->ref), name) ||
        !str_copy(b->tip, sizeof(b->tip), oid))
        return err_set(err, ERR_INPUT, "bundle.header: malformed ref");
    return true;
}

bool bundle_read(int fd, struct bundle *out, struct err *err)
{
    char memory[HEAD_MAX_BYTES];
    struct str head, rest, line;
    struct bundle b = {0};
    if (!read_head(fd, memory, &head, &b.size, err))
        return false;
    rest = head;
    if (!str_split(&rest, '\n', &line) || !rest.p || !str_eq(line, STR("# v2 git bundle")))
        return err_set(err, ERR_INPUT, "bundle.header: not a bundle of version 2");
    while (str_split(&rest, '\n', &line) && rest.p) {
        if (line.n == 0) {
            if (!b.tip[0])
                return err_set(err, ERR_POLICY, "bundle.refs: no ref");
            b.pack_at = rest.p - memory;
            *out = b;
            return true;
        }
        if (line.p[0] == '-' ? !take_prerequisite(line, &b, err) : !take_ref(line, &b, err))
            return false;
    }
    return err_set(err, ERR_INPUT, "bundle.header: has no end");
}

bool bundle_check(const struct bundle *b, const char *base_oid, const char *ref, struct err *err)
{
    if (!str_eq(str_of(b->ref), str_of(ref)))
        return err_set(err, ERR_POLICY, "bundle.ref: the bundle holds another ref than %s", ref);
    if (b->prerequisite[0] && !str_eq(str_of(b->prerequisite), str_of(base_oid)))
        return err_set(err, ERR_POLICY, "bundle.prerequisite: the work is not based on %s",
                       base_oid);
    if (str_eq(str_of(b->tip), str_of(base_oid)))
        return err_set(err, ERR_POLICY, "bundle.empty: the bundle holds no commit");
    return true;
}
