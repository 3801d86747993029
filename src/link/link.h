/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * link: asking another role, written like a function call.
 *
 * messages.def lists every call: its name, its fields with their bounds, who may ask whom. Structs,
 * codec, handler table and permission check come from it. A call reads
 *
 *	err = call_recipient(link, &(struct ask_recipient){ .address = a }, arena, &answer, in_ms(5000));
 *
 * and waits in its fiber for the answer.
 *
 * Invariants
 *  (1) Calls go one way and make no circle: the table's `from` and `to` are checked by both sides.
 *  (2) Every call ends: with the answer, ERR_TIMEOUT at its deadline (what its answer hands out when it comes all the
 *      same, a handle or a lease, is given back), or ERR_GONE when the other role
 *      died or was not there for LINK_PATIENCE_MS. A stop of the fiber does not cut it short, because
 *      what became of a commit must be known.
 *  (3) What comes from a link is checked as if an attacker had sent it: a message that is not well
 *      formed, not permitted or over a bound cuts the channel.
 *  (4) Many calls are in flight on a channel; what was written while fibers ran leaves in one go.
 *  (5) A body of up to LIMIT_link_inline_body octets travels inside the message, a larger one as a
 *      sealed memfd: neither side can change it any more.
 *
 * Wire format: docs/formats/link.md.
 */
#include "fiber/fiber.h"
#include "link/verdicts.h"

enum role_kind {
	ROLE_NONE,
	ROLE_SUPERVISOR,
	ROLE_GATE_MX,
	ROLE_GATE_USER,
	ROLE_FILTER,
	ROLE_STORE,
	ROLE_RELAY,
	ROLE_WEB, /* the last: kept traces know the others by their numbers */
	ROLE_KINDS
};

#define ROLE_BIT(kind)  (1u << (kind))
#define FROM_GATES      (ROLE_BIT(ROLE_GATE_MX) | ROLE_BIT(ROLE_GATE_USER))
#define FROM_USER       ROLE_BIT(ROLE_GATE_USER)
#define FROM_RELAY      ROLE_BIT(ROLE_RELAY)
#define FROM_WEB        ROLE_BIT(ROLE_WEB)
#define FROM_SUPERVISOR ROLE_BIT(ROLE_SUPERVISOR)

/* "gate-mx", "store" ... */
const char *role_kind_name(enum role_kind kind);

/* ---- bodies ---- */

/*
 * Octets of a message on their way between roles: inline (`octets`) or in a sealed memfd (`fd`).
 * Exactly one of the two holds; fd is -1 when inline. body_done closes the fd.
 */
struct body {
	struct str octets;
	int fd;
	uint64_t size;
};

#define BODY_EMPTY ((struct body){ .fd = -1 })
/* Inline when small, else a sealed memfd made by body_writer. The octets must outlive the call; end with body_done. */
struct body body_of(struct str octets);
void body_done(struct body *body);
/* The whole body as one view: the inline octets, or a read-only mapping that body_unmap ends.
 * Checks the seals and the size before it trusts them: ERR_PROTOCOL. */
[[nodiscard]] enum err body_map(const struct body *body, struct str *out);
void body_unmap(const struct body *body, struct str mapped);

/* Collects a body of unknown size: in memory up to LIMIT_link_inline_body, then in a memfd. */
struct body_writer {
	struct buf small;
	int fd;
	uint64_t size;
	uint64_t max;
};
void body_writer_init(struct body_writer *writer, uint64_t max_octets);
/* ERR_LIMIT past max (nothing more is kept, size goes on counting); ERR_FULL, ERR_IO from the memfd. */
[[nodiscard]] enum err body_write(struct body_writer *writer, struct str octets);
/* Seals. *out views the writer's memory or takes its fd; end with body_done, then body_writer_done. */
[[nodiscard]] enum err body_finish(struct body_writer *writer, struct body *out);
void body_writer_done(struct body_writer *writer);

/* ---- what the table makes ---- */

/* Lists in messages: `at` points to `count` items. */
struct strs {
	const struct str *at;
	size_t count;
};
struct u64s {
	const uint64_t *at;
	size_t count;
};

#define LINK_FIELD_U64(name, max)    uint64_t name;
#define LINK_FIELD_STR(name, max)    struct str name;
#define LINK_FIELD_SECRET(name, max) struct str name;
#define LINK_FIELD_STRS(name, max)   struct strs name;
#define LINK_FIELD_U64S(name, max)   struct u64s name;
#define LINK_FIELD_BODY(name, max)   struct body name;
#define LINK_FIELD_FD(name, max)     int name;
#define LINK_FIELD(type, name, max)  LINK_FIELD_##type(name, max)
#define NO_FIELDS(F)

