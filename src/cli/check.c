/* SPDX-License-Identifier: Apache-2.0 */
/* check: the configuration; the sandboxes; all that is stored. */
#include "cli/roles.h"
#include "cli/serve.h"
#include "sandbox/sandbox.h"

#include <stdio.h>
#include <stdlib.h>

static int check_config(const struct invocation *invocation, struct config **out)
{
	OWNED(buf) struct buf complaints = BUF(32768);
	struct arena arena = { 0 };
	struct str overrides[SERVE_OVERRIDES];
	size_t count = serve_overrides(invocation, &arena, overrides);
	char *path = NULL;
	enum err err;

	must(asprintf(&path, "%s/glasspost.conf", invocation->folder) >= 0);
	err = config_read_file(invocation->options[CLI_config] ? invocation->options[CLI_config]
							       : path,
			       overrides, count, &complaints, out);
	free(path);
	arena_drop(&arena);
	if (!err)
		return EX_OK;
	fprintf(stderr, "%.*s", STR_ARGS(buf_str(&complaints)));
	return EX_CONFIG;
}

static void print_config(const struct config *config)
{
	OWNED(buf) struct buf json = BUF(1 << 20);

	must(config_json(config, &json) == OK);
	printf("%.*s\n", STR_ARGS(buf_str(&json)));
}

/* ---- the sandboxes ---- */

static const char *lacking(const struct sandbox_report *report)
{
	const char *found = strstr(report->text, "lacking: ");

	return found ? found + strlen("lacking: ") : "nothing";
}

static int try_role(const struct invocation *invocation, const struct config *config,
		    enum role_kind kind, json_t *rows)
{
	struct sandbox_trial trials[SANDBOX_TRIALS_MAX];
	struct sandbox_report report;
	struct arena arena = { 0 };
	const char *role = role_kind_name(kind);
	bool has_folder = kind == ROLE_STORE;
	struct str store = str_print(&arena, "%s/store", invocation->folder);
	struct str store_key = str_print(&arena, "%s/store/store.key", invocation->folder);
	struct str tls_key =
		config->certificate_key.len
			? config->certificate_key
			: str_print(&arena, "%s/tls/self-signed.key", invocation->folder);
	size_t count = 0;
	int status = EX_OK;
	enum err err = sandbox_try(
		&(struct sandbox_request){ .role = role_sandbox_row(kind, config),
					   .folder = has_folder ? str_dup_c(&arena, store) : NULL,
					   .user = str_dup_c(&arena, config->user),
					   .required = str_is(config->sandbox, S("required")),
					   .tls_key = str_dup_c(&arena, tls_key),
					   .store_key = str_dup_c(&arena, store_key) },
		trials, &count, &report);

	if (err) {
		fprintf(stderr, "glasspost: sandbox of %s: %s\n", role, fault_text());
		status = 1;
	}
	for (size_t i = 0; i < count && !err; i++) {
		bool good = trials[i].denied == trials[i].expected;

		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s}", "role", role, "trial",
						      trials[i].name, "result",
						      trials[i].denied ? "denied" : "allowed",
						      "verdict", good ? "as it must be" : "WRONG"));
		status = good ? status : 1;
	}
	if (!err)
		json_array_append_new(rows,
				      json_pack("{s:s, s:s, s:s, s:s}", "role", role, "trial",
						"(what the kernel lacks)", "result",
						lacking(&report), "verdict", "as it must be"));
	arena_drop(&arena);
	return status;
}

static int check_sandboxes(const struct invocation *invocation, const struct config *config)
{
	json_t *rows = json_array();
	int status = EX_OK;

	for (size_t i = 0; cli_roles[i]; i++) {
		int one = try_role(invocation, config, cli_roles[i]->kind, rows);

		status = one == EX_OK ? status : one;
	}
	if (invocation->options[CLI_json]) {
		print_json(rows, true);
	} else {
		print_table(rows);
	}
	json_decref(rows);
	return status;
}

int run_check(const struct invocation *invocation)
{
	struct config *config = NULL;
	int status = check_config(invocation, &config);

	if (status != EX_OK)
		return status;
	if (invocation->options[CLI_json] && !invocation->options[CLI_sandbox])
		print_config(config);
	else if (!invocation->options[CLI_json])
		printf("%.*s: no mistakes\n", STR_ARGS(config->file));
	if (invocation->options[CLI_sandbox])
		status = check_sandboxes(invocation, config);
	if (status == EX_OK && invocation->options[CLI_deep])
		status = run_store_check(invocation);
	config_unref(&config);
	return status;
}
