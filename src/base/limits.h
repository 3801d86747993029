/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * limits: every fixed bound of the program, once. docs/limits.md is made from limits.def;
 * what an operator may set is in config/options.def and has its default and its ceiling there.
 */
enum limits {
#define LIMIT(name, value, unit, why) LIMIT_##name = value,
#include "base/limits.def"
#undef LIMIT
};
