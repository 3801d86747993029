/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char zone_text[] = "$TTL 300\n"
				"$ORIGIN example.org.\n"
				"@ IN SOA ns hostmaster ( 1 2 3 ; serial and two times\n"
				"\t4 60 )\n"
				"@ MX 10 mx\n"
				"  MX 20 mx.example.net.\n"
				"  60 IN TXT \"v=spf1 \" \"-all\\\"\\009\"\n"
				"mx A 192.0.2.1\n"
				"mx IN 120 AAAA 2001:db8::1\n"
				"www CNAME web\n"
				"web CNAME mx\n"
				"out CNAME mx.example.net.\n"
				"loop CNAME loop2\n"
				"loop2 CNAME loop\n"
				"_25._tcp.mx TLSA 3 1 1 0123456789ABCDEF 00\n"
				"*.wild MX 5 mx\n"
				"there.wild A 192.0.2.7\n"
				"a.b A 192.0.2.8\n"
				"1.2.0.192.in-addr.arpa. PTR mx\n"
				"$SERVFAIL broken\n"
				"$SILENT silent\n"
				"$SECURE mx\n";

static struct dns_name name_of(const char *text)
{
	struct dns_name name;

	assert_true(dns_name_parse(str_of(text), &name));
	return name;
}

static void names_are_read_and_printed(void **state)
{
	static const char *const same[][2] = {
		{ ".", "." },
		{ "org", "org" },
		{ "Example.ORG.", "Example.ORG" },
		{ "_25._tcp.mx", "_25._tcp.mx" },
		{ "a\\.b.c", "a\\.b.c" },
		{ "\\065\\066", "AB" },
		{ "\\000\\255", "\\000\\255" },
		{ "xn--mnchen-3ya.de", "xn--mnchen-3ya.de" },
		{ "\\@\\\"", "\\@\\\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(same); i++) {
		struct dns_name name = name_of(same[i][0]);
		char text[DNS_NAME_TEXT];

		dns_name_print(&name, text);
		assert_string_equal(text, same[i][1]);
	}
}

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = { "",      "..",    ".a",     "a..b",   "a b",
					   "a\tb",  "a\\",   "a\\25",  "a\\256", "m\303\274nchen",
					   "a\\ b", "a\001", "a.b.\\ " };
	char text[2 * DNS_NAME_MAX];
	struct dns_name name;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(dns_name_parse(str_of(bad[i]), &name));
	memset(text, 'a', sizeof(text));
	assert_true(dns_name_parse((struct str){ text, 63 }, &name));
	assert_false(dns_name_parse((struct str){ text, 64 }, &name));
	for (size_t i = 1; i < sizeof(text); i += 2)
		text[i] = '.';
	assert_true(dns_name_parse((struct str){ text, 253 }, &name)); /* 127 labels */
	assert_int_equal(name.len, DNS_NAME_MAX);
	assert_false(dns_name_parse((struct str){ text, 255 }, &name));
}

static void names_compare_without_case_and_by_label(void **state)
{
	struct dns_name a = name_of("mail.example.org");
	struct dns_name b = name_of("MAIL.Example.org.");
	struct dns_name above = name_of("example.ORG");
	struct dns_name other = name_of("l.example.org");
	struct dns_name root = name_of(".");

	(void)state;
	assert_true(dns_name_equal(&a, &b));
	assert_false(dns_name_equal(&a, &above));
	assert_true(dns_name_is_under(&a, &above));
	assert_true(dns_name_is_under(&a, &root));
	assert_true(dns_name_is_under(&a, &a));
	assert_false(dns_name_is_under(&above, &a));
	assert_false(dns_name_is_under(&a, &other));
}

static void a_query_asks_for_dnssec_in_1232_octets(void **state)
{
	static const char wire[] = "\x12\x34\x01\x20\0\1\0\0\0\0\0\1"
				   "\3foo\0\0\x0f\0\1"
				   "\0\0\x29\x04\xd0\0\0\x80\0\0\0";
	OWNED(buf) struct buf out = BUF(512);
	struct dns_question question = { name_of("foo"), DNS_MX };

	(void)state;
	dns_query_print(&question, 0x1234, true, &out);
	assert_int_equal(out.len, sizeof(wire) - 1);
	assert_memory_equal(out.at, wire, out.len);
	buf_reset(&out);
	dns_query_print(&question, 0x1234, false, &out);
	assert_int_equal(out.len, 12 + 5 + 4);
	assert_int_equal(out.at[3], 0);
}

