/* SPDX-License-Identifier: Apache-2.0 */
/* Aliases that lead to other servers, and bounces that come back: what the store keeps of them. */
#include "store/queue_fixture.h"

#define FORWARDING "hostname = mail.example.org\ndurable = no\n"

static void run(void (*body)(struct fixture *f) WAITS, const char *config)
{
	struct fixture f = { .body = body, .config_text = config };

	fixture_run(&f);
}

/* What the relay is given, as "sender > recipient ORCPT"; empty: nothing is due. */
static struct str next_claim(struct fixture *f, struct arena *arena) WAITS
{
	struct claimed c;
	struct str out;

	if (!claim(f, &c))
		return S("");
	out = str_print(arena, "%.*s > %.*s %.*s", STR_ARGS(c.answer.sender),
			STR_ARGS(c.answer.recipients.at[0]), STR_ARGS(c.answer.original.at[0]));
	(void)report(f, &c, &sent);
	drop_claim(&c);
	return out;
}

static struct str sender_in(struct str claim)
{
	return str_first(claim, str_find_str(claim, S(" > ")));
}

static unsigned hand(struct fixture *f, uint64_t message, const char *sender, const char *to) WAITS
{
	struct handover h = { message, sender, { to }, S("Subject: x\r\n\r\ntext\r\n"), false };
	uint64_t out[8] = { 99 };
	enum err err = hand_over(f, &h, out);

	return err ? 100 + (unsigned)err : (unsigned)out[0];
}

static void verdict_is(struct fixture *f, struct str address, const char *sender,
		       enum recipient_verdict verdict) WAITS
{
	struct arena arena = { 0 };
	struct answer_recipient answer = { 0 };
	struct ask_recipient ask = { .address = address, .sender = str_of(sender) };

	CHECK(store_recipient(f->peer, &ask, &arena, &answer) == OK);
	CHECK(answer.verdict == verdict);
	arena_drop(&arena);
}

static void there_and_back(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	struct str claimed;
	struct str rewritten;
	struct str small;

	add_alias(f, "anna@example.org", "Ann@far.example");
	verdict_is(f, S("anna@example.org"), "bob@there.example", RECIPIENT_LOCAL);
	CHECK(hand(f, 1, "Bob@there.example", "anna@example.org") == DELIVERY_DONE);
	claimed = next_claim(f, &arena);
	rewritten = sender_in(claimed);
	CHECK(str_starts(rewritten, S("SRS0=")));
	CHECK(str_ends_nocase(rewritten, S("=there.example=Bob@example.org")));
	CHECK(str_find_str(claimed, S(" > Ann@far.example rfc822;anna@example.org")) != STR_NONE);
	CHECK(!next_claim(f, &arena).len);

	verdict_is(f, rewritten, "", RECIPIENT_LOCAL);
	verdict_is(f, rewritten, "somebody@far.example", RECIPIENT_UNKNOWN);
	verdict_is(f, rewritten, "", RECIPIENT_LOCAL);
	CHECK(hand(f, 2, "", str_dup_c(&arena, rewritten)) == DELIVERY_DONE);
	CHECK(str_is(next_claim(f, &arena), S(" > Bob@there.example ")));
	small = str_lower(&arena, rewritten);
	CHECK(hand(f, 3, "", str_dup_c(&arena, small)) == DELIVERY_DONE);
	CHECK(hand(f, 4, "x@far.example", str_dup_c(&arena, rewritten)) == DELIVERY_UNKNOWN);
	CHECK(complaints(f) == 0);
	arena_drop(&arena);
}

static void what_an_alias_forwards_goes_out_as_ours_and_its_bounces_find_the_sender(void **state)
{
	(void)state;
	run(there_and_back, FORWARDING);
}

static void forgeries(struct fixture *f) WAITS
{
	static const char *const forged[] = {
		"SRS0=AAAAAA=HN=there.example=bob@example.org",
		"srs0+AAAA=HN=there.example=bob@example.org",
		"SRS1=AAAAAA=fwd.example==HHHH=HN=there.example=bob@example.org",
		"SRS0=AAAAAA=there.example=bob@example.org",
		"SRS0=@example.org",
		"\"SRS0=AAAAAA=HN=there.example=bob b\"@example.org",
	};

	add_account(f, "anna@example.org", NULL, -1);
	add_alias(f, "@example.org", "anna@example.org");
	for (size_t i = 0; i < COUNT_OF(forged); i++) {
		verdict_is(f, str_of(forged[i]), "", RECIPIENT_UNKNOWN);
		CHECK(hand(f, 10 + i, "", forged[i]) == DELIVERY_UNKNOWN);
	}
	/* Of others they are addresses as any other. */
	verdict_is(f, S("SRS0=AAAAAA=HN=there.example=bob@elsewhere.example"), "",
		   RECIPIENT_NOT_OURS);
	/* Not even a catch-all takes them, and it takes all else. */
	verdict_is(f, S("SRS0.bob@example.org"), "", RECIPIENT_LOCAL);
}

static void what_was_not_made_here_is_refused_and_no_catch_all_takes_it(void **state)
{
	(void)state;
	run(forgeries, FORWARDING);
}

