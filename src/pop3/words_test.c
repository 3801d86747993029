/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"
#include "pop3/pop3.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct example {
	const char *line;
	enum pop3_reply reply;
	enum pop3_verb verb;
	const char *text;
	const char *secret;
	uint64_t number;
	uint64_t lines;
};

static const struct example examples[] = {
	{ "NOOP", POP3_REPLY_NONE, POP3_NOOP, "", "", 0, 0 },
	{ "noop", POP3_REPLY_NONE, POP3_NOOP, "", "", 0, 0 },
	{ "NOOP  ", POP3_REPLY_NONE, POP3_NOOP, "", "", 0, 0 },
	{ "NOOP 1", POP3_REPLY_SYNTAX, POP3_NOOP, "", "", 0, 0 },
	{ "USER mrose", POP3_REPLY_NONE, POP3_USER, "mrose", "", 0, 0 },
	{ "USER", POP3_REPLY_SYNTAX, POP3_USER, "", "", 0, 0 },
	{ "PASS two words ", POP3_REPLY_NONE, POP3_PASS, "two words ", "", 0, 0 },
	{ "APOP mrose c4c9334bac560ecc979e58001b3e22fb", POP3_REPLY_NONE, POP3_APOP, "mrose",
	  "c4c9334bac560ecc979e58001b3e22fb", 0, 0 },
	{ "APOP mrose C4C9334BAC560ECC979E58001B3E22FB", POP3_REPLY_SYNTAX, POP3_APOP, "mrose", "",
	  0, 0 },
	{ "APOP c4c9334bac560ecc979e58001b3e22fb", POP3_REPLY_SYNTAX, POP3_APOP, "", "", 0, 0 },
	{ "AUTH", POP3_REPLY_NONE, POP3_AUTH, "", "", 0, 0 },
	{ "AUTH PLAIN dGVzdAB0ZXN0AHRlc3Q=", POP3_REPLY_NONE, POP3_AUTH, "PLAIN",
	  "dGVzdAB0ZXN0AHRlc3Q=", 0, 0 },
	{ "AUTH PLAIN a b", POP3_REPLY_SYNTAX, POP3_AUTH, "PLAIN", "a", 0, 0 },
	{ "RETR 1", POP3_REPLY_NONE, POP3_RETR, "", "", 1, 0 },
	{ "RETR 0", POP3_REPLY_NONE, POP3_RETR, "", "", 0, 0 },
	{ "RETR", POP3_REPLY_SYNTAX, POP3_RETR, "", "", 0, 0 },
	{ "RETR -1", POP3_REPLY_SYNTAX, POP3_RETR, "", "", 0, 0 },
	{ "RETR +1", POP3_REPLY_SYNTAX, POP3_RETR, "", "", 0, 0 },
	{ "RETR 1x", POP3_REPLY_SYNTAX, POP3_RETR, "", "", 0, 0 },
	{ "RETR 0x1", POP3_REPLY_SYNTAX, POP3_RETR, "", "", 0, 0 },
	{ "RETR 1 2", POP3_REPLY_SYNTAX, POP3_RETR, "", "", 1, 0 },
	{ "RETR 4294967297", POP3_REPLY_NONE, POP3_RETR, "", "", 4294967297, 0 },
	{ "RETR 18446744073709551617", POP3_REPLY_SYNTAX, POP3_RETR, "", "", 0, 0 },
	{ "TOP 1 10", POP3_REPLY_NONE, POP3_TOP, "", "", 1, 10 },
	{ "TOP 1 0", POP3_REPLY_NONE, POP3_TOP, "", "", 1, 0 },
	{ "TOP 1", POP3_REPLY_SYNTAX, POP3_TOP, "", "", 1, 0 },
	{ "TOP 1 -1", POP3_REPLY_SYNTAX, POP3_TOP, "", "", 1, 0 },
	{ "TOP 1x10", POP3_REPLY_SYNTAX, POP3_TOP, "", "", 0, 0 },
	{ "LIST", POP3_REPLY_NONE, POP3_LIST, "", "", 0, 0 },
	{ "LIST 2", POP3_REPLY_NONE, POP3_LIST, "", "", 2, 0 },
	{ "UIDL two", POP3_REPLY_SYNTAX, POP3_UIDL, "", "", 0, 0 },
	{ "LANG", POP3_REPLY_NONE, POP3_LANG, "", "", 0, 0 },
	{ "LANG en-GB", POP3_REPLY_NONE, POP3_LANG, "en-GB", "", 0, 0 },
	{ "XTND XMIT", POP3_REPLY_UNKNOWN, POP3_NONE, "", "", 0, 0 },
	{ "", POP3_REPLY_UNKNOWN, POP3_NONE, "", "", 0, 0 },
	{ " NOOP", POP3_REPLY_UNKNOWN, POP3_NONE, "", "", 0, 0 },
	{ "USER a\x01z", POP3_REPLY_CONTROL, POP3_USER, "", "", 0, 0 },
	{ "NOOP\r", POP3_REPLY_CONTROL, POP3_NONE, "", "", 0, 0 },
	{ "USER \xff\xfe", POP3_REPLY_NOT_UTF8, POP3_USER, "", "", 0, 0 },
	{ "USER j\xc3\xb6rg", POP3_REPLY_NONE, POP3_USER, "j\xc3\xb6rg", "", 0, 0 },
};

