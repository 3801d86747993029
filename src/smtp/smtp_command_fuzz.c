/* SPDX-License-Identifier: Apache-2.0 */
/* Any line gives a command or a reply, and what is said of it is a well-formed reply. */
#include "smtp/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const struct smtp_reply *reply)
{
	OWNED(buf) struct buf out = BUF(1 << 20);
	struct scan scan;
	struct str line;

	must(smtp_reply_print(&out, reply, true) == OK);
	scan = scan_of(buf_str(&out));
	while (take_until(&scan, '\n', &line)) {
		must(line.len + 1 <= LIMIT_smtp_reply_line);
		must(line.len >= 5 && line.at[line.len - 1] == '\r');
		must((line.at[3] == ' ') == scan_at_end(&scan));
		for (size_t i = 0; i + 1 < line.len; i++)
			must(line.at[i] >= ' ' && line.at[i] <= '~');
	}
	must(scan_at_end(&scan));
}

static void check_xtext(struct arena *arena, struct str octets)
{
	OWNED(buf) struct buf text = BUF(1 << 20);
	struct str back;

	must(xtext_add(&text, octets) == OK);
	must(xtext_take(arena, buf_str(&text), &back));
	must(str_is(back, octets));
	(void)xtext_take(arena, octets, &back);
}

static void check_address(struct arena *arena, const struct smtp_command *command)
{
	struct str text = address_print(arena, &command->address);
	struct address again;

	must(address_parse(arena, text, true, &again));
	must(str_is(address_print(arena, &again), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct smtp_command command;
	struct smtp_rules rules = { .extensions = ~0u };
	struct smtp_reply reply;
	struct str line;

	if (size < 1 || size > LIMIT_smtp_command_line)
		return 0;
	rules.is_lmtp = data[0] & 1;
	rules.allows_utf8 = data[0] & 2;
	line = (struct str){ (const char *)data + 1, size - 1 };
	reply = smtp_command_parse(&arena, line, &rules, &command);
	if (reply.code)
		check_reply(&reply);
	else
		must(command.verb > SMTP_FOREIGN);
	if (!reply.code && (command.verb == SMTP_MAIL || command.verb == SMTP_RCPT) &&
	    !command.is_null && !command.is_postmaster)
		check_address(&arena, &command);
	reply = smtp_help(&arena, command.argument, &rules);
	check_reply(&reply);
	check_xtext(&arena, line);
	arena_drop(&arena);
	return 0;
}
