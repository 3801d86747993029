/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * crew (private to this folder): all roles of one server, as processes or in this one, and what
 * they share: the configuration, the listening sockets, the certificate, the rings.
 *
 * Invariants
 *  (1) members[] is in the order of beginning: store, filter, relay, gates, web. Ending goes the other way.
 *  (2) A member that is `reachable` has been booted: others may be wired to it. Who starts later
 *      wires both ends, so every pair that is up is wired.
 *  (3) Rings and listening sockets belong to the crew and outlive the processes.
 */
#include "supervisor/certificate.h"
#include "supervisor/opening.h"
#include "supervisor/supervisor.h"

/* Gates of both classes and the filter may have many processes; store, relay and web have one each. */
enum { CREW_MAX = 3 * LIMIT_role_processes + 3, OPENINGS_MAX = 4 * LIMIT_config_listeners };

struct crew;

struct member {
	struct crew *crew;
	const struct role_ops *ops;
	enum role_kind kind;
	unsigned index;
	bool reachable;
	bool up; /* it has begun and serves */

	/* a process: */
	int pid; /* 0: none */
	int pidfd;
	struct fd_watch *ended;
	struct link *boss;
	/* in this process: */
	struct role *role;

	struct opening *control;
	int ring_fd;
	void *ring; /* mapped, in this process only */

	unsigned restarts;
	unsigned quick_ends; /* in a row, each soon after its start */
	moment since;
	char last_end[80];
	char sandbox[400];
};

struct crew {
	const struct role_ops *const *roles;
	bool in_house; /* together: roles are fibers of this process */
	bool has_control;
	bool any_port;
	const struct dns_zone *zone; /* of roles in this process; may be NULL */
	struct arena arena;
	char *folder;
	struct str *overrides;
	size_t override_count;
	struct config *config;
	struct certificate certificate;
	struct member members[CREW_MAX];
	size_t count;
	struct opening *openings[OPENINGS_MAX];
	size_t opening_count;
	struct fiber_group watchers;
	/* A start hands over a configuration step by step; a reload must not come in between. */
	unsigned starting;
	bool reloading;
	uint64_t taken_over; /* configurations, by reloads */
	struct waitq calm;
	bool stopping;
	bool ready;
	bool is_telling, has_news; /* of that, to the web role */
};

/* Starts everybody; on failure everything is taken down again. Owns the config from now on. */
[[nodiscard]] enum err crew_start(struct crew *crew, struct config *config) WAITS;
/*
 * Takes a new configuration over. On failure `complaints` says why, and crew->config which one holds:
 * the old one, or the new one with those processes left behind that the complaints name.
 */
[[nodiscard]] enum err crew_reload(struct crew *crew, struct config *fresh, struct buf *complaints)
	WAITS;
void crew_stop(struct crew *crew, int64_t grace_ms) WAITS;
/* Starts under way fail at once: their processes are killed, and calls end with the process. */
void crew_cut_starts(struct crew *crew);
/* Tells the web role whether all serve. */
void crew_tell_readiness(struct crew *crew);
struct member *crew_member(struct crew *crew, enum role_kind kind, unsigned index);

/* ---- openings (openings.c) ---- */

enum err crew_open_listeners(struct crew *crew, const struct config *config,
			     struct buf *complaints);
/* Closes those that this configuration does not have. */
void crew_close_listeners(struct crew *crew, const struct config *config);
enum err crew_open_control(struct crew *crew, struct member *member);
bool opening_is_for(const struct crew *crew, const struct opening *opening,
		    const struct member *member);

/* ---- one member (member.c) ---- */

/* From nothing to serving, wired with all that are reachable; `begins` false: all but begin. */
[[nodiscard]] enum err member_launch(struct member *member) WAITS;
[[nodiscard]] enum err member_wire_all(struct member *member) WAITS;
[[nodiscard]] enum err member_begin(struct member *member) WAITS;
/* Ends what is left of it at once. */
void member_end(struct member *member) WAITS;
/* A process: waits for its death, and starts it again, until the crew stops. */
void member_watch(void *arg) WAITS;
/* ERR_TIMEOUT when the process has not ended by then. */
enum err member_wait_end(struct member *member, moment deadline) WAITS;

/* ---- the steps of role.h, over the boss channel or directly (hand.c) ---- */

[[nodiscard]] enum err hand_boot(struct member *member) WAITS;
[[nodiscard]] enum err hand_rings(struct member *member) WAITS;
/* `asking` asks `asked` from now on. */
[[nodiscard]] enum err hand_wire(struct member *asking, struct member *asked) WAITS;
[[nodiscard]] enum err hand_listen(struct member *member, const struct opening *opening) WAITS;
[[nodiscard]] enum err hand_certificate(struct member *member) WAITS;
[[nodiscard]] enum err hand_begin(struct member *member) WAITS;
[[nodiscard]] enum err hand_reload(struct member *member) WAITS;
void hand_readiness(struct member *member, bool all) WAITS;
void hand_stop(struct member *member, int64_t grace_ms) WAITS;

/* A line on stderr: "glasspost: ...". */
void say(const char *format, ...) PRINTF_LIKE(1, 2);
