/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * stand: the server that a script is played against: a whole house in the simulated world, or a
 * program that listens on 127.0.0.1 or elsewhere.
 */
#include "net/net.h"
#include "script.h"
#include "supervisor/supervisor.h"

struct stand {
	const struct script *script;
	enum wire_mode mode;
	/* the simulated house */
	struct house *house;
	struct buf folder; /* of its store; removed at the end */
	struct listener *control;
	struct fiber_group control_group;
	/* the server in the real world */
	struct str host;
	unsigned port_base;
	struct tls_context *tls; /* the clients' */
};

/* The configuration that a script asks for: every listener, and the script's own settings. */
void stand_config(const struct script *script, struct buf *out);

/* Builds the house and its accounts, in the simulated world. `seed` names its folder too. */
[[nodiscard]] enum err stand_begin_sim(struct stand *stand) WAITS;
/* Stops the house. Fine for a stand in the real world. */
void stand_end(struct stand *stand) WAITS;

/* One request to the house's store by its control commands: {"command":..,"arguments":..}. */
[[nodiscard]] enum err stand_control(struct stand *stand, struct str request) WAITS;

/* A connection to a listener, in the clear or, where the listener wants it, under TLS. */
[[nodiscard]] enum err stand_connect(struct stand *stand, struct str listener, struct conn **conn,
				     struct stream **stream) WAITS;
/* Does this listener begin with a handshake? */
bool stand_is_implicit(struct str listener);

/* Starts `program` with a folder of its own for this script and waits until it is ready. */
struct served {
	char folder[64];
	int pid;
	unsigned port_base;
};
[[nodiscard]] enum err served_begin(const char *program, const struct script *script,
				    struct served *out);
/* False when it did not end well; its log is then on stderr. */
bool served_end(struct served *served, bool show_log);
