/* SPDX-License-Identifier: Apache-2.0 */
/* init: the data directory of a new server. */
#include "cli/roles.h"
#include "cli/serve.h"
#include "mail/mail.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONFIG_ROOM = 1 << 18 };

static int fail(int status)
{
	fprintf(stderr, "glasspost: %s\n", fault_text());
	return status;
}

static char *path_in(const char *folder, const char *name)
{
	char *path = NULL;

	must(asprintf(&path, "%s/%s", folder, name) >= 0);
	return path;
}

/* ---- the configuration file ---- */

static int write_config(const char *path, struct str text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool good;

	if (!file) {
		if (errno == EEXIST)
			fprintf(stderr,
				"glasspost: %s is there already; nothing was changed. To begin "
				"anew, "
				"choose another directory\n",
				path);
		else
			fprintf(stderr, "glasspost: %s: %s\n", path, strerror(errno));
		return EX_CANTCREAT;
	}
	good = fwrite(text.at, 1, text.len, file) == text.len && fsync(fd) == 0;
	if (fclose(file) == 0 && good)
		return EX_OK;
	fprintf(stderr, "glasspost: %s could not be written\n", path);
	return EX_CANTCREAT;
}

static int make_config(const struct invocation *invocation, struct buf *text, struct config **out)
{
	OWNED(buf) struct buf complaints = BUF(8192);
	const char *hostname = invocation->options[CLI_hostname];

	must(config_write_default(str_of(hostname), text) == OK);
	if (config_parse(buf_str(text), S("glasspost.conf"), NULL, 0, &complaints, out) == OK)
		return EX_OK;
	fprintf(stderr, "glasspost: --hostname %s: write letters, digits, hyphens and dots\n",
		hostname);
	return EX_USAGE;
}

/* ---- the store ---- */

static int create_store(const char *folder, struct str domain)
{
	enum err err = store_create(folder, domain);

	return err ? fail(EX_CANTCREAT) : EX_OK;
}

/* Made by the user whose it will be, so that nothing in it is root's. */
static int create_store_as_owner(const char *folder, struct str domain)
{
	struct stat status;
	int ended = 0;
	pid_t child;

	if (stat(folder, &status) != 0 || status.st_uid == getuid())
		return create_store(folder, domain);
	child = fork();
	if (child == 0) {
		if (setgroups(0, NULL) != 0 || setgid(status.st_gid) != 0 ||
		    setuid(status.st_uid) != 0)
			_exit(EX_NOPERM);
		_exit(create_store(folder, domain));
	}
	if (child < 0 || waitpid(child, &ended, 0) != child || !WIFEXITED(ended))
		return EX_OSERR;
	return WEXITSTATUS(ended);
}

/* ---- the first account ---- */

struct first_account {
	const struct invocation *invocation;
	const char *folder;
	struct str password;
	pid_t child;
};

/* The store makes accounts; so it is started alone, for this one question from a child. */
static void ask_for_account(void *context, const struct config *config)
{
	struct first_account *account = context;
	struct invocation there = *account->invocation;
	json_t *arguments;
	int status;

	(void)config;
	account->child = fork();
	if (account->child != 0)
		return;
	there.folder = account->folder;
	arguments = json_pack("{s:s, s:o}", "address", there.options[CLI_address], "password",
			      control_string(account->password));
	status = ask_server(&there, &(struct asking){ .role = "store",
						      .command = "account add",
						      .arguments = arguments,
						      .output = OUTPUT_NONE,
						      .timeout_ms = 60000 });
	kill(getppid(), SIGTERM);
	_exit(status);
}

static int make_first_account(const struct invocation *invocation, const char *folder,
			      struct str password)
{
	static const struct role_ops *const store_alone[] = { &store_role, NULL };
	static const struct str quietly[] = { S("log=text") };
	struct first_account account = { .invocation = invocation,
					 .folder = folder,
					 .password = password };
	int ended = 0;
	int status =
		supervisor_main(&(struct supervisor_options){ .folder = folder,
							      .overrides = quietly,
							      .override_count = COUNT_OF(quietly),
							      .roles = store_alone,
							      .ready = ask_for_account,
							      .context = &account });

	if (status == EX_OK && account.child > 0 && waitpid(account.child, &ended, 0) > 0)
		status = WIFEXITED(ended) ? WEXITSTATUS(ended) : EX_SOFTWARE;
	if (status == EX_OK)
		printf("made the account %s\n", invocation->options[CLI_address]);
	return status;
}

/* ---- all of it ---- */

static int make_parts(const struct invocation *invocation, const char *folder,
		      const struct config *config, struct str text)
{
	char *config_path = path_in(folder, "glasspost.conf");
	char *store = path_in(folder, "store");
	enum err err = supervisor_make_folder(folder, config);
	int status = err ? fail(EX_CANTCREAT) : EX_OK;

	if (err == ERR_DENIED && geteuid() != 0)
		fputs("  run it as root, or choose a folder of your own: glasspost init ~/mail "
		      "...\n",
		      stderr);
	if (status == EX_OK)
		status = write_config(config_path, text);
	if (status == EX_OK)
		status = create_store_as_owner(store, str_of(invocation->options[CLI_domain]));
	free(config_path);
	free(store);
	return status;
}

/* Before anything is made: a second try is to find nothing there. */
static int check_words(const struct invocation *invocation)
{
	const char *domain = invocation->options[CLI_domain];

	if (!invocation->options[CLI_hostname] || !domain) {
		fputs("glasspost: init needs --hostname (this server: mail.example.org) and "
		      "--domain "
		      "(whose mail is ours: example.org)\n",
		      stderr);
		return EX_USAGE;
	}
	if (is_domain_or_literal(str_of(domain), true) && domain[0] != '[')
		return EX_OK;
	fprintf(stderr,
		"glasspost: --domain %s: is no domain; write what stands behind the @ of "
		"your addresses\n",
		domain);
	return EX_USAGE;
}

static void print_next(const struct invocation *invocation, const char *folder)
{
	printf("made %s\n\nnext (ports below 1024 need root; without, add --port-base 10000):\n"
	       "  glasspost --dir %s serve\n",
	       folder, folder);
	if (!invocation->options[CLI_address])
		printf("  glasspost --dir %s account add anna@%s\n", folder,
		       invocation->options[CLI_domain]);
	printf("what can be set: %s/glasspost.conf\n", folder);
}

int run_init(const struct invocation *invocation)
{
	OWNED(buf) struct buf text = BUF(CONFIG_ROOM);
	OWNED(buf) struct buf password = BUF(LIMIT_password);
	const char *address = invocation->options[CLI_address];
	const char *folder = invocation->words[0];
	struct config *config = NULL;
	int status = check_words(invocation);

	if (status == EX_OK)
		status = make_config(invocation, &text, &config);
	if (status == EX_OK && address)
		status = read_password(invocation, address, &password);
	umask(077);
	if (status == EX_OK)
		status = make_parts(invocation, folder, config, buf_str(&text));
	config_unref(&config);
	if (status == EX_OK && address)
		status = make_first_account(invocation, folder, buf_str(&password));
	if (password.at)
		explicit_bzero(password.at, password.len);
	if (status == EX_OK)
		print_next(invocation, folder);
	return status;
}
