/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct config *parse(const char *text)
{
	OWNED(buf) struct buf complaints = BUF(65536);
	struct config *config = NULL;

	if (config_parse(str_of(text), S("glasspost.conf"), NULL, 0, &complaints, &config))
		fail_msg("%.*s", STR_ARGS(buf_str(&complaints)));
	assert_int_equal(complaints.len, 0);
	return config;
}

static void refuses(const char *text, const char *wanted)
{
	OWNED(buf) struct buf complaints = BUF(65536);
	struct config *config = NULL;
	enum err err =
		config_parse(str_of(text), S("glasspost.conf"), NULL, 0, &complaints, &config);

	assert_int_equal(err, ERR_CONFIG);
	assert_null(config);
	buf_add_char(&complaints, '\0');
	if (strcmp(complaints.at, wanted) != 0)
		fail_msg("for:\n%s\nwanted:\n%s\ngot:\n%s", text, wanted, complaints.at);
}

static void what_counts_from_the_next_start_only_is_told_at_a_reload(void **state)
{
	static const char *const waiting[] = { "user",
					       "sandbox",
					       "together",
					       "gate_processes",
					       "filter_processes",
					       "resolver",
					       "resolver_trusted",
					       "relay_sockets",
					       "tls_roots",
					       "durable",
					       "segment_size" };
	struct config *old = parse("resolver = { 192.0.2.1 }\n");
	struct config *same = parse("resolver = \"192.0.2.1\"\nquota = 5M\nsegment_size = 64M\n");
	struct config *fresh =
		parse("user = mail\nsandbox = required\ntogether = yes\ngate_processes = 2\n"
		      "filter_processes = 2\nresolver = { 192.0.2.1, 192.0.2.2 }\n"
		      "resolver_trusted = yes\nrelay_sockets = yes\ntls_roots = /roots.pem\n"
		      "durable = no\nsegment_size = 32M\nquota = 5M\n");
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(waiting); i++)
		assert_string_equal(config_next_waiting(old, fresh, &at), waiting[i]);
	assert_null(config_next_waiting(old, fresh, &at));
	at = 0;
	assert_null(config_next_waiting(old, same, &at));
	config_unref(&old);
	config_unref(&same);
	config_unref(&fresh);
}

static void an_empty_file_gives_the_preset_listeners(void **state)
{
	static const struct {
		const char *name;
		enum protocol kind;
		enum tls_mode tls;
		enum auth_mode auth;
		unsigned port;
	} wanted[] = {
		{ "mx", PROTOCOL_SMTP, TLS_MODE_STARTTLS, AUTH_MODE_NONE, 25 },
		{ "mx-socket", PROTOCOL_SMTP, TLS_MODE_NONE, AUTH_MODE_NONE, 25 },
		{ "submission", PROTOCOL_SUBMISSION, TLS_MODE_STARTTLS, AUTH_MODE_REQUIRED, 587 },
		{ "submissions", PROTOCOL_SUBMISSION, TLS_MODE_IMPLICIT, AUTH_MODE_REQUIRED, 465 },
		{ "lmtp", PROTOCOL_LMTP, TLS_MODE_NONE, AUTH_MODE_NONE, 24 },
		{ "lmtp-socket", PROTOCOL_LMTP, TLS_MODE_NONE, AUTH_MODE_NONE, 24 },
		{ "pop3", PROTOCOL_POP3, TLS_MODE_STARTTLS, AUTH_MODE_REQUIRED, 110 },
		{ "pop3s", PROTOCOL_POP3, TLS_MODE_IMPLICIT, AUTH_MODE_REQUIRED, 995 },
		{ "web", PROTOCOL_HTTP, TLS_MODE_NONE, AUTH_MODE_NONE, 80 },
	};
	struct config *config = parse("");
	struct addr addr;

	(void)state;
	assert_int_equal(config->listener_count, COUNT_OF(wanted));
	for (size_t i = 0; i < COUNT_OF(wanted); i++) {
		const struct config_listener *l = config_listener(config, str_of(wanted[i].name));

		assert_non_null(l);
		assert_int_equal(l->kind, wanted[i].kind);
		assert_int_equal(l->tls_mode, wanted[i].tls);
		assert_int_equal(l->auth_mode, wanted[i].auth);
		assert_int_equal(l->real_port, wanted[i].port);
	}
	assert_true(config_listener_address(config_listener(config, S("lmtp-socket")), 0,
					    S("/var/lib/glasspost"), &addr));
	assert_string_equal(addr.path, "/var/lib/glasspost/run/lmtp.sock");
	assert_int_equal(config->exempt_count, 2);
	assert_int_equal(config->message_size_max, 50 << 20);
	assert_int_equal(config->session_idle, 300000);
	assert_int_equal(config->sessions_keep, 7LL * 86400000);
	assert_true(config->durable);
	config_unref(&config);
	assert_null(config);
}

