/* SPDX-License-Identifier: Apache-2.0 */
/* Which command may come when, and what HELP says of each. */
#include "smtp/verbs.h"

struct verb_row {
	const char *name;
	unsigned states;
	struct str syntax;
	struct str help;
	const char *rfc;
	bool is_refused;
};

static const struct verb_row verbs[SMTP_VERBS] = {
	[SMTP_UNKNOWN] = { .name = "" },
	[SMTP_FOREIGN] = { .name = "" },
#define COMMAND(verb, in_states, syntax_text, help_text, rfc_section)                              \
	[SMTP_##verb] = { #verb,                                                                   \
			  in_states,                                                               \
			  { syntax_text, sizeof(syntax_text) - 1 },                                \
			  { help_text, sizeof(help_text) - 1 },                                    \
			  rfc_section,                                                             \
			  false },
#define COMMAND_REFUSED(verb, help_text, rfc_section)                                              \
	[SMTP_##verb] = { #verb,                                                                   \
			  ANY,                                                                     \
			  { #verb, sizeof(#verb) - 1 },                                            \
			  { help_text, sizeof(help_text) - 1 },                                    \
			  rfc_section,                                                             \
			  true },
#include "smtp/commands.def"
};

const char *smtp_verb_name(enum smtp_verb verb)
{
	must(verb < SMTP_VERBS);
	return verbs[verb].name;
}

struct str smtp_verb_syntax(enum smtp_verb verb)
{
	must(verb < SMTP_VERBS);
	return verbs[verb].syntax;
}

enum smtp_verb smtp_verb_find(struct str word)
{
	for (unsigned verb = SMTP_FOREIGN + 1; verb < SMTP_VERBS; verb++)
		if (str_is_nocase(word, str_of(verbs[verb].name)))
			return (enum smtp_verb)verb;
	return SMTP_UNKNOWN;
}

bool smtp_verb_is_refused(enum smtp_verb verb)
{
	must(verb < SMTP_VERBS);
	return verbs[verb].is_refused;
}

const char *smtp_state_name(enum smtp_state state)
{
	switch (state) {
	case SMTP_FRESH:
		return "fresh";
	case SMTP_READY:
		return "ready";
	case SMTP_MAILING:
		return "mailing";
	case SMTP_ADDRESSED:
		return "addressed";
	case SMTP_CHUNKING:
		return "chunking";
	}
	return "?";
}

/* rfc5321 4.1.4: what is missing, said so that a person at the keyboard can go on. */
struct smtp_reply smtp_order(enum smtp_verb verb, enum smtp_state state)
{
	must(verb < SMTP_VERBS);
	if (verbs[verb].states & (unsigned)state)
		return (struct smtp_reply){ 0 };
	if (state == SMTP_FRESH)
		return smtp_reply(SMTP_REPLY_hello_first);
	if (verb == SMTP_STARTTLS || verb == SMTP_AUTH || verb == SMTP_ETRN)
		return smtp_reply(SMTP_REPLY_not_in_message);
	if (state == SMTP_CHUNKING)
		return smtp_reply(SMTP_REPLY_chunks_only);
	if (verb == SMTP_MAIL)
		return smtp_reply(SMTP_REPLY_sender_already);
	return smtp_reply(state == SMTP_READY ? SMTP_REPLY_mail_first : SMTP_REPLY_recipient_first);
}

static bool is_served(enum smtp_verb verb, const struct smtp_rules *rules)
{
	switch (verb) {
	case SMTP_EHLO:
	case SMTP_HELO:
		return !rules->is_lmtp;
	case SMTP_LHLO:
		return rules->is_lmtp;
	case SMTP_STARTTLS:
		return rules->extensions & SMTP_EXT_STARTTLS;
	case SMTP_AUTH:
		return rules->extensions & SMTP_EXT_AUTH;
	case SMTP_BDAT:
		return rules->extensions & SMTP_EXT_CHUNKING;
	case SMTP_EXPN:
		return rules->extensions & SMTP_EXT_EXPN;
	case SMTP_ETRN:
		return rules->extensions & SMTP_EXT_ETRN;
	default:
		return !verbs[verb].is_refused;
	}
}

static struct smtp_reply help_list(struct arena *arena, const struct smtp_rules *rules)
{
	struct str text = S("Commands here (HELP and a command says more):");

	for (unsigned i = SMTP_FOREIGN + 1; i < SMTP_VERBS; i++) {
		enum smtp_verb verb = (enum smtp_verb)i;

		if (is_served(verb, rules))
			text = str_print(arena, "%.*s\n  %.*s", STR_ARGS(text),
					 STR_ARGS(verbs[verb].syntax));
	}
	return smtp_reply_with(arena, SMTP_REPLY_help, text);
}

struct smtp_reply smtp_help(struct arena *arena, struct str topic, const struct smtp_rules *rules)
{
	enum smtp_verb verb = smtp_verb_find(topic);
	const char *note = "";

	if (topic.len == 0)
		return help_list(arena, rules);
	if (verb == SMTP_UNKNOWN)
		return smtp_reply_with(arena, SMTP_REPLY_parameter_not_done, topic);
	if (verbs[verb].is_refused)
		note = "\nNot done here.";
	else if (!is_served(verb, rules))
		note = "\nNot on this port, or not now.";
	return smtp_reply_with(arena, SMTP_REPLY_help,
			       str_print(arena, "%.*s\n%.*s\nRFC %s%s",
					 STR_ARGS(verbs[verb].syntax), STR_ARGS(verbs[verb].help),
					 verbs[verb].rfc, note));
}
