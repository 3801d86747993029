/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/crew.h"

#include <stdlib.h>

struct house {
	struct crew crew;
};

static enum err take_certificate(struct crew *crew, const struct house_options *options,
				 const struct config *config)
{
	crew->certificate = CERTIFICATE_EMPTY;
	if (options->chain.len == 0)
		return certificate_make(config->hostname, &crew->certificate);
	if (buf_add(&crew->certificate.chain, options->chain) ||
	    buf_add(&crew->certificate.key, options->key))
		return fault(ERR_LIMIT, "the certificate is too large");
	return OK;
}

static void copy_options(struct crew *crew, const struct house_options *options)
{
	crew->roles = options->roles;
	crew->in_house = true;
	crew->zone = options->zone;
	crew->any_port = options->any_port && !world_is_simulated(world_here());
	must(asprintf(&crew->folder, "%.*s", STR_ARGS(options->folder)) >= 0);
	crew->overrides = NEW_ARRAY(&crew->arena, struct str, options->override_count + 1);
	crew->override_count = options->override_count;
	for (size_t i = 0; i < options->override_count; i++)
		crew->overrides[i] = str_dup(&crew->arena, options->overrides[i]);
}

enum err house_start(const struct house_options *options, struct buf *complaints,
		     struct house **out) WAITS
{
	struct house *house;
	struct config *config = NULL;
	enum err err = config_parse(options->config, options->config_name, options->overrides,
				    options->override_count, complaints, &config);

	if (err)
		return err;
	house = calloc(1, sizeof *house);
	must(house);
	role_name_traces();
	copy_options(&house->crew, options);
	err = take_certificate(&house->crew, options, config);
	if (err) {
		house->crew.config = config;
		group_init(&house->crew.watchers);
		crew_stop(&house->crew, 0);
	} else {
		err = crew_start(&house->crew, config);
	}
	if (err) {
		buf_print(complaints, "%s\n", fault_text());
		free(house);
		return err;
	}
	*out = house;
	return OK;
}

struct role *house_role(struct house *house, enum role_kind kind)
{
	struct member *member = crew_member(&house->crew, kind, 0);

	return member ? member->role : NULL;
}

bool house_address(const struct house *house, struct str listener, size_t index, struct addr *out)
{
	for (size_t i = 0; i < house->crew.opening_count; i++) {
		const struct opening *opening = house->crew.openings[i];

		if (str_is(listener, str_of(opening->listener)) && index-- == 0) {
			*out = opening->address;
			return true;
		}
	}
	return false;
}

struct str house_chain(const struct house *house)
{
	return buf_str(&house->crew.certificate.chain);
}

/*
 * Those who ask it hear at once that it is gone, while it still finishes what it has begun. A relay that is killed
 * tells the store no more what it has done.
 */
static void cut_off(struct crew *crew, const struct member *member)
{
	if (member->kind == ROLE_RELAY && member->role->store)
		link_detach(member->role->store, 0);
	for (size_t i = 0; i < crew->count; i++) {
		struct role *role = crew->members[i].role;

		if (role && role->store && member->kind == ROLE_STORE)
			link_detach(role->store, member->index);
		if (role && role->filter && member->kind == ROLE_FILTER)
			link_detach(role->filter, member->index);
	}
}

enum err house_restart(struct house *house, enum role_kind kind, int64_t down_ms) WAITS
{
	struct member *member = crew_member(&house->crew, kind, 0);
	enum err err;

	if (!member || !member->up)
		return fault(ERR_NOT_FOUND, "%s does not run", role_kind_name(kind));
	cut_off(&house->crew, member);
	member_end(member);
	err = fiber_sleep(in_ms(down_ms));
	if (!err)
		err = member_launch(member);
	if (!err)
		err = member_wire_all(member);
	if (!err)
		err = member_begin(member);
	if (err)
		member_end(member);
	return err;
}

enum err house_reload(struct house *house, struct str config, struct buf *complaints) WAITS
{
	struct config *fresh = NULL;
	enum err err = config_parse(config, house->crew.config->file, house->crew.overrides,
				    house->crew.override_count, complaints, &fresh);

	return err ? err : crew_reload(&house->crew, fresh, complaints);
}

void house_stop(struct house **house, int64_t grace_ms) WAITS
{
	if (*house) {
		crew_stop(&(*house)->crew, grace_ms);
		free(*house);
	}
	*house = NULL;
}