static void resolvers_are_those_written_or_those_found(void **state)
{
	static const struct str found[] = { S("resolv_conf=192.0.2.1:53"),
					    S("resolv_conf=[2001:db8::1]:53") };
	static const char *const texts[] = { "", "resolver = \"127.0.0.1:5300, 2001:db8::53\"\n" };
	static const char *const servers[][2] = { { "192.0.2.1:53", "[2001:db8::1]:53" },
						  { "127.0.0.1:5300", "[2001:db8::53]:53" } };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct buf complaints = BUF(1000);
		struct config *config = NULL;

		assert_int_equal(config_parse(str_of(texts[i]), S("glasspost.conf"), found, 2,
					      &complaints, &config),
				 OK);
		assert_int_equal(config->resolver_count, 2);
		assert_false(config->resolver_trusted);
		for (size_t j = 0; j < 2; j++) {
			char text[ADDR_TEXT];

			addr_print(&config->resolvers[j], text);
			assert_string_equal(text, servers[i][j]);
		}
		config_unref(&config);
		buf_drop(&complaints);
	}
}

static void values_are_read_by_their_types(void **state)
{
	struct arena arena = { 0 };
	struct config *config = parse("# a comment\n"
				      "hostname = mail.example.org\n"
				      "message_size_max = 25M\n"
				      "session_idle = 90s // of silence\n"
				      "greeting_delay = 0\n"
				      "catch_all = yes\n"
				      "networks_deny = { \"!192.0.2.1\", 192.0.2.0/24 }\n"
				      "connections_exempt = \"127.0.0.0/8, 10.0.0.0/8\"\n"
				      "subaddress_separator = \"\"\n");

	(void)state;
	assert_true(str_is(config->hostname, S("mail.example.org")));
	assert_int_equal(config->message_size_max, 25 << 20);
	assert_int_equal(config->session_idle, 90000);
	assert_int_equal(config->greeting_delay, 0);
	assert_true(config->catch_all);
	assert_int_equal(config->networks_deny.count, 2);
	assert_int_equal(config->exempt_count, 2);
	assert_int_equal(config->subaddress_separator.len, 0);
	assert_true(
		str_is(config_origin(config, &arena, "message_size_max"), S("glasspost.conf:3")));
	assert_true(str_is(config_origin(config, &arena, "quota"), S("default")));
	arena_drop(&arena);
	config_unref(&config);
}

static void the_first_network_that_matches_wins(void **state)
{
	struct config *config = parse("\nnetworks_deny = { 203.0.113.0/24, 192.0.2.7 }\n"
				      "listener \"mx\" {\n"
				      "\tprotocol = smtp\n"
				      "\tnetworks_deny = { \"!192.0.2.7\", 192.0.2.0/24 }\n"
				      "\tproxies = { ::1 }\n"
				      "}\n");
	const struct config_listener *mx = config_listener(config, S("mx"));
	const struct config_network *match;
	struct addr peer;

	(void)state;
	assert_int_equal(config->listener_count, 1);
	assert_int_equal(mx->line, 3);
	assert_int_equal(mx->proxy_networks.count, 1);
	assert_true(addr_parse_ip(S("192.0.2.7"), &peer));
	match = config_network_match(&mx->deny, &peer);
	assert_true(match && match->allow);
	assert_int_equal(match->line, 5);
	assert_true(addr_parse_ip(S("192.0.2.8"), &peer));
	match = config_network_match(&mx->deny, &peer);
	assert_true(match && !match->allow);
	assert_true(addr_parse_ip(S("203.0.113.9"), &peer));
	match = config_network_match(&mx->deny, &peer);
	assert_true(match && match->line == 2);
	assert_true(addr_parse_ip(S("198.51.100.1"), &peer));
	assert_null(config_network_match(&mx->deny, &peer));
	config_unref(&config);
}

