/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdio.h>
#include <termios.h>
#include <unistd.h>

/* One line of `in`, without its end. */
static enum err take_line(FILE *in, struct buf *out)
{
	int c;

	buf_reset(out);
	while ((c = getc(in)) != EOF && c != '\n')
		buf_add_char(out, (char)c);
	if (out->len > 0 && out->at[out->len - 1] == '\r')
		out->len--;
	return out->failed ? ERR_LIMIT : OK;
}

static enum err ask_quietly(FILE *terminal, const char *question, struct buf *out)
{
	struct termios before, quiet;
	enum err err;

	fputs(question, terminal);
	fflush(terminal);
	if (tcgetattr(fileno(terminal), &before) != 0)
		return fault_errno("the terminal");
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(terminal), TCSAFLUSH, &quiet);
	err = take_line(terminal, out);
	tcsetattr(fileno(terminal), TCSAFLUSH, &before);
	fputs("\n", terminal);
	return err;
}

static int from_terminal(const char *of, struct buf *out)
{
	OWNED(buf) struct buf again = BUF(LIMIT_password);
	FILE *terminal = fopen("/dev/tty", "r+e");
	char question[400];
	enum err err;
	bool same;

	if (!terminal) {
		fputs("glasspost: no terminal to ask on; use --password-stdin\n", stderr);
		return EX_USAGE;
	}
	snprintf(question, sizeof question, "Password of %s: ", of);
	err = ask_quietly(terminal, question, out);
	if (!err)
		err = ask_quietly(terminal, "The same again: ", &again);
	fclose(terminal);
	same = str_is(buf_str(out), buf_str(&again));
	if (again.at)
		explicit_bzero(again.at, again.len);
	if (!err && same)
		return EX_OK;
	fputs(err ? "glasspost: the password is too long\n"
		  : "glasspost: the two are not the same; nothing was changed\n",
	      stderr);
	return EX_DATAERR;
}

int read_password(const struct invocation *invocation, const char *of, struct buf *out)
{
	int status = EX_OK;

	if (!invocation->options[CLI_password_stdin])
		status = from_terminal(of, out);
	else if (take_line(stdin, out) != OK) {
		fprintf(stderr, "glasspost: the password is longer than %d octets\n",
			LIMIT_password);
		status = EX_DATAERR;
	}
	if (status == EX_OK && out->len == 0) {
		fputs("glasspost: the password is empty; nothing was changed\n", stderr);
		status = EX_DATAERR;
	}
	return status;
}
