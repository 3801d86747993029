/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define DAY INT64_C(86400)

/* Spelt by Mail::SRS 0.31, but for the hash. */
static void senders_become_what_others_make_of_them(void **state)
{
	static const struct {
		const char *sender, *local;
	} rows[] = {
		{ "anna@far.example", "SRS0=HASHED=HN=far.example=anna" },
		{ "Anna.B+list=x@far.example", "SRS0=HASHED=HN=far.example=Anna.B+list=x" },
		{ "SRS0=abcd=XY=orig.example=user@fwd.example",
		  "SRS1=HASHED=fwd.example==abcd=XY=orig.example=user" },
		{ "SRS0+abcd=XY=orig.example=user@fwd.example",
		  "SRS1=HASHED=fwd.example=+abcd=XY=orig.example=user" },
		{ "SRS1=HASH=first.example==abcd=XY=orig.example=user@second.example",
		  "SRS1=HASHED=first.example==abcd=XY=orig.example=user" },
		{ "srs0-x=1@odd.example", "SRS1=HASHED=odd.example=-x=1" },
		/* One that only looks like the second step of the scheme is a sender as any other. */
		{ "SRS1=x@odd.example", "SRS0=HASHED=HN=odd.example=SRS1=x" },
	};
	OWNED(arena) struct arena arena = { 0 };
	char stamp[SRS_STAMP + 1];

	(void)state;
	srs_stamp_print(INT64_C(1790000000) * 1000000, stamp);
	assert_string_equal(stamp, "HN");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct address address;
		struct srs srs;

		assert_true(address_parse(&arena, str_of(rows[i].sender), false, &address));
		srs_of(&address, &srs);
		srs.hash = S("HASHED");
		if (srs.kind == SRS_0)
			srs.stamp = str_of(stamp);
		assert_string_equal(str_dup_c(&arena, srs_print(&arena, &srs)), rows[i].local);
	}
}

static void what_was_made_is_read_back(void **state)
{
	static const struct {
		const char *local, *sender;
	} rows[] = {
		{ "SRS0=rPCT5p=HN=Far.Example=Anna.B+list=x", "Anna.B+list=x@far.example" },
		{ "srs0+rPCT5p=hn=far.example=anna", "anna@far.example" },
		{ "SRS0-+B/uts=HN=[192.0.2.1]=anna", "anna@[192.0.2.1]" },
		{ "SRS1=ligLDe=fwd.example==abcd=XY=orig.example=user",
		  "SRS0=abcd=XY=orig.example=user@fwd.example" },
		{ "SRS1=Bt9Zvd=fwd.example=+abcd=XY=orig.example=user",
		  "SRS0+abcd=XY=orig.example=user@fwd.example" },
		{ "SRS0=AAAA=HN=far.example=two words", "\"two words\"@far.example" },
	};
	OWNED(arena) struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct srs srs;
		struct address sender;

		assert_true(srs_parse(str_of(rows[i].local), &srs));
		sender = srs_sender(&arena, &srs);
		assert_string_equal(str_dup_c(&arena, address_print(&arena, &sender)),
				    rows[i].sender);
	}
}

static void what_nobody_made_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"SRS0",
		"SRS0=",
		"SRS0=AAAA",
		"SRS0=AAAA=HN",
		"SRS0=AAAA=HN=far.example",
		"SRS0=AAAA=HN=far.example=",
		"SRS0=AAAA=HN==anna",
		"SRS0=AAAA=HN=far..example=anna",
		"SRS0=AAAA=HN=-far.example=anna",
		"SRS0=AAAA=H1=far.example=anna",
		"SRS0=AAAA=HNN=far.example=anna",
		"SRS0=AA.A=HN=far.example=anna",
		"SRS0==HN=far.example=anna",
		"SRS0.AAAA=HN=far.example=anna",
		"SRS2=AAAA=HN=far.example=anna",
		"SRS1=AAAA=fwd.example",
		"SRS1=AAAA=fwd.example=",
		"SRS1=AAAA=fwd.example=abcd=XY=orig.example=user",
		"xSRS0=AAAA=HN=far.example=anna",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct srs srs;

		if (srs_parse(str_of(rows[i]), &srs))
			fail_msg("was taken: %s", rows[i]);
	}
	assert_true(srs_is(S("srs0=x")));
	assert_true(srs_is(S("SRS1-")));
	assert_false(srs_is(S("srs0")));
	assert_false(srs_is(S("srs00=x")));
}

static void hashes_are_over_small_letters(void **state)
{
	OWNED(arena) struct arena arena = { 0 };
	struct srs srs;

	(void)state;
	assert_true(srs_parse(S("SRS0=AAAA=HN=Far.Example=Anna"), &srs));
	assert_true(str_is(srs_hashed(&arena, &srs), S("hnfar.exampleanna")));
	assert_true(srs_parse(S("SRS1=AAAA=Fwd.Example==HHHH=TT=orig.example=user"), &srs));
	assert_true(str_is(srs_hashed(&arena, &srs), S("fwd.example=hhhh=tt=orig.example=user")));
}

static void stamps_age_in_a_cycle_of_1024_days(void **state)
{
	int64_t then = 20717 * DAY * 1000000; /* HN */
	char text[SRS_STAMP + 1];

	(void)state;
	assert_int_equal(srs_stamp_age(S("HN"), then), 0);
	assert_int_equal(srs_stamp_age(S("hn"), then + 21 * DAY * 1000000), 21);
	assert_int_equal(srs_stamp_age(S("HN"), then - DAY * 1000000), 1023);
	assert_int_equal(srs_stamp_age(S("HN"), then + 1024 * DAY * 1000000), 0);
	assert_int_equal(srs_stamp_age(S("H!"), then), SRS_DAYS);
	for (int64_t day = 0; day < 2048; day++) {
		srs_stamp_print(day * DAY * 1000000, text);
		assert_int_equal(srs_stamp_age(str_of(text), day * DAY * 1000000), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders_become_what_others_make_of_them),
		cmocka_unit_test(what_was_made_is_read_back),
		cmocka_unit_test(what_nobody_made_is_refused),
		cmocka_unit_test(hashes_are_over_small_letters),
		cmocka_unit_test(stamps_age_in_a_cycle_of_1024_days),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
