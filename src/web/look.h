/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * look: a view at the store, as an answer uses it (link/messages.def: view_open). Private to web/.
 */
#include "control/control.h"
#include "web/exchange.h"

struct look {
	struct web *web;
	struct exchange *exchange; /* NULL: nobody is told what fails */
	uint64_t view;             /* 0: none is open */
	struct arena arena;
	struct str last; /* line of it, once it has ended; until it is closed */
	bool has_ended;
	bool has_failed; /* the store said no in the end; the answer is said, or broken off */
};

/* Takes `arguments` over. When it fails the answer is said. */
[[nodiscard]] enum err look_open(struct look *look, struct exchange *exchange, const char *command,
				 json_t *arguments) WAITS;
/* More rows, lines of JSON; they last until the next call. None after the end, and perhaps none before wait_ms. */
[[nodiscard]] enum err look_next(struct look *look, int64_t wait_ms, struct str *rows) WAITS;
void look_close(struct look *look) WAITS;
/* The first line off the rows, without its LF; false when there is none. */
bool look_row(struct str *rows, struct str *row);
