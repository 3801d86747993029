/* SPDX-License-Identifier: Apache-2.0 */
#include "config/network.h"

static bool take_one(struct complaints *complaints, const struct network_source *source,
		     struct str word, struct config_network *out)
{
	bool allow = str_starts(word, S("!"));

	*out = (struct config_network){ .allow = allow, .line = source->line };
	if (network_parse(str_trim(str_from(word, allow)), &out->network))
		return true;
	complain(complaints, source->line,
		 "%s%.*s%s%s: '%.*s' is no network; write one address, or a network with its host "
		 "bits 0: 192.0.2.0/24",
		 source->listener.len ? "listener " : "", STR_ARGS(source->listener),
		 source->listener.len ? ": " : "", source->name, STR_ARGS(str_first(word, 100)));
	return false;
}

struct config_networks networks_take(struct complaints *complaints,
				     const struct network_source *sources, size_t count)
{
	struct config_networks networks = { 0 };
	size_t most = 0;

	for (size_t i = 0; i < count; i++)
		most += sources[i].list->count;
	networks.at = NEW_ARRAY(complaints->arena, struct config_network, most + 1);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < sources[i].list->count; j++) {
			if (take_one(complaints, &sources[i], sources[i].list->at[j],
				     &networks.at[networks.count]))
				networks.count++;
		}
	}
	return networks;
}

const struct config_network *config_network_match(const struct config_networks *networks,
						  const struct addr *peer)
{
	for (size_t i = 0; i < networks->count; i++) {
		if (network_contains(&networks->at[i].network, peer))
			return &networks->at[i];
	}
	return NULL;
}

bool config_is_exempt(const struct config *config, const struct addr *peer)
{
	for (size_t i = 0; i < config->exempt_count; i++)
		if (network_contains(&config->exempt[i], peer))
			return true;
	return peer->family == ADDR_UNIX;
}
