/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* commands: what the control socket can ask of the store; the context is its struct role. */
#include "role/role.h"
#include "store/state.h"

extern const struct control_command store_commands[];
