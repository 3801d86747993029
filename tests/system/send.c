/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sending side of SMTP and LMTP by itself, for tests with other people's servers:
 *
 *	send [options] ADDRESS:PORT RECIPIENT... <message
 *
 * sends the message of standard input, and says a line a recipient: "sent 250 2.0.0 text", "refused",
 * "deferred" or "unsure", with "(ours)" at the end where the server said nothing. Exit 0: all are sent.
 */
#include "smtp/client.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECT_MS = 10'000, MESSAGE_MOST = 64 << 20, LINES_WIDE = 100 };

struct order {
	struct smtp_client_options options;
	struct addr at;
	struct str sender;
	enum smtp_body body;
	bool utf8, traces;
	long times;
	struct smtp_sending_to *to;
	size_t count;
	struct buf message;
	int status;
};

static const char *const results[] = { "sent", "refused", "deferred", "unsure" };

static void print_said(struct str who, const struct smtp_said *said)
{
	printf("%.*s %s %u %.*s %.*s%s\n", STR_ARGS(who), results[said->result], said->reply.code,
	       STR_ARGS(said->reply.enhanced), STR_ARGS(said->reply.text),
	       said->is_ours ? " (ours)" : "");
}

static void send_once(struct order *order, struct smtp_client *client, struct arena *arena) WAITS
{
	struct smtp_sending sending = {
		.sender = order->sender,
		.body = order->body,
		.utf8 = order->utf8,
		.octets = buf_str(&order->message),
		.count = order->count,
		.to = order->to,
		.said = NEW_ARRAY(arena, struct smtp_said, order->count),
		.arena = arena,
	};

	smtp_client_send(client, &sending);
	for (size_t i = 0; i < order->count; i++) {
		print_said(order->to[i].address, &sending.said[i]);
		if (sending.said[i].result != SMTP_SENT)
			order->status = 1;
	}
}

static void act(void *arg) WAITS
{
	struct order *order = arg;
	struct arena arena = { 0 };
	struct smtp_client *client = NULL;
	struct smtp_said said;
	struct stream *stream;

	order->status = 2;
	if (stream_connect(&order->at, in_ms(CONNECT_MS), &stream) != OK) {
		fprintf(stderr, "send: %s\n", fault_text());
		return;
	}
	smtp_client_open(conn_new(stream), &order->options, &client, &arena, &said);
	if (client)
		order->status = 0;
	else
		print_said(S("open"), &said);
	for (long i = 0; client && i < order->times; i++)
		send_once(order, client, &arena);
	smtp_client_drop(&client);
	arena_drop(&arena);
}

static void read_message(struct buf *message)
{
	ssize_t got;

	do {
		must(buf_reserve(message, 65536) == OK);
		got = read(STDIN_FILENO, message->at + message->len, 65536);
		must(got >= 0);
		message->len += (size_t)got;
	} while (got > 0);
}

/* Everything that was traced, as ladder. */
static void print_trace(const void *ring, size_t size)
{
	OWNED(buf) struct buf record = BUF(65536);
	OWNED(buf) struct buf lines = BUF(MESSAGE_MOST);
	struct trace_reader *reader;
	struct trace_event event;
	int64_t start_us = -1;
	uint64_t lost = 0;

	must(trace_reader_new(ring, size, false, &reader) == OK);
	while (trace_reader_next(reader, &record, &lost)) {
		must(trace_event_decode(buf_str(&record), &event) == OK);
		start_us = start_us < 0 ? event.head.at_us : start_us;
		must(trace_event_ladder(&event, start_us, LINES_WIDE, false, &lines) == OK);
		buf_reset(&record);
	}
	fprintf(stderr, "%.*s", STR_ARGS(buf_str(&lines)));
	trace_reader_drop(&reader);
}

static enum smtp_tls_policy policy_of(const char *name)
{
	static const char *const names[] = { "none", "may", "must", "implicit" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (!strcmp(name, names[i]))
			return (enum smtp_tls_policy)i;
	fprintf(stderr, "send: no TLS policy %s\n", name);
	exit(2);
}

static void read_arguments(struct order *order, int count, char **arguments)
{
	static const struct option options[] = {
		{ "lmtp", no_argument, NULL, 'l' },
		{ "tls", required_argument, NULL, 't' },
		{ "user", required_argument, NULL, 'u' },
		{ "password", required_argument, NULL, 'p' },
		{ "from", required_argument, NULL, 'f' },
		{ "utf8", no_argument, NULL, '8' },
		{ "binary", no_argument, NULL, 'b' },
		{ "times", required_argument, NULL, 'n' },
		{ "trace", no_argument, NULL, 'r' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		order->options.is_lmtp |= option == 'l';
		order->utf8 |= option == '8';
		order->traces |= option == 'r';
		if (option == 'b')
			order->body = SMTP_BODY_BINARYMIME;
		if (option == 't')
			order->options.tls = policy_of(optarg);
		if (option == 'u')
			order->options.user = str_of(optarg);
		if (option == 'p')
			order->options.password = str_of(optarg);
		if (option == 'f')
			order->sender = str_of(optarg);
		if (option == 'n')
			order->times = strtol(optarg, NULL, 10);
		if (option == '?')
			exit(2);
	}
	if (optind + 2 > count || !addr_parse(str_of(arguments[optind]), &order->at)) {
		fprintf(stderr, "send: ADDRESS:PORT RECIPIENT...\n");
		exit(2);
	}
	order->count = (size_t)(count - optind - 1);
	order->to = calloc(order->count, sizeof(*order->to));
	must(order->to);
	for (size_t i = 0; i < order->count; i++)
		order->to[i].address = str_of(arguments[optind + 1 + (int)i]);
}

int main(int count, char **arguments)
{
	struct order order = { .sender = S("alice@example.org"), .times = 1 };
	struct world *world = world_real_new();
	size_t size = trace_ring_size();
	void *ring = aligned_alloc(4096, size);

	must(ring);
	order.options.hello = S("client.example");
	order.options.server_name = S("localhost");
	order.message = BUF(MESSAGE_MOST);
	read_arguments(&order, count, arguments);
	read_message(&order.message);
	must(tls_client_context_new(S(""), &order.options.tls_context) == OK);
	trace_ring_format(ring, size, 0, 0);
	trace_set_clock(now, wall_us);
	must(trace_writer_new(ring, size, &order.options.trace) == OK);
	must(world_spawn(world, "send", act, &order) == OK);
	world_run(world);
	if (order.traces)
		print_trace(ring, size);
	world_drop(&world);
	trace_writer_drop(&order.options.trace);
	tls_context_unref(&order.options.tls_context);
	buf_drop(&order.message);
	free(order.to);
	free(ring);
	return order.status;
}
