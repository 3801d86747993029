/* SPDX-License-Identifier: Apache-2.0 */
/* Each step twice: a call over the boss channel, or the function itself when the role is in this process. */
#include "supervisor/crew.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { STEP_MS = 15000, BEGIN_MS = 600000, STOP_SLACK_MS = 5000 };

enum err hand_boot(struct member *member) WAITS
{
	struct crew *crew = member->crew;
	struct arena arena = { 0 };
	struct body config = BODY_EMPTY;
	struct str folder =
		member->kind == ROLE_STORE ? str_print(&arena, "%s/store", crew->folder) : S("");
	struct answer_boot answer;
	enum err err;

	if (member->role) {
		err = role_set_up(member->role,
				  &(struct role_boot){ .config = crew->config->text,
						       .config_name = crew->config->file,
						       .folder = folder,
						       .overrides = crew->overrides,
						       .override_count = crew->override_count,
						       .index = member->index });
	} else {
		config = body_of(crew->config->text);
		err = call_boot(member->boss,
				&(struct ask_boot){
					.index = member->index,
					.config = config,
					.config_name = crew->config->file,
					.folder = folder,
					.overrides = { crew->overrides, crew->override_count } },
				&arena, &answer, in_ms(STEP_MS));
	}
	body_done(&config);
	arena_drop(&arena);
	return err;
}

/* Readers get the memfd opened anew, for reading only. */
static enum err send_ring(struct member *member, const struct member *of, bool own) WAITS
{
	struct arena arena = { 0 };
	struct answer_ring answer;
	char name[40];
	enum err err;
	int fd;

	snprintf(name, sizeof name, "/proc/self/fd/%d", of->ring_fd);
	fd = own ? fcntl(of->ring_fd, F_DUPFD_CLOEXEC, 4) : open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno("the trace ring of %s", role_kind_name(of->kind));
	err = call_ring(
		member->boss,
		&(struct ask_ring){ .role = of->kind, .index = of->index, .own = own, .fd = fd },
		&arena, &answer, in_ms(STEP_MS));
	close(fd);
	arena_drop(&arena);
	return err;
}

static enum err hand_ring(struct member *member, const struct member *of, bool own) WAITS
{
	if (!member->role)
		return send_ring(member, of, own);
	return role_take_ring(member->role,
			      &(struct role_ring){ .role = of->kind,
						   .index = of->index,
						   .at = of->ring,
						   .size = trace_ring_size() },
			      own);
}

enum err hand_rings(struct member *member) WAITS
{
	const struct crew *crew = member->crew;
	enum err err = hand_ring(member, member, true);

	/* The store records what all of them write. */
	for (size_t i = 0; i < crew->count && !err && member->kind == ROLE_STORE; i++)
		err = hand_ring(member, &crew->members[i], false);
	return err;
}

static enum err wire_in_house(struct member *asking, struct member *asked) WAITS
{
	struct channel *ends[2];
	enum err err = channel_pair_memory(ends);

	if (err)
		return err;
	err = role_wire(asked->role, asking->kind, asking->index, ends[0], true);
	if (!err)
		return role_wire(asking->role, asked->kind, asked->index, ends[1], false);
	channel_drop(&ends[1]);
	return err;
}

static enum err send_wire(struct member *to, const struct member *other, bool serve, int fd) WAITS
{
	struct arena arena = { 0 };
	struct answer_wire answer;
	enum err err = call_wire(
		to->boss,
		&(struct ask_wire){
			.role = other->kind, .index = other->index, .serve = serve, .fd = fd },
		&arena, &answer, in_ms(STEP_MS));

	arena_drop(&arena);
	return err;
}

enum err hand_wire(struct member *asking, struct member *asked) WAITS
{
	int fds[2];
	enum err err;

	if (asking->role)
		return wire_in_house(asking, asked);
	err = channel_pair_fds(fds);
	if (err)
		return err;
	err = send_wire(asked, asking, true, fds[0]);
	if (!err)
		err = send_wire(asking, asked, false, fds[1]);
	close(fds[0]);
	close(fds[1]);
	return err;
}