/* ---- answers, from a zone and by hand ---- */

struct fixture {
	struct arena arena;
	struct dns_zone *zone;
	struct buf octets;
	struct dns_question question;
	struct dns_answer answer;
};

static int fixture_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->octets = BUF(DNS_MESSAGE_MAX);
	assert_int_equal(dns_zone_parse(&f->arena, str_of(zone_text), &f->zone), OK);
	*state = f;
	return 0;
}

static int fixture_down(void **state)
{
	struct fixture *f = *state;

	buf_drop(&f->octets);
	arena_drop(&f->arena);
	free(f);
	return 0;
}

static const char *ask(struct fixture *f, const char *name, enum dns_type type)
{
	OWNED(buf) struct buf shown = BUF(2000);

	f->question = (struct dns_question){ name_of(name), type };
	buf_reset(&f->octets);
	assert_true(dns_zone_answer(f->zone, &f->question, 7, DNS_MESSAGE_MAX, &f->octets));
	assert_true(dns_answer_is_for(buf_str(&f->octets), &f->question, 7));
	assert_int_equal(dns_answer_parse(&f->arena, buf_str(&f->octets), &f->question, &f->answer),
			 OK);
	dns_answer_show(&f->answer, &shown);
	buf_add_char(&shown, 0);
	return str_dup_c(&f->arena, str_of(shown.at));
}

