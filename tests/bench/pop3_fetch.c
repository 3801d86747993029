/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads a whole mailbox by POP3 from 127.0.0.1: pop3_fetch PORT USER PASSWORD DEPTH. DEPTH RETRs are sent
 * at once, and the next ones when all of these were answered. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 20 };

struct reader {
	int fd;
	size_t start, end;
	char octets[ROOM];
};

static double seconds_now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void die(const char *why)
{
	fprintf(stderr, "pop3_fetch: %s\n", why);
	exit(1);
}

static void fill(struct reader *reader)
{
	ssize_t got;

	if (reader->start > 0) {
		memmove(reader->octets, reader->octets + reader->start,
			reader->end - reader->start);
		reader->end -= reader->start;
		reader->start = 0;
	}
	if (reader->end == ROOM)
		die("a line without end");
	got = recv(reader->fd, reader->octets + reader->end, ROOM - reader->end, 0);
	if (got <= 0)
		die("the server closed the connection");
	reader->end += (size_t)got;
}

/* One line with its end; valid until the next call. */
static char *take_line(struct reader *reader, size_t *len)
{
	size_t looked = 0;

	for (;;) {
		char *from = reader->octets + reader->start;
		char *lf = memchr(from + looked, '\n', reader->end - reader->start - looked);

		if (lf) {
			*len = (size_t)(lf - from) + 1;
			reader->start += *len;
			return from;
		}
		looked = reader->end - reader->start;
		fill(reader);
	}
}

static void say(struct reader *reader, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t sent = send(reader->fd, text, len, MSG_NOSIGNAL);

		if (sent <= 0)
			die("sending failed");
		text += sent;
		len -= (size_t)sent;
	}
}

static char *hear_ok(struct reader *reader)
{
	size_t len;
	char *line = take_line(reader, &len);

	if (len < 3 || memcmp(line, "+OK", 3) != 0)
		die("the server said -ERR");
	line[len - 1] = '\0';
	return line;
}

static size_t take_message(struct reader *reader)
{
	size_t octets = 0;
	size_t len;

	hear_ok(reader);
	for (;;) {
		const char *line = take_line(reader, &len);

		if (len == 3 && line[0] == '.')
			return octets;
		octets += len - (line[0] == '.');
	}
}

static void dial(struct reader *reader, int port)
{
	struct sockaddr_in server = { .sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	reader->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(reader->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(reader->fd, (struct sockaddr *)&server, sizeof(server)) != 0)
		die("nobody listens there");
	hear_ok(reader);
}

static size_t sign_in(struct reader *reader, const char *user, const char *password)
{
	char line[512];
	unsigned long messages = 0;

	snprintf(line, sizeof(line), "USER %s\r\n", user);
	say(reader, line);
	hear_ok(reader);
	snprintf(line, sizeof(line), "PASS %s\r\n", password);
	say(reader, line);
	hear_ok(reader);
	say(reader, "STAT\r\n");
	if (sscanf(hear_ok(reader), "+OK %lu", &messages) != 1)
		die("STAT says no number");
	return messages;
}

static void ask(struct reader *reader, size_t first, size_t end)
{
	static char text[1 << 20];
	size_t len = 0;

	for (size_t i = first; i < end && len < sizeof(text) - 32; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "RETR %zu\r\n", i + 1);
	say(reader, text);
}

int main(int argc, char **argv)
{
	static struct reader reader;
	size_t depth = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
	size_t messages;
	size_t octets = 0;
	double begun;
	double signed_in;

	if (depth < 1 || depth > 1000) {
		fprintf(stderr, "pop3_fetch PORT USER PASSWORD DEPTH\n");
		return 2;
	}
	begun = seconds_now();
	dial(&reader, (int)strtol(argv[1], NULL, 10));
	messages = sign_in(&reader, argv[2], argv[3]);
	signed_in = seconds_now();
	for (size_t i = 0; i < messages; i++) {
		if (i % depth == 0)
			ask(&reader, i, i + depth < messages ? i + depth : messages);
		octets += take_message(&reader);
	}
	say(&reader, "QUIT\r\n");
	hear_ok(&reader);
	printf("{\"messages\": %zu, \"octets\": %zu, \"sign_in_s\": %.4f, \"fetch_s\": %.4f}\n",
	       messages, octets, signed_in - begun, seconds_now() - signed_in);
	close(reader.fd);
	return 0;
}
