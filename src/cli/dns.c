/* SPDX-License-Identifier: Apache-2.0 */
/* dns: what the domain name system says, by the same resolver as the server's, without asking the server. */
#include "cli/command.h"
#include "config/config.h"
#include "dns/mx.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAIL_PORT = 25, RESOLV_CONF_MAX = 65536 };

struct looking {
	const char *name;
	bool for_mail; /* the route of mail, not one type of record */
	enum dns_type type;
	struct addr servers[LIMIT_dns_servers];
	size_t server_count;
	struct arena arena;
	json_t *rows;
	bool failed; /* for now */
};

/* ---- what was found, as rows ---- */

static void add_row(struct looking *looking, json_t *row)
{
	must(row && json_array_append_new(looking->rows, row) == 0);
}

static json_t *text(struct str s)
{
	json_t *made = json_stringn(s.at ? s.at : "", s.len);

	/* What is no UTF-8 is shown as a log would show it. */
	if (!made) {
		OWNED(buf) struct buf escaped = BUF(4 * s.len + 1);

		escape_add(&escaped, s);
		made = json_stringn(escaped.at, escaped.len);
	}
	return made;
}

static void add_route(struct looking *looking, const struct mail_route *route)
{
	if (route->verdict != ROUTE_FOUND)
		add_row(looking, json_pack("{s:o,s:i,s:o,s:o}", "name", text(str_of(looking->name)),
					   "code", (int)route->code, "enhanced",
					   text(route->enhanced), "reason", text(route->reason)));
	for (size_t i = 0; i < route->count; i++) {
		const struct mail_hop *hop = &route->hops[i];
		char address[ADDR_TEXT];

		addr_print(&hop->address, address);
		add_row(looking,
			json_pack("{s:o,s:i,s:o,s:s,s:b,s:I}", "name", text(str_of(looking->name)),
				  "preference", (int)hop->preference, "host", text(hop->host),
				  "address", address, "secure", (int)hop->secure, "ttl",
				  (json_int_t)route->ttl_s));
	}
	looking->failed = route->verdict == ROUTE_TEMPORARY;
}

static struct str shown(struct looking *looking, struct dns_record *record)
{
	struct dns_answer one = { .records = record, .count = 1 };
	OWNED(buf) struct buf out = BUF(4 * DNS_MESSAGE_MAX);

	dns_answer_show(&one, &out);
	return str_dup(&looking->arena, buf_str(&out));
}

static void add_result(struct looking *looking, const struct dns_result *result)
{
	static const char *const outcomes[] = { [DNS_FOUND] = "found",
						[DNS_NO_DATA] = "no data",
						[DNS_NO_NAME] = "no such name",
						[DNS_TEMPORARY] = "failed" };

	if (result->verdict != DNS_FOUND)
		add_row(looking,
			json_pack("{s:o,s:s,s:s,s:o,s:b}", "name", text(str_of(looking->name)),
				  "type", dns_type_name(looking->type), "outcome",
				  outcomes[result->verdict], "data", text(result->reason), "secure",
				  (int)result->secure));
	for (size_t i = 0; i < result->count && result->verdict == DNS_FOUND; i++)
		add_row(looking,
			json_pack("{s:o,s:s,s:s,s:o,s:b,s:I}", "name", text(result->canonical),
				  "type", dns_type_name(looking->type), "outcome", "found", "data",
				  text(shown(looking, &result->records[i])), "secure",
				  (int)result->secure, "ttl", (json_int_t)result->ttl_s));
	looking->failed = result->verdict == DNS_TEMPORARY;
}

static void look(void *arg) WAITS
{
	struct looking *looking = arg;
	struct resolver_options options = { .servers = looking->servers,
					    .server_count = looking->server_count };
	struct resolver *resolver = resolver_new(&options);

	if (looking->for_mail) {
		struct mail_route_question question = { .domain = str_of(looking->name),
							.port = MAIL_PORT };
		struct mail_route route;

		mail_route_find(resolver, &question, &looking->arena, &route);
		add_route(looking, &route);
	} else {
		struct resolver_question question = { .name = str_of(looking->name),
						      .type = looking->type };
		struct dns_result result;

		resolver_ask(resolver, &question, &looking->arena, &result);
		add_result(looking, &result);
	}
	resolver_drop(&resolver);
}

/* ---- the command line ---- */

static bool read_resolv_conf(struct looking *looking)
{
	OWNED(buf) struct buf text = BUF(RESOLV_CONF_MAX);
	FILE *file = fopen("/etc/resolv.conf", "re");

	if (file && buf_reserve(&text, RESOLV_CONF_MAX) == OK)
		text.len = fread(text.at, 1, RESOLV_CONF_MAX, file);
	if (file)
		fclose(file);
	looking->server_count =
		dns_resolv_conf(buf_str(&text), looking->servers, LIMIT_dns_servers);
	if (looking->server_count == 0)
		fprintf(stderr, "glasspost: /etc/resolv.conf names no DNS server; give one with "
				"--resolver 192.0.2.53\n");
	return looking->server_count > 0;
}

/* As the option `resolver` of the configuration is read. */
static bool take_resolvers(struct looking *looking, const char *list)
{
	OWNED(buf) struct buf complaints = BUF(4096);
	struct config *config = NULL;
	struct str override = str_print(&looking->arena, "resolver=%s", list);

	if (config_parse(S(""), S("command line"), &override, 1, &complaints, &config) != OK) {
		fprintf(stderr, "%.*s", STR_ARGS(buf_str(&complaints)));
		return false;
	}
	memcpy(looking->servers, config->resolvers, sizeof(looking->servers));
	looking->server_count = config->resolver_count;
	config_unref(&config);
	return true;
}

static bool take_words(const struct invocation *invocation, struct looking *looking)
{
	const char *type = invocation->word_count > 1 ? invocation->words[1] : NULL;
	const char *resolvers = invocation->options[CLI_resolver];

	looking->name = invocation->words[0];
	looking->for_mail = !type;
	if (type && !dns_type_parse(str_of(type), &looking->type)) {
		fprintf(stderr,
			"glasspost: '%s' is no type that is known here; write A, AAAA, MX, TXT, "
			"CNAME, "
			"PTR, TLSA or SOA\n",
			type);
		return false;
	}
	return resolvers ? take_resolvers(looking, resolvers) : read_resolv_conf(looking);
}

int run_dns(const struct invocation *invocation)
{
	struct looking looking = { .rows = json_array() };
	struct world *world;
	int status = EX_USAGE;

	if (take_words(invocation, &looking)) {
		world = world_real_new();
		must(world_spawn(world, "dns", look, &looking) == OK);
		world_run(world);
		world_drop(&world);
		if (invocation->options[CLI_json])
			print_json(looking.rows, true);
		else
			print_table(looking.rows);
		status = looking.failed ? EX_TEMPFAIL : EX_OK;
	}
	json_decref(looking.rows);
	arena_drop(&looking.arena);
	return status;
}
