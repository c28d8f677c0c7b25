/* A multipart/form-data body, part by part, without holding it. */
#pragma once

#include "tests/standins/common/http.h"

struct multipart {
    struct http_exchange *x;
    char mark[80]; /* CR LF -- boundary */
    size_t nmark;
    struct buf held; /* read, not yet given */
    bool at_end;     /* of the request's body */
    bool bad;
};
/* False: the content type has no usable boundary. */
bool multipart_init(struct multipart *m, struct http_exchange *x, struct str content_type);
void multipart_done(struct multipart *m);
/* The next part's name and filename (terminated; filename "" when it has none). False: no more, or
 * bad is set. The part before must be read to its end. */
bool multipart_next(struct multipart *m, struct buf *name, struct buf *filename);
/* Bytes of the part: 0 = its end, -1 = broken. */
ssize_t multipart_read(struct multipart *m, void *to, size_t n);
