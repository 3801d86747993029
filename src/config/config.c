/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"
#include "config/listener.h"
#include "config/network.h"
#include "config/value.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Stands in line_of for what the command line said. */
enum { OVERRIDDEN = UINT_MAX };

struct parsing {
	struct config *config;
	struct complaints *complaints;
	struct raw_file raw;
	uint16_t port_base;
};

static unsigned *line_of(const struct parsing *parsing, const char *option)
{
	const struct option_row *row = option_find(config_rows, config_row_count, str_of(option));

	return &parsing->config->line_of[row - config_rows];
}

/* ---- values ---- */

static void take_values(struct parsing *parsing)
{
	struct config *config = parsing->config;

	for (size_t i = 0; i < config_row_count; i++) {
		const struct option_row *row = &config_rows[i];
		const struct raw_value *raw = &parsing->raw.values[i];
		void *place = (char *)config + row->offset;
		char complaint[VALUE_COMPLAINT_MAX];

		must(value_take(&config->arena, row, str_of(row->preset), place, complaint));
		if (!raw->line)
			continue;
		config->line_of[i] = raw->line;
		if (!value_take(&config->arena, row, raw->text, place, complaint))
			complain(parsing->complaints, raw->line, "%s: %s", row->name, complaint);
	}
}

static void take_override(struct parsing *parsing, struct str override)
{
	size_t equal = str_find(override, '=');
	struct str name = str_first(override, equal == STR_NONE ? override.len : equal);
	struct str value = str_from(override, name.len + 1);
	const struct option_row *row = option_find(config_rows, config_row_count, name);
	char complaint[VALUE_COMPLAINT_MAX];
	uint64_t base;

	if (str_is(name, S("port_base"))) {
		if (str_to_u64(value, 65000, &base))
			parsing->port_base = (uint16_t)base;
		else
			complain(parsing->complaints, 0,
				 "command line: port_base: '%.*s' is no number up to 65000",
				 STR_ARGS(str_first(value, 60)));
		return;
	}
	if (!row || equal == STR_NONE) {
		complain(parsing->complaints, 0, "command line: %.*s: is no option",
			 STR_ARGS(str_first(name, 60)));
		return;
	}
	if (value_take(&parsing->config->arena, row, value, (char *)parsing->config + row->offset,
		       complaint))
		*line_of(parsing, row->name) = (unsigned)OVERRIDDEN;
	else
		complain(parsing->complaints, 0, "command line: %s: %s", row->name, complaint);
}

/* ---- checks ---- */

/* rfc5321 4.1.2 Domain: letters, digits and hyphens between dots. */
static bool is_hostname(struct str name)
{
	bool label_has_begun = false;

	if (name.len == 0 || name.len > LIMIT_domain || name.at[name.len - 1] == '-')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.at[i];

		if (c == '.' && (!label_has_begun || name.at[i - 1] == '-'))
			return false;
		if (c == '-' && !label_has_begun)
			return false;
		if (c != '.' && c != '-' && !ascii_is_alpha(c) && !ascii_is_digit(c))
			return false;
		label_has_begun = c != '.';
	}
	return label_has_begun;
}

static void check_texts(const struct parsing *parsing)
{
	const struct config *c = parsing->config;
	struct complaints *complaints = parsing->complaints;
	uint64_t days;

	if (!is_hostname(c->hostname))
		complain(complaints, *line_of(parsing, "hostname"),
			 "hostname: '%.*s' is no host name; write letters, digits, hyphens and "
			 "dots: "
			 "mail.example.org",
			 STR_ARGS(str_first(c->hostname, 100)));
	if ((c->certificate.len == 0) != (c->certificate_key.len == 0))
		complain(
			complaints,
			*line_of(parsing, c->certificate.len ? "certificate" : "certificate_key"),
			"certificate: certificate and certificate_key belong together; set both or "
			"neither");
	if (c->subaddress_separator.len > 1 ||
	    (c->subaddress_separator.len == 1 &&
	     !strchr("+-=_~#!$%&*/?^{|}", c->subaddress_separator.at[0])))
		complain(complaints, *line_of(parsing, "subaddress_separator"),
			 "subaddress_separator: is one character or empty; write + or -");
	if (!str_is(c->pop3_expire, S("NEVER")) && !str_to_u64(c->pop3_expire, 36500, &days))
		complain(complaints, *line_of(parsing, "pop3_expire"),
			 "pop3_expire: '%.*s' is neither NEVER nor a number of days",
			 STR_ARGS(str_first(c->pop3_expire, 60)));
}

static void take_exempt(const struct parsing *parsing)
{
	struct config *c = parsing->config;
	const struct network_source source = { &c->connections_exempt, "connections_exempt",
					       *line_of(parsing, "connections_exempt") };
	struct config_networks networks = networks_take(parsing->complaints, &source, 1);

	c->exempt = NEW_ARRAY(&c->arena, struct network, networks.count + 1);
	for (size_t i = 0; i < networks.count; i++) {
		if (!networks.at[i].allow)
			c->exempt[c->exempt_count++] = networks.at[i].network;
	}
}

