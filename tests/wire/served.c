/* SPDX-License-Identifier: Apache-2.0 */
/* A real server for one script: made, started, given its accounts, stopped. */
#include "stand.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS = 16, TRIES = 3 };

static void path_in(const struct served *served, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", served->folder, name);
}

/* The child: its output goes to the log, its input is `input` or nothing. */
static _Noreturn void become(const struct served *served, char *const *arguments, const char *input)
{
	char path[128];
	int log;
	int in;

	path_in(served, "log", path);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	path_in(served, "input", path);
	in = open(input ? path : "/dev/null", O_RDONLY);
	if (log < 0 || in < 0 || dup2(in, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
	execv(arguments[0], arguments);
	_exit(127);
}

static int spawn(const struct served *served, char *const *arguments, const char *input)
{
	int pid;

	if (input) {
		char path[128];
		FILE *file;

		path_in(served, "input", path);
		file = fopen(path, "w");
		must(file && fputs(input, file) >= 0 && fclose(file) == 0);
	}
	pid = fork();
	if (pid == 0)
		become(served, arguments, input);
	return pid;
}

static enum err run(const struct served *served, const char *const *arguments, const char *input)
{
	char *copy[ARGUMENTS] = { NULL };
	int status = 0;
	int pid;

	for (size_t i = 0; arguments[i]; i++)
		copy[i] = (char *)(uintptr_t)arguments[i];
	pid = spawn(served, copy, input);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return fault_errno("run %s", arguments[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return fault(ERR_SYSTEM, "%s %s: status %d", arguments[0], arguments[1], status);
	return OK;
}

static bool is_free(unsigned port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int yes = 1;
	bool free_now;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	free_now = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
	close(fd);
	return free_now;
}

/* Processes that run at the same time begin to look at different places. */
static unsigned find_base(unsigned skip)
{
	static const unsigned ports[] = { 24, 25, 110, 465, 587, 995 };

	for (unsigned i = 0; i < 35; i++) {
		unsigned base = 21000 + ((unsigned)getpid() * 7 + i + skip * 11) % 37 * 1000;
		bool all = true;

		for (size_t p = 0; p < COUNT_OF(ports) && all; p++)
			all = is_free(base + ports[p]);
		if (all)
			return base;
	}
	return 0;
}

static enum err write_config(const struct served *served, const struct script *script)
{
	OWNED(buf) struct buf text = BUF(WIRE_LINE);
	char path[128];
	FILE *file;

	stand_config(script, &text);
	path_in(served, "data/glasspost.conf", path);
	file = fopen(path, "w");
	if (!file || fwrite(text.at, 1, text.len, file) != text.len || fclose(file) != 0)
		return fault_errno("write %s", path);
	return OK;
}

static enum err start(const char *program, struct served *served)
{
	char data[128];
	char base[16];
	char *arguments[ARGUMENTS] = { NULL };

	path_in(served, "data", data);
	snprintf(base, sizeof(base), "%u", served->port_base);
	arguments[0] = (char *)(uintptr_t)program;
	arguments[1] = "--dir";
	arguments[2] = data;
	arguments[3] = "serve";
	arguments[4] = "--port-base";
	arguments[5] = base;
	served->pid = spawn(served, arguments, NULL);
	if (served->pid < 0)
		return fault_errno("start %s", program);
	return run(served,
		   (const char *const[]){ program, "--dir", data, "ready", "--wait", "30s", NULL },
		   NULL);
}

static enum err start_somewhere(const char *program, struct served *served)
{
	enum err err = ERR_SYSTEM;

	for (unsigned i = 0; i < TRIES && err; i++) {
		served->port_base = find_base(i);
		if (!served->port_base)
			return fault(ERR_SYSTEM, "no free ports");
		err = start(program, served);
		if (err && served->pid > 0) {
			kill(served->pid, SIGTERM);
			waitpid(served->pid, NULL, 0);
			served->pid = 0;
		}
	}
	return err;
}

static enum err add_accounts(const char *program, struct served *served,
			     const struct script *script)
{
	OWNED(arena) struct arena arena = { 0 };
	char data[128];
	enum err err = OK;

	path_in(served, "data", data);
	for (size_t i = 0; i < script->account_count + script->alias_count; i++) {
		bool is_alias = i >= script->account_count;
		const struct account *account =
			is_alias ? &script->aliases[i - script->account_count]
				 : &script->accounts[i];
		const char *address = str_dup_c(&arena, account->address);
		const char *second = str_dup_c(&arena, account->password);

		/* It may be there already: then this fails, and the account is what tells. */
		(void)!run(served,
			   (const char *const[]){ program, "--dir", data, "domain", "add",
						  strchr(address, '@') + 1, NULL },
			   NULL);
		err = is_alias
			      ? run(served,
				    (const char *const[]){ program, "--dir", data, "alias", "add",
							   address, second, NULL },
				    NULL)
			      : run(served,
				    (const char *const[]){ program, "--dir", data, "account", "add",
							   address, "--password-stdin", NULL },
				    str_dup_c(&arena, str_print(&arena, "%s\n", second)));
		if (err)
			break;
	}
	return err;
}

enum err served_begin(const char *program, const struct script *script, struct served *out)
{
	char data[128];
	enum err err;

	*out = (struct served){ .pid = 0 };
	snprintf(out->folder, sizeof(out->folder), "/tmp/glasspost-wire-XXXXXX");
	if (!mkdtemp(out->folder))
		return fault_errno("make %s", out->folder);
	path_in(out, "data", data);
	err = run(out,
		  (const char *const[]){ program, "init", data, "--hostname", "mail.example",
					 "--domain", "wire.example", NULL },
		  NULL);
	if (!err)
		err = write_config(out, script);
	if (!err)
		err = start_somewhere(program, out);
	return err ? err : add_accounts(program, out, script);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void show(const struct served *served)
{
	char path[128];
	char line[2000];
	FILE *file;

	path_in(served, "log", path);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		fprintf(stderr, "log: %s", line);
	if (file)
		fclose(file);
}

bool served_end(struct served *served, bool show_log)
{
	bool well = true;
	int status = 0;

	if (served->pid > 0) {
		kill(served->pid, SIGTERM);
		well = waitpid(served->pid, &status, 0) == served->pid && WIFEXITED(status) &&
		       WEXITSTATUS(status) == 0;
	}
	if (show_log || !well)
		show(served);
	if (!well)
		fprintf(stderr, "the server ended with status %d\n", status);
	nftw(served->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return well;
}
