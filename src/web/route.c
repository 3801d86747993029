/* SPDX-License-Identifier: Apache-2.0 */
#include "web/route.h"
#include "web/guard.h"
#include "web/page.h"
#include "web/words.h"

#define ENDPOINT(name, method, path, access, parameters, type, takes, gives)                       \
	{ #name, method, path, access, parameters, type, takes, gives, answer_##name },
const struct endpoint endpoints[] = {
#include "web/api.def"
};
const size_t endpoint_count = COUNT_OF(endpoints);

static const struct parameter {
	const char *name, *type, *doc;
} parameters[] = {
#define PARAMETER(name, type, doc) { #name, type, doc },
#include "web/api.def"
};

/* ---- finding ---- */

static bool is_method(const struct exchange *exchange, const char *method)
{
	if (str_is(exchange->method, S("HEAD")))
		return str_is(str_of(method), S("GET"));
	return str_is(exchange->method, str_of(method));
}

static bool may_monitor(const struct exchange *exchange)
{
	const struct config *config = exchange->door->web->role->config;
	const struct config_network *found =
		config_network_match(&config->monitors, &exchange->peer);

	if (found && !found->allow)
		return true;
	return exchange->account && config_lists(&config->web_admins, exchange->account_address);
}

static bool admit(struct exchange *exchange, const struct endpoint *endpoint)
{
	const struct web *web = exchange->door->web;

	if (endpoint->access == FOR_MONITORS && !may_monitor(exchange)) {
		exchange_refuse(exchange, MHD_HTTP_FORBIDDEN, "name its network in web_metrics",
				"your address may not read this");
		return false;
	}
	if (endpoint->access == FOR_SIGNED_IN && !exchange->account && guard_needs_sign_in(web)) {
		exchange_refuse(exchange, MHD_HTTP_UNAUTHORIZED, "POST /api/v1/sign-in",
				"nobody is signed in");
		return false;
	}
	return true;
}

static void refuse_method(struct exchange *exchange, const char *allowed)
{
	exchange_refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, "only %s is answered here",
			allowed);
	exchange_set_header(exchange, "Allow", strcmp(allowed, "GET") == 0 ? "GET, HEAD" : allowed);
}

bool route(struct exchange *exchange)
{
	const struct endpoint *fitting = NULL;

	for (size_t i = 0; i < endpoint_count; i++) {
		const struct endpoint *endpoint = &endpoints[i];

		if (!path_fits(str_of(endpoint->path), exchange->path, &exchange->id))
			continue;
		fitting = endpoint;
		if (!is_method(exchange, endpoint->method))
			continue;
		exchange->endpoint = endpoint;
		return admit(exchange, endpoint);
	}
	if (fitting)
		refuse_method(exchange, fitting->method);
	else if (str_starts(exchange->path, S("/api/")))
		exchange_refuse(exchange, MHD_HTTP_NOT_FOUND,
				"GET /api/v1/openapi.json lists what there is",
				"there is nothing at this address");
	else if (!is_method(exchange, "GET"))
		refuse_method(exchange, "GET");
	else
		page_answer(exchange);
	return false;
}

/* ---- describing ---- */

enum err web_api_markdown(struct buf *out)
{
	buf_add_c(out, "| request | for | takes | answers |\n|---|---|---|---|\n");
	for (size_t i = 0; i < endpoint_count; i++) {
		static const char *const access[] = { "anybody", "`web_metrics`", "signed in" };
		const struct endpoint *e = &endpoints[i];

		buf_print(out, "| `%s %s` | %s | ", e->method, e->path, access[e->access]);
		for (const char *at = e->parameters; *at;) {
			size_t len = strcspn(at, " ");

			buf_print(out, "%s`%.*s`", at == e->parameters ? "" : ", ", (int)len, at);
			at += len + (at[len] == ' ');
		}
		buf_print(out, "%s | `%s`: %s |\n", e->takes, e->type, e->gives);
	}
	buf_add_c(out, "\n| parameter | meaning |\n|---|---|\n");
	for (size_t i = 0; i < COUNT_OF(parameters); i++)
		buf_print(out, "| `%s` | %s |\n", parameters[i].name, parameters[i].doc);
	return out->failed ? ERR_LIMIT : OK;
}

