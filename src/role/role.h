/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * role: what every role's process has in common: the boss link to the supervisor, by which it is
 * booted, wired, given its listeners, reloaded and stopped; its trace ring; its control socket; its
 * way into the sandbox.
 *
 * The supervisor runs a role either as a process of its own (`glasspost role NAME`, the boss link
 * on descriptor 3) or, with --together and in the simulated world, as fibers of one process; the
 * role cannot tell.
 *
 * A process enters its sandbox first of all, before it reads the configuration or makes a thread.
 * Order of life: boot, ring, certificate (gates), wire..., listen..., begin (calls ops->begin, then
 * ops->listen for each listener that came, and answers when ready), then any of wire, listen,
 * reload; stop.
 */
#include "config/config.h"
#include "control/control.h"
#include "fiber/fiber.h"
#include "link/link.h"
#include "trace/trace.h"

struct role_ring {
	enum role_kind role;
	unsigned index;
	const void *at;
	size_t size;
};

struct dns_zone;

/* PEM, of gates and web; empty elsewhere. */
struct role_certificate {
	struct str chain, key;
	struct str client_ca; /* who vouches for clients' certificates; may be empty */
};

struct role {
	enum role_kind kind;
	unsigned index;
	struct config *config; /* the newest; config_ref it for longer than one step */
	const char *folder;    /* the data directory; "" for roles that have none */
	struct trace *trace;   /* our ring; NULL is fine */
	struct link *filter;   /* to ask; NULL where the role asks none */
	struct link *store;
	const struct dns_zone
		*zone; /* the simulated world's, in place of resolvers; NULL: there is none */
	struct fiber_group fibers;           /* everything the role runs; stopped by `stop` */
	struct role_certificate certificate; /* the newest */
	struct role_ring *rings;             /* that we may read (the store's recorder) */
	size_t ring_count;
	bool stopping;
	bool all_ready; /* every role serves, as the supervisor has told us last */
	void *state;    /* the role's own */
	const struct role_ops *ops;
};

struct role_ops {
	enum role_kind kind; /* GATE_MX and GATE_USER share their functions in two tables */
	/* Open what is yours. Answer OK when ready to serve. */
	enum err (*begin)(struct role *role) WAITS;
	/* Serve this listener from now on; owns it. */
	enum err (*listen)(struct role *role, struct str name, struct listener *listener) WAITS;
	/* role->config and role->certificate are new. What fails changes nothing: then both old ones are put back. */
	enum err (*reload)(struct role *role) WAITS;
	/* Take no more, finish what runs until the deadline. Then everything in role->fibers is stopped. */
	void (*stop)(struct role *role, moment deadline) WAITS;
	/* Close what is yours; no fiber of the role is left. */
	void (*end)(struct role *role) WAITS;
	const struct link_handlers *serves; /* context is the struct role */
	const struct control_command *const
		*commands; /* tables, NULL-ended; context is the struct role */
	/* May be NULL. In a process, before the sandbox: load what cannot be loaded inside of it. */
	void (*prepare)(void);
	/* May be NULL or empty. What this program was built without, of the role's, and why. */
	const char *lacks;
};

/* A role's whole life on this boss channel, as a fiber; returns when it was stopped or the boss is gone. */
void role_run(const struct role_ops *ops, struct channel *boss, bool together) WAITS;
/*
 * The process: `glasspost role NAME FOLDER USER try|required ROW` (ROW: of sandbox/roles.def); gives its exit status. argv becomes the
 * process's title.
 */
int role_main(const struct role_ops *ops, int argc, char **argv);
/* Tells trace how roles are called, and by which clock their events are stamped: once a process. */
void role_name_traces(void);
/* That row: what the sandbox of a role is called under this configuration. */
const char *role_sandbox_row(enum role_kind kind, const struct config *config);

/*
 * The same steps without a boss channel, for the house that runs all roles in one process: no
 * descriptors are needed, so the simulated world can do it. Order as above. What fails leaves the
 * role as it was.
 */
struct role_boot {
	struct str config, config_name, folder;
	const struct str *overrides;
	size_t override_count;
	unsigned index;
};
struct role *role_new(const struct role_ops *ops);
[[nodiscard]] enum err role_set_up(struct role *role, const struct role_boot *boot);
/* `own`: write to it. Else it may be read. The role unmaps it at its end. */
[[nodiscard]] enum err role_take_ring(struct role *role, const struct role_ring *ring, bool own);
/* Owns the channel. `serve`: the other end asks us; else we ask. */
[[nodiscard]] enum err role_wire(struct role *role, enum role_kind other, unsigned index,
				 struct channel *channel, bool serve);
/* Owns the listener, also when it fails. Name "control": the control socket. */
[[nodiscard]] enum err role_listen(struct role *role, struct str name, struct listener *listener)
	WAITS;
/* Before begin; a later one comes with role_reload. */
[[nodiscard]] enum err role_set_certificate(struct role *role,
					    const struct role_certificate *certificate);
[[nodiscard]] enum err role_begin(struct role *role) WAITS;
/* All or nothing. certificate: NULL or empty: the role keeps the one that it has. */
[[nodiscard]] enum err role_reload(struct role *role, struct str config,
				   const struct role_certificate *certificate) WAITS;
void role_stop(struct role *role, int64_t grace_ms) WAITS;
void role_drop(struct role **role) WAITS; /* stops it first when it was not */
