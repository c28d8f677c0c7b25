/* What the tests see of a stand-in and how they make it fail: the ledger of requests and the fault
 * rows, both over HTTP. Thread-safe.
 *
 *   GET    /_standin/ledger     [{"n","at_ms","plane","method","path","query","headers","body",
 *                                 "status","ms","fault",…}] in order of arrival; status 0 =
 * unanswered DELETE /_standin/ledger     forgets them POST   /_standin/faults     [row,…] or one
 * row: adds GET    /_standin/faults     the rows with "hits" DELETE /_standin/faults     forgets
 * them
 *
 * A row: {"match":"POST /v2/sandboxes", "times":1, "skip":0, "action":…, …}. match is a shell
 * pattern ('*' also takes slashes) over "METHOD /path", or "METHOD /path?query", with an optional
 * word in front that the stand-in gives ("DATA POST /files"). The first row that matches and has
 * times left acts; times -1 = always; skip lets so many matching requests through first.
 *   status {"status","body","headers"}   that answer instead       delay {"ms"}    then as ever
 *   reset  RST before anything is done   hang  no answer           lost  done, then RST
 *   cut    {"after_bytes"} RST after so many bytes of the answer   slow  {"bytes","ms"}
 *   another word is left to the stand-in: faults_word(). "delay" may be combined: any row may
 *   carry "ms", waited first (not slow). */
#pragma once

#include "tests/standins/common/http.h"

struct faults;
struct faults *faults_new(void);

/* Serves the addresses above; false when the request is another one. Call it first. */
bool faults_serve(struct faults *f, struct http_exchange *x);

/* Call for every other request, before the work. plane may be NULL; body may be NULL (borrowed; is
 * shown in the ledger when small). True: the fault answered (or reset) already, just return after
 * faults_finish(). *entry is the ledger row's number for the two functions below. */
bool faults_begin(struct faults *f, struct http_exchange *x, const char *plane, json_t *body,
                  uint64_t *entry);
/* The acting row's own action word, "" when none acted or it was handled here; borrowed. */
const char *faults_word(struct faults *f, uint64_t entry);
/* More facts for the ledger row, e.g. "sandbox". Replaces a key of that name. */
void faults_note(struct faults *f, uint64_t entry, const char *key,
                 json_t *value); /* takes value */
void faults_finish(struct faults *f, uint64_t entry, struct http_exchange *x);
