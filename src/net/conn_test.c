/* SPDX-License-Identifier: Apache-2.0 */
/* Connections, in both worlds: lines, gathering, TLS on any stream, and what they hold. */
#include "net/conn.h"
#include "stage/pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LONG_MS = 60'000 };

static void say(struct pair *pair, struct str octets) WAITS
{
	must(conn_write(pair->client, octets, in_ms(LONG_MS)) == OK);
	must(conn_flush(pair->client, in_ms(LONG_MS)) == OK);
}

static struct str line(struct pair *pair, size_t max, enum line_rule rule, enum err expected) WAITS
{
	struct str out = S("");
	enum err err = conn_read_line(pair->server, max, rule, in_ms(LONG_MS), &out);

	must(err == expected);
	return out;
}

/* ---- lines ---- */

static void lines_end_in_crlf(struct pair *pair) WAITS
{
	say(pair, S("one\r\ntwo\nstill two\rand\r\n\r\n"));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("one")));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("two\nstill two\rand")));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("")));
}

static void lf_ends_a_line_where_the_rule_says_so(struct pair *pair) WAITS
{
	say(pair, S("one\ntwo\r\n\n"));
	must(str_is(line(pair, 512, LINE_LF_TOO, OK), S("one")));
	must(str_is(line(pair, 512, LINE_LF_TOO, OK), S("two")));
	must(str_is(line(pair, 512, LINE_LF_TOO, OK), S("")));
}

static void a_line_may_come_octet_by_octet(struct pair *pair) WAITS
{
	static const char text[] = "hello there\r\nnext\r\n";

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		say(pair, (struct str){ text + i, 1 });
		if (i == 12)
			must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("hello there")));
	}
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("next")));
}

static void a_line_of_exactly_the_limit_passes(struct pair *pair) WAITS
{
	say(pair, S("12345678\r\n123456789\r\n12345678\r\n"));
	must(str_is(line(pair, 10, LINE_CRLF_ONLY, OK), S("12345678")));
	line(pair, 10, LINE_CRLF_ONLY, ERR_LIMIT);
	must(str_is(line(pair, 10, LINE_CRLF_ONLY, OK), S("12345678")));
}

static void the_rest_of_a_line_too_long_is_skipped(struct pair *pair) WAITS
{
	char much[3000];

	memset(much, 'x', sizeof(much));
	say(pair, (struct str){ much, sizeof(much) });
	line(pair, 1000, LINE_CRLF_ONLY, ERR_LIMIT);
	say(pair, (struct str){ much, sizeof(much) });
	say(pair, S("bare \n and \r then\r"));
	say(pair, S("\nnext\r\n"));
	must(str_is(line(pair, 1000, LINE_CRLF_ONLY, OK), S("next")));
}

static void send_forever(void *arg) WAITS
{
	struct pair *pair = arg;
	char much[4096];

	memset(much, 'x', sizeof(much));
	for (int i = 0; i < 2000; i++)
		if (conn_write(pair->client, (struct str){ much, sizeof(much) }, in_ms(LONG_MS)) ||
		    conn_flush(pair->client, in_ms(LONG_MS)))
			return;
	say(pair, S("\r\n"));
}

/* 8 MB without a line end, held in one buffer of bounded size. */
static void a_line_without_an_end_does_not_grow_us(struct pair *pair) WAITS
{
	must(fiber_spawn(&pair->group, "sender", send_forever, pair, NULL) == OK);
	line(pair, 12288, LINE_LF_TOO, ERR_LIMIT);
	must(pair->server->input_room <= CONN_INPUT_MAX);
	must(conn_fill(pair->server, in_ms(LONG_MS)) == OK);
	must(pair->server->input_room <= CONN_INPUT_MAX);
	while (pair->group.count > 1) {
		conn_take(pair->server, conn_input(pair->server).len);
		if (conn_fill(pair->server, in_ms(100)) == ERR_TIMEOUT)
			break;
		must(pair->server->input_room <= CONN_INPUT_MAX);
	}
}