/* C has no empty structs: each carries one octet that is never sent. */
#define MESSAGE(name, number, from, to, ask, answer, doc)                                          \
	struct ask_##name {                                                                        \
		ask(LINK_FIELD) char unused;                                                       \
	};                                                                                         \
	struct answer_##name {                                                                     \
		answer(LINK_FIELD) char unused;                                                    \
	};
#include "link/messages.def"
#undef MESSAGE

enum message_kind {
	MESSAGE_NONE,
#define MESSAGE(name, number, from, to, ask, answer, doc) MESSAGE_##name = number,
#include "link/messages.def"
#undef MESSAGE
};

const char *message_name(unsigned kind); /* "recipient"; "?" */

/* ---- the callee's side ---- */

struct link_peer; /* the other end of one channel, as the callee sees it */

struct link_call {
	struct arena *arena; /* for the answer; reset after it was sent */
	struct link_peer *peer;
	void *context; /* as given to link_serve */
};

/*
 * One function a message; NULL where this role serves none. OK: *answer (zeroed before) is sent.
 * Anything else: the caller's call fails with that err and this fiber's fault text.
 * Bodies and descriptors in `ask` are closed by link after the handler; those in `answer` after sending.
 */
struct link_handlers {
#define MESSAGE(name, number, from, to, ask_fields, answer_fields, doc)                            \
	enum err (*name)(struct link_call * call, const struct ask_##name *ask,                    \
			 struct answer_##name *answer) WAITS;
#include "link/messages.def"
#undef MESSAGE
	/* The channel ended: calls that wait for something else than work under way should end too. May be NULL. */
	void (*lost)(void *context, struct link_peer *peer);
	/* The channel ended: forget what it held (sessions, handles). Runs once no call of it is left. */
	void (*gone)(void *context, struct link_peer *peer);
};

unsigned link_peer_index(const struct link_peer *peer);
/* A place for the callee's own state about this channel; NULL at first. */
void **link_peer_slot(struct link_peer *peer);

/* ---- channels ---- */

struct channel; /* one end of a pair */

[[nodiscard]] enum err channel_of_fd(int fd,
				     struct channel **out); /* owns the fd (a UNIX stream socket) */
[[nodiscard]] enum err channel_pair_fds(int fds[2]);        /* for the supervisor */
/* In one process: the same codec, no descriptors. Both worlds. */
[[nodiscard]] enum err channel_pair_memory(struct channel *ends[2]);
void channel_drop(struct channel **channel);

/* Serve calls from `peer` on this channel until it ends; owns the channel. Each call runs in a fiber
 * of its own in `group`. `self` is who we are, for the permission check. */
[[nodiscard]] enum err link_serve(struct channel *channel, enum role_kind self, enum role_kind peer,
				  unsigned peer_index, const struct link_handlers *handlers,
				  void *context, struct fiber_group *group);

/* ---- the caller's side ---- */

enum { LINK_PATIENCE_MS = 2000 };

struct link; /* all channels from us to one kind of role; calls go round among them */

struct link *link_new(enum role_kind self, enum role_kind callee);
void link_drop(struct link **link);
/* Take this channel for calls to process `index` of the role, in place of an earlier one. Owns it. */
[[nodiscard]] enum err link_attach(struct link *link, unsigned index, struct channel *channel);
/* As if that process had died just now: its calls under way fail with ERR_GONE. */
void link_detach(struct link *link, unsigned index);
bool link_is_up(const struct link *link);
/*
 * OK: a call that is made now, before this fiber waits for anything else, is sent without waiting, so that what it says is
 * true when it leaves. Else why none could be sent, as of a call.
 */
[[nodiscard]] enum err link_wait_room(struct link *link, moment deadline) WAITS;

/*
 * Ask and wait. Texts and lists of *answer lie in `arena`; a BODY or FD in it is the caller's to end.
 * Errors: see invariant (2); or whatever the handler failed with, its text in fault_text().
 */
#define MESSAGE(name, number, from, to, ask_fields, answer_fields, doc)                            \
	[[nodiscard]] enum err call_##name(struct link *link, const struct ask_##name *ask,        \
					   struct arena *arena, struct answer_##name *answer,      \
					   moment deadline) WAITS;
#include "link/messages.def"
#undef MESSAGE

struct link_stats {
	uint64_t calls, answers, failures, bytes_in, bytes_out, reads, writes;
	size_t in_flight;
};
/* Since link_new, over all channels of the link, also those that ended. */
void link_get_stats(const struct link *link, struct link_stats *out);

/* docs/formats/link.md's table of messages and permissions. */
enum err link_table_markdown(struct buf *out);
