/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* life (private to this folder): a role with what its owner keeps beside it. */
#include "role/role.h"
#include "sandbox/sandbox.h"

enum { ROLE_OVERRIDES_MAX = 64, ROLE_RINGS_MAX = 64 };

/*
 * What came before begin and is served after it: a listener, or the channel of a role that asks us.
 * Its calls wait unread until there is something to answer them.
 */
struct early {
	struct early *next;
	struct str name;
	struct listener *listener; /* or NULL and: */
	struct channel *channel;
	enum role_kind other;
	unsigned index;
};

/* Where role->certificate lies. */
struct role_pems {
	struct buf chain, key, client_ca;
};

struct life {
	struct role role;
	struct arena arena; /* of boot: texts that live as long as the role */
	struct str config_name;
	struct str *overrides;
	size_t override_count;
	struct role_ring own_ring;
	struct role_ring rings[ROLE_RINGS_MAX];
	struct role_pems pems;
	struct early *early;
	struct listener *control;
	const struct control_command *const *commands; /* common ones and the role's, NULL-ended */
	bool has_process;                              /* of its own, in its sandbox */
	bool begun;
	struct sandbox_report report;
	/* of role_run */
	struct waitq over_queue;
	bool over;
};

struct life *life_of(struct role *role);
/* role_run, in a process that has this sandbox. */
void role_run_process(const struct role_ops *ops, struct channel *boss,
		      const struct sandbox_report *report) WAITS;
/* fibers, version, stats. */
extern const struct control_command role_common_commands[];
/* The handlers of what the supervisor asks; context is the struct role. */
extern const struct link_handlers role_boss_handlers;
