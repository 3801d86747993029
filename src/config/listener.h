/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* listener: the listener sections understood, checked each for itself and against one another. */
#include "config/file.h"

struct listener_reading {
	struct config *config; /* its general options are set already */
	struct complaints *complaints;
	struct config_networks general_deny;
	uint16_t port_base;
};

/* Fills config->listeners: those of the file, or the presets when it names none. */
void listeners_take(const struct listener_reading *reading, const struct raw_file *file);