static void the_command_line_wins_and_moves_the_ports(void **state)
{
	OWNED(buf) struct buf complaints = BUF(65536);
	const struct str overrides[] = { S("port_base=20000"), S("message_size_max=1M"),
					 S("together=yes") };
	struct arena arena = { 0 };
	struct config *config = NULL;

	(void)state;
	assert_int_equal(config_parse(S("message_size_max = 2M\n"
					"listener a { protocol = smtp }\n"
					"listener b { protocol = smtp port = 2525 }\n"),
				      S("x/glasspost.conf"), overrides, COUNT_OF(overrides),
				      &complaints, &config),
			 OK);
	assert_int_equal(config->message_size_max, 1 << 20);
	assert_true(config->together);
	assert_int_equal(config_listener(config, S("a"))->real_port, 20025);
	assert_int_equal(config_listener(config, S("b"))->real_port, 22525);
	assert_true(str_is(config_origin(config, &arena, "message_size_max"), S("command line")));
	arena_drop(&arena);
	config_unref(&config);
}

static const struct {
	const char *text;
	const char *complaint; /* after "glasspost.conf:" */
} mistakes[] = {
	{ "hostnam = a", "1: hostnam: is no option; did you mean hostname?\n" },
	{ "\n\nfrobnication = a",
	  "3: frobnication: is no option; see glasspost.conf(5) for those there are\n" },
	{ "quota 5", "1: syntax: missing equal sign after option 'quota'; write name = "
		     "value, texts with blanks in \"quotes\"\n" },
	{ "quota = 5X", "1: quota: '5X' is no size; write octets, or a number with K, M or "
			"G: 25M\n" },
	{ "quota = 2097152G", "1: quota: is out of range; write a value from 0 to "
			      "1048576G\n" },
	{ "session_idle = 5", "1: session_idle: '5' is no duration; write a number with ms, "
			      "s, m, h or d: 30s\n" },
	{ "session_idle = 10ms",
	  "1: session_idle: is out of range; write a value from 1s to 1d\n" },
	{ "errors_max = -1", "1: errors_max: '-1' is no number; write digits only\n" },
	{ "errors_max = 0", "1: errors_max: is out of range; write a value from 1 to 1000\n" },
	{ "durable = perhaps", "1: durable: 'perhaps' is neither yes nor no; write yes or no\n" },
	{ "log = xml", "1: log: 'xml' is no choice; write one of: text json postfix dev\n" },
	{ "hostname = \"a b\"", "1: hostname: 'a b' is no host name; write letters, digits, "
				"hyphens and dots: mail.example.org\n" },
	{ "hostname = a\nhostname = b",
	  "2: hostname: is set a second time (first in line 1); keep one of them\n" },
	{ "certificate = /a", "1: certificate: certificate and certificate_key belong "
			      "together; set both or neither\n" },
	{ "resolver = { dns.example.org }",
	  "1: resolver: 'dns.example.org' is no address of a DNS server; write 192.0.2.53, "
	  "127.0.0.1:5300 or [2001:db8::53]:53\n" },
	{ "resolver = { /run/dns }",
	  "1: resolver: '/run/dns' is no address of a DNS server; write 192.0.2.53, "
	  "127.0.0.1:5300 or [2001:db8::53]:53\n" },
	{ "networks_deny = { 10.0.0.1/8 }",
	  "1: networks_deny: '10.0.0.1/8' is no network; write one address, or a network "
	  "with its host bits 0: 192.0.2.0/24\n" },
	{ "hostname = ${HOME}",
	  "1: syntax: ${...} is not replaced here; write the value itself\n" },
	{ "pop3_expire = soon", "1: pop3_expire: 'soon' is neither NEVER nor a number of days\n" },
	{ "subaddress_separator = ab",
	  "1: subaddress_separator: is one character or empty; write + or -\n" },
	{ "listener mx { }", "1: listener mx: protocol: is missing; write one of: smtp "
			     "submission lmtp pop3 http\n" },
	{ "listener w { protocol = http address = { 127.0.0.1 } tls = starttls }",
	  "1: listener w: tls: is starttls, which HTTP has not; write implicit, or "
	  "none on loopback\n" },
	{ "listener w { protocol = http address = { 192.0.2.1 } }",
	  "1: listener w: tls: is none, and 192.0.2.1 is open to others; write "
	  "implicit, or 127.0.0.1 behind a proxy that speaks TLS\n" },
	{ "listener mx {\n protocol = smtp\n prot = 1\n}",
	  "3: prot: is no option of a listener; did you mean port?\n" },
	{ "quota = 1\nlistener mx {\n protocol = smtp\n",
	  "2: listener mx: is not closed; add a line with }\n" },
	{ "listener mx { protocol = smtp }\nlistener mx { protocol = smtp }",
	  "2: listener: found duplicate title 'mx'; give each listener a name of its "
	  "own\n" },
	{ "listener \"m x\" { protocol = smtp }",
	  "1: listener: 'm x' is no name for one; use 1 to 40 letters, digits and hyphens, "
	  "and not \"control\"\n" },
	{ "listener mx {\n protocol = smtp\n auth = required\n}",
	  "3: listener mx: auth: smtp signs nobody in; write none, or use protocol = "
	  "submission\n" },
	{ "listener p {\n protocol = pop3\n auth = none\n}",
	  "3: listener p: auth: pop3 without a login reads no mail; write required\n" },
	{ "listener p {\n protocol = pop3\n tls = none\n}",
	  "3: listener p: tls: is none, so that no password may pass; write starttls or "
	  "implicit\n" },
	{ "listener p {\n protocol = pop3\n apop = yes\n}",
	  "3: listener p: apop: needs the general option keep_secrets = yes; set both or "
	  "neither\n" },
	{ "listener s {\n protocol = submission\n mechanisms = { PLAIN, NTLM }\n}",
	  "3: listener s: mechanisms: 'NTLM' is none that we speak; choose from PLAIN, "
	  "LOGIN, SCRAM-SHA-1, SCRAM-SHA-256, their -PLUS, and CRAM-MD5\n" },
	{ "listener s {\n protocol = submission\n mechanisms = CRAM-MD5\n}",
	  "3: listener s: mechanisms: CRAM-MD5 needs the general option keep_secrets = "
	  "yes; "
	  "set it or take CRAM-MD5 away\n" },
	{ "listener mx {\n protocol = smtp\n address = mail.example\n}",
	  "3: listener mx: address: 'mail.example' is no address; write an IPv4 or IPv6 "
	  "address, or the path of a socket (at most 107 octets)\n" },
	{ "listener l {\n protocol = lmtp\n address = /run/l\n tls = implicit\n}",
	  "4: listener l: tls: implicit makes no sense on the socket /run/l; write "
	  "none\n" },
	{ "listener a {\n protocol = smtp\n}\nlistener b {\n protocol = lmtp\n port = "
	  "25\n}",
	  "6: listener b: port: 0.0.0.0 port 25 is taken by listener a; choose another "
	  "port "
	  "or address\n" },
	{ "accept_any_password = yes\nlistener a {\n protocol = smtp\n address = "
	  "192.0.2.1\n}",
	  "4: listener a: address: 192.0.2.1 is open to others while accept_any_password "
	  "is "
	  "set; use 127.0.0.1\n" },
};

