/* Webhook signatures. The form is checked exactly (lower-case prefix and digits, nothing around
 * them), every secret is tried whatever the others gave, and digests are compared in constant time.
 */
#include "github-app/signature.h"

bool signature_github_ok(struct str header, struct str body, const struct secret *const *secrets,
                         int n, unsigned char digest[SHA256_BYTES])
{
    const struct str prefix = STR("sha256=");
    unsigned char sent[SHA256_BYTES], made[SHA256_BYTES];
    bool ok = false;
    if (!str_starts(header, prefix) ||
        !enc_unhex(str_sub(header, prefix.n, header.n), sent, SHA256_BYTES))
        return false;
    for (int i = 0; i < n; i++) {
        if (!secrets[i] || !secret_is_set(secrets[i]))
            continue;
        hmac_sha256(secret_str(secrets[i]), body, made);
        if (bytes_eq_consttime(made, sent, SHA256_BYTES))
            ok = true;
    }
    if (ok)
        memcpy(digest, sent, SHA256_BYTES);
    return ok;
}
