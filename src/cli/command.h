/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* command: the tables of commands and options, and one command line understood. Private to cli/. */
#include "base/base.h"
#include "control/control.h"

#include <sysexits.h>

enum cli_option {
#define CLI_OPTION(id, name, value, doc) CLI_##id,
#include "cli/options.def"
	CLI_OPTIONS
};

struct option_text {
	const char *name;
	const char *value;
	const char *doc;
};
extern const struct option_text cli_options[CLI_OPTIONS];

struct invocation;

struct command {
	const char *words;
	const char *arguments;
	const char *options;
	const char *summary;
	const char *help;
	int (*run)(const struct invocation *invocation);
};
extern const struct command cli_commands[];
extern const size_t cli_command_count;

enum { WORDS_MAX = 600, VALUES_MAX = 100 };

struct invocation {
	const struct command *command;
	const char *folder;               /* of --dir, $GLASSPOST_DIR or the default */
	const char *options[CLI_OPTIONS]; /* NULL: not given; a flag: "" */
	const char *words[WORDS_MAX + 1]; /* arguments behind the command's words; NULL-ended */
	size_t word_count;
	/* Each value of the option that may be given several times. */
	const char *values[VALUES_MAX];
	size_t value_count;
};

#define COMMAND(words, id, arguments, options, summary, help)                                      \
	int run_##id(const struct invocation *invocation);
#include "cli/commands.def"

bool command_takes(const struct command *command, enum cli_option option);
/* The command of these words ("account add", ...); *used words are its name. NULL: there is none. */
const struct command *command_find(const char *const *words, size_t count, size_t *used);
/* EX_OK, or EX_USAGE after saying what is wrong. */
int command_parse(int argc, char **argv, struct invocation *out);

/* ---- help, manual, completions: made from the tables ---- */

void print_ways_to_start(void);
void print_commands(void);
void print_command_help(const struct command *command);
/* manual 1 or 5, completions of bash, zsh, fish: for packaging. */
int print_document(const char *name);
enum err document_bash(struct buf *out);
enum err document_zsh(struct buf *out);
enum err document_fish(struct buf *out);
enum err document_manual(struct buf *out);

/* ---- asking the server ---- */

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_NONE };
/* Of a command that lists: a table, or with --json JSON. */
enum output listing(const struct invocation *invocation);

struct asking {
	const char *role; /* whose socket: "store", "supervisor" ... */
	const char *command;
	json_t *arguments; /* taken over; NULL: none */
	enum output output;
	bool is_long; /* OUTPUT_JSON: there may be very many, each is printed on a line as it comes */
	const char *empty; /* what a table without rows says; NULL: nothing */
	/* In place of output, when set. */
	bool (*row)(void *context, const json_t *row);
	void *context;
	int64_t timeout_ms;
	json_t **result; /* the last line, the caller's; may be NULL */
};

/* Asks and prints; gives the exit status, and says on stderr what went wrong and what to do. */
int ask_server(const struct invocation *invocation, const struct asking *asking);
/* The store is to do it; nothing is printed when it did. `result` may be NULL. */
int ask_store(const struct invocation *invocation, const char *command, json_t *arguments,
	      json_t **result);
/* What the store lists; `empty` as above. */
int list_store(const struct invocation *invocation, const char *command, json_t *arguments,
	       const char *empty);
/* Is anybody there? Says nothing. */
bool server_answers(const struct invocation *invocation, const char *role, const char *command);

/* ---- tables and passwords ---- */

/* rows: an array of objects; columns are the first one's members. */
void print_table(const json_t *rows);
/* On stdout, with a line end; as_lines: JSON_INDENT(2), else all on one. Means what `json` means. */
void print_json(const json_t *json, bool as_lines);
unsigned terminal_width(void);
/* From the terminal without echo (asked twice), or a line of standard input. EX_OK or a status. */
int read_password(const struct invocation *invocation, const char *of, struct buf *out);
/* "30s", "2m", "200ms"; complains and gives false. */
bool take_time(const char *text, int64_t *ms);