static const struct parameter *parameter_find(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(parameters); i++)
		if (str_is(str_of(parameters[i].name), name))
			return &parameters[i];
	return NULL;
}

static void add_member(struct buf *out, const char *name, const char *text)
{
	buf_print(out, "\"%s\":", name);
	json_add_string(out, str_of(text));
}

static void add_parameter(struct buf *out, const char *place, const struct parameter *parameter)
{
	buf_print(out, "{\"name\":\"%s\",\"in\":\"%s\",", parameter->name, place);
	if (strcmp(place, "path") == 0)
		buf_add(out, S("\"required\":true,"));
	add_member(out, "description", parameter->doc);
	buf_print(out, ",\"schema\":{\"type\":\"%s\"}}", parameter->type);
}

static void add_parameters(struct buf *out, const struct endpoint *endpoint)
{
	static const struct parameter id = { "id", "string", "13 letters and digits" };
	struct str names = str_of(endpoint->parameters);
	bool first = true;

	buf_add(out, S("\"parameters\":["));
	if (strchr(endpoint->path, '{')) {
		add_parameter(out, "path", &id);
		first = false;
	}
	while (names.len) {
		size_t end = str_find(names, ' ');
		const struct parameter *parameter = parameter_find(str_first(names, end));

		must(parameter); /* api.def names one that it does not have */
		if (!first)
			buf_add_char(out, ',');
		first = false;
		add_parameter(out, "query", parameter);
		names = end == STR_NONE ? (struct str){ 0 } : str_from(names, end + 1);
	}
	buf_add(out, S("],"));
}

static void add_operation(struct buf *out, const struct endpoint *endpoint)
{
	buf_print(out, "\"%s\":{\"operationId\":\"%s\",",
		  strcmp(endpoint->method, "POST") == 0 ? "post" : "get", endpoint->name);
	add_parameters(out, endpoint);
	if (endpoint->takes[0]) {
		buf_add(out, S("\"requestBody\":{"));
		add_member(out, "description", endpoint->takes);
		buf_add(out, S(",\"required\":true,\"content\":{\"application/"
			       "json\":{\"schema\":{\"type\":"
			       "\"object\"}}}},"));
	}
	buf_add(out, S("\"responses\":{\"200\":{"));
	add_member(out, "description", endpoint->gives);
	buf_add(out, S(",\"content\":{"));
	json_add_string(out, str_of(endpoint->type));
	buf_add(out, S(":{}}},\"default\":{\"description\":\"{error, hint}\",\"content\":"
		       "{\"application/json\":{}}}}"));
	if (endpoint->access == FOR_SIGNED_IN)
		buf_add(out, S(",\"security\":[{\"cookie\":[]}]"));
	buf_add_char(out, '}');
}

enum err route_openapi(struct buf *out)
{
	buf_add(out,
		S("{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Glasspost\",\"version\":"
		  "\"" GP_VERSION
		  "\"},\"components\":{\"securitySchemes\":{\"cookie\":{\"type\":\"apiKey\",\"in\":"
		  "\"cookie\",\"name\":\"glasspost_session\"}}},\"paths\":{"));
	for (size_t i = 0; i < endpoint_count; i++) {
		if (i)
			buf_add_char(out, ',');
		json_add_string(out, str_of(endpoints[i].path));
		buf_add(out, S(":{"));
		add_operation(out, &endpoints[i]);
		buf_add_char(out, '}');
	}
	buf_add(out, S("}}\n"));
	return out->failed ? ERR_LIMIT : OK;
}