static void input_that_nobody_takes_stops_at_its_limit(struct pair *pair) WAITS
{
	enum err err = OK;

	must(fiber_spawn(&pair->group, "sender", send_forever, pair, NULL) == OK);
	while (!err)
		err = conn_fill(pair->server, in_ms(LONG_MS));
	must(err == ERR_LIMIT);
	must(conn_input(pair->server).len == CONN_INPUT_MAX);
	conn_shut(pair->server);
	conn_drop(&pair->server);
}

/* ---- deadlines, ends, stops ---- */

static void silence_is_a_timeout(struct pair *pair) WAITS
{
	struct str out;

	must(conn_read_line(pair->server, 512, LINE_CRLF_ONLY, in_ms(50), &out) == ERR_TIMEOUT);
	say(pair, S("half"));
	must(conn_read_line(pair->server, 512, LINE_CRLF_ONLY, in_ms(50), &out) == ERR_TIMEOUT);
	say(pair, S(" a line\r\n"));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("half a line")));
}

static void the_peers_end_is_closed(struct pair *pair) WAITS
{
	say(pair, S("last\r\nhalf"));
	conn_shut(pair->client);
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("last")));
	line(pair, 512, LINE_CRLF_ONLY, ERR_CLOSED);
	/* The other direction is open still. */
	must(conn_write(pair->server, S("bye\r\n"), in_ms(LONG_MS)) == OK);
	must(conn_flush(pair->server, in_ms(LONG_MS)) == OK);
	must(conn_fill(pair->client, in_ms(LONG_MS)) == OK);
	must(str_is(conn_input(pair->client), S("bye\r\n")));
}

static void an_idle_connection_holds_no_buffers(struct pair *pair) WAITS
{
	struct str out;

	say(pair, S("NOOP\r\n"));
	line(pair, 512, LINE_CRLF_ONLY, OK);
	must(pair->server->input);
	must(conn_read_line(pair->server, 512, LINE_CRLF_ONLY, in_ms(50), &out) == ERR_TIMEOUT);
	must(!pair->server->input && !pair->server->output.at);
}

/* ---- writing ---- */

static void replies_leave_together_when_we_wait(struct pair *pair) WAITS
{
	struct str out;

	must(conn_write(pair->server, S("250 one\r\n"), in_ms(LONG_MS)) == OK);
	must(conn_write(pair->server, S("250 two\r\n"), in_ms(LONG_MS)) == OK);
	must(conn_octets_out(pair->server) == 0);
	must(conn_read_line(pair->server, 512, LINE_CRLF_ONLY, in_ms(50), &out) == ERR_TIMEOUT);
	must(conn_octets_out(pair->server) == 18);
	must(conn_fill(pair->client, in_ms(LONG_MS)) == OK);
	must(str_is(conn_input(pair->client), S("250 one\r\n250 two\r\n")));
}

static bool lies_in(const struct conn *conn, const char *text)
{
	return str_find_str((struct str){ conn->input, conn->input_room }, str_of(text)) !=
	       STR_NONE;
}

