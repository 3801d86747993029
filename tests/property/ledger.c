/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>

enum { TEXT_MAX = 300000 };

void ledger_broken(struct ledger *ledger, const char *format, ...)
{
	va_list args;

	if (ledger->failure[0])
		return;
	va_start(args, format);
	vsnprintf(ledger->failure, sizeof(ledger->failure), format, args);
	va_end(args);
}

uint64_t chance(uint64_t below)
{
	return random_u64() % below;
}

/* ---- texts ---- */

/* Lines that a careless server would change: dots in front, nothing at all, octets above 127, blanks. */
static void add_line(struct buf *text)
{
	static const char *const lines[] = { ".",        "..",
					     "",         ".dot in front",
					     "From me",  "trailing blanks \t ",
					     "\xc3\xa4", "MAIL FROM:<a@b.example>",
					     "QUIT",     "an ordinary line of words" };

	buf_add_c(text, lines[chance(COUNT_OF(lines))]);
	buf_add(text, S("\r\n"));
}

static size_t choose_size(void)
{
	uint64_t dice = chance(100);

	if (dice < 70)
		return chance(500);
	if (dice < 93)
		return chance(10000);
	/* Past the size that travels inside a message between roles. */
	return chance(dice < 98 ? 70000 : 200000);
}

static struct str make_text(struct arena *arena, unsigned number)
{
	const struct str filler = S("0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRS");
	OWNED(buf) struct buf text = BUF(TEXT_MAX);
	size_t size = choose_size();

	buf_print(&text, "Subject: walk %u.\r\nFrom: <walker@client.example>\r\n\r\n", number);
	while (text.len < size) {
		if (size > 2000 && chance(8)) {
			buf_add(&text, str_first(filler, 1 + chance(filler.len)));
			buf_add(&text, S("\r\n"));
		} else {
			add_line(&text);
		}
	}
	return str_dup(arena, buf_str(&text));
}

struct ledger_message *ledger_message_new(struct ledger *ledger)
{
	struct ledger_message *message;

	if (ledger->count == LEDGER_MESSAGES)
		return NULL;
	message = &ledger->messages[ledger->count++];
	*message = (struct ledger_message){ .number = (unsigned)ledger->count };
	message->text = make_text(&ledger->arena, message->number);
	return message;
}

/* ---- what was read ---- */

static bool take_line(struct str *rest, struct str *line)
{
	size_t end = str_find_str(*rest, S("\r\n"));

	if (end == STR_NONE)
		return false;
	*line = str_first(*rest, end);
	*rest = str_from(*rest, end + 2);
	return true;
}

/* Return-Path, then one Received field with the lines that continue it; *rest is what was sent. */
static bool take_trace_fields(struct str got, struct str *rest)
{
	struct str line;

	if (!take_line(&got, &line) || !str_starts(line, S("Return-Path: <")))
		return false;
	if (!take_line(&got, &line) || !str_starts(line, S("Received: from ")))
		return false;
	while (got.len > 0 && (got.at[0] == ' ' || got.at[0] == '\t'))
		if (!take_line(&got, &line))
			return false;
	*rest = got;
	return true;
}

static struct ledger_message *find_message(struct ledger *ledger, struct str text)
{
	struct scan scan = scan_of(text);
	uint64_t number;

	if (!take_str_nocase(&scan, S("Subject: walk ")) ||
	    !take_number(&scan, ledger->count, &number) || number == 0)
		return NULL;
	return &ledger->messages[number - 1];
}

struct ledger_message *ledger_recognise(struct ledger *ledger, size_t account, struct str got)
{
	const char *address = scene_accounts[account];
	struct ledger_message *message;
	struct str text;
	enum fate fate;

	if (!take_trace_fields(got, &text)) {
		ledger_broken(ledger, "a message of %s does not begin with our fields: %.*s",
			      address, STR_ARGS(str_first(got, 300)));
		return NULL;
	}
	message = find_message(ledger, text);
	if (!message || !str_is(text, message->text)) {
		ledger_broken(ledger, "message %u of %s was changed: %zu octets, not %zu: %.*s",
			      message ? message->number : 0, address, text.len,
			      message ? message->text.len : 0, STR_ARGS(str_first(text, 300)));
		return NULL;
	}
	fate = message->copies[account].fate;
	if (fate == FATE_NONE || fate == FATE_REFUSED)
		ledger_broken(ledger, "message %u is with %s, who %s it", message->number, address,
			      fate == FATE_NONE ? "was not to get" : "refused");
	if (message->copies[account].deleted)
		ledger_broken(ledger, "message %u is with %s after it was deleted", message->number,
			      address);
	return message;
}

/* ---- the end ---- */

static void check_copy(struct ledger *ledger, const struct ledger_message *message, size_t account)
{
	static const char *const fates[] = { "not meant for it", "open", "acknowledged", "refused",
					     "unknown" };
	const struct ledger_copy *copy = &message->copies[account];
	bool may = copy->fate == FATE_ACCEPTED || copy->fate == FATE_UNKNOWN;
	bool shall = copy->fate == FATE_ACCEPTED && !copy->deleted && !copy->maybe_deleted;

	if (copy->fate == FATE_OPEN)
		ledger_broken(ledger, "message %u: nobody settled its fate", message->number);
	if (copy->found > (may && !copy->deleted) || copy->found < shall)
		ledger_broken(ledger, "message %u (%s%s%s) is %u times with %s", message->number,
			      fates[copy->fate], copy->deleted ? ", deleted" : "",
			      copy->maybe_deleted ? ", perhaps deleted" : "", copy->found,
			      scene_accounts[account]);
}

void ledger_check(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->count; i++)
		for (size_t account = 0; account < SCENE_ACCOUNTS; account++)
			check_copy(ledger, &ledger->messages[i], account);
}
