/* SPDX-License-Identifier: Apache-2.0 */
/* network and sender: who may relay, and as whom. The store has it, we only ask. */
#include "cli/command.h"

#include <stdio.h>

static json_t *texts_of(const char *const *words, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, control_string(str_of(words[i])));
	return list;
}

static int say_done(int status, const char *of, const char *after)
{
	if (status == EX_OK)
		printf("%s%s\n", of, after);
	return status;
}

static int say_networks(int status, const struct invocation *invocation, const char *what)
{
	if (status == EX_OK && invocation->word_count == 1)
		printf("%s: %s\n", invocation->words[0], what);
	else if (status == EX_OK)
		printf("%zu networks: %s\n", invocation->word_count, what);
	return status;
}

static int network_misuse(const char *what)
{
	fprintf(stderr, "glasspost: %s; see glasspost network add --help\n", what);
	return EX_USAGE;
}

int run_network_add(const struct invocation *invocation)
{
	const char *const *options = invocation->options;
	const char *verdict = options[CLI_relay] ? "relay" : options[CLI_allow] ? "allow" : "deny";
	json_t *arguments;

	if ((options[CLI_relay] != NULL) + (options[CLI_allow] != NULL) +
		    (options[CLI_deny] != NULL) !=
	    1)
		return network_misuse("one of --relay, --allow and --deny is needed");
	if (!options[CLI_relay] && (options[CLI_sender] || options[CLI_rate]))
		return network_misuse("--sender and --rate are for --relay");
	arguments =
		json_pack("{s:o, s:s, s:o}", "networks",
			  texts_of(invocation->words, invocation->word_count), "verdict", verdict,
			  "senders", texts_of(invocation->values, invocation->value_count));
	if (options[CLI_rate])
		json_object_set_new(arguments, "rate", control_string(str_of(options[CLI_rate])));
	if (options[CLI_before])
		json_object_set_new(arguments, "before",
				    control_string(str_of(options[CLI_before])));
	return say_networks(ask_store(invocation, "network add", arguments, NULL), invocation,
			    options[CLI_relay]   ? "may relay"
			    : options[CLI_allow] ? "let in"
						 : "turned away");
}

int run_network_list(const struct invocation *invocation)
{
	return list_store(
		invocation, "network list", NULL,
		"no networks: glasspost network add CIDR --relay|--allow|--deny lists the "
		"first one");
}

int run_network_delete(const struct invocation *invocation)
{
	json_t *arguments =
		json_pack("{s:o}", "networks", texts_of(invocation->words, invocation->word_count));

	return say_networks(ask_store(invocation, "network delete", arguments, NULL), invocation,
			    "not listed any more");
}

static json_t *sender_arguments(const struct invocation *invocation)
{
	return json_pack("{s:o, s:o}", "address", control_string(str_of(invocation->words[0])),
			 "senders", texts_of(invocation->words + 1, invocation->word_count - 1));
}

int run_sender_add(const struct invocation *invocation)
{
	return say_done(ask_store(invocation, "sender add", sender_arguments(invocation), NULL),
			invocation->words[0], " may send as others");
}

int run_sender_list(const struct invocation *invocation)
{
	json_t *arguments = NULL;

	if (invocation->word_count > 0)
		arguments =
			json_pack("{s:o}", "domain", control_string(str_of(invocation->words[0])));
	return list_store(
		invocation, "sender list", arguments,
		"nobody: accounts send under their own addresses only. glasspost sender add "
		"ADDRESS SENDER... lets one send as others");
}

int run_sender_delete(const struct invocation *invocation)
{
	return say_done(ask_store(invocation, "sender delete", sender_arguments(invocation), NULL),
			invocation->words[0], " may not send as those any more");
}
