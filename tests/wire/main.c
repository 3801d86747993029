/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_run: plays wire scripts (docs/formats/wire.md).
 *
 *	wire_run --sim [--seed N] SCRIPT...             a house in the simulated world for each
 *	wire_run --serve PROGRAM [--tls] SCRIPT...      a server started for each
 *	wire_run --connect HOST:BASE [--tls] SCRIPT...  a server that runs, with its accounts
 *
 * Ends with 0 when all passed, 1 when one did not, 77 when none is meant for this mode.
 */
#include "play.h"

#include <stdio.h>
#include <stdlib.h>

enum { SKIPPED = 77, PRINT_MAX = 4194304 };

struct options {
	enum wire_mode mode;
	const char *program; /* --serve */
	struct str host;
	unsigned port_base;
	uint64_t seed;
	bool verbose;
};

/* One script's playing. */
struct run {
	const struct options *options;
	struct script script;
	struct stand stand;
	struct play play;
	enum err err; /* the stand could not be built */
	char why[FAULT_TEXT_MAX];
};

static void run_fiber(void *arg) WAITS
{
	struct run *run = arg;

	if (run->options->mode == WIRE_SIM)
		run->err = stand_begin_sim(&run->stand);
	if (run->err)
		snprintf(run->why, sizeof(run->why), "%s", fault_text());
	else
		play_run(&run->play);
	stand_end(&run->stand);
}

static void run_world(struct run *run)
{
	bool simulated = run->options->mode == WIRE_SIM;
	struct world *world = simulated ? world_sim_new(run->options->seed) : world_real_new();

	trace_set_clock(now, wall_us);
	must(!tls_client_context_new(S(""), &run->stand.tls));
	must(!world_spawn(world, "script", run_fiber, run));
	world_run(world);
	world_drop(&world);
	tls_context_unref(&run->stand.tls);
}

static void report(const struct run *run, const char *path)
{
	OWNED(buf) struct buf text = BUF(PRINT_MAX);
	static const char *const modes[] = {
		[WIRE_CLEAR] = "clear", [WIRE_TLS] = "tls", [WIRE_SIM] = "sim"
	};
	bool failed = run->err || run->play.failed;

	printf("%s %s (%s)\n", failed ? "FAILED" : "passed", path, modes[run->options->mode]);
	if (run->err)
		printf("the server could not be started: %s: %s\n", err_text(run->err), run->why);
	if (run->play.failed || run->options->verbose) {
		play_print(&run->play, &text);
		printf("%.*s", STR_ARGS(buf_str(&text)));
	}
}

/* 0, 1 or SKIPPED. */
static int run_script(const struct options *options, const char *path)
{
	struct run run = { .options = options };
	struct served served = { .pid = 0 };
	bool failed;

	if (script_read(path, &run.script)) {
		printf("FAILED %s\n%s\n", path, fault_text());
		return 1;
	}
	if (!(run.script.modes & options->mode)) {
		printf("SKIPPED %s: not meant for this mode\n", path);
		script_done(&run.script);
		return SKIPPED;
	}
	run.stand = (struct stand){ .script = &run.script, .mode = options->mode };
	run.stand.host = options->host;
	run.stand.port_base = options->port_base;
	run.play.stand = &run.stand;
	if (options->program) {
		run.err = served_begin(options->program, &run.script, &served);
		snprintf(run.why, sizeof(run.why), "%s", fault_text());
		run.stand.host = S("127.0.0.1");
		run.stand.port_base = served.port_base;
	}
	if (!run.err)
		run_world(&run);
	failed = run.err || run.play.failed;
	report(&run, path);
	if (options->program)
		failed = !served_end(&served, failed) || failed;
	play_done(&run.play);
	script_done(&run.script);
	return failed;
}

static bool read_connect(struct options *options, struct str text)
{
	size_t colon = str_find_last(text, ':');
	uint64_t base;

	if (colon == STR_NONE || !str_to_u64(str_from(text, colon + 1), 65535, &base))
		return false;
	options->host = str_first(text, colon);
	options->port_base = (unsigned)base;
	return true;
}

static int usage(void)
{
	fputs("wire_run --sim [--seed N] | --serve PROGRAM | --connect HOST:BASE  [--tls] "
	      "[--verbose] "
	      "SCRIPT...\n",
	      stderr);
	return 64;
}

/* The index of the first script, or 0. */
static int read_options(struct options *options, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		struct str option = str_of(argv[i]);
		struct str value = str_of(argv[i + 1]);

		if (str_is(option, S("--sim")))
			options->mode = WIRE_SIM;
		else if (str_is(option, S("--tls")))
			options->mode = WIRE_TLS;
		else if (str_is(option, S("--verbose")))
			options->verbose = true;
		else if (str_is(option, S("--seed")) &&
			 str_to_u64(value, UINT64_MAX, &options->seed))
			i++;
		else if (str_is(option, S("--serve")) && value.at)
			options->program = argv[++i];
		else if (str_is(option, S("--connect")) && read_connect(options, value))
			i++;
		else
			return 0;
	}
	return options->mode == WIRE_SIM || options->program || options->host.at ? i : 0;
}

int main(int argc, char **argv)
{
	struct options options = { .mode = WIRE_CLEAR, .seed = 1 };
	int first = read_options(&options, argc, argv);
	int worst = SKIPPED;

	if (first == 0 || first >= argc)
		return usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = first; i < argc; i++) {
		int result = run_script(&options, argv[i]);

		if (result == 1 || worst == SKIPPED)
			worst = result;
	}
	return worst;
}
