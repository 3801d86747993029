/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * supervisor: starts the roles, gives each its configuration, ring, channels, listening sockets and
 * certificate, restarts what ends, reloads and stops.
 *
 * Invariants
 *  (1) It never reads an octet that a stranger sent, and touches no mail.
 *  (2) One server a data directory: DIR/run/lock is held as long as it lives.
 *  (3) A listening socket outlives the role that serves it: while a role starts again, the kernel
 *      keeps the connections that come.
 *  (4) Stopping goes with the arrows: gates first, then filter and relay, then store.
 *
 * The data directory: glasspost.conf; store/ (mail and accounts, the store's own); tls/ (the
 * self-signed certificate); run/ (lock, control sockets, lmtp.sock), mode 0700.
 */
#include "config/config.h"
#include "role/role.h"

struct supervisor_options {
	const char *folder;
	const char *config_path; /* NULL: glasspost.conf in the folder */
	struct str config_text; /* when not empty: in place of the file, which is then never read */
	const struct str *overrides;
	size_t override_count;
	const struct role_ops *const *roles; /* NULL-ended */
	/* All roles serve; may be NULL. */
	void (*ready)(void *context, const struct config *config);
	void *context;
};

/* Runs until it is told to stop; gives the exit status (sysexits.h). Complaints go to stderr. */
int supervisor_main(const struct supervisor_options *options);

/* Makes the folder and what belongs in it, where missing; owner: the configuration's user when root. */
[[nodiscard]] enum err supervisor_make_folder(const char *folder, const struct config *config);

/*
 * house: all roles as fibers of the world that runs now, real or simulated. For tests, the wire
 * runner and the lab.
 */
struct house;
struct dns_zone;

struct house_options {
	const struct role_ops *const *roles; /* NULL-ended */
	struct str config;
	struct str config_name;
	struct str folder; /* the store works in it; it must exist */
	const struct str *overrides;
	size_t override_count;
	struct str chain, key; /* PEM; empty: a self-signed certificate is made */
	const struct dns_zone
		*zone; /* where the relay looks names up, in place of resolvers; may be NULL */
	bool any_port; /* real world: let the kernel choose every TCP port */
};

/* ERR_CONFIG: `complaints` says what is wrong. */
[[nodiscard]] enum err house_start(const struct house_options *options, struct buf *complaints,
				   struct house **out) WAITS;
/* NULL when there is none of this kind. */
struct role *house_role(struct house *house, enum role_kind kind);
/* Where a listener of the configuration really listens: its address number `index`. */
bool house_address(const struct house *house, struct str listener, size_t index, struct addr *out);
/* The chain in use (PEM), for clients that check it. */
struct str house_chain(const struct house *house);
/*
 * One role dies, as a process does that is killed: who asks it finds its calls cut off, whatever
 * became of them, and a gate's connections are closed. After down_ms it is started again. On failure
 * the role stays away.
 */
[[nodiscard]] enum err house_restart(struct house *house, enum role_kind kind, int64_t down_ms)
	WAITS;
[[nodiscard]] enum err house_reload(struct house *house, struct str config, struct buf *complaints)
	WAITS;
/* Accepts NULL. */
void house_stop(struct house **house, int64_t grace_ms) WAITS;
