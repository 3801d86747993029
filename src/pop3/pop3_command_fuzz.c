/* SPDX-License-Identifier: Apache-2.0 */
/* Any octets as one command line: no crash, numbers in bounds, nothing secret in the masked line. */
#include "mail/mail.h"
#include "pop3/pop3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_within(struct str part, struct str whole)
{
	return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(arena) struct arena arena = { 0 };
	struct str line = { (const char *)data, size };
	struct pop3_command command;
	struct str user;
	struct str folder;
	bool masked;
	enum pop3_reply reply = pop3_command_parse(line, &command);
	struct str shown = pop3_command_mask(&arena, line, &masked);

	must(lies_within(command.text, line) && lies_within(command.secret, line));
	must(reply == POP3_REPLY_NONE || !pop3_reply_is_ok(reply));
	must(masked || str_is(shown, line));
	if (reply == POP3_REPLY_NONE && command.verb == POP3_PASS)
		must(masked && shown.len - 4 == line.len - command.text.len);
	pop3_line_is_http(line);
	login_split(&arena, line, S("+"), &user, &folder);
	must(user.len + folder.len <= size);
	return 0;
}
