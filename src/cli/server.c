/* SPDX-License-Identifier: Apache-2.0 */
/* ready, status, listeners, reload, stop, metrics, fibers: the running server as a whole. */
#include "cli/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 50, STOP_WAIT_MS = 30000 };

static int64_t clock_ms(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static void pause_ms(int64_t ms)
{
	struct timespec span = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&span, NULL);
}

bool take_time(const char *text, int64_t *ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "", 1000 } };
	struct scan scan = scan_of(str_of(text));
	uint64_t number;

	if (take_number(&scan, 1000000, &number)) {
		for (size_t i = 0; i < COUNT_OF(units); i++) {
			if (str_is(scan_rest(&scan), str_of(units[i].name))) {
				*ms = (int64_t)number * units[i].ms;
				return true;
			}
		}
	}
	fprintf(stderr, "glasspost: '%s' is no time; write 30s or 2m\n", text);
	return false;
}

static int ask_supervisor(const struct invocation *invocation, const char *command,
			  enum output output)
{
	return ask_server(invocation, &(struct asking){ .role = "supervisor",
							.command = command,
							.output = output,
							.timeout_ms = 60000 });
}

int run_ready(const struct invocation *invocation)
{
	int64_t wait_ms = 0;
	int64_t end;

	if (invocation->options[CLI_wait] && !take_time(invocation->options[CLI_wait], &wait_ms))
		return EX_USAGE;
	end = clock_ms() + wait_ms;
	while (!server_answers(invocation, "supervisor", "ready")) {
		if (clock_ms() >= end)
			return ask_supervisor(invocation, "ready", OUTPUT_NONE); /* says why */
		pause_ms(LOOK_MS);
	}
	puts("ready");
	return EX_OK;
}

int run_status(const struct invocation *invocation)
{
	return ask_supervisor(invocation, "status", listing(invocation));
}

int run_listeners(const struct invocation *invocation)
{
	return ask_supervisor(invocation, "listeners", listing(invocation));
}

static bool print_complaint(void *context, const json_t *row)
{
	const char *text = json_string_value(json_object_get(row, "complaint"));

	(void)context;
	if (text)
		fprintf(stderr, "%s\n", text);
	return true;
}

int run_reload(const struct invocation *invocation)
{
	int status = ask_server(invocation, &(struct asking){ .role = "supervisor",
							      .command = "reload",
							      .row = print_complaint,
							      .output = OUTPUT_NONE,
							      .timeout_ms = 60000 });

	if (status == EX_OK)
		puts("reloaded");
	return status;
}

/* The server has ended when its lock is free. */
static bool is_locked(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool locked;

	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_SH | LOCK_NB) != 0;
	close(fd);
	return locked;
}

int run_stop(const struct invocation *invocation)
{
	int64_t wait_ms = STOP_WAIT_MS;
	char *path = NULL;
	int64_t end;
	int status;

	if (invocation->options[CLI_wait] && !take_time(invocation->options[CLI_wait], &wait_ms))
		return EX_USAGE;
	status = ask_supervisor(invocation, "stop", OUTPUT_NONE);
	if (status != EX_OK)
		return status;
	must(asprintf(&path, "%s/run/lock", invocation->folder) >= 0);
	end = clock_ms() + wait_ms;
	while (is_locked(path) && clock_ms() < end)
		pause_ms(LOOK_MS);
	if (is_locked(path)) {
		fputs("glasspost: it is still stopping; glasspost status shows how far\n", stderr);
		status = EX_TEMPFAIL;
	} else {
		puts("stopped");
	}
	free(path);
	return status;
}

/* ---- what each role says ---- */

static const char *const role_names[] = {
	"store", "filter", "gate-mx", "gate-user", "relay", "web"
};

static bool print_text(void *context, const json_t *row)
{
	const json_t *text = json_object_get(row, "text");

	(void)context;
	if (json_is_string(text))
		printf("%s\n", json_string_value(text));
	return true;
}

int run_metrics(const struct invocation *invocation)
{
	return ask_server(invocation, &(struct asking){ .role = "store",
							.command = "metrics",
							.row = print_text,
							.output = OUTPUT_NONE,
							.timeout_ms = 30000 });
}

static bool add_with_role(void *context, const json_t *row)
{
	json_t **state = context; /* the rows, and the role's name */
	json_t *copy = json_object();

	json_object_set(copy, "role", state[1]);
	json_object_update(copy, (json_t *)(uintptr_t)row);
	return json_array_append_new(state[0], copy) == 0;
}

static bool is_role(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(role_names); i++)
		if (strcmp(name, role_names[i]) == 0)
			return true;
	fprintf(stderr, "glasspost: --role: there is no '%s'; glasspost status lists the roles\n",
		name);
	return false;
}

int run_fibers(const struct invocation *invocation)
{
	const char *only = invocation->options[CLI_role];
	json_t *state[2] = { NULL, NULL };
	int status = EX_OK;

	if (only && !is_role(only))
		return EX_USAGE;
	state[0] = json_array();
	for (size_t i = 0; i < COUNT_OF(role_names) && status == EX_OK; i++) {
		if (only && strcmp(only, role_names[i]) != 0)
			continue;
		state[1] = json_string(role_names[i]);
		status = ask_server(invocation, &(struct asking){ .role = role_names[i],
								  .command = "fibers",
								  .row = add_with_role,
								  .context = state,
								  .output = OUTPUT_NONE,
								  .timeout_ms = 30000 });
		json_decref(state[1]);
	}
	if (invocation->options[CLI_json])
		print_json(state[0], true);
	else
		print_table(state[0]);
	json_decref(state[0]);
	return status;
}