static void fill(struct parsing *parsing, const struct str *overrides, size_t override_count)
{
	struct config *config = parsing->config;
	struct network_source deny = { &config->networks_deny, "networks_deny", 0 };

	file_read(&config->arena, config->text, parsing->complaints, &parsing->raw);
	take_values(parsing);
	for (size_t i = 0; i < override_count; i++)
		take_override(parsing, overrides[i]);
	check_texts(parsing);
	take_exempt(parsing);
	deny.line = *line_of(parsing, "networks_deny");
	listeners_take(
		&(struct listener_reading){
			.config = config,
			.complaints = parsing->complaints,
			.general_deny = networks_take(parsing->complaints, &deny, 1),
			.port_base = parsing->port_base,
		},
		&parsing->raw);
}

enum err config_parse(struct str text, struct str file, const struct str *overrides,
		      size_t override_count, struct buf *complaints, struct config **out)
{
	struct config *config = calloc(1, sizeof *config);
	struct complaints *gathered;
	struct parsing parsing = { .config = config };
	enum err err = OK;

	must(config);
	config->references = 1;
	config->file = str_dup(&config->arena, file);
	config->text = str_dup(&config->arena, str_first(text, LIMIT_config_file + 1));
	gathered = NEW(&config->arena, struct complaints);
	gathered->arena = &config->arena;
	gathered->file = config->file;
	parsing.complaints = gathered;

	fill(&parsing, overrides, override_count);
	if (gathered->count > 0) {
		complaints_print(gathered, complaints);
		err = fault(ERR_CONFIG, "%.*s: %zu mistakes", STR_ARGS(str_first(file, 200)),
			    gathered->count);
		config_unref(&config);
		return err;
	}
	*out = config;
	return OK;
}

enum err config_read_file(const char *path, const struct str *overrides, size_t override_count,
			  struct buf *complaints, struct config **out)
{
	OWNED(buf) struct buf text = BUF(LIMIT_config_file + 1);
	FILE *file = fopen(path, "re");
	enum err err;

	if (!file) {
		err = fault_errno("open %s", path);
		buf_print(complaints, "%s: %s; write one with glasspost init\n", path,
			  fault_text());
		return err;
	}
	must(buf_reserve(&text, LIMIT_config_file + 1) == OK);
	text.len = fread(text.at, 1, LIMIT_config_file + 1, file);
	err = ferror(file) ? fault(ERR_IO, "read %s", path) : OK;
	fclose(file);
	if (err) {
		buf_print(complaints, "%s: cannot be read\n", path);
		return err;
	}
	return config_parse(buf_str(&text), str_of(path), overrides, override_count, complaints,
			    out);
}

/* ---- asking ---- */

struct config *config_ref(struct config *config)
{
	config->references++;
	return config;
}

void config_unref(struct config **config)
{
	struct config *gone = *config;
	struct arena arena;

	*config = NULL;
	if (!gone || --gone->references > 0)
		return;
	arena = gone->arena;
	free(gone);
	arena_drop(&arena);
}

const struct config_listener *config_listener(const struct config *config, struct str name)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (str_is(config->listeners[i].name, name))
			return &config->listeners[i];
	}
	return NULL;
}

bool config_listener_address(const struct config_listener *listener, size_t index,
			     struct str folder, struct addr *out)
{
	struct str word = listener->address.at[index];
	struct addr addr = { 0 };
	int len;

	if (addr_parse_ip(word, &addr)) {
		addr.port = listener->real_port;
		*out = addr;
		return true;
	}
	if (str_find(word, '/') == STR_NONE)
		return false;
	addr.family = ADDR_UNIX;
	if (word.at[0] == '/' || folder.len == 0)
		len = snprintf(addr.path, sizeof addr.path, "%.*s", STR_ARGS(word));
	else
		len = snprintf(addr.path, sizeof addr.path, "%.*s/%.*s", STR_ARGS(folder),
			       STR_ARGS(word));
	if (len < 0 || (size_t)len >= sizeof addr.path)
		return false;
	*out = addr;
	return true;
}

bool config_lists(const struct config_list *list, struct str word)
{
	for (size_t i = 0; i < list->count; i++) {
		if (str_is_nocase(list->at[i], word))
			return true;
	}
	return false;
}

bool listener_binds_channels(const struct config_listener *listener)
{
	for (size_t i = 0; i < listener->mechanisms.count; i++)
		if (str_ends_nocase(listener->mechanisms.at[i], S("-PLUS")))
			return true;
	return false;
}

bool listener_without(const struct config_listener *listener, const char *extension)
{
	return config_lists(&listener->without, str_of(extension));
}

struct str config_origin(const struct config *config, struct arena *arena, const char *option)
{
	const struct option_row *row = option_find(config_rows, config_row_count, str_of(option));
	unsigned line = row ? config->line_of[row - config_rows] : 0;
	size_t slash = str_find_last(config->file, '/');

	if (line == 0)
		return S("default");
	if (line == (unsigned)OVERRIDDEN)
		return S("command line");
	return str_print(arena, "%.*s:%u",
			 STR_ARGS(str_from(config->file, slash == STR_NONE ? 0 : slash + 1)), line);
}
