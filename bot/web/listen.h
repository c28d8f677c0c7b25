/* Listening sockets and TLS. Main thread, at start. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* Opens each address of a comma-separated list; *n of at most max descriptors are the caller's. */
bool listen_open(const char *addresses, int *fds, int max, int *n, int *port,
                 struct err *err) MUST_CHECK;
bool listen_tls(const char *cert_file, const char *key_file, SSL_CTX **out,
                struct err *err) MUST_CHECK;
