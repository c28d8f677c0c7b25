/* GraphQL. */
#include "tests/standins/github/api.h"

void graphql_serve(struct req *q)
{
    reply(q, 200,
          json_pack("{s:n, s:[{s:s, s:s}]}", "data", "errors", "type", "NOT_FOUND", "message",
                    "GraphQL is not served yet"));
}
