/* SPDX-License-Identifier: Apache-2.0 */
#include "role/life.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct life *life_of(struct role *role)
{
	return CONTAINER_OF(role, struct life, role);
}

static const struct role_pems no_pems = { BUF(65536), BUF(65536), BUF(262144) };

static void pems_drop(struct role_pems *pems)
{
	if (pems->key.at)
		explicit_bzero(pems->key.at, pems->key.len);
	buf_drop(&pems->key);
	buf_drop(&pems->chain);
	buf_drop(&pems->client_ca);
}

struct role *role_new(const struct role_ops *ops)
{
	struct life *life = calloc(1, sizeof *life);

	must(life);
	life->role.ops = ops;
	life->role.kind = ops->kind;
	life->role.folder = "";
	life->pems = no_pems;
	group_init(&life->role.fibers);
	waitq_init(&life->over_queue);
	return &life->role;
}

/* ---- boot, rings, channels ---- */

static enum err parse_config(struct life *life, struct str text, struct config **out)
{
	OWNED(buf) struct buf complaints = BUF(4096);
	enum err err = config_parse(text, life->config_name, life->overrides, life->override_count,
				    &complaints, out);

	if (err)
		return fault(err, "%.*s", STR_ARGS(str_first(buf_str(&complaints), 300)));
	return OK;
}

enum err role_set_up(struct role *role, const struct role_boot *boot)
{
	struct life *life = life_of(role);

	if (role->config)
		return fault(ERR_PROTOCOL, "booted twice");
	if (boot->override_count > ROLE_OVERRIDES_MAX)
		return fault(ERR_LIMIT, "too many options on the command line");
	role->index = boot->index;
	role->folder = str_dup_c(&life->arena, boot->folder);
	life->config_name = str_dup(&life->arena, boot->config_name);
	life->overrides = NEW_ARRAY(&life->arena, struct str, boot->override_count + 1);
	life->override_count = boot->override_count;
	for (size_t i = 0; i < boot->override_count; i++)
		life->overrides[i] = str_dup(&life->arena, boot->overrides[i]);
	return parse_config(life, boot->config, &role->config);
}

enum err role_take_ring(struct role *role, const struct role_ring *ring, bool own)
{
	struct life *life = life_of(role);
	enum err err;

	if (own) {
		if (role->trace)
			return fault(ERR_PROTOCOL, "a second ring of our own");
		err = trace_writer_new((void *)(uintptr_t)ring->at, ring->size, &role->trace);
		if (!err)
			life->own_ring = *ring;
		return err;
	}
	if (role->ring_count == ROLE_RINGS_MAX)
		return fault(ERR_LIMIT, "more than %d rings", ROLE_RINGS_MAX);
	life->rings[role->ring_count++] = *ring;
	role->rings = life->rings;
	return OK;
}

static void keep_for_begin(struct life *life, const struct early *early)
{
	struct early **end = &life->early;

	while (*end)
		end = &(*end)->next;
	*end = NEW(&life->arena, struct early);
	**end = *early;
	(*end)->name = str_dup(&life->arena, early->name);
}

static enum err serve_channel(struct role *role, enum role_kind other, unsigned index,
			      struct channel *channel)
{
	return link_serve(channel, role->kind, other, index, role->ops->serves, role,
			  &role->fibers);
}

enum err role_wire(struct role *role, enum role_kind other, unsigned index, struct channel *channel,
		   bool serve)
{
	const enum role_kind self = role->kind;
	struct link **link = other == ROLE_FILTER  ? &role->filter
			     : other == ROLE_STORE ? &role->store
						   : NULL;

	if (serve && role->ops->serves && life_of(role)->begun)
		return serve_channel(role, other, index, channel);
	if (serve && role->ops->serves) {
		keep_for_begin(
			life_of(role),
			&(struct early){ .channel = channel, .other = other, .index = index });
		return OK;
	}
	if (serve || !link) {
		channel_drop(&channel);
		return fault(ERR_UNSUPPORTED, "%s has nothing to do with %s on this side",
			     role_kind_name(self), role_kind_name(other));
	}
	if (!*link)
		*link = link_new(self, other);
	return link_attach(*link, index, channel);
}

/* ---- listeners ---- */

static void control_fiber(void *arg) WAITS
{
	struct life *life = arg;
	enum err err =
		control_serve(life->control, life->commands, &life->role, &life->role.fibers);

	(void)err; /* stopped, or the socket broke: the role's mail work goes on without it */
	listener_drop(&life->control);
}

static enum err serve_control(struct life *life, struct listener *listener)
{
	enum err err;

	if (life->control) {
		listener_drop(&listener);
		return fault(ERR_PROTOCOL, "a second control socket");
	}
	life->control = listener;
	err = fiber_spawn(&life->role.fibers, "control", control_fiber, life, NULL);
	if (err)
		listener_drop(&life->control);
	return err;
}

static enum err serve_listener(struct life *life, struct str name, struct listener *listener) WAITS
{
	struct role *role = &life->role;

	if (str_is(name, S("control")))
		return serve_control(life, listener);
	if (role->ops->listen)
		return role->ops->listen(role, name, listener);
	listener_drop(&listener);
	return fault(ERR_UNSUPPORTED, "%s serves no listeners", role_kind_name(role->kind));
}

enum err role_listen(struct role *role, struct str name, struct listener *listener) WAITS
{
	struct life *life = life_of(role);

	if (role->stopping) {
		listener_drop(&listener);
		return fault(ERR_STOPPED, "the role is stopping");
	}
	if (life->begun)
		return serve_listener(life, name, listener);
	keep_for_begin(life, &(struct early){ .name = name, .listener = listener });
	return OK;
}

