/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/cache.h"
#include "dns/exchange.h"

#include <stdio.h>
#include <stdlib.h>

/* What was asked ahead is kept so long at least, or it would be asked again when it is needed. */
enum { SECOND_US = 1'000'000, AHEAD_S = 5 };

struct resolver {
	struct dns_server servers[LIMIT_dns_servers];
	size_t server_count;
	const struct dns_zone *zone;
	struct trace *trace;
	struct cache cache;
	struct fiber_group queries;
	size_t under_way; /* of them that have not ended */
	struct waitq ended;
	struct semaphore turns;
	struct resolver_stats stats;
};

struct resolver *resolver_new(const struct resolver_options *options)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	must(resolver);
	must(options->server_count <= LIMIT_dns_servers);
	for (size_t i = 0; i < options->server_count; i++) {
		struct dns_server *server = &resolver->servers[i];

		server->address = options->servers[i];
		addr_print(&server->address, server->text);
		server->trusted = options->servers_trusted || addr_is_loopback(&server->address);
	}
	resolver->server_count = options->server_count;
	resolver->zone = options->zone;
	resolver->trace = options->trace;
	cache_init(&resolver->cache);
	group_init(&resolver->queries);
	waitq_init(&resolver->ended);
	semaphore_init(&resolver->turns, LIMIT_dns_queries);
	return resolver;
}

void resolver_drop(struct resolver **resolver) WAITS
{
	struct resolver *dropped = *resolver;

	*resolver = NULL;
	if (!dropped)
		return;
	/* They unwind whatever becomes of us, who may be stopping too. */
	group_stop(&dropped->queries);
	while (dropped->under_way > 0)
		(void)waitq_wait_through(&dropped->ended, NEVER);
	cache_done(&dropped->cache);
	free(dropped);
}

void resolver_set_zone(struct resolver *resolver, const struct dns_zone *zone)
{
	resolver->zone = zone;
}

void resolver_flush(struct resolver *resolver)
{
	cache_flush(&resolver->cache);
}

void resolver_get_stats(const struct resolver *resolver, struct resolver_stats *out)
{
	*out = resolver->stats;
	out->entries = resolver->cache.entries;
	out->octets = resolver->cache.octets;
}

/* ---- a query under way, in a fiber of its own ---- */

struct query {
	struct resolver *resolver;
	struct entry *entry;
};

static uint32_t clamp(uint32_t ttl_s, uint32_t most)
{
	return ttl_s < most ? ttl_s : most;
}

static uint32_t time_to_keep(const struct entry *entry, const struct dns_answer *answer)
{
	uint32_t ttl_s = answer->ttl_s;

	if (answer->loops)
		return LIMIT_dns_failure_ttl;
	if (entry->ahead && ttl_s < AHEAD_S)
		ttl_s = AHEAD_S;
	if (answer->count > 0 || answer->is_cut)
		return clamp(ttl_s, LIMIT_dns_ttl);
	return clamp(ttl_s, LIMIT_dns_negative_ttl);
}

static void settle_failed(struct resolver *resolver, struct entry *entry, enum err err)
{
	buf_drop(&entry->octets);
	snprintf(entry->reason, sizeof(entry->reason), "%s",
		 fault_text()[0] ? fault_text() : err_text(err));
	cache_settle(&resolver->cache, entry, err == ERR_STOPPED ? 0 : LIMIT_dns_failure_ttl);
}

/* The buffer had room for the largest datagram; what is kept has room for itself. */
static void copy_octets(struct entry *entry, struct str octets)
{
	buf_drop(&entry->octets);
	entry->octets = BUF(octets.len);
	must(buf_add(&entry->octets, octets) == OK);
}

static enum err run_exchange(struct resolver *resolver, struct entry *entry) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf octets = BUF(DNS_MESSAGE_MAX + 1);
	struct dns_answer answer;
	struct exchange exchange = {
		.servers = resolver->servers,
		.server_count = resolver->server_count,
		.zone = resolver->zone,
		.question = &entry->question,
		.trace = resolver->trace,
		.session = entry->session,
		.stats = &resolver->stats,
		.deadline = in_ms(LIMIT_dns_wait),
		.octets = &octets,
	};
	enum err err = exchange_run(&exchange, &arena, &answer);

	if (err)
		return err;
	copy_octets(entry, buf_str(&octets));
	entry->trusted = exchange.trusted;
	cache_settle(&resolver->cache, entry, time_to_keep(entry, &answer));
	return OK;
}

static void query_main(void *arg) WAITS
{
	struct query *query = arg;
	struct resolver *resolver = query->resolver;
	struct entry *entry = query->entry;
	enum err err = semaphore_take(&resolver->turns, in_ms(LIMIT_dns_wait));
	bool has_turn = !err;

	free(query);
	if (!err)
		err = run_exchange(resolver, entry);
	if (err)
		settle_failed(resolver, entry, err);
	if (has_turn)
		semaphore_give(&resolver->turns);
	entry_drop(&entry);
	/* Nothing waits between here and the fiber's end, so who is woken finds the group empty. */
	if (--resolver->under_way == 0)
		waitq_wake_all(&resolver->ended);
}