static void every_type_is_read(void **state)
{
	static const struct row {
		const char *name;
		enum dns_type type;
		const char *shown;
		uint32_t ttl_s;
		const char *canonical;
	} rows[] = {
		{ "Example.org", DNS_MX, "10 mx.example.org, 20 mx.example.net", 300,
		  "Example.org" },
		{ "mx.example.org", DNS_A, "192.0.2.1", 300, "mx.example.org" },
		{ "mx.example.org", DNS_AAAA, "2001:db8::1", 120, "mx.example.org" },
		{ "example.org", DNS_TXT, "v=spf1 -all\"\\t", 60, "example.org" },
		{ "www.example.org", DNS_AAAA, "2001:db8::1", 120, "mx.example.org" },
		{ "www.example.org", DNS_CNAME, "web.example.org", 300, "www.example.org" },
		{ "1.2.0.192.in-addr.arpa", DNS_PTR, "mx.example.org", 300,
		  "1.2.0.192.in-addr.arpa" },
		{ "_25._tcp.mx.example.org", DNS_TLSA, "3 1 1 0123456789abcdef00", 300,
		  "_25._tcp.mx.example.org" },
		{ "any.thing.wild.example.org", DNS_MX, "5 mx.example.org", 300,
		  "any.thing.wild.example.org" },
		{ "example.org", DNS_SOA, "SOA", 300, "example.org" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fixture *f = *state;

		assert_string_equal(ask(f, rows[i].name, rows[i].type), rows[i].shown);
		assert_int_equal(f->answer.code, DNS_NOERROR);
		assert_int_equal(f->answer.ttl_s, rows[i].ttl_s);
		assert_true(str_is(f->answer.canonical, str_of(rows[i].canonical)));
		assert_false(f->answer.is_cut || f->answer.loops || f->answer.truncated);
	}
}

static void denials_tell_how_long_they_hold(void **state)
{
	static const struct row {
		const char *name;
		enum dns_type type;
		enum dns_code code;
		uint32_t ttl_s;
		bool is_cut;
	} rows[] = {
		{ "nobody.example.org", DNS_MX, DNS_NXDOMAIN, 60, false },
		{ "mx.example.org", DNS_MX, DNS_NOERROR, 60, false },
		{ "b.example.org", DNS_A, DNS_NOERROR, 60, false }, /* an empty non-terminal */
		{ "there.wild.example.org", DNS_MX, DNS_NOERROR, 60, false },
		{ "www.example.org", DNS_MX, DNS_NOERROR, 60, false },
		{ "out.example.org", DNS_A, DNS_NXDOMAIN, 0, false },
		{ "nobody.example.com", DNS_A, DNS_NXDOMAIN, 0, false }, /* no SOA there */
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fixture *f = *state;

		assert_string_equal(ask(f, rows[i].name, rows[i].type), "");
		assert_int_equal(f->answer.code, rows[i].code);
		assert_int_equal(f->answer.ttl_s, rows[i].ttl_s);
		assert_int_equal(f->answer.is_cut, rows[i].is_cut);
	}
}

static void a_circle_of_cnames_is_told(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(ask(f, "loop.example.org", DNS_A), "");
	assert_true(f->answer.loops);
}

static void a_zone_fails_where_it_says_so(void **state)
{
	struct fixture *f = *state;

	ask(f, "a.broken.example.org", DNS_A);
	assert_int_equal(f->answer.code, DNS_SERVFAIL);
	ask(f, "mx.example.org", DNS_A);
	assert_true(f->answer.authentic);
	ask(f, "example.org", DNS_MX);
	assert_false(f->answer.authentic);
	f->question.name = name_of("silent.example.org");
	assert_false(dns_zone_answer(f->zone, &f->question, 7, DNS_MESSAGE_MAX, &f->octets));
}

static void an_answer_without_room_is_truncated(void **state)
{
	struct fixture *f = *state;

	f->question = (struct dns_question){ name_of("example.org"), DNS_MX };
	assert_true(dns_zone_answer(f->zone, &f->question, 7, 40, &f->octets));
	assert_true(f->octets.len <= 40);
	assert_int_equal(dns_answer_parse(&f->arena, buf_str(&f->octets), &f->question, &f->answer),
			 OK);
	assert_true(f->answer.truncated);
	assert_int_equal(f->answer.count, 0);
}

static void only_the_answer_to_the_question_is_one(void **state)
{
	struct fixture *f = *state;
	struct dns_question other_type;
	struct dns_question other_name;

	ask(f, "example.org", DNS_MX);
	other_type = (struct dns_question){ f->question.name, DNS_A };
	other_name = (struct dns_question){ name_of("example.net"), DNS_MX };
	assert_false(dns_answer_is_for(buf_str(&f->octets), &f->question, 8));
	assert_false(dns_answer_is_for(buf_str(&f->octets), &other_type, 7));
	assert_false(dns_answer_is_for(buf_str(&f->octets), &other_name, 7));
	assert_false(dns_answer_is_for(S(""), &f->question, 7));
	f->octets.at[2] &= 0x7F; /* a query, not a response */
	assert_false(dns_answer_is_for(buf_str(&f->octets), &f->question, 7));
	/* Who does not know EDNS may leave the question out, and then says no more than that. */
	assert_true(dns_answer_is_for(S("\0\7\x80\1\0\0\0\0\0\0\0\0"), &f->question, 7));
	assert_false(dns_answer_is_for(S("\0\7\x80\0\0\0\0\0\0\0\0\0"), &f->question, 7));
}

#define HEAD(answers, authorities) "\0\7\x81\x80\0\1\0" answers "\0" authorities "\0\0"
#define QUESTION(type)             "\1a\0\0" type "\0\1"
#define TTL                        "\0\0\1\0"

static void malformed_answers_are_refused(void **state)
{
	static const struct str rows[] = {
		S("\0\7\x81\x80\0\1"),
		S("\0\7\x81\x80\0\1\0\1\0\0\0\0" QUESTION("\1")), /* fewer records than told */
		S("\0\7\x81\x80\0\1\xff\xff\0\0\0\0" QUESTION("\1")),
		S(HEAD("\1", "\0") QUESTION("\1") "\xc0\x13\0\1\0\1" TTL
						  "\0\4\1\2\3\4"), /* to itself */
		S(HEAD("\1", "\0") QUESTION("\1") "\xc0\xff\0\1\0\1" TTL
						  "\0\4\1\2\3\4"), /* ahead */
		S(HEAD("\1", "\0") QUESTION("\1") "\x40\x0c\0\1\0\1" TTL
						  "\0\4\1\2\3\4"), /* kind 01 */
		S(HEAD("\1", "\0") QUESTION("\1") "\xc0\x0c\0\1\0\1" TTL "\0\3\1\2\3"),
		S(HEAD("\1", "\0") QUESTION("\1") "\xc0\x0c\0\1\0\1" TTL "\0\5\1\2\3\4\5"),
		S(HEAD("\1", "\0") QUESTION("\1") "\xc0\x0c\0\1\0\1" TTL "\0\5\1\2\3\4"),
		S(HEAD("\1", "\0") QUESTION("\x0f") "\xc0\x0c\0\x0f\0\1" TTL "\0\2\0\1"),
		S(HEAD("\1", "\0") QUESTION("\x0f") "\xc0\x0c\0\x0f\0\1" TTL "\0\4\0\1\3a"),
		S(HEAD("\1", "\0") QUESTION("\x10") "\xc0\x0c\0\x10\0\1" TTL "\0\2\5a"),
		S(HEAD("\1", "\0") QUESTION("\x34") "\xc0\x0c\0\x34\0\1" TTL "\0\3\3\1\1"),
		S(HEAD("\1", "\0") QUESTION("\1") "\xc0\x0c\0\5\0\1" TTL "\0\2\3a"),
		S(HEAD("\0", "\1") QUESTION("\1") "\0\0\6\0\1" TTL "\0\2\0\0"),
	};
	struct fixture *f = *state;

	f->question = (struct dns_question){ .name = name_of("a") };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		f->question.type = rows[i].len > 16 ? (enum dns_type)rows[i].at[16] : DNS_A;
		if (rows[i].len > 12)
			assert_true(dns_answer_is_for(rows[i], &f->question, 7));
		assert_int_equal(dns_answer_parse(&f->arena, rows[i], &f->question, &f->answer),
				 ERR_PROTOCOL);
	}
}