static void command_lines_are_read_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(examples); i++) {
		const struct example *example = &examples[i];
		struct pop3_command command;
		enum pop3_reply reply = pop3_command_parse(str_of(example->line), &command);

		if (reply != example->reply || command.verb != example->verb)
			fail_msg("%s: reply %d, verb %d", example->line, reply, command.verb);
		if (reply != POP3_REPLY_NONE)
			continue;
		assert_true(str_is(command.text, str_of(example->text)));
		assert_true(str_is(command.secret, str_of(example->secret)));
		assert_true(command.number == example->number);
		assert_true(command.line_count == example->lines);
	}
}

static void a_nul_in_a_line_is_refused(void **state)
{
	struct pop3_command command;

	(void)state;
	assert_int_equal(pop3_command_parse(S("USER a\0b"), &command), POP3_REPLY_CONTROL);
}

static void only_passwords_and_sasl_may_be_long(void **state)
{
	static char line[600];
	struct pop3_command command;
	struct str text = { line, sizeof(line) };

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "USER ", 5);
	assert_int_equal(pop3_command_parse(text, &command), POP3_REPLY_TOO_LONG);
	assert_int_equal(pop3_command_parse(str_first(text, 253), &command), POP3_REPLY_NONE);
	assert_int_equal(pop3_command_parse(str_first(text, 254), &command), POP3_REPLY_TOO_LONG);
	memcpy(line, "PASS ", 5);
	assert_int_equal(pop3_command_parse(text, &command), POP3_REPLY_NONE);
	memcpy(line, "AUTH ", 5);
	assert_int_equal(pop3_command_parse(text, &command), POP3_REPLY_NONE);
}

static void secrets_are_masked(void **state)
{
	static const char *const lines[][2] = {
		{ "PASS hunter2", "PASS ****" },
		{ "pass  hunter2", "pass  ****" },
		{ "PASS", "PASS" },
		{ "PAS hunter2", "PAS ****" },
		{ "PASShunter2", "PASS****" },
		{ "pass:hunter2", "pass****" },
		{ "AUTH AGFsaWNlAHNlY3JldHNlY3JldA==", "AUTH ****" },
		{ "AUTH PLAIN AGEAYg==", "AUTH PLAIN ****" },
		{ "AUTH PLAIN", "AUTH PLAIN" },
		{ "APOP mrose c4c9334bac560ecc979e58001b3e22fb", "APOP mrose ****" },
		{ "USER mrose", "USER mrose" },
		{ "RETR 1", "RETR 1" },
		{ "", "" },
	};
	OWNED(arena) struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		bool masked;
		struct str shown = pop3_command_mask(&arena, str_of(lines[i][0]), &masked);

		assert_true(str_is(shown, str_of(lines[i][1])));
		assert_int_equal(masked, strcmp(lines[i][0], lines[i][1]) != 0);
	}
}

static void a_login_may_name_a_folder(void **state)
{
	static const char *const logins[][4] = {
		{ "ann@example.org", "+", "ann@example.org", "" },
		{ "ann+lists@example.org", "+", "ann@example.org", "lists" },
		{ "ann@example.org+lists", "+", "ann@example.org", "lists" },
		{ "ann+a+b@example.org", "+", "ann@example.org", "a+b" },
		{ "ann+lists", "+", "ann", "lists" },
		{ "ann+@example.org", "+", "ann+@example.org", "" },
		{ "ann@example.org+", "+", "ann@example.org+", "" },
		{ "+lists@example.org", "+", "+lists@example.org", "" },
		{ "ann+lists@example.org", "", "ann+lists@example.org", "" },
		{ "ann--lists@example.org", "--", "ann@example.org", "lists" },
		{ "", "+", "", "" },
	};
	OWNED(arena) struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(logins); i++) {
		struct str user;
		struct str folder;

		login_split(&arena, str_of(logins[i][0]), str_of(logins[i][1]), &user, &folder);
		if (!str_is(user, str_of(logins[i][2])) || !str_is(folder, str_of(logins[i][3])))
			fail_msg("%s gave %.*s and %.*s", logins[i][0], STR_ARGS(user),
				 STR_ARGS(folder));
	}
}

static void every_reply_is_one_short_line(void **state)
{
	(void)state;
#define REPLY(name, status, text)                                                                  \
	do {                                                                                       \
		struct str line = pop3_reply_text(POP3_REPLY_##name);                              \
		assert_true(line.len + 2 <= 512); /* rfc2449 4 */                                  \
		assert_true(str_find(line, '\n') == STR_NONE && str_is_ascii(line));               \
		assert_true(line.at[line.len - 1] != ' ');                                         \
		assert_true(str_starts(line, S("+OK")) || str_starts(line, S("-ERR ")));           \
		assert_int_equal(pop3_reply_is_ok(POP3_REPLY_##name), line.at[0] == '+');          \
	} while (0);
#include "pop3/replies.def"
#undef REPLY
}

static void a_browser_is_recognised(void **state)
{
	(void)state;
	assert_true(pop3_line_is_http(S("GET / HTTP/1.1")));
	assert_true(pop3_line_is_http(S("POST /x HTTP/1.0")));
	assert_false(pop3_line_is_http(S("GETX")));
	assert_false(pop3_line_is_http(S("USER GET ")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_lines_are_read_strictly),
		cmocka_unit_test(a_nul_in_a_line_is_refused),
		cmocka_unit_test(only_passwords_and_sasl_may_be_long),
		cmocka_unit_test(secrets_are_masked),
		cmocka_unit_test(a_login_may_name_a_folder),
		cmocka_unit_test(every_reply_is_one_short_line),
		cmocka_unit_test(a_browser_is_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
