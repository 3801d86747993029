/* SPDX-License-Identifier: Apache-2.0 */
/* smtp: the server's SMTP on a pipe: by hand, for another program, or from a batch file (BSMTP). */
#include "cli/command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *folder)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (snprintf(name.sun_path, sizeof(name.sun_path), "%s/run/smtp.sock", folder) <
		    (int)sizeof(name.sun_path) &&
	    fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	fprintf(stderr,
		"glasspost: no SMTP server answers on %s/run/smtp.sock: %s\n"
		"  start it with: glasspost --dir %s serve\n",
		folder, strerror(errno), folder);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- a pipe ---- */

static bool write_all(int fd, const char *at, size_t len)
{
	while (len > 0) {
		ssize_t put = write(fd, at, len);

		if (put < 0 && errno != EINTR)
			return false;
		if (put > 0) {
			at += put;
			len -= (size_t)put;
		}
	}
	return true;
}

/* What is there now, from one to the other. 1: go on; 0: the end; -1: failed. */
static int copy_some(int from, int to)
{
	char octets[4096];
	ssize_t got = read(from, octets, sizeof(octets));

	if (got < 0)
		return errno == EINTR ? 1 : -1;
	return got == 0 ? 0 : write_all(to, octets, (size_t)got) ? 1 : -1;
}

/* Until the server closes; the end of our input is told to it, and its last words are waited for. */
static int pump(int server)
{
	struct pollfd ends[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
				  { .fd = server, .events = POLLIN } };

	for (;;) {
		if (poll(ends, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return EX_OSERR;
		}
		if (ends[1].revents) {
			int more = copy_some(server, STDOUT_FILENO);

			if (more <= 0)
				return more == 0 ? EX_OK : EX_IOERR;
		}
		if (ends[0].revents && copy_some(STDIN_FILENO, server) <= 0) {
			shutdown(server, SHUT_WR);
			ends[0].fd = -1;
		}
	}
}

/* ---- a batch ---- */

struct batch {
	FILE *input;
	FILE *server; /* what it says */
	int fd;
	char *line; /* of the input, without its end */
	size_t room;
	size_t len;
	bool refused; /* anything at all */
};

static bool next_line(struct batch *batch)
{
	ssize_t got = getline(&batch->line, &batch->room, batch->input);

	if (got < 0)
		return false;
	batch->len = (size_t)got;
	while (batch->len > 0 &&
	       (batch->line[batch->len - 1] == '\n' || batch->line[batch->len - 1] == '\r'))
		batch->len--;
	return true;
}

static bool send_line(struct batch *batch)
{
	return write_all(batch->fd, batch->line, batch->len) && write_all(batch->fd, "\r\n", 2);
}

/* Prints a reply and gives its code; 0 when the server is gone. */
static int read_reply(struct batch *batch)
{
	char *line = NULL;
	size_t room = 0;
	int code = 0;

	while (getline(&line, &room, batch->server) >= 4) {
		char after = line[3];

		fputs(line, stdout);
		code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
		if (after != '-')
			break;
		code = 0;
	}
	free(line);
	batch->refused |= code == 0 || code >= 400;
	return code;
}

static bool is_end_of_data(const struct batch *batch)
{
	return batch->len == 1 && batch->line[0] == '.';
}

/* The message that follows DATA: sent when the server wants it, else skipped, or its lines would be commands. */
static bool play_data(struct batch *batch, bool wanted)
{
	while (next_line(batch)) {
		bool is_end = is_end_of_data(batch);

		if (wanted && !send_line(batch))
			return false;
		if (is_end)
			return !wanted || read_reply(batch) != 0;
	}
	return false;
}

static bool is_verb(const struct batch *batch, struct str verb)
{
	return str_is_nocase(str_trim((struct str){ batch->line, batch->len }), verb);
}

static void play(struct batch *batch)
{
	int code = read_reply(batch); /* the greeting */

	while (code != 0 && next_line(batch)) {
		bool is_data = is_verb(batch, S("DATA"));

		if (!send_line(batch))
			break;
		code = read_reply(batch);
		if (is_data && !play_data(batch, code == 354))
			break;
		if (is_verb(batch, S("QUIT")))
			return;
	}
	batch->refused |= code == 0;
}

static int play_file(int server, const char *path)
{
	struct batch batch = { .fd = server };

	batch.input = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (!batch.input) {
		fprintf(stderr, "glasspost: %s: %s\n", path, strerror(errno));
		return EX_NOINPUT;
	}
	batch.server = fdopen(dup(server), "r");
	must(batch.server);
	play(&batch);
	fclose(batch.server);
	if (batch.input != stdin)
		fclose(batch.input);
	free(batch.line);
	return batch.refused ? EX_DATAERR : EX_OK;
}

int run_smtp(const struct invocation *invocation)
{
	int server = connect_to(invocation->folder);
	int status;

	if (server < 0)
		return EX_UNAVAILABLE;
	/* A server that hangs up is told by what it said last and by the exit status. */
	signal(SIGPIPE, SIG_IGN);
	status = invocation->words[0] ? play_file(server, invocation->words[0]) : pump(server);
	close(server);
	return status;
}
