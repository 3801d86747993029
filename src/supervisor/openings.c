/* SPDX-License-Identifier: Apache-2.0 */
/* The listening sockets that the configuration asks for. */
#include "supervisor/crew.h"

#include <stdio.h>
#include <stdlib.h>

bool opening_is_for(const struct crew *crew, const struct opening *opening,
		    const struct member *member)
{
	const struct config_listener *l = config_listener(crew->config, str_of(opening->listener));

	if (!l)
		return false;
	if (l->kind == PROTOCOL_HTTP)
		return member->kind == ROLE_WEB;
	/* The mx gate can sign nobody in; see link/messages.def. */
	if (l->kind == PROTOCOL_SMTP || l->kind == PROTOCOL_LMTP)
		return member->kind == ROLE_GATE_MX;
	return member->kind == ROLE_GATE_USER;
}

static struct opening *opening_new(struct str name, const struct addr *wanted, mode_t mode)
{
	struct opening *opening = calloc(1, sizeof *opening);

	must(opening);
	snprintf(opening->listener, sizeof opening->listener, "%.*s", STR_ARGS(name));
	opening->wanted = *wanted;
	opening->mode = mode;
	opening->fd = -1;
	return opening;
}

static bool addr_is_same(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->ip, b->ip, sizeof a->ip) == 0 && strcmp(a->path, b->path) == 0;
}

static bool address_of(const struct crew *crew, const struct config_listener *l, size_t index,
		       struct addr *out)
{
	if (!config_listener_address(l, index, str_of(crew->folder), out))
		return false;
	if (crew->any_port)
		out->port = 0;
	return true;
}

static bool is_open(const struct crew *crew, struct str name, const struct addr *wanted)
{
	for (size_t i = 0; i < crew->opening_count; i++) {
		if (str_is(name, str_of(crew->openings[i]->listener)) &&
		    addr_is_same(&crew->openings[i]->wanted, wanted))
			return true;
	}
	return false;
}

/* Which listener of ours, by another name, has this address? A bind would only say that it is taken. */
static enum err check_names(const struct crew *crew, const struct config_listener *l,
			    const struct addr *wanted)
{
	char text[ADDR_TEXT];

	for (size_t i = 0; i < crew->opening_count; i++) {
		const struct opening *other = crew->openings[i];

		if (crew->any_port || !addr_is_same(&other->wanted, wanted))
			continue;
		addr_print(wanted, text);
		return fault(
			ERR_BUSY,
			"listener %.*s: %s is held by this server's listener %s; a reload cannot "
			"give a listener another name: leave it, take another port, or start again",
			STR_ARGS(l->name), text, other->listener);
	}
	return OK;
}

/* One address; *opened counts those that work. A family that the machine lacks is only told. */
static enum err open_address(struct crew *crew, const struct config_listener *l, size_t index,
			     size_t *opened)
{
	struct opening *opening;
	struct addr wanted;
	enum err err;

	if (!address_of(crew, l, index, &wanted))
		return fault(ERR_LIMIT,
			     "listener %.*s: the path of its socket is too long; use a "
			     "shorter data directory",
			     STR_ARGS(l->name));
	if (is_open(crew, l->name, &wanted)) {
		(*opened)++;
		return OK;
	}
	if (crew->opening_count == OPENINGS_MAX)
		return fault(ERR_LIMIT, "more than %d listening sockets", OPENINGS_MAX);
	if (wanted.family == ADDR_UNIX && world_is_simulated(world_here())) {
		(*opened)++; /* there are none in that world */
		return OK;
	}
	err = check_names(crew, l, &wanted);
	if (err)
		return err;
	opening = opening_new(l->name, &wanted, 0660);
	err = opening_open(opening);
	if (err) {
		free(opening);
		return err;
	}
	crew->openings[crew->opening_count++] = opening;
	(*opened)++;
	return OK;
}

static enum err open_listener(struct crew *crew, const struct config_listener *l,
			      struct buf *complaints)
{
	size_t opened = 0;
	enum err first = OK;

	for (size_t i = 0; i < l->address.count; i++) {
		enum err err = open_address(crew, l, i, &opened);

		if (!err)
			continue;
		if (err != ERR_UNSUPPORTED || (i + 1 == l->address.count && opened == 0)) {
			buf_print(complaints, "%s\n", fault_text());
			first = first ? first : err;
		}
	}
	return first;
}

enum err crew_open_listeners(struct crew *crew, const struct config *config, struct buf *complaints)
{
	enum err first = OK;

	for (size_t i = 0; i < config->listener_count; i++) {
		enum err err = open_listener(crew, &config->listeners[i], complaints);

		first = first ? first : err;
	}
	return first;
}

static bool is_wanted(const struct crew *crew, const struct opening *opening,
		      const struct config *config)
{
	const struct config_listener *l =
		config ? config_listener(config, str_of(opening->listener)) : NULL;
	struct addr wanted;

	for (size_t i = 0; l && i < l->address.count; i++) {
		if (address_of(crew, l, i, &wanted) && addr_is_same(&wanted, &opening->wanted))
			return true;
	}
	return false;
}

void crew_close_listeners(struct crew *crew, const struct config *config)
{
	size_t kept = 0;

	for (size_t i = 0; i < crew->opening_count; i++) {
		if (is_wanted(crew, crew->openings[i], config)) {
			crew->openings[kept++] = crew->openings[i];
			continue;
		}
		opening_close(crew->openings[i]);
		free(crew->openings[i]);
	}
	crew->opening_count = kept;
}

enum err crew_open_control(struct crew *crew, struct member *member)
{
	struct addr wanted = { .family = ADDR_UNIX };
	char number[16] = "";
	int len;
	enum err err;

	if (!crew->has_control)
		return OK;
	if (member->index > 0)
		snprintf(number, sizeof number, "-%u", member->index);
	len = snprintf(wanted.path, sizeof wanted.path, "%s/run/%s%s.sock", crew->folder,
		       role_kind_name(member->kind), number);
	if (len < 0 || (size_t)len >= sizeof wanted.path)
		return fault(ERR_LIMIT, "the data directory's name is too long for sockets in it");
	member->control = opening_new(S("control"), &wanted, 0600);
	err = opening_open(member->control);
	if (!err)
		return OK;
	free(member->control);
	member->control = NULL;
	return err;
}