static void records_of_others_do_not_count(void **state)
{
	/* of another name; of class CHAOS; with a time past 2^31 [rfc2181 8] */
	static const struct str octets = S("\0\7\x81\xa0\0\1\0\3\0\0\0\0" QUESTION("\1") //
					   "\1b\0\0\1\0\1" TTL "\0\4\1\2\3\4"
					   "\xc0\x0c\0\1\0\3" TTL "\0\4\1\2\3\4"
					   "\xc0\x0c\0\1\0\1\x80\0\0\0\0\4\5\6\7\x08");
	struct fixture *f = *state;
	char text[ADDR_TEXT];

	f->question = (struct dns_question){ name_of("a"), DNS_A };
	assert_int_equal(dns_answer_parse(&f->arena, octets, &f->question, &f->answer), OK);
	assert_int_equal(f->answer.count, 1);
	assert_int_equal(f->answer.ttl_s, 0);
	assert_true(f->answer.authentic);
	addr_print_ip(&f->answer.records[0].address, text);
	assert_string_equal(text, "5.6.7.8");
}

static void a_cname_to_elsewhere_is_a_chain_cut_short(void **state)
{
	static const struct str octets =
		S(HEAD("\1", "\0") QUESTION("\1") "\xc0\x0c\0\5\0\1" TTL "\0\4\1z\xc0\x0e");
	struct fixture *f = *state;

	f->question = (struct dns_question){ name_of("a"), DNS_A };
	assert_int_equal(dns_answer_parse(&f->arena, octets, &f->question, &f->answer), OK);
	assert_true(f->answer.is_cut);
	assert_true(str_is(f->answer.canonical, S("z")));
}