static enum err serve_early(struct life *life) WAITS
{
	enum err err = OK;

	while (life->early && !err) {
		struct early *early = life->early;

		life->early = early->next;
		if (early->listener)
			err = serve_listener(life, early->name, early->listener);
		else
			err = serve_channel(&life->role, early->other, early->index,
					    early->channel);
	}
	return err;
}

/* ---- certificate, begin, reload ---- */

/* One that fell and was started again is told by its being ready anew. */
static void tell(const struct life *life, struct str what)
{
	char pid[24] = "";

	if (life->has_process)
		snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
	TRACE(life->role.trace, 0, 0, role, .what = what, .detail = str_of(pid));
}

static enum err pems_copy(const struct role_certificate *from, struct role_pems *out)
{
	*out = no_pems;
	if (!buf_add(&out->chain, from->chain) && !buf_add(&out->key, from->key) &&
	    !buf_add(&out->client_ca, from->client_ca))
		return OK;
	pems_drop(out);
	return fault(ERR_LIMIT, "the certificate, its key or client_ca is too large");
}

static void use_pems(struct life *life, const struct role_pems *pems)
{
	life->pems = *pems;
	life->role.certificate = (struct role_certificate){
		.chain = buf_str(&life->pems.chain),
		.key = buf_str(&life->pems.key),
		.client_ca = buf_str(&life->pems.client_ca),
	};
}

enum err role_set_certificate(struct role *role, const struct role_certificate *certificate)
{
	struct life *life = life_of(role);
	struct role_pems fresh;
	enum err err = life->begun ? fault(ERR_PROTOCOL, "after begin it comes with a reload")
				   : pems_copy(certificate, &fresh);

	if (err)
		return err;
	pems_drop(&life->pems);
	use_pems(life, &fresh);
	return OK;
}

static void gather_commands(struct life *life)
{
	const struct control_command *const *own = life->role.ops->commands;
	const struct control_command **tables;
	size_t count = 0;

	while (own && own[count])
		count++;
	tables = NEW_ARRAY(&life->arena, const struct control_command *, count + 2);
	tables[0] = role_common_commands;
	for (size_t i = 0; i < count; i++)
		tables[i + 1] = own[i];
	life->commands = tables;
}

enum err role_begin(struct role *role) WAITS
{
	struct life *life = life_of(role);
	enum err err = OK;

	if (!role->config || life->begun)
		return fault(ERR_PROTOCOL, "begin out of order");
	gather_commands(life);
	if (role->ops->begin)
		err = role->ops->begin(role);
	if (err)
		return err;
	life->begun = true;
	err = serve_early(life);
	if (!err)
		tell(life, S("ready"));
	return err;
}

static enum err take_over(struct life *life, struct config *fresh, const struct role_pems *pems)
	WAITS
{
	struct role *role = &life->role;
	struct config *old = role->config;
	struct role_pems before = life->pems;
	enum err err = OK;

	role->config = fresh;
	use_pems(life, pems);
	if (role->ops->reload)
		err = role->ops->reload(role);
	if (!err) {
		config_unref(&old);
		pems_drop(&before);
		return OK;
	}
	role->config = old;
	use_pems(life, &before);
	return err;
}

enum err role_reload(struct role *role, struct str config,
		     const struct role_certificate *certificate) WAITS
{
	struct life *life = life_of(role);
	struct config *fresh = NULL;
	struct role_pems pems = no_pems;
	enum err err;

	if (!life->begun)
		return fault(ERR_PROTOCOL, "reload before begin");
	err = parse_config(life, config, &fresh);
	if (err)
		return err;
	err = pems_copy(certificate && certificate->chain.len ? certificate : &role->certificate,
			&pems);
	if (!err)
		err = take_over(life, fresh, &pems);
	if (err) {
		config_unref(&fresh);
		pems_drop(&pems);
		return err;
	}
	tell(life, S("reloaded"));
	return OK;
}

/* ---- the end ---- */

void role_stop(struct role *role, int64_t grace_ms) WAITS
{
	if (role->stopping)
		return;
	role->stopping = true;
	if (life_of(role)->begun)
		tell(life_of(role), S("stopping"));
	if (life_of(role)->begun && role->ops->stop)
		role->ops->stop(role, in_ms(grace_ms));
	group_stop(&role->fibers);
	/* Stopped fibers end by themselves; what they hold (a commit under way) is never cut off. */
	group_wait_through(&role->fibers);
}

static void drop_rings(struct life *life)
{
	trace_writer_drop(&life->role.trace);
	if (!life->has_process)
		return; /* the house's mappings */
	if (life->own_ring.at)
		munmap((void *)(uintptr_t)life->own_ring.at, life->own_ring.size);
	for (size_t i = 0; i < life->role.ring_count; i++)
		munmap((void *)(uintptr_t)life->rings[i].at, life->rings[i].size);
}

void role_drop(struct role **role) WAITS
{
	struct role *r = *role;
	struct life *life;

	*role = NULL;
	if (!r)
		return;
	life = life_of(r);
	role_stop(r, 0);
	if (life->begun && r->ops->end)
		r->ops->end(r);
	for (; life->early; life->early = life->early->next) {
		listener_drop(&life->early->listener);
		channel_drop(&life->early->channel);
	}
	link_drop(&r->filter);
	link_drop(&r->store);
	drop_rings(life);
	config_unref(&r->config);
	pems_drop(&life->pems);
	arena_drop(&life->arena);
	free(life);
}
