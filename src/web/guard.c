/* SPDX-License-Identifier: Apache-2.0 */
#include "web/guard.h"
#include "web/sign_in.h"
#include "web/words.h"

bool guard_needs_sign_in(const struct web *web)
{
	return !web->role->config->accept_any_password;
}

static bool admit_host(struct exchange *exchange, struct str host)
{
	bool is_open = !guard_needs_sign_in(exchange->door->web);

	if (!host_is_sound(host)) {
		exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, NULL,
				"the request does not say which host it is for");
		return false;
	}
	/* Where nobody signs in, a name of somebody else that leads here would be let in. */
	if (is_open && !host_is_local(host)) {
		exchange_refuse(exchange, MHD_HTTP_MISDIRECTED_REQUEST,
				"use http://localhost or http://127.0.0.1 with the port",
				"this server answers to names of this machine only");
		return false;
	}
	return true;
}

static bool admit_change(struct exchange *exchange, struct str host)
{
	struct str origin = exchange_header(exchange, "Origin");
	struct str site = exchange_header(exchange, "Sec-Fetch-Site");

	if ((origin.len && !origin_is_of(origin, host)) ||
	    (site.len && !str_is(site, S("same-origin")) && !str_is(site, S("none")))) {
		exchange_refuse(exchange, MHD_HTTP_FORBIDDEN, "open the page itself",
				"the request comes from another site");
		return false;
	}
	if (!type_is_json(exchange_header(exchange, "Content-Type"))) {
		exchange_refuse(exchange, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
				"send JSON, and Content-Type: application/json",
				"the request is not JSON");
		return false;
	}
	return true;
}

static enum MHD_Result note_field(void *cls, enum MHD_ValueKind kind, const char *name,
				  size_t name_len, const char *value, size_t value_len)
{
	(void)kind;
	framing_note(cls, (struct str){ name, name_len },
		     (struct str){ value ? value : "", value ? value_len : 0 });
	return MHD_YES;
}

bool guard_begin(struct exchange *exchange)
{
	struct framing framing = { 0 };
	const char *complaint;

	MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, note_field, &framing);
	complaint = framing_complaint(&framing);
	if (complaint)
		exchange_refuse(exchange, MHD_HTTP_BAD_REQUEST, NULL, "%s", complaint);
	else if (framing.has_coding)
		exchange_refuse(exchange, MHD_HTTP_LENGTH_REQUIRED, "send Content-Length",
				"Transfer-Encoding is not taken here");
	else
		return true;
	exchange_set_header(exchange, "Connection", "close");
	return false;
}

bool guard_admit(struct exchange *exchange)
{
	struct str host = exchange_header(exchange, "Host");

	if (!admit_host(exchange, host))
		return false;
	if (str_is(exchange->method, S("POST")) && !admit_change(exchange, host))
		return false;
	sign_in_find(exchange);
	return true;
}