static void what_was_taken_and_wiped_is_nowhere_in_the_buffer(struct pair *pair) WAITS
{
	char much[20'000];

	memset(much, 'x', sizeof(much));
	say(pair, S("PASS tanstaaf\r\nRSET\r\nhalf a "));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("PASS tanstaaf")));
	must(lies_in(pair->server, "tanstaaf"));
	conn_wipe(pair->server);
	must(!lies_in(pair->server, "tanstaaf"));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("RSET")));
	say(pair, S("line\r\n"));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("half a line")));
	conn_wipe(pair->server); /* what moved to the front lies nowhere else */
	must(!lies_in(pair->server, "half"));
	say(pair, S("begin "));
	must(conn_fill(pair->server, in_ms(LONG_MS)) == OK);
	say(pair, (struct str){ much, sizeof(much) });
	say(pair, S("\r\n"));
	must(line(pair, 30'000, LINE_CRLF_ONLY, OK).len == sizeof(much) + 6);
}

static void what_never_left_is_counted_and_nothing_more_is_taken(struct pair *pair) WAITS
{
	char much[4096];
	enum err err = OK;

	memset(much, 'x', sizeof(much));
	conn_drop(&pair->client);
	for (int i = 0; i < 100 && !err; i++) {
		must(!fiber_sleep(in_ms(1)));
		must(conn_write(pair->server, (struct str){ much, sizeof(much) }, in_ms(100)) ==
		     OK);
		err = conn_flush(pair->server, in_ms(100));
	}
	must(err && err != ERR_TIMEOUT);
	must(conn_unsent(pair->server) == sizeof(much));
	must(conn_write(pair->server, S("more"), in_ms(100)) == err);
	must(conn_unsent(pair->server) == sizeof(much));
}

/* A client that never reads gets so much and no more, and then a timeout ends it. */
static void a_peer_that_does_not_read_cannot_make_us_hold_more(struct pair *pair) WAITS
{
	char much[4096];
	enum err err = OK;

	memset(much, 'x', sizeof(much));
	for (int i = 0; i < 10'000 && !err; i++) {
		err = conn_write(pair->server, (struct str){ much, sizeof(much) }, in_ms(200));
		must(pair->server->output.room <= CONN_OUTPUT_MAX);
	}
	must(err == ERR_TIMEOUT);
}

/* ---- PROXY ---- */

static void a_proxy_header_gives_the_clients_address(struct pair *pair) WAITS
{
	struct addr wanted;

	say(pair, S("PROXY TCP4 203.0.113.9 192.0.2.25 40000 25\r\nEHLO"));
	must(conn_read_proxy(pair->server, in_ms(LONG_MS)) == OK);
	must(addr_parse_ip(S("203.0.113.9"), &wanted));
	must(addr_is_same_ip(conn_peer(pair->server), &wanted));
	must(conn_peer(pair->server)->port == 40000 && conn_local(pair->server)->port == 25);
	must(addr_is_same_ip(conn_via(pair->server), stream_peer(pair->server->stream)));
	must(conn_input(pair->server).len == 0);
	must(conn_fill(pair->server, in_ms(LONG_MS)) == OK);
	must(str_is(conn_input(pair->server), S("EHLO")));
}

static void begin_tls(void *arg) WAITS
{
	struct pair *pair = arg;

	must(conn_start_tls_client(pair->client, pair->client_tls, S("mx.here.example"),
				   in_ms(LONG_MS)) == OK);
}

static void tls_may_begin_right_behind_a_proxy_header(struct pair *pair) WAITS
{
	say(pair, S("PROXY TCP6 2001:db8::1 2001:db8::2 40000 465\r\n"));
	must(fiber_spawn(&pair->group, "client", begin_tls, pair, NULL) == OK);
	must(fiber_sleep(in_ms(50)) == OK); /* the header and the ClientHello wait together */
	must(conn_read_proxy(pair->server, in_ms(LONG_MS)) == OK);
	must(conn_start_tls(pair->server, pair->server_tls, in_ms(1000), &pair->discarded) == OK);
	must(pair->discarded == 0);
}

static void what_is_no_proxy_header_is_refused(struct pair *pair) WAITS
{
	say(pair, S("EHLO x\r\n"));
	must(conn_read_proxy(pair->server, in_ms(LONG_MS)) == ERR_PROTOCOL);
}

/* ---- TLS ---- */

static void tls_carries_lines_both_ways(struct pair *pair) WAITS
{
	const char *type;
	const char *type_client;
	unsigned char a[64];
	unsigned char b[64];
	size_t len;
	size_t len_client;

	must(pair_tls(pair) == OK);
	must(conn_is_tls(pair->server) && strcmp(conn_tls(pair->server)->version, "TLSv1.3") == 0);
	must(strcmp(conn_tls(pair->server)->server_name, "mx.here.example") == 0);
	must(conn_tls(pair->server)->group[0] && conn_tls(pair->server)->cipher[0]);
	must(conn_channel_binding(pair->server, &type, a, &len));
	must(conn_channel_binding(pair->client, &type_client, b, &len_client));
	must(strcmp(type, "tls-exporter") == 0 && len == 32 && len_client == 32);
	must(memcmp(a, b, 32) == 0);
	say(pair, S("EHLO x\r\n"));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("EHLO x")));
	must(conn_write(pair->server, S("250 ok\r\n"), in_ms(LONG_MS)) == OK);
	must(conn_flush(pair->server, in_ms(LONG_MS)) == OK);
	must(conn_fill(pair->client, in_ms(LONG_MS)) == OK);
	must(str_is(conn_input(pair->client), S("250 ok\r\n")));
	conn_shut(pair->client);
	line(pair, 512, LINE_CRLF_ONLY, ERR_CLOSED);
}

