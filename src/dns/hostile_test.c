/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that lie, fail and keep silent, on loopback in the real world. */
#include "dns/resolver.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ASKED_MAX = 1500, BIG = 60'000, TRACED_MAX = 64, PORT_TRIES = 20 };

/* What a server does with a query; `count` is how many it has had before this one. */
struct server;
typedef void misdeed(struct server *server, const struct sockaddr_in *from, struct str query,
		     unsigned count);

struct server {
	misdeed *misdeed;
	int fd;
	struct addr address;
	unsigned count;
	bool has_tcp;
	struct listener *listener; /* TCP on the same port, where it has that */
	uint16_t last_port;
	unsigned same_ports;
};

static const char zone_text[] = "$ORIGIN example.org.\n"
				"@ 300 MX 10 mx\n"
				"mx A 192.0.2.1\n"
				"$SECURE .\n";

struct test {
	fiber_fn *fn;
	struct arena arena;
	struct dns_zone *zone;
	struct server servers[2];
	struct fiber_group group;
	struct resolver *resolver;
};
static struct test *test; /* the one that runs */

/* ---- a server ---- */

static void say(const struct server *server, const struct sockaddr_in *to, const void *at,
		size_t len)
{
	assert_int_equal(sendto(server->fd, at, len, 0, (const struct sockaddr *)to, sizeof(*to)),
			 len);
}

static struct dns_question question_of(struct str query)
{
	struct dns_question question = { .type = DNS_MX };

	question.name.len = (uint8_t)(strlen(query.at + 12) + 1);
	memcpy(question.name.at, query.at + 12, question.name.len);
	question.type = (enum dns_type)query.at[12 + question.name.len + 1];
	return question;
}

static struct str answer_to(struct str query, size_t size_max, unsigned id_offset)
{
	static char room[DNS_MESSAGE_MAX];
	struct buf octets = BUF(DNS_MESSAGE_MAX);
	struct dns_question question = question_of(query);
	unsigned id = (unsigned)((unsigned char)query.at[0] << 8 | (unsigned char)query.at[1]);
	size_t len;

	assert_true(dns_zone_answer(test->zone, &question, (uint16_t)(id + id_offset), size_max,
				    &octets));
	len = octets.len;
	memcpy(room, octets.at, len);
	buf_drop(&octets);
	return (struct str){ room, len };
}

static void answer_well(struct server *server, const struct sockaddr_in *from, struct str query,
			unsigned count)
{
	struct str answer = answer_to(query, DNS_MESSAGE_MAX, 0);

	(void)count;
	say(server, from, answer.at, answer.len);
}

static void serve(void *arg) WAITS
{
	struct server *server = arg;
	struct fd_watch *watch = NULL;

	assert_int_equal(fd_watch_new(server->fd, &watch), OK);
	for (;;) {
		char query[ASKED_MAX];
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t got = recvfrom(server->fd, query, sizeof(query), MSG_DONTWAIT,
				       (struct sockaddr *)&from, &len);

		if (got < 0) {
			if (fd_wait(watch, READABLE, NEVER))
				break;
			continue;
		}
		server->same_ports += server->last_port == from.sin_port;
		server->last_port = from.sin_port;
		server->misdeed(server, &from, (struct str){ query, (size_t)got }, server->count++);
	}
	fd_watch_drop(&watch);
}

/* A UDP port of our own. */
static void bind_somewhere(struct server *server)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(any);

	server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&any, len), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&any, &len), 0);
	addr_from_sockaddr((struct sockaddr *)&any, len, &server->address);
}

static void start_server(struct server *server, misdeed *what)
{
	server->misdeed = what;
	bind_somewhere(server);
	/* The same TCP port may be somebody's already. */
	for (int tries = 0; server->has_tcp && listener_new(&server->address, 5, &server->listener);
	     tries++) {
		assert_true(tries < PORT_TRIES);
		close(server->fd);
		bind_somewhere(server);
	}
	assert_int_equal(fiber_spawn(&test->group, "server", serve, server, NULL), OK);
}

