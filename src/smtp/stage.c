/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/stage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void serve(const struct stage_service *service, struct conn *conn) WAITS
{
	struct smtp_service smtp = {
		.config = service->config,
		.listener = service->listener,
		.store = service->store,
		.filter = service->filter,
		.tls = service->tls,
		.trace = service->trace,
		.caps = service->caps,
	};

	smtp_serve(&smtp, conn, STAGE_SESSION);
}

static const struct stage_protocol smtp = {
	.name = "smtp",
	.host = "mx.here.example",
	.line_max = LIMIT_smtp_reply_line,
	.gate = ROLE_GATE_MX,
	.store = &house_store,
	.filter = &house_filter,
	.serve = serve,
};

void stage_play(struct stage *stage)
{
	dialogue_play(&stage->dialogue, &smtp, &stage->house);
	assert_int_equal(stage->house.signed_in, 0);
}

void stage_done(struct stage *stage)
{
	dialogue_done(&stage->dialogue);
	arena_drop(&stage->house.arena);
}

bool stage_saw(const struct stage *stage, const char *text)
{
	return dialogue_saw(&stage->dialogue, text);
}

bool stage_traced(const struct stage *stage, const char *text)
{
	return dialogue_traced(&stage->dialogue, text);
}

struct str kept_text(const struct kept *kept)
{
	struct scan header = scan_of(kept->body);
	struct field field;

	assert_true(take_field(&header, &field));
	assert_true(str_is(field.name, S("Received")));
	return scan_rest(&header);
}
