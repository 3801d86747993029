/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * circle: would an alias close one? An alias that names itself keeps a copy and is none; every other
 * way from an alias back to it is, and mail that goes round in it could never arrive.
 */
#include "link/link.h"
#include "store/directory.h"

/*
 * `address` as it is to be, with these targets, on any connection. *out: the circle in words
 * ("a@x leads to b@x, which leads to a@x"), empty when there is none among the first few thousand
 * addresses on the way.
 */
[[nodiscard]] enum err circle_find(struct db *db, struct arena *arena, struct str address,
				   struct strs targets, struct str *out);