static void each_mistake_is_told_with_its_line_and_what_to_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
		char wanted[600];

		snprintf(wanted, sizeof wanted, "glasspost.conf:%s", mistakes[i].complaint);
		refuses(mistakes[i].text, wanted);
	}
}

static void one_reading_tells_all_mistakes_in_the_order_of_lines(void **state)
{
	(void)state;
	refuses("hostname = mail.example\n"
		"qota = 5M\n"
		"durable = perhaps\n"
		"listener \"mx\" {\n"
		"\tprotocol = smtp\n"
		"\tadress = 0.0.0.0\n"
		"\ttls = maybe\n"
		"}\n"
		"web {\n"
		"}\n",
		"glasspost.conf:2: qota: is no option; did you mean quota?\n"
		"glasspost.conf:3: durable: 'perhaps' is neither yes nor no; write yes or no\n"
		"glasspost.conf:6: adress: is no option of a listener; did you mean address?\n"
		"glasspost.conf:7: listener mx: tls: 'maybe' is no choice; write one of: none "
		"starttls implicit\n"
		"glasspost.conf:9: web: is no option; see glasspost.conf(5) for those there are\n");
}

static void a_bad_command_line_is_told_as_such(void **state)
{
	OWNED(buf) struct buf complaints = BUF(65536);
	const struct str overrides[] = { S("port_base=x"), S("sandboxx=try"), S("quota=y"),
					 S("nothing") };
	struct config *config = NULL;

	(void)state;
	assert_int_equal(
		config_parse(S(""), S("f"), overrides, COUNT_OF(overrides), &complaints, &config),
		ERR_CONFIG);
	buf_add_char(&complaints, '\0');
	assert_string_equal(
		complaints.at,
		"f: command line: port_base: 'x' is no number up to 65000\n"
		"f: command line: sandboxx: is no option\n"
		"f: command line: quota: 'y' is no size; write octets, or a number with "
		"K, M or G: 25M\n"
		"f: command line: nothing: is no option\n");
}