static void send_much(void *arg) WAITS
{
	struct pair *pair = arg;
	char *much = malloc(1 << 20);

	must(much);
	for (size_t i = 0; i < 1 << 20; i++)
		much[i] = (char)(i * 31 >> 3);
	for (int i = 0; i < 4; i++)
		say(pair, (struct str){ much, 1 << 20 });
	free(much);
	conn_shut(pair->client);
}

static void megabytes_pass_through_tls_unchanged(struct pair *pair) WAITS
{
	size_t got = 0;

	must(pair_tls(pair) == OK);
	must(fiber_spawn(&pair->group, "sender", send_much, pair, NULL) == OK);
	while (conn_fill(pair->server, in_ms(LONG_MS)) == OK) {
		struct str in = conn_input(pair->server);

		for (size_t i = 0; i < in.len; i++)
			must(in.at[i] == (char)((got + i) % (1 << 20) * 31 >> 3));
		got += in.len;
		conn_take(pair->server, in.len);
	}
	must(got == 4 << 20);
}

static void what_came_in_the_clear_is_thrown_away(struct pair *pair) WAITS
{
	say(pair, S("STARTTLS\r\nNOOP\r\nMAIL FR"));
	must(str_is(line(pair, 512, LINE_CRLF_ONLY, OK), S("STARTTLS")));
	must(pair_tls(pair) == OK);
	must(pair->discarded == 13);
	must(conn_input(pair->server).len == 0);
}

static void a_handshake_that_is_none_fails_and_says_why(struct pair *pair) WAITS
{
	size_t discarded;

	say(pair, S("EHLO in the clear\r\n"));
	must(conn_start_tls(pair->server, pair->server_tls, in_ms(LONG_MS), &discarded) == ERR_TLS);
	must(fault_text()[0]);
	must(!conn_is_tls(pair->server));
	must(conn_write(pair->server, S("421 bye\r\n"), in_ms(LONG_MS)) == ERR_TLS);
	must(conn_unsent(pair->server) == 0);
}

static void a_handshake_that_does_not_come_times_out(struct pair *pair) WAITS
{
	size_t discarded;

	must(conn_start_tls(pair->server, pair->server_tls, in_ms(100), &discarded) == ERR_TIMEOUT);
	must(!conn_is_tls(pair->server));
	must(conn_write(pair->server, S("421 bye\r\n"), in_ms(LONG_MS)) == ERR_TIMEOUT);
}

static void an_old_version_is_refused(struct pair *pair) WAITS
{
	SSL_CTX_set_security_level(tls_context_ssl(pair->client_tls), 0);
	SSL_CTX_set_min_proto_version(tls_context_ssl(pair->client_tls), TLS1_VERSION);
	SSL_CTX_set_max_proto_version(tls_context_ssl(pair->client_tls), TLS1_1_VERSION);
	must(pair_tls(pair) == ERR_TLS);
}

