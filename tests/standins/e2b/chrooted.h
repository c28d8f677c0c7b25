/* See chrooted.c. */
#pragma once

/* Before any thread. Does nothing where namespaces work, or when we are not root;
 * else starts the program again. */
void chrooted_leave(char **argv);
