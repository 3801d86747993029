/* SPDX-License-Identifier: Apache-2.0 */
#include "record/dialogue.h"
#include "record/kept.h"

#include <stdlib.h>

enum { PATH_KEPT = 320 };

void dialogue_drop(struct dialogue **at)
{
	struct dialogue *dialogue = *at;

	*at = NULL;
	if (!dialogue)
		return;
	kept_drop(&dialogue->greeting);
	kept_drop(&dialogue->helo);
	kept_drop(&dialogue->sender);
	kept_drop(&dialogue->recipient);
	free(dialogue);
}

static bool is_no_blank(unsigned char c)
{
	return c != ' ' && c != '\t';
}

/* What stands between the angle brackets, of which a quoted local part may have some too. */
static struct str path_of(struct str text)
{
	bool in_quotes = false;

	for (size_t i = 1; i < text.len && text.at[0] == '<'; i++) {
		if (text.at[i] == '"')
			in_quotes = !in_quotes;
		else if (in_quotes && text.at[i] == '\\')
			i++;
		else if (!in_quotes && text.at[i] == '>')
			return str_first(str_from(text, 1), i - 1);
	}
	return (struct str){ 0 };
}

/* "MAIL FROM:<path> ...": as the client wrote it; empty when it is none. */
static struct str path_in(struct str arguments, struct str keyword)
{
	struct scan scan = scan_of(arguments);

	if (!take_str_nocase(&scan, keyword))
		return (struct str){ 0 };
	take_blanks(&scan);
	return path_of(scan_rest(&scan));
}

static void note_command(struct dialogue *dialogue, const struct trace_command *command)
{
	struct scan scan = scan_of(command->line);
	struct str verb = str_first(command->verb, sizeof(dialogue->verb) - 1);

	memcpy(dialogue->verb, verb.at ? verb.at : "", verb.len);
	dialogue->verb[verb.len] = '\0';
	dialogue->is_answered = false;
	(void)take_while(&scan, is_no_blank);
	take_blanks(&scan);
	if (str_is(verb, S("EHLO")) || str_is(verb, S("HELO")) || str_is(verb, S("LHLO"))) {
		kept_set(&dialogue->greeting, verb, sizeof(dialogue->verb));
		kept_set(&dialogue->helo, take_while(&scan, is_no_blank), LIMIT_domain);
	} else if (str_is(verb, S("MAIL"))) {
		kept_set(&dialogue->sender, path_in(scan_rest(&scan), S("FROM:")), PATH_KEPT);
	} else if (str_is(verb, S("RCPT"))) {
		kept_set(&dialogue->recipient, path_in(scan_rest(&scan), S("TO:")), PATH_KEPT);
	}
}

void dialogue_note(struct session *session, const struct trace_event *event)
{
	struct dialogue *dialogue = session ? session->dialogue : NULL;

	if (!session)
		return;
	switch (event->head.kind) {
	case TRACE_command:
		if (!dialogue) {
			dialogue = session->dialogue = calloc(1, sizeof(*dialogue));
			must(dialogue);
		}
		note_command(dialogue, &event->command);
		break;
	case TRACE_reply:
		if (dialogue && !event->reply.more)
			dialogue->is_answered = true;
		break;
	case TRACE_close:
		dialogue_drop(&session->dialogue);
		break;
	default:
		break;
	}
}
