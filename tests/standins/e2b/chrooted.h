/* See chrooted.c. */
#pragma once

/* Before any thread. Does nothing where namespaces work, or when we are not root. */
void chrooted_leave(void);
