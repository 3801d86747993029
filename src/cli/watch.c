/* SPDX-License-Identifier: Apache-2.0 */
/* watch: what was asked for, and in which of the two ways it can be shown. */
#include "cli/watch.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int usage(const char *option, const char *value, const char *what)
{
	fprintf(stderr, "glasspost: --%s: '%s' is %s\n", option, value, what);
	return EX_USAGE;
}

static bool take_speed(const char *text, double *out)
{
	char *end = NULL;
	double speed = strtod(text, &end);

	/* Written so that what is no number at all fails too. */
	if (end == text || *end || !(speed >= 0.1 && speed <= 100))
		return false;
	*out = speed;
	return true;
}

static int take_options(const struct invocation *invocation, struct watch_options *out)
{
	const char *const *given = invocation->options;

	*out = (struct watch_options){ .invocation = invocation,
				       .ascii = given[CLI_ascii] != NULL,
				       .plays = given[CLI_play] != NULL,
				       .explains = given[CLI_explain] != NULL,
				       .speed = 1 };
	if (given[CLI_session] && !id_parse(str_of(given[CLI_session]), &out->session))
		return usage("session", given[CLI_session],
			     "no session id; glasspost session list shows them");
	if (given[CLI_speed] && !take_speed(given[CLI_speed], &out->speed))
		return usage("speed", given[CLI_speed], "not from 0.1 to 100");
	if (given[CLI_explain] && !depth_parse(str_of(given[CLI_explain]), &out->depth))
		return usage("explain", given[CLI_explain], "none of newcomer, student and rfc");
	if (out->plays && !out->session) {
		fputs("glasspost: --play plays one session: add --session ID\n", stderr);
		return EX_USAGE;
	}
	return EX_OK;
}

/* What the environment says of characters is believed; where it says nothing they are UTF-8. */
static bool has_unicode(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	bool is_said = false;

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *value = getenv(names[i]);

		is_said = is_said || (value && value[0]);
	}
	if (!setlocale(LC_CTYPE, is_said ? "" : "C.UTF-8"))
		setlocale(LC_CTYPE, "C");
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int run_watch(const struct invocation *invocation)
{
	const char *terminal = getenv("TERM");
	struct watch_options options;
	bool is_screen;
	int status = take_options(invocation, &options);

	if (status != EX_OK)
		return status;
	is_screen = !invocation->options[CLI_text] && isatty(STDIN_FILENO) &&
		    isatty(STDOUT_FILENO) && terminal && terminal[0] &&
		    strcmp(terminal, "dumb") != 0;
	/* A pipe's reader is asked by --ascii alone, as `session show` is. */
	if (is_screen)
		options.ascii = !has_unicode() || options.ascii;
	return is_screen ? watch_screen(&options) : watch_text(&options);
}