static void long_rows_of_pointers_and_records_end(void **state)
{
	struct fixture *f = *state;
	struct buf *out = &f->octets;

	f->question = (struct dns_question){ name_of("a"), DNS_A };
	buf_add(out, S("\0\7\x81\x80\0\1\0\2\0\0\0\0" QUESTION("\1")));
	buf_add(out, S("\0\0\x63\0\1\0\0\0\0\x7f\x00\xc0\x0c"));
	while (out->len < 12 + 7 + 11 + 0x7f00) {
		size_t before = out->len - 2;

		buf_add_char(out, (char)(0xC0 | before >> 8));
		buf_add_char(out, (char)(before & 0xFF));
		if (before > 0x3FF0)
			break;
	}
	while (out->len < 12 + 7 + 11 + 0x7f00)
		buf_add_char(out, 0);
	buf_add(out, S("\xff\xf0\0\1\0\1" TTL "\0\4\1\2\3\4"));
	assert_int_equal(dns_answer_parse(&f->arena, buf_str(out), &f->question, &f->answer),
			 ERR_PROTOCOL);

	buf_reset(out);
	buf_add(out, S("\0\7\x81\x80\0\1\x10\0\0\0\0\0" QUESTION("\1")));
	for (int i = 0; i < 0x1000; i++)
		buf_add(out, S("\0\0\1\0\1\0\0\0\0\0\4\1\2\3\4"));
	assert_int_equal(dns_answer_parse(&f->arena, buf_str(out), &f->question, &f->answer),
			 ERR_LIMIT);
}

static void a_zone_file_with_a_mistake_names_its_line(void **state)
{
	static const char *const rows[][2] = {
		{ "a A 192.0.2.1\nb A 192.0.2.256\n", "line 2: data that do not fit the type" },
		{ " A 192.0.2.1", "line 1: a record without an owner" },
		{ "\n\na SRV 1 2 3 b", "line 3: a type that is not known here" },
		{ "a A", "line 1: data that do not fit the type" },
		{ "a A 192.0.2.1 192.0.2.2", "line 1: more words than the type takes" },
		{ "a TXT \"x", "line 1: a quoted string without its end" },
		{ "a (\nA", "line 1: '(' without ')'" },
		{ "a )", "line 1: ')' without '('" },
		{ "$INCLUDE x", "line 1: a directive that is not known here" },
		{ "a..b A 192.0.2.1", "line 1: the owner is no name" },
		{ "a TLSA 3 1 1 xyz", "line 1: data that do not fit the type" },
		{ "a MX 65536 b", "line 1: data that do not fit the type" },
		{ "a", "line 1: a record without its type" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct dns_zone *zone;

		assert_int_equal(dns_zone_parse(&f->arena, str_of(rows[i][0]), &zone), ERR_SYNTAX);
		assert_string_equal(fault_text(), rows[i][1]);
	}
}

static void resolv_conf_names_servers(void **state)
{
	static const struct str text = S("# nameserver 192.0.2.9\n"
					 "search example.org\n"
					 "nameserver 127.0.0.53\r\n"
					 "nameserver\t 2001:db8::53  \n"
					 "nameserver fe80::1%eth0\n"
					 "nameservers 192.0.2.8\n"
					 "nameserver 192.0.2.53");
	struct addr found[3];
	char printed[ADDR_TEXT];

	(void)state;
	assert_int_equal(dns_resolv_conf(text, found, 2), 2);
	assert_int_equal(dns_resolv_conf(text, found, 3), 3);
	addr_print(&found[0], printed);
	assert_string_equal(printed, "127.0.0.53:53");
	addr_print(&found[1], printed);
	assert_string_equal(printed, "[2001:db8::53]:53");
	addr_print(&found[2], printed);
	assert_string_equal(printed, "192.0.2.53:53");
}

#define WITH_ZONE(test) cmocka_unit_test_setup_teardown(test, fixture_up, fixture_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_and_printed),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(names_compare_without_case_and_by_label),
		cmocka_unit_test(a_query_asks_for_dnssec_in_1232_octets),
		WITH_ZONE(every_type_is_read),
		WITH_ZONE(denials_tell_how_long_they_hold),
		WITH_ZONE(a_circle_of_cnames_is_told),
		WITH_ZONE(a_zone_fails_where_it_says_so),
		WITH_ZONE(an_answer_without_room_is_truncated),
		WITH_ZONE(only_the_answer_to_the_question_is_one),
		WITH_ZONE(malformed_answers_are_refused),
		WITH_ZONE(records_of_others_do_not_count),
		WITH_ZONE(a_cname_to_elsewhere_is_a_chain_cut_short),
		WITH_ZONE(long_rows_of_pointers_and_records_end),
		WITH_ZONE(a_zone_file_with_a_mistake_names_its_line),
		cmocka_unit_test(resolv_conf_names_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
