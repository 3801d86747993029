/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"
#include "config/listener.h"
#include "config/network.h"
#include "config/value.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands in line_of for what the command line said. */
enum { OVERRIDDEN = UINT_MAX };

struct parsing {
	struct config *config;
	struct complaints *complaints;
	struct raw_file raw;
	uint16_t port_base;
	struct addr found[LIMIT_dns_servers]; /* by the supervisor, in /etc/resolv.conf */
	size_t found_count;
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

static void take_found_resolver(struct parsing *parsing, struct str value)
{
	if (parsing->found_count < LIMIT_dns_servers &&
	    addr_parse(value, &parsing->found[parsing->found_count]))
		parsing->found_count++;
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
	if (str_is(name, S("resolv_conf"))) {
		take_found_resolver(parsing, value);
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

/* useradd(8): what could be the name of an account of this machine; empty is no mistake. */
static bool is_user_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.at[i];

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && !strchr("_-.", c))
			return false;
	}
	return name.len <= 32 && !str_starts(name, S("-"));
}

/* Whether there is such an account is for the store to know. */
static void check_admins(const struct parsing *parsing)
{
	const struct config_list *list = &parsing->config->web_admins;

	for (size_t i = 0; i < list->count; i++) {
		struct str word = list->at[i];
		size_t at = str_find(word, '@');

		if (at == STR_NONE || at == 0 || at + 1 == word.len ||
		    str_find(word, ' ') != STR_NONE)
			complain(parsing->complaints, *line_of(parsing, "web_admins"),
				 "web_admins: '%.*s' is no address of an account; write "
				 "anna@example.org",
				 STR_ARGS(str_first(word, 100)));
	}
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
	if (c->srs_domain.len && !is_hostname(c->srs_domain))
		complain(complaints, *line_of(parsing, "srs_domain"),
			 "srs_domain: '%.*s' is no domain; write one of yours: example.org",
			 STR_ARGS(str_first(c->srs_domain, 100)));
	if (!is_user_name(c->user))
		complain(complaints, *line_of(parsing, "user"),
			 "user: '%.*s' is no user name; write one that `getent passwd` lists",
			 STR_ARGS(str_first(c->user, 60)));
	if ((c->certificate.len == 0) != (c->certificate_key.len == 0)) {
		const char *one = c->certificate.len ? "certificate" : "certificate_key";

		complain(complaints, *line_of(parsing, one),
			 "%s: certificate and certificate_key belong together; set both or neither",
			 one);
	}
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
					       *line_of(parsing, "connections_exempt"), S("") };
	struct config_networks networks = networks_take(parsing->complaints, &source, 1);

	c->exempt = NEW_ARRAY(&c->arena, struct network, networks.count + 1);
	for (size_t i = 0; i < networks.count; i++) {
		if (!networks.at[i].allow)
			c->exempt[c->exempt_count++] = networks.at[i].network;
	}
}

static void take_monitors(const struct parsing *parsing)
{
	struct config *c = parsing->config;
	const struct network_source source = { &c->web_metrics, "web_metrics",
					       *line_of(parsing, "web_metrics"), S("") };

	c->monitors = networks_take(parsing->complaints, &source, 1);
}

enum { DNS_PORT = 53 };

/* "192.0.2.53", "192.0.2.53:5300", "[2001:db8::53]:53"; no UNIX socket. */
static bool parse_resolver(struct str text, struct addr *out)
{
	if (addr_parse_ip(text, out)) {
		out->port = DNS_PORT;
		return true;
	}
	return addr_parse(text, out) && out->family != ADDR_UNIX && out->port != 0;
}

