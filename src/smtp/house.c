/* SPDX-License-Identifier: Apache-2.0 */
/* A store and a filter that answer from memory, for the session's tests. */
#include "smtp/stage.h"

enum { ACCOUNT = 7, EXCHANGE = 11 };

static uint64_t verdict_of(struct str address)
{
	static const struct {
		const char *address;
		enum recipient_verdict verdict;
	} known[] = {
		{ "alice@here.example", RECIPIENT_LOCAL },
		{ "bob@here.example", RECIPIENT_LOCAL },
		{ "late@here.example", RECIPIENT_LOCAL },
		{ "gone@here.example", RECIPIENT_LOCAL },
		{ "postmaster", RECIPIENT_LOCAL },
		{ "full@here.example", RECIPIENT_FULL },
		{ "off@here.example", RECIPIENT_DISABLED },
		{ "loop@here.example", RECIPIENT_LOOP },
		{ "d\xc3\xb6rte@here.example", RECIPIENT_LOCAL },
	};

	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (str_is_nocase(address, str_of(known[i].address)))
			return known[i].verdict;
	if (str_starts(address, S("user")) && str_ends_nocase(address, S("@here.example")))
		return RECIPIENT_LOCAL;
	return str_ends_nocase(address, S("@here.example")) ? RECIPIENT_UNKNOWN
							    : RECIPIENT_NOT_OURS;
}

static enum err on_recipient(struct link_call *call, const struct ask_recipient *ask,
			     struct answer_recipient *answer) WAITS
{
	struct house *house = call->context;

	house->asked_about++;
	if (house->recipient_err)
		return fault(house->recipient_err, "as the test wants it");
	answer->verdict = verdict_of(ask->address);
	answer->why = house->list_count ? S("alias") : S("account");
	return OK;
}

static struct str join(struct arena *arena, struct strs list)
{
	struct str text = S("");

	for (size_t i = 0; i < list.count; i++)
		text = str_print(arena, "%.*s%s%.*s", STR_ARGS(text), i ? "," : "",
				 STR_ARGS(list.at[i]));
	return text;
}

static enum err on_deliver(struct link_call *call, const struct ask_deliver *ask,
			   struct answer_deliver *answer) WAITS
{
	struct house *house = call->context;
	uint64_t *outcomes = NEW_ARRAY(call->arena, uint64_t, ask->recipients.count);
	struct kept *kept = &house->kept[house->count];
	struct str octets;

	if (house->deliver_ms && fiber_sleep(in_ms(house->deliver_ms)) != OK)
		return ERR_STOPPED;
	if (house->deliver_err)
		return fault(house->deliver_err, "as the test wants it");
	must(house->count < COUNT_OF(house->kept));
	must(body_map(&ask->body, &octets) == OK);
	*kept = (struct kept){
		.sender = str_dup(&house->arena, ask->sender),
		.recipients = join(&house->arena, ask->recipients),
		.body = str_dup(&house->arena, octets),
		.is_utf8 = ask->utf8,
		.id = ask->message,
	};
	house->count++;
	body_unmap(&ask->body, octets);
	for (size_t i = 0; i < ask->recipients.count; i++)
		outcomes[i] = str_starts(ask->recipients.at[i], S("late@"))   ? DELIVERY_FULL
			      : str_starts(ask->recipients.at[i], S("gone@")) ? DELIVERY_UNKNOWN
									      : DELIVERY_DONE;
	answer->outcomes = (struct u64s){ outcomes, ask->recipients.count };
	answer->batch = 1;
	return OK;
}

static enum err on_room(struct link_call *call, const struct ask_room *ask,
			struct answer_room *answer) WAITS
{
	struct house *house = call->context;

	(void)ask;
	answer->enough = !house->is_full;
	return OK;
}

/*
 * PLAIN and LOGIN as they are (alice, secret); SCRAM-SHA-256 stands for mechanisms that end with a
 * last challenge: "one" wants "1", then done with "bye"; the -PLUS one wants channel binding.
 */
static enum err on_sasl_start(struct link_call *call, const struct ask_sasl_start *ask,
			      struct answer_sasl_start *answer) WAITS
{
	struct house *house = call->context;
	bool is_right = str_is(ask->initial, (struct str){ "\0alice\0secret", 13 });

