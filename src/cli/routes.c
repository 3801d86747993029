/* SPDX-License-Identifier: Apache-2.0 */
/* route, credential and source: the store knows them, we only ask. */
#include "cli/command.h"

#include <stdio.h>

static json_t *text_of(const char *text)
{
	return control_string(str_of(text ? text : ""));
}

static int delete_one(const struct invocation *invocation, const char *command, const char *key)
{
	json_t *arguments = json_pack("{s:o}", key, text_of(invocation->words[0]));
	int status = ask_store(invocation, command, arguments, NULL);

	if (status == EX_OK)
		printf("deleted %s\n", invocation->words[0]);
	return status;
}

/* ---- routes ---- */

static const struct way {
	enum cli_option option;
	const char *transport;
} ways[] = {
	{ CLI_smtp, "smtp" }, { CLI_smtps, "smtps" },     { CLI_lmtp, "lmtp" },   { CLI_mx, "mx" },
	{ CLI_mx_of, "mx" },  { CLI_discard, "discard" }, { CLI_error, "error" },
};

static const struct way *find_way(const struct invocation *invocation)
{
	const struct way *found = NULL;

	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		if (!invocation->options[ways[i].option])
			continue;
		if (found) {
			fprintf(stderr, "glasspost: --%s and --%s are two ways: name one\n",
				cli_options[found->option].name, cli_options[ways[i].option].name);
			return NULL;
		}
		found = &ways[i];
	}
	if (!found)
		fputs("glasspost: which way? --smtp, --smtps or --lmtp HOST:PORT, --mx, --mx-of "
		      "DOMAIN, "
		      "--discard or --error TEXT\n",
		      stderr);
	return found;
}

int run_route_add(const struct invocation *invocation)
{
	const struct way *way = find_way(invocation);
	json_t *result = NULL;
	int status;

	if (!way)
		return EX_USAGE;
	status = ask_store(invocation, "route add",
			   json_pack("{s:o, s:s, s:o, s:o, s:o, s:b}", "domain",
				     text_of(invocation->words[0]), "transport", way->transport,
				     "target", text_of(invocation->options[way->option]), "tls",
				     text_of(invocation->options[CLI_tls]), "credential",
				     text_of(invocation->options[CLI_credential]), "fallback",
				     invocation->options[CLI_fallback] != NULL),
			   &result);
	if (status == EX_OK)
		printf("%s goes that way from now on, TLS %s\n", invocation->words[0],
		       json_string_value(json_object_get(result, "tls")));
	json_decref(result);
	return status;
}

int run_route_list(const struct invocation *invocation)
{
	return list_store(
		invocation, "route list", NULL,
		"no routes: mail goes to the MX hosts of its domain; glasspost route add DOMAIN "
		"--smtp HOST:PORT makes the first one");
}

int run_route_delete(const struct invocation *invocation)
{
	return delete_one(invocation, "route delete", "domain");
}

/* ---- credentials ---- */

int run_credential_add(const struct invocation *invocation)
{
	OWNED(buf) struct buf password = BUF(LIMIT_password);
	int status;

	if (!invocation->options[CLI_user]) {
		fputs("glasspost: whose password? --user USER\n", stderr);
		return EX_USAGE;
	}
	if (!server_answers(invocation, "store", "version"))
		return ask_store(invocation, "version", NULL, NULL); /* says why */
	status = read_password(invocation, invocation->words[0], &password);
	if (status == EX_OK)
		status = ask_store(invocation, "credential add",
				   json_pack("{s:o, s:o, s:o}", "name",
					     text_of(invocation->words[0]), "user",
					     text_of(invocation->options[CLI_user]), "password",
					     control_string(buf_str(&password))),
				   NULL);
	if (password.at)
		explicit_bzero(password.at, password.len);
	if (status == EX_OK)
		printf("kept %s\n", invocation->words[0]);
	return status;
}

int run_credential_list(const struct invocation *invocation)
{
	return list_store(
		invocation, "credential list", NULL,
		"no credentials: glasspost credential add NAME --user USER makes the first one");
}

int run_credential_delete(const struct invocation *invocation)
{
	return delete_one(invocation, "credential delete", "name");
}

/* ---- sources ---- */

int run_source_add(const struct invocation *invocation)
{
	json_t *addresses = json_array();
	int status;

	for (size_t i = 1; i < invocation->word_count; i++)
		json_array_append_new(addresses, text_of(invocation->words[i]));
	status = ask_store(invocation, "source add",
			   json_pack("{s:o, s:o}", "domain", text_of(invocation->words[0]),
				     "addresses", addresses),
			   NULL);
	if (status == EX_OK)
		printf("mail of %s leaves from there\n", invocation->words[0]);
	return status;
}

int run_source_list(const struct invocation *invocation)
{
	return list_store(invocation, "source list", NULL,
			  "no sources: mail leaves from the address that the system chooses");
}

int run_source_delete(const struct invocation *invocation)
{
	return delete_one(invocation, "source delete", "domain");
}

/* ---- the key ---- */

int run_store_rotate_key(const struct invocation *invocation)
{
	json_t *result = NULL;
	int status = ask_store(invocation, "store rotate-key", NULL, &result);

	if (status == EX_OK && invocation->options[CLI_json])
		print_json(result, false);
	else if (status == EX_OK)
		printf("the key is a new one; %lld secrets were encrypted anew\n",
		       (long long)json_integer_value(json_object_get(result, "secrets")));
	json_decref(result);
	return status;
}