/* Gives a reference. *shared: it was there, or somebody else asks already. */
static struct entry *obtain(struct resolver *resolver, const struct dns_question *question,
			    uint64_t session, bool *shared)
{
	struct entry *entry = cache_find(&resolver->cache, question);
	struct query *query;
	enum err err;

	*shared = entry != NULL;
	if (entry)
		return entry_ref(entry);
	query = malloc(sizeof(*query));
	must(query);
	entry = cache_add(&resolver->cache, question);
	entry->session = session;
	*query = (struct query){ resolver, entry_ref(entry) };
	err = fiber_spawn(&resolver->queries, "dns-query", query_main, query, NULL);
	if (!err) {
		resolver->under_way++;
		return entry;
	}
	settle_failed(resolver, entry, err);
	entry_drop(&query->entry);
	free(query);
	return entry;
}

/* ---- who asks ---- */

struct asking {
	struct resolver *resolver;
	struct arena *arena;
	uint64_t session;
	moment deadline;
	struct dns_question question; /* the step of the chain that is asked now */
	struct dns_result *result;
};

static void fail(struct asking *asking, const char *reason)
{
	asking->result->verdict = DNS_TEMPORARY;
	asking->result->reason = str_print(asking->arena, "%s", reason);
}

/* Why an entry holds no answer becomes the fault of who asks. */
static enum err read_entry(struct asking *asking, const struct entry *entry, struct dns_answer *out)
{
	if (entry->octets.len == 0)
		return fault(ERR_PROTOCOL, "%s", entry->reason);
	return dns_answer_parse(asking->arena, buf_str(&entry->octets), &asking->question, out);
}

static void take_answer(struct asking *asking, const struct entry *entry,
			const struct dns_answer *answer)
{
	struct dns_result *result = asking->result;
	int64_t left_s = (entry->expires - now()) / SECOND_US;

	result->secure = result->secure && entry->trusted && answer->authentic;
	if (result->ttl_s > left_s)
		result->ttl_s = left_s > 0 ? left_s : 0;
	result->canonical = answer->canonical;
	result->records = answer->records;
	result->count = answer->count;
	if (answer->loops)
		fail(asking, "CNAMEs without end");
	else if (answer->code == DNS_NXDOMAIN)
		result->verdict = DNS_NO_NAME;
	else
		result->verdict = answer->count > 0 ? DNS_FOUND : DNS_NO_DATA;
}

/* One step. false: that was the last one. */
static bool ask_step(struct asking *asking) WAITS
{
	struct resolver *resolver = asking->resolver;
	OWNED(entry) struct entry *entry = NULL;
	struct dns_answer answer;
	bool shared;
	bool waited;
	struct exchange_event event = { .server = S("cache"), .cached = true, .since = now() };
	enum err err = OK;

	entry = obtain(resolver, &asking->question, asking->session, &shared);
	waited = entry->under_way;
	resolver->stats.hits += shared && !waited;
	resolver->stats.joined += shared && waited;
	while (!err && entry->under_way)
		err = waitq_wait(&entry->waiters, asking->deadline);
	if (!err)
		err = read_entry(asking, entry, &answer);
	asking->result->cached = asking->result->cached && shared;
	if (!err)
		take_answer(asking, entry, &answer);
	else
		fail(asking, err == ERR_PROTOCOL ? fault_text() : err_text(err));
	if (shared) {
		event.secure = !err && entry->trusted && answer.authentic;
		exchange_trace(resolver->trace, asking->session, &asking->question,
			       err ? NULL : &answer, &event);
	}
	if (err || !answer.is_cut)
		return false;
	return dns_name_parse(answer.canonical, &asking->question.name);
}

void resolver_ask(struct resolver *resolver, const struct resolver_question *question,
		  struct arena *arena, struct dns_result *out) WAITS
{
	struct asking asking = {
		.resolver = resolver,
		.arena = arena,
		.session = question->session,
		.deadline = in_ms(LIMIT_dns_wait),
		.question.type = question->type,
		.result = out,
	};

	*out = (struct dns_result){ .verdict = DNS_NO_NAME,
				    .secure = true,
				    .cached = true,
				    .canonical = question->name,
				    .ttl_s = LIMIT_dns_ttl };
	resolver->stats.asked++;
	if (!dns_name_parse(question->name, &asking.question.name)) {
		out->secure = out->cached = false;
		return;
	}
	for (unsigned steps = 0; ask_step(&asking); steps++) {
		if (steps == LIMIT_dns_chain) {
			fail(&asking, "CNAMEs without end");
			break;
		}
	}
	if (out->verdict == DNS_TEMPORARY) {
		out->secure = false;
		out->count = 0;
	}
}

void resolver_prefetch(struct resolver *resolver, const struct resolver_question *question)
{
	struct dns_question asked = { .type = question->type };
	OWNED(entry) struct entry *entry = NULL;
	bool shared;

	if (!dns_name_parse(question->name, &asked.name))
		return;
	entry = obtain(resolver, &asked, question->session, &shared);
	entry->ahead = entry->ahead || !shared;
}
