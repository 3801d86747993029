/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* rows: what a command of the store lists, as an answer. Private to web/. */
#include "web/look.h"

enum { LOOK_WAIT_MS = 10000 };

struct listing {
	const char *command;
	json_t *arguments;  /* taken over */
	const char *before; /* the rows, and between them, and after */
	const char *between;
	const char *after;
	bool is_trace; /* rows are events: written so that nothing in them is obeyed */
};

/* A row, with what a terminal would obey or a reader not see spelt out. */
enum err rows_write(struct exchange *exchange, struct str row) WAITS;
/* Says the answer, also when it is a refusal. */
void rows_answer(struct exchange *exchange, const struct listing *listing) WAITS;
/* {what: the id in the path} */
json_t *rows_about(const struct exchange *exchange, const char *what);
void rows_set_text(json_t *arguments, const char *name, struct str text);
/* A number of the query; false when it is none, and that is said. */
bool rows_set_limit(struct exchange *exchange, json_t *arguments);