static void complaints_of_a_hopeless_file_stay_few(void **state)
{
	OWNED(buf) struct buf text = BUF(1 << 20);
	OWNED(buf) struct buf complaints = BUF(65536);
	struct config *config = NULL;

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_print(&text, "durable = %d\n", i);
	assert_int_equal(config_parse(buf_str(&text), S("f"), NULL, 0, &complaints, &config),
			 ERR_CONFIG);
	assert_true(complaints.len < 10000);
	assert_true(str_find_str(buf_str(&complaints), S("f: and 49")) != STR_NONE);
}

static void a_file_with_a_nul_or_without_end_is_refused(void **state)
{
	OWNED(buf) struct buf complaints = BUF(65536);
	struct config *config = NULL;
	size_t len = LIMIT_config_file + 1;
	char *large = malloc(len);

	(void)state;
	assert_int_equal(config_parse(S("quota = 1\0"), S("f"), NULL, 0, &complaints, &config),
			 ERR_CONFIG);
	memset(large, '#', len);
	assert_int_equal(
		config_parse((struct str){ large, len }, S("f"), NULL, 0, &complaints, &config),
		ERR_CONFIG);
	free(large);
}

/* Every option of the written file, its mark of a comment taken away, must be what holds without it. */
static void the_written_file_says_what_the_defaults_are(void **state)
{
	OWNED(buf) struct buf text = BUF(1 << 20);
	OWNED(buf) struct buf plain = BUF(1 << 20);
	struct config *config;
	struct str rest;

	(void)state;
	assert_int_equal(config_write_default(S("mail.example.org"), &text), OK);
	buf_add_char(&text, '\0');
	config = parse(text.at);
	assert_true(str_is(config->hostname, S("mail.example.org")));
	assert_int_equal(config->listener_count, 9);
	config_unref(&config);

	text.len--;
	rest = buf_str(&text);
	while (rest.len > 0) {
		size_t end = str_find(rest, '\n');
		struct str line = str_first(rest, end);

		rest = str_from(rest, end + 1);
		if (str_find_str(line, S("listener \"name\"")) != STR_NONE)
			break;
		if (line.len >= 2 && line.at[0] == '#' && line.at[1] != ' ')
			line = str_from(line, 1);
		buf_add(&plain, line);
		buf_add_char(&plain, '\n');
	}
	buf_add_char(&plain, '\0');
	config = parse(plain.at);
	assert_int_equal(config->listener_count, 9);
	assert_int_equal(config->connections_max, 10000);
	assert_true(config_listener(config, S("pop3s"))->tls_mode == TLS_MODE_IMPLICIT);
	config_unref(&config);
}