enum err hand_listen(struct member *member, const struct opening *opening) WAITS
{
	struct arena arena = { 0 };
	struct answer_listen answer;
	struct listener *listener;
	enum err err;

	if (member->role) {
		err = opening_listener(opening, &listener);
		return err ? err : role_listen(member->role, str_of(opening->listener), listener);
	}
	err = call_listen(
		member->boss,
		&(struct ask_listen){ .name = str_of(opening->listener), .fd = opening->fd },
		&arena, &answer, in_ms(STEP_MS));
	arena_drop(&arena);
	return err;
}

/* Empty for who has no business with it. */
static struct role_certificate certificate_for(const struct member *member)
{
	const struct certificate *certificate = &member->crew->certificate;

	if (!((FROM_GATES | FROM_WEB) & ROLE_BIT(member->kind)))
		return (struct role_certificate){ 0 };
	return (struct role_certificate){ buf_str(&certificate->chain), buf_str(&certificate->key),
					  buf_str(&certificate->client_ca) };
}

enum err hand_certificate(struct member *member) WAITS
{
	const struct role_certificate certificate = certificate_for(member);
	struct arena arena = { 0 };
	struct answer_certificate answer;
	enum err err;

	if (!certificate.chain.len)
		return OK;
	if (member->role)
		return role_set_certificate(member->role, &certificate);
	err = call_certificate(member->boss,
			       &(struct ask_certificate){ .chain = certificate.chain,
							  .key = certificate.key,
							  .client_ca = certificate.client_ca },
			       &arena, &answer, in_ms(STEP_MS));
	arena_drop(&arena);
	return err;
}

enum err hand_begin(struct member *member) WAITS
{
	struct arena arena = { 0 };
	struct answer_begin answer;
	enum err err;

	if (member->role) {
		snprintf(member->sandbox, sizeof member->sandbox, "none: all roles in one process");
		return role_begin(member->role);
	}
	err = call_begin(member->boss, &(struct ask_begin){ 0 }, &arena, &answer, in_ms(BEGIN_MS));
	if (!err)
		snprintf(member->sandbox, sizeof member->sandbox, "%.*s", STR_ARGS(answer.sandbox));
	arena_drop(&arena);
	return err;
}

enum err hand_reload(struct member *member) WAITS
{
	const struct role_certificate certificate = certificate_for(member);
	struct str config = member->crew->config->text;
	struct arena arena = { 0 };
	struct answer_reload answer;
	struct body body;
	enum err err;

	if (member->role)
		return role_reload(member->role, config, &certificate);
	body = body_of(config);
	err = call_reload(member->boss,
			  &(struct ask_reload){ .config = body,
						.chain = certificate.chain,
						.key = certificate.key,
						.client_ca = certificate.client_ca },
			  &arena, &answer, in_ms(STEP_MS));
	body_done(&body);
	arena_drop(&arena);
	return err;
}

void hand_readiness(struct member *member, bool all) WAITS
{
	struct arena arena = { 0 };
	struct answer_readiness answer;

	if (member->role)
		member->role->all_ready = all;
	else if (member->boss) /* one that dies meanwhile is told when it has begun again */
		(void)!call_readiness(member->boss, &(struct ask_readiness){ .all = all }, &arena,
				      &answer, in_ms(STEP_MS));
	arena_drop(&arena);
}

void hand_stop(struct member *member, int64_t grace_ms) WAITS
{
	struct arena arena = { 0 };
	struct answer_stop answer;
	enum err err;

	if (member->role) {
		role_stop(member->role, grace_ms);
		return;
	}
	if (!member->boss)
		return;
	err = call_stop(member->boss, &(struct ask_stop){ .grace_ms = (uint64_t)grace_ms }, &arena,
			&answer, in_ms(grace_ms + STOP_SLACK_MS));
	if (err)
		say("%s %u did not stop in time: %s", role_kind_name(member->kind), member->index,
		    fault_text());
	arena_drop(&arena);
}
