/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor asks over the boss channel, turned into the steps of life.c. */
#include "role/life.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err boss_boot(struct link_call *call, const struct ask_boot *ask,
			  struct answer_boot *answer) WAITS
{
	struct role *role = call->context;
	struct role_boot boot = {
		.config_name = ask->config_name,
		.folder = ask->folder,
		.overrides = ask->overrides.at,
		.override_count = ask->overrides.count,
		.index = (unsigned)ask->index,
	};
	enum err err = body_map(&ask->config, &boot.config);

	(void)answer;
	if (err)
		return err;
	err = role_set_up(role, &boot);
	body_unmap(&ask->config, boot.config);
	return err;
}

static enum err boss_ring(struct link_call *call, const struct ask_ring *ask,
			  struct answer_ring *answer) WAITS
{
	struct role *role = call->context;
	struct role_ring ring = { .role = (enum role_kind)ask->role,
				  .index = (unsigned)ask->index };
	struct stat status;
	void *at;
	enum err err;

	(void)answer;
	if (fstat(ask->fd, &status) != 0)
		return fault_errno("a trace ring");
	ring.size = (size_t)status.st_size;
	at = mmap(NULL, ring.size, ask->own ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
		  ask->fd, 0);
	if (at == MAP_FAILED)
		return fault_errno("map a trace ring");
	ring.at = at;
	err = role_take_ring(role, &ring, ask->own);
	if (err)
		munmap(at, ring.size);
	return err;
}

static enum err boss_wire(struct link_call *call, const struct ask_wire *ask,
			  struct answer_wire *answer) WAITS
{
	struct channel *channel;
	int fd = dup(ask->fd); /* link closes the ask's own */
	enum err err;

	(void)answer;
	if (fd < 0)
		return fault_errno("a channel");
	err = channel_of_fd(fd, &channel);
	if (err) {
		close(fd);
		return err;
	}
	return role_wire(call->context, (enum role_kind)ask->role, (unsigned)ask->index, channel,
			 ask->serve);
}

static enum err boss_listen(struct link_call *call, const struct ask_listen *ask,
			    struct answer_listen *answer) WAITS
{
	struct listener *listener;
	int fd = dup(ask->fd);
	enum err err;

	(void)answer;
	if (fd < 0)
		return fault_errno("a listening socket");
	err = listener_of_fd(fd, &listener);
	if (err) {
		close(fd);
		return err;
	}
	return role_listen(call->context, ask->name, listener);
}

static enum err boss_certificate(struct link_call *call, const struct ask_certificate *ask,
				 struct answer_certificate *answer) WAITS
{
	const struct role_certificate certificate = { ask->chain, ask->key, ask->client_ca };

	(void)answer;
	return role_set_certificate(call->context, &certificate);
}

static enum err boss_begin(struct link_call *call, const struct ask_begin *ask,
			   struct answer_begin *answer) WAITS
{
	struct role *role = call->context;
	struct life *life = life_of(role);
	enum err err = role_begin(role);

	(void)ask;
	answer->sandbox = str_of(life->report.text);
	return err;
}

static enum err boss_reload(struct link_call *call, const struct ask_reload *ask,
			    struct answer_reload *answer) WAITS
{
	const struct role_certificate certificate = { ask->chain, ask->key, ask->client_ca };
	struct str config;
	enum err err = body_map(&ask->config, &config);

	(void)answer;
	if (err)
		return err;
	err = role_reload(call->context, config, &certificate);
	body_unmap(&ask->config, config);
	return err;
}

static enum err boss_readiness(struct link_call *call, const struct ask_readiness *ask,
			       struct answer_readiness *answer) WAITS
{
	struct role *role = call->context;

	(void)answer;
	role->all_ready = ask->all;
	return OK;
}

static enum err boss_stop(struct link_call *call, const struct ask_stop *ask,
			  struct answer_stop *answer) WAITS
{
	(void)answer;
	role_stop(call->context, (int64_t)ask->grace_ms);
	return OK;
}

static void boss_gone(void *context, struct link_peer *peer)
{
	struct life *life = life_of(context);

	(void)peer;
	life->over = true;
	waitq_wake_all(&life->over_queue);
}

const struct link_handlers role_boss_handlers = {
	.boot = boss_boot,
	.ring = boss_ring,
	.wire = boss_wire,
	.listen = boss_listen,
	.certificate = boss_certificate,
	.begin = boss_begin,
	.reload = boss_reload,
	.readiness = boss_readiness,
	.stop = boss_stop,
	.gone = boss_gone,
};

static void run(struct life *life, struct channel *boss) WAITS
{
	struct role *role = &life->role;
	struct fiber_group group;
	enum err err;

	group_init(&group);
	err = link_serve(boss, role->kind, ROLE_SUPERVISOR, 0, &role_boss_handlers, role, &group);
	while (!err && !life->over)
		err = waitq_wait(&life->over_queue, NEVER);
	group_stop(&group);
	group_wait_through(&group);
	role_drop(&role);
}

void role_run(const struct role_ops *ops, struct channel *boss, bool together) WAITS
{
	struct life *life = life_of(role_new(ops));

	life->has_process = !together;
	run(life, boss);
}

void role_run_process(const struct role_ops *ops, struct channel *boss,
		      const struct sandbox_report *report) WAITS
{
	struct life *life = life_of(role_new(ops));

	life->has_process = true;
	life->report = *report;
	run(life, boss);
}
