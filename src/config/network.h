/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* network: lists of networks with exceptions, as options hold them. */
#include "config/complaint.h"
#include "config/config.h"

struct network_source {
	const struct config_list *list;
	const char *name; /* of the option, for complaints */
	unsigned line;
	struct str listener; /* whose option it is; empty: a general one */
};

/* All sources in their order; entries that are no network are complained of and left out. */
struct config_networks networks_take(struct complaints *complaints,
				     const struct network_source *sources, size_t count);
