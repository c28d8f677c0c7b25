/* Plain file transfer of the daemon: GET and POST /files, POST /files/compose. */
#pragma once

#include "tests/standins/e2b/world.h"

/* x belongs to an entered box. token_ok: the right access token came in the header (or none is
 * needed); without it a signature in the query may do. */
void files_serve(struct world *w, struct box *b, struct http_exchange *x, bool token_ok);

/* {"code":…,"message":…}, the daemon's plain errors. */
void envd_error(struct http_exchange *x, int status, const char *fmt, ...) PRINTF(3, 4);