static void what_holds_now_is_told_as_json_with_its_origin(void **state)
{
	OWNED(buf) struct buf json = BUF(1 << 20);
	struct config *config = parse("quota = 5M");

	(void)state;
	assert_int_equal(config_json(config, &json), OK);
	assert_true(str_find_str(buf_str(&json), S("{\"name\":\"quota\",\"value\":5242880,"
						   "\"origin\":\"glasspost.conf:1\"}")) !=
		    STR_NONE);
	assert_true(str_find_str(buf_str(&json), S("{\"name\":\"durable\",\"value\":true,"
						   "\"origin\":\"default\"}")) != STR_NONE);
	assert_true(str_find_str(buf_str(&json), S("{\"name\":\"pop3s\",\"line\":0,"
						   "\"real_port\":995,")) != STR_NONE);
	config_unref(&config);
}

static void a_session_keeps_the_configuration_it_began_with(void **state)
{
	struct config *config = parse("quota = 5M");
	struct config *kept = config_ref(config);

	(void)state;
	config_unref(&config);
	assert_int_equal(kept->quota, 5 << 20);
	config_unref(&kept);
	config_unref(&kept); /* of nothing: fine */
}

static void a_missing_file_says_how_to_make_one(void **state)
{
	OWNED(buf) struct buf complaints = BUF(65536);
	struct config *config = NULL;

	(void)state;
	assert_int_equal(
		config_read_file("/nonexistent/glasspost.conf", NULL, 0, &complaints, &config),
		ERR_NOT_FOUND);
	assert_true(str_find_str(buf_str(&complaints), S("glasspost init")) != STR_NONE);
}

static void networks_of_the_list_and_unix_sockets_are_exempt(void **state)
{
	static const struct {
		const char *peer;
		bool is_exempt;
	} cases[] = { { "192.0.2.7:25", true },
		      { "[2001:db8::1]:25", true },
		      { "192.0.3.7:25", false },
		      { "127.0.0.1:25", false },
		      { "/run/client.sock", true } };
	struct config *config = parse("connections_exempt = \"192.0.2.0/24, 2001:db8::/32\"\n");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct addr peer;

		assert_true(addr_parse(str_of(cases[i].peer), &peer));
		assert_int_equal(config_is_exempt(config, &peer), cases[i].is_exempt);
	}
	config_unref(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_preset_listeners),
		cmocka_unit_test(what_counts_from_the_next_start_only_is_told_at_a_reload),
		cmocka_unit_test(resolvers_are_those_written_or_those_found),
		cmocka_unit_test(values_are_read_by_their_types),
		cmocka_unit_test(the_first_network_that_matches_wins),
		cmocka_unit_test(the_command_line_wins_and_moves_the_ports),
		cmocka_unit_test(each_mistake_is_told_with_its_line_and_what_to_do),
		cmocka_unit_test(one_reading_tells_all_mistakes_in_the_order_of_lines),
		cmocka_unit_test(a_bad_command_line_is_told_as_such),
		cmocka_unit_test(complaints_of_a_hopeless_file_stay_few),
		cmocka_unit_test(a_file_with_a_nul_or_without_end_is_refused),
		cmocka_unit_test(the_written_file_says_what_the_defaults_are),
		cmocka_unit_test(what_holds_now_is_told_as_json_with_its_origin),
		cmocka_unit_test(a_session_keeps_the_configuration_it_began_with),
		cmocka_unit_test(a_missing_file_says_how_to_make_one),
		cmocka_unit_test(networks_of_the_list_and_unix_sockets_are_exempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