	if (house->sasl_err)
		return fault(house->sasl_err, "as the test wants it");
	must(str_is(ask->service, S("smtp")));
	answer->sasl = EXCHANGE;
	answer->state = SASL_CONTINUE;
	if (str_ends_nocase(ask->mechanism, S("-PLUS")))
		must(str_is(ask->channel_type, S("tls-exporter")) && ask->channel_data.len == 32);
	if (str_starts(ask->mechanism, S("SCRAM"))) {
		answer->challenge = S("one");
	} else if (str_is(ask->mechanism, S("LOGIN"))) {
		answer->challenge = S("Username:");
	} else if (ask->has_initial) {
		answer->state = is_right ? SASL_DONE : SASL_FAILED;
		if (str_find(ask->initial, '\0') == STR_NONE)
			answer->state = SASL_MALFORMED;
		if (str_is(ask->initial, (struct str){ "\0busy\0secret", 12 }))
			answer->state = SASL_BUSY;
	}
	if (answer->state == SASL_DONE) {
		house->signed_in++;
		answer->account = ACCOUNT;
		answer->address = S("alice@here.example");
	}
	if (answer->state == SASL_FAILED)
		answer->delay_ms = house->delay_ms;
	house->exchanges += answer->state == SASL_CONTINUE;
	return OK;
}

static enum err on_sasl_step(struct link_call *call, const struct ask_sasl_step *ask,
			     struct answer_sasl_step *answer) WAITS
{
	struct house *house = call->context;

	must(ask->sasl == EXCHANGE && house->exchanges > 0);
	if (house->step_err)
		return fault(house->step_err, "as the test wants it");
	answer->sasl = EXCHANGE;
	answer->state = SASL_FAILED;
	answer->delay_ms = house->delay_ms;
	if (str_is(ask->response, S("alice"))) {
		answer->state = SASL_CONTINUE;
		answer->challenge = S("Password:");
		return OK;
	}
	house->exchanges--;
	if (!str_is(ask->response, S("secret")) && !str_is(ask->response, S("1")) &&
	    !str_is(ask->response, (struct str){ "\0alice\0secret", 13 }))
		return OK;
	if (str_is(ask->response, S("1")))
		answer->challenge = S("bye");
	answer->state = SASL_DONE;
	answer->account = ACCOUNT;
	answer->address = S("alice@here.example");
	answer->delay_ms = 0;
	house->signed_in++;
	return OK;
}

static enum err on_sasl_drop(struct link_call *call, const struct ask_sasl_drop *ask,
			     struct answer_sasl_drop *answer) WAITS
{
	struct house *house = call->context;

	(void)answer;
	must(ask->sasl == EXCHANGE && house->exchanges > 0);
	house->exchanges--;
	return OK;
}

static enum err on_sign_out(struct link_call *call, const struct ask_sign_out *ask,
			    struct answer_sign_out *answer) WAITS
{
	struct house *house = call->context;

	(void)answer;
	must(ask->account == ACCOUNT && house->signed_in > 0);
	house->signed_in--;
	return OK;
}

static enum err on_may_send(struct link_call *call, const struct ask_may_send *ask,
			    struct answer_may_send *answer) WAITS
{
	(void)call;
	answer->allowed = ask->account == ACCOUNT && str_is(ask->sender, S("alice@here.example"));
	return OK;
}

static enum err on_expand(struct link_call *call, const struct ask_expand *ask,
			  struct answer_expand *answer) WAITS
{
	struct house *house = call->context;
	struct str *targets = NEW_ARRAY(call->arena, struct str, house->list_count);
	char local[LIMIT_local_part + 1] = "";
	char label[61] = "";

	must(ask->account == ACCOUNT);
	memset(local, 'l', LIMIT_local_part);
	memset(label, 'd', sizeof(label) - 1);
	for (size_t i = 0; i < house->list_count; i++)
		targets[i] = str_print(call->arena, "%s@%s.%s.example", local, label, label);
	answer->targets = (struct strs){ targets, house->list_count };
	return OK;
}

static enum err on_inspect(struct link_call *call, const struct ask_inspect *ask,
			   struct answer_inspect *answer) WAITS
{
	struct house *house = call->context;

	(void)ask;
	house->inspected++;
	if (house->inspect_err)
		return fault(house->inspect_err, "as the test wants it");
	answer->verdict = house->verdict;
	if (house->verdict == INSPECT_REFUSE) {
		answer->code = 554;
		answer->enhanced = S("5.4.6");
	}
	answer->text = str_of(house->verdict_text);
	answer->subject = S("a subject");
	return OK;
}

const struct link_handlers house_store = {
	.recipient = on_recipient,
	.deliver = on_deliver,
	.room = on_room,
	.sasl_start = on_sasl_start,
	.sasl_step = on_sasl_step,
	.sasl_drop = on_sasl_drop,
	.sign_out = on_sign_out,
	.may_send = on_may_send,
	.expand = on_expand,
};
const struct link_handlers house_filter = { .inspect = on_inspect };
