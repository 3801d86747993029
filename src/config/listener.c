/* SPDX-License-Identifier: Apache-2.0 */
#include "config/listener.h"
#include "config/network.h"
#include "config/value.h"

#include <stdarg.h>
#include <stdio.h>

struct understanding {
	const struct listener_reading *reading;
	struct config_listener *listener;
	const struct raw_listener *raw;
};

static const struct raw_value *raw_of(const struct understanding *u, const char *option)
{
	const struct option_row *row =
		option_find(listener_rows, listener_row_count, str_of(option));

	return &u->raw->values[row - listener_rows];
}

static unsigned line_of(const struct understanding *u, const char *option)
{
	unsigned line = raw_of(u, option)->line;

	return line ? line : u->raw->line;
}

static void complain_of(const struct understanding *u, const char *option, const char *format, ...)
	PRINTF_LIKE(3, 4);
static void complain_of(const struct understanding *u, const char *option, const char *format, ...)
{
	char text[500];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	complain(u->reading->complaints, line_of(u, option), "listener %.*s: %s: %s",
		 STR_ARGS(u->listener->name), option, text);
}

/* ---- values ---- */

static void take_values(const struct understanding *u)
{
	struct arena *arena = &u->reading->config->arena;

	for (size_t i = 0; i < listener_row_count; i++) {
		const struct option_row *row = &listener_rows[i];
		const struct raw_value *raw = &u->raw->values[i];
		void *place = (char *)u->listener + row->offset;
		char complaint[VALUE_COMPLAINT_MAX];

		must(value_take(arena, row, str_of(row->preset), place, complaint));
		if (raw->line && !value_take(arena, row, raw->text, place, complaint))
			complain_of(u, row->name, "%s", complaint);
	}
}

static unsigned index_of(struct str word, const char *const *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (str_is(word, str_of(words[i])))
			return i;
	}
	return 0;
}

static void understand_modes(const struct understanding *u)
{
	static const char *const protocols[] = { "smtp", "submission", "lmtp", "pop3", "http" };
	static const char *const tls[] = { "none", "starttls", "implicit" };
	static const char *const auth[] = { "none", "offered", "required" };
	struct config_listener *l = u->listener;

	if (l->protocol.len == 0 && raw_of(u, "protocol")->text.len == 0)
		complain_of(u, "protocol", "is missing; write one of: %s",
			    option_choices("protocol"));
	l->kind = (enum protocol)index_of(l->protocol, protocols, COUNT_OF(protocols));
	l->tls_mode = (enum tls_mode)index_of(l->tls, tls, COUNT_OF(tls));
	/* Nobody says STARTTLS in HTTP: what was not asked for is not there. */
	if (l->kind == PROTOCOL_HTTP && !raw_of(u, "tls")->line)
		l->tls_mode = TLS_MODE_NONE;
	if (l->auth.len == 0)
		l->auth_mode = l->kind == PROTOCOL_SUBMISSION || l->kind == PROTOCOL_POP3
				       ? AUTH_MODE_REQUIRED
				       : AUTH_MODE_NONE;
	else
		l->auth_mode = (enum auth_mode)index_of(l->auth, auth, COUNT_OF(auth));
}

static uint16_t well_known_port(const struct config_listener *l)
{
	bool implicit = l->tls_mode == TLS_MODE_IMPLICIT;

	switch (l->kind) {
	case PROTOCOL_SMTP:
		return 25;
	case PROTOCOL_SUBMISSION:
		return implicit ? 465 : 587; /* rfc8314 3.3 */
	case PROTOCOL_LMTP:
		return 24;
	case PROTOCOL_POP3:
		return implicit ? 995 : 110;
	case PROTOCOL_HTTP:
		return implicit ? 443 : 80;
	}
	return 0;
}

static void understand_port(const struct understanding *u)
{
	struct config_listener *l = u->listener;
	uint64_t port = l->port ? l->port : well_known_port(l);

	port += u->reading->port_base;
	if (port > 65535)
		complain_of(u, "port", "%llu is past 65535; use a smaller port base",
			    (unsigned long long)port);
	l->real_port = (uint16_t)port;
}

static void understand_networks(const struct understanding *u)
{
	const struct listener_reading *reading = u->reading;
	struct config_listener *l = u->listener;
	const struct config_networks *general = &reading->general_deny;
	const struct network_source deny = { &l->networks_deny, "networks_deny",
					     line_of(u, "networks_deny"), l->name };
	const struct network_source proxies = { &l->proxies, "proxies", line_of(u, "proxies"),
						l->name };
	struct config_networks own = networks_take(reading->complaints, &deny, 1);

	l->proxy_networks = networks_take(reading->complaints, &proxies, 1);
	l->deny.count = own.count + general->count;
	l->deny.at = NEW_ARRAY(&reading->config->arena, struct config_network, l->deny.count + 1);
	memcpy(l->deny.at, own.at, own.count * sizeof *own.at);
	memcpy(l->deny.at + own.count, general->at, general->count * sizeof *own.at);
}

