/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * web: the role that speaks with browsers: the page and the interface behind it (docs/api.md).
 *
 * libmicrohttpd does HTTP and TLS, on our loop (door.h). What can be asked is one table, api.def; what is told comes
 * from the store, which decides who may see it (store/view.h). The role keeps nothing but who has signed in.
 *
 * Invariants
 *  (1) It is only ever asked by browsers: no other role waits for it, and mail passes without it.
 *  (2) Every wait, buffer and number of connections is bounded; a browser that reads slowly loses events, and is told.
 */
#include "role/role.h"

extern const struct role_ops web_role;

/* docs/api.md's tables, made from api.def. */
enum err web_api_markdown(struct buf *out);