/* One resolver of one or (second not NULL) two servers. */
static void start(misdeed *first, misdeed *second)
{
	struct addr addresses[2];
	struct resolver_options options = { .servers = addresses, .server_count = second ? 2 : 1 };

	start_server(&test->servers[0], first);
	addresses[0] = test->servers[0].address;
	if (second) {
		start_server(&test->servers[1], second);
		addresses[1] = test->servers[1].address;
	}
	test->resolver = resolver_new(&options);
}

static struct dns_result ask(const char *name) WAITS
{
	struct resolver_question question = { str_of(name), DNS_MX, 0 };
	struct dns_result result;

	resolver_ask(test->resolver, &question, &test->arena, &result);
	return result;
}

static void assert_reason(const struct dns_result *result, const char *end)
{
	assert_int_equal(result->verdict, DNS_TEMPORARY);
	if (!str_ends_nocase(result->reason, str_of(end)))
		assert_string_equal(str_dup_c(&test->arena, result->reason), end);
}

/* ---- lies ---- */

static void lie_first(struct server *server, const struct sockaddr_in *from, struct str query,
		      unsigned count)
{
	static const char junk[BIG];
	struct str wrong = answer_to(query, DNS_MESSAGE_MAX, 1);

	say(server, from, wrong.at, wrong.len);
	wrong = answer_to(query, DNS_MESSAGE_MAX, 0);
	((char *)wrong.at)[13]++; /* another name */
	say(server, from, wrong.at, wrong.len);
	say(server, from, query.at, query.len); /* our own question */
	say(server, from, "", 0);
	say(server, from, junk, sizeof(junk));
	answer_well(server, from, query, count);
}

static void what_is_no_answer_to_us_is_passed_over(void *arg) WAITS
{
	struct dns_result result;

	(void)arg;
	start(lie_first, NULL);
	result = ask("example.org");
	assert_int_equal(result.verdict, DNS_FOUND);
	assert_true(result.secure); /* loopback is believed */
	assert_int_equal(test->servers[0].count, 1);
}

static void lie_for_ever(struct server *server, const struct sockaddr_in *from, struct str query,
			 unsigned count)
{
	struct str wrong = answer_to(query, DNS_MESSAGE_MAX, 1);

	(void)count;
	for (int i = 0; i < 150; i++)
		say(server, from, wrong.at, wrong.len);
}

static void a_flood_of_guesses_ends_the_try(void *arg) WAITS
{
	moment begun = now();
	struct dns_result result;

	(void)arg;
	start(lie_for_ever, NULL);
	result = ask("example.org");
	assert_reason(&result, "too many answers that are none");
	assert_true(now() - begun < 2'000'000);
}

static void answer_from_elsewhere(struct server *server, const struct sockaddr_in *from,
				  struct str query, unsigned count)
{
	struct server other = *server;
	struct str answer = answer_to(query, DNS_MESSAGE_MAX, 0);

	(void)count;
	other.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	say(&other, from, answer.at, answer.len);
	close(other.fd);
}

static void an_answer_from_another_port_is_none(void *arg) WAITS
{
	struct dns_result result;

	(void)arg;
	start(answer_from_elsewhere, answer_well);
	result = ask("example.org");
	assert_int_equal(result.verdict, DNS_FOUND);
	assert_int_equal(test->servers[0].count, 1); /* it kept silent, as far as we heard */
	assert_int_equal(test->servers[1].count, 1);
}

static void talk_nonsense(struct server *server, const struct sockaddr_in *from, struct str query,
			  unsigned count)
{
	struct str answer = answer_to(query, DNS_MESSAGE_MAX, 0);

	(void)count;
	((char *)answer.at)[7] = 9; /* more answers than there are */
	say(server, from, answer.at, answer.len);
}