static void take_resolvers(const struct parsing *parsing)
{
	struct config *c = parsing->config;
	unsigned line = *line_of(parsing, "resolver");

	c->resolvers = NEW_ARRAY(&c->arena, struct addr, LIMIT_dns_servers);
	if (c->resolver.count == 0) {
		c->resolver_count = parsing->found_count;
		memcpy(c->resolvers, parsing->found, sizeof(parsing->found));
	}
	if (c->resolver.count > LIMIT_dns_servers)
		complain(parsing->complaints, line, "resolver: %zu servers; at most %d are asked",
			 c->resolver.count, LIMIT_dns_servers);
	for (size_t i = 0; i < c->resolver.count && i < LIMIT_dns_servers; i++) {
		struct str word = c->resolver.at[i];

		if (parse_resolver(word, &c->resolvers[c->resolver_count]))
			c->resolver_count++;
		else
			complain(parsing->complaints, line,
				 "resolver: '%.*s' is no address of a DNS server; write "
				 "192.0.2.53, 127.0.0.1:5300 or [2001:db8::53]:53",
				 STR_ARGS(str_first(word, 100)));
	}
}

static void fill(struct parsing *parsing, const struct str *overrides, size_t override_count)
{
	struct config *config = parsing->config;
	struct network_source deny = { &config->networks_deny, "networks_deny", 0, S("") };

	file_read(&config->arena, config->text, parsing->complaints, &parsing->raw);
	take_values(parsing);
	for (size_t i = 0; i < override_count; i++)
		take_override(parsing, overrides[i]);
	check_texts(parsing);
	check_admins(parsing);
	take_exempt(parsing);
	take_monitors(parsing);
	take_resolvers(parsing);
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

static const char *what_to_do(int why)
{
	switch (why) {
	case ENOENT:
		return "; write one with glasspost init";
	case EACCES:
	case EPERM:
		return "; it is another user's: run as that user, or let this one read it";
	default:
		return "";
	}
}

/* Without waiting: a pipe or a device that bears the name would keep us for ever. */
static enum err open_regular(const char *path, struct buf *complaints, FILE **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	enum err err;

	if (fd < 0) {
		int why = errno;

		err = fault_errno("open %s", path);
		buf_print(complaints, "%s: %s%s\n", path, fault_text(), what_to_do(why));
		return err;
	}
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
		buf_print(complaints, "%s: %s\n", path,
			  S_ISDIR(status.st_mode) ? "is a folder; name the file in it"
						  : "is no file; write the configuration to one");
		close(fd);
		return fault(ERR_CONFIG, "%s is no file", path);
	}
	*out = fdopen(fd, "r");
	must(*out);
	return OK;
}

enum err config_read_file(const char *path, const struct str *overrides, size_t override_count,
			  struct buf *complaints, struct config **out)
{
	OWNED(buf) struct buf text = BUF(LIMIT_config_file + 1);
	FILE *file = NULL;
	enum err err = open_regular(path, complaints, &file);

	if (err)
		return err;
	must(buf_reserve(&text, LIMIT_config_file + 1) == OK);
	text.len = fread(text.at, 1, LIMIT_config_file + 1, file);
	err = ferror(file) ? fault_errno("read %s", path) : OK;
	fclose(file);
	if (err) {
		buf_print(complaints, "%s: %s; see whether its disk is well\n", path, fault_text());
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

/* ---- what a reload does not change ---- */

static bool is_same_list(const struct config_list *one, const struct config_list *other)
{
	if (one->count != other->count)
		return false;
	for (size_t i = 0; i < one->count; i++)
		if (!str_is(one->at[i], other->at[i]))
			return false;
	return true;
}

static bool is_same(const struct option_row *row, const struct config *one,
		    const struct config *other)
{
	const char *a = (const char *)one + row->offset;
	const char *b = (const char *)other + row->offset;

	switch (row->type) {
	case OPTION_TEXT:
		return str_is(*(const struct str *)a, *(const struct str *)b);
	case OPTION_FLAG:
		return *(const bool *)a == *(const bool *)b;
	case OPTION_LIST:
		return is_same_list((const struct config_list *)a, (const struct config_list *)b);
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_DURATION:
		break;
	}
	return memcmp(a, b, sizeof(uint64_t)) == 0;
}

const char *config_next_waiting(const struct config *old, const struct config *fresh, size_t *at)
{
	while (*at < config_row_count) {
		const struct option_row *row = &config_rows[(*at)++];

		if (row->at_start && !is_same(row, old, fresh))
			return row->name;
	}
	return NULL;
}
