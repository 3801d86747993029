/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* route: which row of api.def a request is for. Private to web/. */
#include "web/exchange.h"

enum access { FOR_ANYBODY, FOR_MONITORS, FOR_SIGNED_IN };

struct endpoint {
	const char *name;
	const char *method;
	const char *path;
	enum access access;
	const char *parameters;
	const char *type;
	const char *takes;
	const char *gives;
	void (*answer)(struct exchange *exchange) WAITS; /* in the exchange's fiber */
};
extern const struct endpoint endpoints[];
extern const size_t endpoint_count;

#define ENDPOINT(name, method, path, access, parameters, type, takes, gives)                       \
	void answer_##name(struct exchange *exchange) WAITS;
#include "web/api.def"

/* True: exchange->endpoint is known and is to answer. False: the answer is said. */
bool route(struct exchange *exchange);
/* The table as OpenAPI 3.1. */
enum err route_openapi(struct buf *out);
