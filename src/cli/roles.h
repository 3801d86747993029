/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* roles: the table of all roles, for the supervisor and for `glasspost role NAME`. */
#include "role/role.h"

extern const struct role_ops *const cli_roles[]; /* NULL-ended */
int run_role(int argc, char **argv);
