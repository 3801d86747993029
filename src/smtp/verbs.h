/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to smtp's words: the table of commands, and the parts of a command line that have a file of their own. */
#include "smtp/smtp.h"

enum smtp_verb smtp_verb_find(struct str word); /* SMTP_UNKNOWN when it is none */
struct str smtp_verb_syntax(enum smtp_verb verb);
bool smtp_verb_is_refused(enum smtp_verb verb);

static inline struct smtp_reply smtp_no_reply(void)
{
	return (struct smtp_reply){ 0 };
}
/* 501 with the command's own syntax line. */
struct smtp_reply smtp_syntax_reply(struct arena *arena, enum smtp_verb verb);

/* What follows MAIL and RCPT. */
struct smtp_reply smtp_mail_parse(struct arena *arena, struct str argument,
				  const struct smtp_rules *rules, struct smtp_command *out);
struct smtp_reply smtp_rcpt_parse(struct arena *arena, struct str argument,
				  const struct smtp_rules *rules, struct smtp_command *out);
