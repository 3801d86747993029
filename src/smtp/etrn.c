/* SPDX-License-Identifier: Apache-2.0 */
/* ETRN (rfc1985): what waits for a site is tried now, because the site is there again. */
#include "smtp/session.h"

enum { FLUSH_MS = 60'000 };

bool smtp_may_start_queues(const struct smtp_session *s)
{
	if (s->is_lmtp || listener_without(s->listener, "ETRN"))
		return false;
	return smtp_is_relay_client(s) ||
	       (s->is_signed_in && str_is_nocase(s->config->relay, S("users")));
}

static struct smtp_reply flush_reply(struct smtp_session *s, struct str node,
				     const struct answer_flush *answer)
{
	switch ((enum flush_verdict)answer->verdict) {
	case FLUSH_DENIED:
		return smtp_reply_with(&s->arena, SMTP_REPLY_node_denied, node);
	case FLUSH_LATER:
		return smtp_reply_with(&s->arena, SMTP_REPLY_node_later, node);
	case FLUSH_STARTED:
		break;
	}
	if (!answer->messages)
		return smtp_reply_with(&s->arena, SMTP_REPLY_node_idle, node);
	return smtp_reply_with(&s->arena, SMTP_REPLY_node_started,
			       str_print(&s->arena, "%llu pending messages for node %.*s",
					 (unsigned long long)answer->messages, STR_ARGS(node)));
}

static struct smtp_reply flush(struct smtp_session *s, struct str node) WAITS
{
	static const char *const verdicts[] = { "accept", "refuse", "defer" };
	struct answer_flush answer;
	enum err err = call_flush(s->service->store,
				  &(struct ask_flush){
					  .site = node,
					  .account = s->is_signed_in ? s->account_handle : 0,
					  .client = smtp_client_address(s),
					  .certificate = smtp_certificate(s),
					  .session = s->id,
				  },
				  &s->arena, &answer, in_ms(FLUSH_MS));

	if (err) {
		smtp_trace_trouble(s, err, "starting a queue");
		return smtp_reply_with(&s->arena, SMTP_REPLY_node_unable, node);
	}
	if (answer.verdict < COUNT_OF(verdicts))
		smtp_trace_listed(s, "etrn", verdicts[answer.verdict], node);
	return flush_reply(s, node, &answer);
}

enum err smtp_run_etrn(struct smtp_session *s, const struct smtp_command *command) WAITS
{
	struct smtp_reply refused = smtp_entry_rule(s);
	struct str node = domain_canonical(&s->arena, command->argument);

	if (s->is_lmtp || listener_without(s->listener, "ETRN"))
		return smtp_say(s, smtp_reply_with(&s->arena, SMTP_REPLY_not_done_here, S("ETRN")));
	if (smtp_certificate(s).count)
		return smtp_say(s, flush(s, node)); /* the store knows what it is worth */
	if (refused.code)
		return smtp_say(s, refused);
	if (!smtp_may_start_queues(s)) {
		smtp_trace_listed(s, "etrn", "refuse", node);
		return smtp_say(s, smtp_reply_with(&s->arena, SMTP_REPLY_node_denied, node));
	}
	return smtp_say(s, flush(s, node));
}
