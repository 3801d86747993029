/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* server (private to this folder): the supervisor's own process: signals, control socket, stop, reload. */
#include "supervisor/crew.h"

struct server {
	const struct supervisor_options *options;
	char *config_path;
	struct crew crew;
	struct fiber_group fibers;
	struct waitq asked; /* to stop or to reload */
	bool stop_asked;
	bool reload_asked;
	struct semaphore reloading;
	const char *outcome; /* which configuration holds, were the newest reload one that failed */
	struct opening *opening; /* of the control socket */
	struct listener *control;
	moment started;
	int status; /* of the process */
	char sandbox[400];
};

/* Reads the file anew and gives it to everybody; `complaints` says what is wrong with it. */
enum err server_reload(struct server *server, struct buf *complaints) WAITS;
extern const struct control_command server_commands[];