/* ---- checks ---- */

static void check_auth(const struct understanding *u)
{
	const struct config_listener *l = u->listener;
	bool signs_in = l->kind == PROTOCOL_SUBMISSION || l->kind == PROTOCOL_POP3;

	if (!signs_in && l->auth_mode != AUTH_MODE_NONE)
		complain_of(u, "auth",
			    "%.*s signs nobody in; write none, or use protocol = submission",
			    STR_ARGS(l->protocol));
	if (l->kind == PROTOCOL_POP3 && l->auth_mode == AUTH_MODE_NONE)
		complain_of(u, "auth", "pop3 without a login reads no mail; write required");
	if (signs_in && l->auth_mode != AUTH_MODE_NONE && l->tls_mode == TLS_MODE_NONE &&
	    !l->auth_without_tls)
		complain_of(u, "tls",
			    "is none, so that no password may pass; write starttls or implicit");
	if (l->kind == PROTOCOL_HTTP && l->tls_mode == TLS_MODE_STARTTLS)
		complain_of(u, "tls",
			    "is starttls, which HTTP has not; write implicit, or none on loopback");
	if (l->apop && l->kind != PROTOCOL_POP3)
		complain_of(u, "apop", "is of pop3 only; take it away");
	if (l->apop && !u->reading->config->keep_secrets)
		complain_of(u, "apop",
			    "needs the general option keep_secrets = yes; set both or "
			    "neither");
}

static bool is_one_of(struct str word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_is_nocase(word, str_of(words[i])))
			return true;
	return false;
}

/* Of all protocols together, so that one list serves several listeners. */
static void check_without(const struct understanding *u)
{
	static const char *const known[] = {
		"SIZE",       "PIPELINING",     "8BITMIME", "SMTPUTF8", "CHUNKING",
		"BINARYMIME", "LIMITS",         "VRFY",     "HELP",     "ENHANCEDSTATUSCODES",
		"STARTTLS",   "AUTH",           "STLS",     "TOP",      "UIDL",
		"USER",       "APOP",           "CAPA",     "UTF8",     "LANG",
		"RESP-CODES", "AUTH-RESP-CODE", "DSN",      "ETRN"
	};
	const struct config_list *list = &u->listener->without;

	for (size_t i = 0; i < list->count; i++)
		if (!is_one_of(list->at[i], known, COUNT_OF(known)))
			complain_of(u, "without",
				    "'%.*s' is no extension that we have; write names that EHLO or "
				    "CAPA list: SIZE, CHUNKING",
				    STR_ARGS(str_first(list->at[i], 40)));
}

static void check_mechanisms(const struct understanding *u)
{
	static const char *const known[] = { "PLAIN",
					     "LOGIN",
					     "CRAM-MD5",
					     "SCRAM-SHA-1",
					     "SCRAM-SHA-1-PLUS",
					     "SCRAM-SHA-256",
					     "SCRAM-SHA-256-PLUS" };
	const struct config_list *list = &u->listener->mechanisms;

	for (size_t i = 0; i < list->count; i++) {
		if (!is_one_of(list->at[i], known, COUNT_OF(known)))
			complain_of(u, "mechanisms",
				    "'%.*s' is none that we speak; choose from PLAIN, LOGIN, "
				    "SCRAM-SHA-1, SCRAM-SHA-256, their -PLUS, and CRAM-MD5",
				    STR_ARGS(str_first(list->at[i], 40)));
	}
	if (config_lists(list, S("CRAM-MD5")) && !u->reading->config->keep_secrets)
		complain_of(u, "mechanisms",
			    "CRAM-MD5 needs the general option keep_secrets = yes; set it or take "
			    "CRAM-MD5 away");
}

static void check_name(const struct understanding *u)
{
	struct str name = u->listener->name;
	bool good = name.len >= 1 && name.len <= 40 && !str_is(name, S("control"));

	for (size_t i = 0; i < name.len && good; i++) {
		unsigned char c = (unsigned char)name.at[i];

		good = ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_';
	}
	if (!good)
		complain(u->reading->complaints, u->raw->line,
			 "listener: '%.*s' is no name for one; use 1 to 40 letters, digits and "
			 "hyphens, and not \"control\"",
			 STR_ARGS(str_first(name, 60)));
}