static void nonsense_and_refusals_lead_to_the_next_server(void *arg) WAITS
{
	struct dns_result result;

	(void)arg;
	start(talk_nonsense, answer_well);
	result = ask("example.org");
	assert_int_equal(result.verdict, DNS_FOUND);
	assert_int_equal(test->servers[0].count, 1);
}

static void fail_always(struct server *server, const struct sockaddr_in *from, struct str query,
			unsigned count)
{
	struct str answer = answer_to(query, DNS_MESSAGE_MAX, 0);

	(void)count;
	((char *)answer.at)[3] = (char)(server == &test->servers[0] ? 0x82 : 0x85);
	say(server, from, answer.at, answer.len);
}

static void when_all_fail_it_is_for_now(void *arg) WAITS
{
	struct dns_result result;

	(void)arg;
	start(fail_always, fail_always);
	result = ask("example.org");
	assert_reason(&result, ": REFUSED");
	assert_int_equal(test->servers[0].count, 1); /* each is asked once, not in every round */
	assert_int_equal(test->servers[1].count, 1);
}

/* ---- servers that are old, small or dead ---- */

static void know_no_edns(struct server *server, const struct sockaddr_in *from, struct str query,
			 unsigned count)
{
	char formerr[12] = { query.at[0], query.at[1], (char)0x81, (char)0x81 };

	if (query.at[11]) /* an additional record: OPT */
		say(server, from, formerr, sizeof(formerr));
	else
		answer_well(server, from, query, count);
}

static void a_server_without_edns_is_asked_without(void *arg) WAITS
{
	(void)arg;
	start(know_no_edns, NULL);
	assert_int_equal(ask("example.org").verdict, DNS_FOUND);
	assert_int_equal(test->servers[0].count, 2);
	assert_int_equal(ask("other.example.org").verdict, DNS_NO_NAME);
	assert_int_equal(test->servers[0].count, 3); /* it is remembered */
}

static void keep_silent(struct server *server, const struct sockaddr_in *from, struct str query,
			unsigned count)
{
	(void)server;
	(void)from;
	(void)query;
	(void)count;
}

static void a_dead_server_is_asked_last_from_then_on(void *arg) WAITS
{
	moment begun = now();

	(void)arg;
	start(keep_silent, answer_well);
	assert_int_equal(ask("example.org").verdict, DNS_FOUND);
	assert_true(now() - begun >= 1'900'000 && now() - begun < 4'000'000);
	begun = now();
	for (int i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%d.example.org", i);
		assert_int_equal(ask(name).verdict, DNS_NO_NAME);
	}
	assert_true(now() - begun < 1'000'000);
	assert_int_equal(test->servers[0].count, 1);
	/* Ports are of the kernel's choice: that two in a row are the same is chance. */
	assert_true(test->servers[1].same_ports < 5);
}

static void nobody_listens(void *arg) WAITS
{
	struct resolver_options options = { .servers = &test->servers[0].address,
					    .server_count = 1 };
	struct dns_result result;
	moment begun = now();

	(void)arg;
	assert_true(addr_parse(S("127.0.0.1:1"), &test->servers[0].address));
	test->resolver = resolver_new(&options);
	result = ask("example.org");
	assert_reason(&result, "Connection refused");
	assert_true(now() - begun < 1'000'000);
	resolver_drop(&test->resolver);
	options.server_count = 0;
	test->resolver = resolver_new(&options);
	result = ask("example.org");
	assert_reason(&result, "no resolver is configured");
}

/* ---- TCP ---- */

static void cut_short(struct server *server, const struct sockaddr_in *from, struct str query,
		      unsigned count)
{
	struct str answer = answer_to(query, 40, 0);

	(void)count;
	say(server, from, answer.at, answer.len);
}