static void another_protocol_in_alpn_is_refused(struct pair *pair) WAITS
{
	static const unsigned char http[] = "\x08http/1.1\x02h2";

	SSL_CTX_set_alpn_protos(tls_context_ssl(pair->client_tls), http, sizeof(http) - 1);
	must(pair_tls(pair) == ERR_TLS);
}

static void our_protocol_in_alpn_is_taken(struct pair *pair) WAITS
{
	static const unsigned char smtp[] = "\x02h2\x04smtp";

	SSL_CTX_set_alpn_protos(tls_context_ssl(pair->client_tls), smtp, sizeof(smtp) - 1);
	must(pair_tls(pair) == OK);
}

static void tls_1_2_has_its_own_channel_binding(struct pair *pair) WAITS
{
	const char *type;
	unsigned char a[64];
	unsigned char b[64];
	size_t len;
	size_t len_client;

	SSL_CTX_set_max_proto_version(tls_context_ssl(pair->client_tls), TLS1_2_VERSION);
	must(pair_tls(pair) == OK);
	must(conn_channel_binding(pair->server, &type, a, &len));
	must(strcmp(type, "tls-unique") == 0);
	must(conn_channel_binding(pair->client, &type, b, &len_client));
	must(len == len_client && len >= 12 && memcmp(a, b, len) == 0);
}

/* ---- running them ---- */

#define BOTH_WORLDS(name)                                                                          \
	static void name##_simulated(void **state)                                                 \
	{                                                                                          \
		(void)state;                                                                       \
		pair_play(name, true);                                                             \
	}                                                                                          \
	static void name##_real(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		pair_play(name, false);                                                            \
	}

#define TESTS(X)                                                                                   \
	X(lines_end_in_crlf)                                                                       \
	X(lf_ends_a_line_where_the_rule_says_so)                                                   \
	X(a_line_may_come_octet_by_octet)                                                          \
	X(a_line_of_exactly_the_limit_passes)                                                      \
	X(the_rest_of_a_line_too_long_is_skipped)                                                  \
	X(a_line_without_an_end_does_not_grow_us)                                                  \
	X(input_that_nobody_takes_stops_at_its_limit)                                              \
	X(silence_is_a_timeout)                                                                    \
	X(the_peers_end_is_closed)                                                                 \
	X(an_idle_connection_holds_no_buffers)                                                     \
	X(replies_leave_together_when_we_wait)                                                     \
	X(what_was_taken_and_wiped_is_nowhere_in_the_buffer)                                       \
	X(what_never_left_is_counted_and_nothing_more_is_taken)                                    \
	X(a_peer_that_does_not_read_cannot_make_us_hold_more)                                      \
	X(tls_may_begin_right_behind_a_proxy_header)                                               \
	X(a_proxy_header_gives_the_clients_address)                                                \
	X(what_is_no_proxy_header_is_refused)                                                      \
	X(tls_carries_lines_both_ways)                                                             \
	X(megabytes_pass_through_tls_unchanged)                                                    \
	X(what_came_in_the_clear_is_thrown_away)                                                   \
	X(a_handshake_that_is_none_fails_and_says_why)                                             \
	X(a_handshake_that_does_not_come_times_out)                                                \
	X(an_old_version_is_refused)                                                               \
	X(another_protocol_in_alpn_is_refused)                                                     \
	X(our_protocol_in_alpn_is_taken)                                                           \
	X(tls_1_2_has_its_own_channel_binding)

TESTS(BOTH_WORLDS)

int main(void)
{
#define BOTH(name) cmocka_unit_test(name##_simulated), cmocka_unit_test(name##_real),
	const struct CMUnitTest tests[] = { TESTS(BOTH) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