static void check_addresses(const struct understanding *u)
{
	const struct config_listener *l = u->listener;
	struct addr addr;

	if (l->address.count == 0)
		complain_of(u, "address", "is empty; write an address or a path");
	for (size_t i = 0; i < l->address.count; i++) {
		struct str word = l->address.at[i];

		if (!config_listener_address(l, i, S(""), &addr)) {
			complain_of(u, "address",
				    "'%.*s' is no address; write an IPv4 or IPv6 address, or the "
				    "path of a socket (at most 107 octets)",
				    STR_ARGS(str_first(word, 120)));
			continue;
		}
		if (addr.family == ADDR_UNIX && l->tls_mode == TLS_MODE_IMPLICIT)
			complain_of(u, "tls",
				    "implicit makes no sense on the socket %.*s; write "
				    "none",
				    STR_ARGS(word));
		/* Passwords and cookies would be anybody's on the way. */
		if (l->kind == PROTOCOL_HTTP && l->tls_mode == TLS_MODE_NONE &&
		    !l->auth_without_tls && !addr_is_loopback(&addr))
			complain_of(u, "tls",
				    "is none, and %.*s is open to others; write implicit, or "
				    "127.0.0.1 behind a "
				    "proxy that speaks TLS",
				    STR_ARGS(word));
		if (u->reading->config->accept_any_password && !addr_is_loopback(&addr))
			complain_of(u, "address",
				    "%.*s is open to others while accept_any_password is set; use "
				    "127.0.0.1",
				    STR_ARGS(word));
	}
}

/* Would the kernel refuse the second of these two? */
static bool addresses_clash(const struct addr *a, const struct addr *b)
{
	static const unsigned char any[16];

	if (a->family != b->family)
		return false;
	if (a->family == ADDR_UNIX)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port &&
	       (memcmp(a->ip, b->ip, sizeof any) == 0 || memcmp(a->ip, any, sizeof any) == 0 ||
		memcmp(b->ip, any, sizeof any) == 0);
}

static bool listeners_clash(const struct config_listener *a, const struct config_listener *b,
			    size_t *which)
{
	struct addr left, right;

	for (size_t i = 0; i < a->address.count; i++) {
		for (size_t j = 0; j < b->address.count; j++) {
			if ((a != b || i < j) && config_listener_address(a, i, S(""), &left) &&
			    config_listener_address(b, j, S(""), &right) &&
			    addresses_clash(&left, &right)) {
				*which = j;
				return true;
			}
		}
	}
	return false;
}

static void check_clashes(const struct understanding *u)
{
	const struct config *config = u->reading->config;
	const struct config_listener *l = u->listener;
	size_t which;

	for (const struct config_listener *other = config->listeners; other <= l; other++) {
		if (listeners_clash(other, l, &which)) {
			complain_of(u, "port",
				    "%.*s port %u is taken by listener %.*s; choose another port "
				    "or address",
				    STR_ARGS(l->address.at[which]), l->real_port,
				    STR_ARGS(other->name));
			return;
		}
	}
}

/* ---- all of them ---- */

static void take_one(const struct listener_reading *reading, const struct raw_listener *raw,
		     struct config_listener *listener)
{
	const struct understanding u = { reading, listener, raw };

	listener->name = raw->name;
	listener->line = raw->line;
	take_values(&u);
	understand_modes(&u);
	understand_port(&u);
	understand_networks(&u);
	check_name(&u);
	check_auth(&u);
	check_mechanisms(&u);
	check_without(&u);
	check_addresses(&u);
	check_clashes(&u);
}

static void set_raw(struct raw_listener *raw, const char *option, const char *text)
{
	const struct option_row *row =
		option_find(listener_rows, listener_row_count, str_of(option));

	raw->values[row - listener_rows] = (struct raw_value){ .line = 1, .text = str_of(text) };
}

/* The presets, spelled as a file would spell them. */
static struct raw_listener *raw_presets(struct arena *arena)
{
	struct raw_listener *first = NULL;

	for (size_t i = listener_preset_count; i-- > 0;) {
		const struct listener_preset *preset = &listener_presets[i];
		struct raw_listener *raw = NEW(arena, struct raw_listener);

		raw->name = str_of(preset->name);
		raw->values = NEW_ARRAY(arena, struct raw_value, listener_row_count);
		set_raw(raw, "protocol", preset->protocol);
		set_raw(raw, "address", preset->address);
		set_raw(raw, "tls", preset->tls);
		raw->next = first;
		first = raw;
	}
	return first;
}

void listeners_take(const struct listener_reading *reading, const struct raw_file *file)
{
	struct config *config = reading->config;
	const struct raw_listener *raw = file->listeners;
	size_t count = file->listener_count;

	if (count == 0) {
		raw = raw_presets(&config->arena);
		count = listener_preset_count;
	}
	if (count > LIMIT_config_listeners) {
		complain(reading->complaints, raw->line, "listener: more than %d; take some away",
			 LIMIT_config_listeners);
		return;
	}
	config->listeners = NEW_ARRAY(&config->arena, struct config_listener, count);
	for (; raw; raw = raw->next)
		take_one(reading, raw, &config->listeners[config->listener_count++]);
}