static void serve_tcp(void *arg) WAITS
{
	struct server *server = arg;
	struct stream *stream = NULL;

	while (listener_accept(server->listener, NEVER, &stream) == OK) {
		char query[ASKED_MAX];
		size_t len = 0;
		struct str answer;
		char size[2];

		assert_int_equal(stream_read(stream, query, sizeof(query), in_ms(5000), &len), OK);
		answer = answer_to((struct str){ query + 2, len - 2 }, DNS_MESSAGE_MAX, 0);
		size[0] = (char)(answer.len >> 8);
		size[1] = (char)(answer.len & 0xFF);
		assert_int_equal(stream_write(stream, (struct str){ size, 2 }, in_ms(5000)), OK);
		while (answer.len > 0) { /* in pieces, as a net may */
			struct str piece = str_first(answer, 1000);

			answer = str_from(answer, piece.len);
			assert_int_equal(stream_write(stream, piece, in_ms(5000)), OK);
			assert_int_equal(fiber_yield(), OK);
		}
		stream_drop(&stream);
	}
	listener_drop(&server->listener);
}

static void big_answers_come_by_tcp(void *arg) WAITS
{
	struct buf text = BUF(4 * BIG);
	struct server *server = &test->servers[0];
	struct dns_result result;

	(void)arg;
	buf_add_c(&text, "$ORIGIN example.org.\n");
	for (int i = 0; i < 900; i++)
		buf_print(&text, "big MX %d a-rather-long-name-of-a-host-%d.example.org.\n", i, i);
	assert_int_equal(dns_zone_parse(&test->arena, buf_str(&text), &test->zone), OK);
	buf_drop(&text);
	server->has_tcp = true;
	start(cut_short, NULL);
	assert_int_equal(fiber_spawn(&test->group, "tcp", serve_tcp, server, NULL), OK);
	result = ask("big.example.org");
	assert_int_equal(result.verdict, DNS_FOUND);
	assert_int_equal(result.count, 900);
	assert_true(str_starts(result.records[899].mx.host, S("a-rather-long-name-of-a-host-899")));
}

static void truncated_without_tcp_is_a_failure(void *arg) WAITS
{
	struct dns_result result;

	(void)arg;
	start(cut_short, answer_well);
	result = ask("example.org");
	assert_int_equal(result.verdict, DNS_FOUND); /* the second server helps */
	assert_int_equal(test->servers[1].count, 1);
}

/* ---- playing ---- */

static void play_test(void *arg) WAITS
{
	group_init(&test->group);
	assert_int_equal(dns_zone_parse(&test->arena, str_of(zone_text), &test->zone), OK);
	test->fn(arg);
	resolver_drop(&test->resolver);
	group_stop(&test->group);
	assert_int_equal(group_wait(&test->group, NEVER), OK);
	for (size_t i = 0; i < COUNT_OF(test->servers); i++)
		if (test->servers[i].fd >= 0)
			close(test->servers[i].fd);
	arena_drop(&test->arena);
}

static void play(void **state)
{
	struct test played = { .fn = *(fiber_fn **)*state,
			       .servers = { { .fd = -1 }, { .fd = -1 } } };
	struct world *world = world_real_new();

	test = &played;
	assert_int_equal(world_spawn(world, "test", play_test, NULL), OK);
	world_run(world);
	world_drop(&world);
}

#define IN_NET(name)                                                                               \
	{                                                                                          \
#name, play, NULL, NULL, &(fiber_fn *)                                             \
		{                                                                                  \
			name                                                                       \
		}                                                                                  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NET(what_is_no_answer_to_us_is_passed_over),
		IN_NET(a_flood_of_guesses_ends_the_try),
		IN_NET(an_answer_from_another_port_is_none),
		IN_NET(nonsense_and_refusals_lead_to_the_next_server),
		IN_NET(when_all_fail_it_is_for_now),
		IN_NET(a_server_without_edns_is_asked_without),
		IN_NET(a_dead_server_is_asked_last_from_then_on),
		IN_NET(nobody_listens),
		IN_NET(big_answers_come_by_tcp),
		IN_NET(truncated_without_tcp_is_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
