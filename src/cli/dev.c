/* SPDX-License-Identifier: Apache-2.0 */
/* dev: a server for trying things out. */
#include "cli/roles.h"
#include "cli/serve.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEV_PORT_BASE = 1000, DEV_WEB_PORT = 7025 }; /* 8025 is where people look for such a page */

#define LOOPBACK "address = { 127.0.0.1, ::1 }"

static const char dev_config[] =
	"hostname = localhost\n"
	"catch_all = yes\n"
	"accept_any_domain = yes\n"
	"accept_any_password = yes\n"
	"log = dev\n"
	"disk_floor = 1M\n"
	"listener mx { protocol = smtp " LOOPBACK " }\n"
	"listener \"mx-socket\" { protocol = smtp address = { run/smtp.sock } tls = none }\n"
	"listener submission { protocol = submission " LOOPBACK " auth_without_tls = yes }\n"
	"listener submissions { protocol = submission " LOOPBACK " tls = implicit }\n"
	"listener lmtp { protocol = lmtp " LOOPBACK " tls = none }\n"
	"listener \"lmtp-socket\" { protocol = lmtp address = { run/lmtp.sock } tls = none }\n"
	"listener pop3 { protocol = pop3 " LOOPBACK " auth_without_tls = yes }\n"
	"listener pop3s { protocol = pop3 " LOOPBACK " tls = implicit }\n"
	"listener web { protocol = http " LOOPBACK;

struct dev {
	const char *folder;
	bool is_kept;
};

static unsigned port_of(const struct config *config, const char *listener)
{
	const struct config_listener *l = config_listener(config, str_of(listener));

	return l ? l->real_port : 0;
}

/* What the program was built without; empty: nothing. */
static const char *page_lacks(void)
{
	for (size_t i = 0; cli_roles[i]; i++)
		if (cli_roles[i]->kind == ROLE_WEB && cli_roles[i]->lacks)
			return cli_roles[i]->lacks;
	return "";
}

static void print_welcome(void *context, const struct config *config)
{
	const struct dev *dev = context;
	unsigned smtp = port_of(config, "mx");
	unsigned pop3 = port_of(config, "pop3");
	const char *lacks = page_lacks();
	bool has_page = !lacks[0];

	printf("Glasspost " GP_VERSION " catches mail on this machine; %s.\n\n"
	       "  SMTP         127.0.0.1:%u\n"
	       "  submission   127.0.0.1:%u (STARTTLS), 127.0.0.1:%u (TLS)\n"
	       "  LMTP         127.0.0.1:%u\n"
	       "  POP3         127.0.0.1:%u (STLS), 127.0.0.1:%u (TLS)\n"
	       "  %s http://127.0.0.1:%u/\n%s%s%s\n"
	       "Any recipient is taken, any password signs in. Try:\n\n"
	       "  swaks --server 127.0.0.1:%u --to anna@example.org --header 'Subject: hello'\n"
	       "  curl --user anna@example.org:x pop3://127.0.0.1:%u/1\n"
	       "  glasspost --dir %s session list\n\n"
	       "Ctrl-C ends it.\n\n",
	       dev->is_kept ? "it keeps what comes" : "all is forgotten at the end", smtp,
	       port_of(config, "submission"), port_of(config, "submissions"),
	       port_of(config, "lmtp"), pop3, port_of(config, "pop3s"),
	       has_page ? "the page    " : "HTTP        ", port_of(config, "web"),
	       has_page ? "" : "               (without the page: ", lacks, has_page ? "" : ")\n",
	       smtp, pop3, dev->folder);
	fflush(stdout);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static int serve_dev(const struct invocation *invocation, struct dev *dev)
{
	struct arena arena = { 0 };
	struct str overrides[SERVE_OVERRIDES + 2];
	size_t count = serve_overrides(invocation, &arena, overrides);
	struct supervisor_options options;
	int status;

	bool has_base = invocation->options[CLI_port_base] != NULL;

	if (!has_base)
		overrides[count++] = str_print(&arena, "port_base=%d", DEV_PORT_BASE);
	if (!dev->is_kept)
		overrides[count++] = S("durable=no");
	options = (struct supervisor_options){
		.folder = dev->folder,
		.config_path = "dev",
		.config_text = str_print(&arena, "%s port = %d }\n", dev_config,
					 has_base ? 80 : DEV_WEB_PORT),
		.overrides = overrides,
		.override_count = count,
		.roles = cli_roles,
		.ready = print_welcome,
		.context = dev,
	};
	status = supervisor_main(&options);
	arena_drop(&arena);
	return status;
}

int run_dev(const struct invocation *invocation)
{
	const char *place = getenv("TMPDIR");
	char folder[80];
	struct dev dev = { invocation->options[CLI_dir], true };
	int status;

	if (dev.folder)
		return serve_dev(invocation, &dev);
	/* Sockets lie in it, so its name must be short. */
	if (!place || strlen(place) > 40)
		place = "/tmp";
	snprintf(folder, sizeof folder, "%s/glasspost-dev-XXXXXX", place);
	if (!mkdtemp(folder)) {
		fprintf(stderr, "glasspost: %s: %s\n", folder, strerror(errno));
		return EX_CANTCREAT;
	}
	dev = (struct dev){ folder, false };
	status = serve_dev(invocation, &dev);
	if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		fprintf(stderr, "glasspost: %s could not be removed\n", folder);
	return status;
}
