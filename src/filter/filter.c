/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/filter.h"
#include "filter/inspect.h"

/* A message of this size takes about a millisecond; larger ones go to a worker thread. */
enum { IN_FIBER_MAX = 256 * 1024 };

static void run(void *arg)
{
	inspection_run(arg);
}

static void look_at(struct inspection *inspection) WAITS
{
	if (inspection->message.len < IN_FIBER_MAX)
		inspection_run(inspection);
	else
		offload(OFFLOAD_WORK, run, inspection);
}

/* rfc5321 6.3: counting the trace lines is the one sure way to see a loop. */
static void decide(const struct role *role, struct arena *arena,
		   const struct inspection *inspection, struct answer_inspect *answer)
{
	const struct summary *summary = &inspection->summary;
	struct str header = str_first(inspection->message, header_end(inspection->message));

	/* Forwarded in a circle: then it need not go round a hundred times. */
	if (received_count_by(header, role->config->hostname) > LIMIT_received_own) {
		answer->verdict = INSPECT_REFUSE;
		answer->code = 554;
		answer->enhanced = S("5.4.6");
		answer->text =
			str_print(arena, "This message has been here %d times, it is in a loop",
				  LIMIT_received_own);
		return;
	}
	if (summary->received_count <= role->config->received_max) {
		answer->verdict = INSPECT_ACCEPT;
		return;
	}
	answer->verdict = INSPECT_REFUSE;
	answer->code = 554;
	answer->enhanced = S("5.4.6");
	answer->text =
		str_print(arena, "Too many hops: %zu Received lines, this message is in a loop",
			  summary->received_count);
}

static void tell(const struct inspection *inspection, struct arena *arena,
		 struct answer_inspect *answer)
{
	const struct summary *summary = &inspection->summary;

	answer->structure = str_dup(arena, inspection->structure);
	answer->subject = str_dup(arena, summary->subject);
	answer->from = str_dup(arena, summary->from);
	answer->message_id = str_dup(arena, summary->message_id);
	answer->preview = str_dup(arena, summary->preview);
}

static void trace(const struct role *role, const struct ask_inspect *ask,
		  struct inspection *inspection, const struct answer_inspect *answer,
		  int64_t start_us)
{
	static const char *const verdicts[] = {
		[INSPECT_ACCEPT] = "accept", [INSPECT_REFUSE] = "refuse", [INSPECT_DEFER] = "defer"
	};
	/* The wall clock, as now() moves by ticks only and most messages take less than one. */
	int64_t us = wall_us() - start_us;
	struct str detail = answer->text;
	char id[ID_TEXT + 1];

	id_print(ask->message, id);
	if (answer->verdict == INSPECT_ACCEPT)
		detail = mime_oddities_print(&inspection->arena, inspection->mime.oddities);
	TRACE(role->trace, ask->session, 0, inspect, .message = str_of(id),
	      .verdict = str_of(verdicts[answer->verdict]), .parts = inspection->mime.count,
	      .depth = inspection->mime.depth, .detail = detail, .us = us > 0 ? (uint64_t)us : 0);
}

static enum err serve_inspect(struct link_call *call, const struct ask_inspect *ask,
			      struct answer_inspect *answer) WAITS
{
	struct role *role = call->context;
	struct inspection inspection = { 0 };
	int64_t start_us = wall_us();
	enum err err = body_map(&ask->body, &inspection.message);

	if (err)
		return err;
	look_at(&inspection);
	decide(role, call->arena, &inspection, answer);
	tell(&inspection, call->arena, answer);
	trace(role, ask, &inspection, answer, start_us);
	inspection_done(&inspection);
	body_unmap(&ask->body, inspection.message);
	return OK;
}

static const struct link_handlers handlers = {
	.inspect = serve_inspect,
};

const struct role_ops filter_role = {
	.kind = ROLE_FILTER,
	.serves = &handlers,
	/* The conversion modules of iconv are files, which the sandbox does not let us open. */
	.prepare = charset_prepare,
};