static void who_is_rewritten(struct fixture *f) WAITS
{
	static const struct {
		const char *sender, *begins, *ends;
	} rows[] = {
		{ "bob@example.org", "bob@example.org >", "" },
		{ "", " > ", "" },
		{ "bob@there.example", "SRS0=", "=there.example=bob@srs.example.org" },
		{ "SRS0=abcd=XY=orig.example=user@fwd.example",
		  "SRS1=", "=fwd.example==abcd=XY=orig.example=user@srs.example.org" },
		{ "SRS1=HASH=first.example==abcd=XY=orig.example=user@second.example",
		  "SRS1=", "=first.example==abcd=XY=orig.example=user@srs.example.org" },
		/* Longer than a local part may be otherwise. */
		{ "bounces+12345678-abcd-anna=example.org@em1234.mail.there.example", "SRS0=",
		  "=em1234.mail.there.example=bounces+12345678-abcd-anna=example.org"
		  "@srs.example.org" },
	};
	struct arena arena = { 0 };

	add_alias(f, "anna@example.org", "ann@far.example");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct str claimed;
		struct str made;

		CHECK(hand(f, 20 + i, rows[i].sender, "anna@example.org") == DELIVERY_DONE);
		claimed = next_claim(f, &arena);
		made = sender_in(claimed);
		CHECK(str_starts(claimed, str_of(rows[i].begins)));
		CHECK(str_ends_nocase(made, str_of(rows[i].ends)));
		if (srs_is(made))
			verdict_is(f, made, "", RECIPIENT_LOCAL);
	}
	/* Its own domain need not be one of ours otherwise. */
	verdict_is(f, S("anna@srs.example.org"), "", RECIPIENT_NOT_OURS);
	arena_drop(&arena);
}

static void senders_of_ours_and_bounces_go_as_they_are_and_all_others_are_rewritten(void **state)
{
	(void)state;
	run(who_is_rewritten, FORWARDING "srs_domain = srs.example.org\n");
}

static void copies(struct fixture *f) WAITS
{
	struct handover h = { 30,
			      "bob@there.example",
			      { "list@example.org", "anna@example.org" },
			      S("Subject: x\r\n\r\ntext\r\n"),
			      false };
	struct arena arena = { 0 };
	uint64_t out[8] = { 99 };

	add_account(f, "anna@example.org", NULL, -1);
	add_alias(f, "anna@example.org", "anna@example.org");
	add_alias(f, "anna@example.org", "ann@far.example");
	add_alias(f, "list@example.org", "anna@example.org");
	add_alias(f, "list@example.org", "ann@far.example");
	CHECK(hand_over(f, &h, out) == OK && out[0] == DELIVERY_DONE && out[1] == DELIVERY_DONE);
	CHECK(inbox_count(f, "anna@example.org") == 1);
	CHECK(next_claim(f, &arena).len > 0);
	CHECK(!next_claim(f, &arena).len);
	/* One target that is nobody: nothing of it is kept or sent. */
	add_alias(f, "half@example.org", "ann@far.example");
	add_alias(f, "half@example.org", "gone@example.org");
	CHECK(hand(f, 31, "bob@there.example", "half@example.org") == DELIVERY_UNKNOWN);
	CHECK(!next_claim(f, &arena).len);
	CHECK(complaints(f) == 1); /* of gone@example.org */
	arena_drop(&arena);
}

static void an_address_elsewhere_gets_one_copy_however_many_aliases_lead_there(void **state)
{
	(void)state;
	run(copies, FORWARDING);
}

static void of_another_day(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	unsigned char key[SRS_KEY];
	const int64_t day_us = INT64_C(86400) * 1000000;
	struct srs_rule rule = { .key = key, .now_us = INT64_C(1790000000) * 1000000 };
	struct str text;
	struct str back;

	(void)f;
	memset(key, 7, sizeof(key));
	CHECK(srs_forward(&arena, &rule, S("bob@there.example"), S("example.org"), &text));
	rule.now_us += SRS_AGE_DAYS * day_us;
	CHECK(srs_reverse(&arena, &rule, str_first(text, str_find(text, '@')), &back));
	CHECK(str_is(back, S("bob@there.example")));
	rule.now_us += day_us;
	CHECK(!srs_reverse(&arena, &rule, str_first(text, str_find(text, '@')), &back));
	rule.now_us -= 30 * day_us; /* made tomorrow */
	CHECK(!srs_reverse(&arena, &rule, str_first(text, str_find(text, '@')), &back));
	rule.now_us = INT64_C(1790000000) * 1000000;
	key[0] ^= 1;
	CHECK(!srs_reverse(&arena, &rule, str_first(text, str_find(text, '@')), &back));
	arena_drop(&arena);
}

static void addresses_grow_old_and_belong_to_one_key(void **state)
{
	(void)state;
	run(of_another_day, FORWARDING);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_an_alias_forwards_goes_out_as_ours_and_its_bounces_find_the_sender),
		cmocka_unit_test(what_was_not_made_here_is_refused_and_no_catch_all_takes_it),
		cmocka_unit_test(
			senders_of_ours_and_bounces_go_as_they_are_and_all_others_are_rewritten),
		cmocka_unit_test(
			an_address_elsewhere_gets_one_copy_however_many_aliases_lead_there),
		cmocka_unit_test(addresses_grow_old_and_belong_to_one_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
