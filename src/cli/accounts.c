/* SPDX-License-Identifier: Apache-2.0 */
/* account, domain and alias: the store knows them, we only ask. */
#include "cli/command.h"

#include <stdio.h>

static int say_done(int status, const char *before, const char *of, const char *after)
{
	if (status == EX_OK)
		printf("%s%s%s\n", before, of, after);
	return status;
}

static json_t *text_of(const char *text)
{
	return control_string(str_of(text));
}

/* A command that takes an address and a password. */
static int with_password(const struct invocation *invocation, const char *command)
{
	OWNED(buf) struct buf password = BUF(LIMIT_password);
	json_t *arguments;
	int status;

	if (!server_answers(invocation, "store", "version"))
		return ask_store(invocation, "version", NULL, NULL); /* says why */
	status = read_password(invocation, invocation->words[0], &password);
	if (status == EX_OK) {
		arguments = json_pack("{s:o, s:o}", "address", text_of(invocation->words[0]),
				      "password", control_string(buf_str(&password)));
		if (invocation->options[CLI_quota])
			json_object_set_new(arguments, "quota",
					    text_of(invocation->options[CLI_quota]));
		status = ask_store(invocation, command, arguments, NULL);
	}
	if (password.at)
		explicit_bzero(password.at, password.len);
	return status;
}

int run_account_add(const struct invocation *invocation)
{
	return say_done(with_password(invocation, "account add"), "made ", invocation->words[0],
			"");
}

int run_account_password(const struct invocation *invocation)
{
	return say_done(with_password(invocation, "account password"), "", invocation->words[0],
			" has a new password");
}

static json_t *domain_argument(const struct invocation *invocation)
{
	if (invocation->word_count == 0)
		return NULL;
	return json_pack("{s:o}", "domain", text_of(invocation->words[0]));
}

int run_account_list(const struct invocation *invocation)
{
	return list_store(invocation, "account list", domain_argument(invocation),
			  "no accounts: glasspost account add ADDRESS makes the first one, for "
			  "example anna@example.org");
}

int run_account_delete(const struct invocation *invocation)
{
	json_t *arguments = json_pack("{s:o}", "address", text_of(invocation->words[0]));

	return say_done(ask_store(invocation, "account delete", arguments, NULL), "deleted ",
			invocation->words[0], " with all its mail");
}

int run_domain_add(const struct invocation *invocation)
{
	return say_done(ask_store(invocation, "domain add", domain_argument(invocation), NULL),
			"mail for ", invocation->words[0], " is ours now");
}

int run_domain_list(const struct invocation *invocation)
{
	return list_store(
		invocation, "domain list", domain_argument(invocation),
		"no domains: glasspost domain add DOMAIN makes mail for the first one ours");
}

int run_domain_delete(const struct invocation *invocation)
{
	return say_done(ask_store(invocation, "domain delete", domain_argument(invocation), NULL),
			"mail for ", invocation->words[0], " is no longer ours");
}

int run_alias_add(const struct invocation *invocation)
{
	json_t *targets = json_array();
	json_t *arguments;

	for (size_t i = 1; i < invocation->word_count; i++)
		json_array_append_new(targets, text_of(invocation->words[i]));
	arguments = json_pack("{s:o, s:o}", "address", text_of(invocation->words[0]), "targets",
			      targets);
	return say_done(ask_store(invocation, "alias add", arguments, NULL), "",
			invocation->words[0], " is sent on");
}

int run_alias_list(const struct invocation *invocation)
{
	return list_store(invocation, "alias list", domain_argument(invocation),
			  "no aliases: glasspost alias add ADDRESS TARGET... makes the first one");
}

int run_alias_delete(const struct invocation *invocation)
{
	json_t *arguments = json_pack("{s:o}", "address", text_of(invocation->words[0]));

	return say_done(ask_store(invocation, "alias delete", arguments, NULL), "deleted alias ",
			invocation->words[0], "");
}

int run_store_check(const struct invocation *invocation)
{
	json_t *arguments = json_pack("{s:b}", "deep", invocation->options[CLI_deep] != NULL);
	int status = ask_server(invocation, &(struct asking){ .role = "store",
							      .command = "store check",
							      .arguments = arguments,
							      .output = listing(invocation) });

	if (status == EX_OK && !invocation->options[CLI_json])
		puts("the store is sound");
	return status;
}

int run_store_compact(const struct invocation *invocation)
{
	return ask_server(invocation, &(struct asking){ .role = "store",
							.command = "store compact",
							.output = OUTPUT_TABLE });
}

int run_store_stats(const struct invocation *invocation)
{
	return list_store(invocation, "store stats", NULL, NULL);
}
