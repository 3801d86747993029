/* SPDX-License-Identifier: Apache-2.0 */
#include "store/networks.h"
#include "store/peer.h"

#include <stdlib.h>

enum { TEXT_LINE = 64 };

static const char *const verdict_names[] = { "relay", "allow", "deny" };

const char *network_verdict_name(enum network_verdict verdict)
{
	return verdict_names[verdict];
}

bool network_verdict_of(struct str name, enum network_verdict *out)
{
	for (size_t i = 0; i < COUNT_OF(verdict_names); i++) {
		if (!str_is(name, str_of(verdict_names[i])))
			continue;
		*out = (enum network_verdict)i;
		return true;
	}
	return false;
}

/* ---- reading them ---- */

struct reading {
	struct networks fresh;
	struct buf text;
	size_t room;
};

static struct network_row *next_row(struct reading *reading)
{
	struct networks *n = &reading->fresh;

	if (n->count == reading->room) {
		size_t room = reading->room ? 4 * reading->room : 64;
		struct network_row *wider = NEW_ARRAY(&n->arena, struct network_row, room);

		if (n->count)
			memcpy(wider, n->rows, n->count * sizeof(*wider));
		n->rows = wider;
		reading->room = room;
	}
	return &n->rows[n->count++];
}

static enum err read_rows(struct db *db, void *arg)
{
	const enum db_query q = Q_network_list;
	struct reading *reading = arg;
	bool has_row = true;
	enum err err = db_start(db, q, NULL, 0);

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		struct network_row *row = next_row(reading);

		*row = (struct network_row){
			.id = (uint64_t)db_int_at(db, q, 0),
			.cidr = str_dup(&reading->fresh.arena, db_text_at(db, q, 1)),
			.senders = str_dup(&reading->fresh.arena, db_text_at(db, q, 3)),
			.rate = { (uint64_t)db_int_at(db, q, 4), db_int_at(db, q, 5) },
			.created_us = db_int_at(db, q, 6),
		};
		if (!network_verdict_of(db_text_at(db, q, 2), &row->verdict))
			return fault(ERR_CORRUPT, "network %.*s has a verdict that is none",
				     STR_ARGS(row->cidr));
	}
	return err;
}

/* Of a certificate there is no network; of all else the text goes to the gates too. */
static void index_rows(struct reading *reading)
{
	struct networks *n = &reading->fresh;
	struct network *at = calloc(n->count + 1, sizeof(*at));
	size_t count = 0;

	must(at);
	n->places = NEW_ARRAY(&n->arena, size_t, n->count + 1);
	for (size_t i = 0; i < n->count; i++) {
		struct network_row *row = &n->rows[i];

		if (str_starts(row->cidr, CERTIFICATE_PREFIX)) {
			table_add(&n->certificates, &row->item,
				  str_hash(str_from(row->cidr, CERTIFICATE_PREFIX.len)));
			continue;
		}
		if (!network_parse(row->cidr, &at[count]))
			continue;
		n->places[count++] = i;
		buf_print(&reading->text, "%s %.*s\n", verdict_names[row->verdict],
			  STR_ARGS(row->cidr));
	}
	n->list = netlist_new(at, count);
	free(at);
	n->text = str_dup(&n->arena, buf_str(&reading->text));
}

static void forget(struct networks *n)
{
	netlist_drop(&n->list);
	table_drop(&n->certificates);
	arena_drop(&n->arena);
}

static void take_over(struct networks *n, struct reading *reading)
{
	forget(n);
	n->arena = reading->fresh.arena;
	n->rows = reading->fresh.rows;
	n->count = reading->fresh.count;
	n->places = reading->fresh.places;
	n->list = reading->fresh.list;
	n->certificates = reading->fresh.certificates;
	n->text = reading->fresh.text;
	do
		n->version = random_u64();
	while (!n->version);
	waitq_wake_all(&n->changed);
}

enum err networks_read(struct store *store) WAITS
{
	struct networks *n = store->networks;
	struct reading reading = { .text = BUF(LIMIT_network_list + TEXT_LINE) };
	uint64_t number = ++n->readings;
	enum err err = store_read(store, read_rows, &reading);

	if (!err)
		index_rows(&reading);
	/* Who began later has seen all of ours, and maybe more. */
	if (!err && number == n->readings)
		take_over(n, &reading);
	else
		forget(&reading.fresh);
	buf_drop(&reading.text);
	return err;
}

enum err networks_init(struct store *store) WAITS
{
	store->networks = calloc(1, sizeof(*store->networks));
	must(store->networks);
	waitq_init(&store->networks->changed);
	rates_init(&store->rates);
	return networks_read(store);
}

void networks_drop(struct store *store)
{
	if (!store->networks)
		return;
	rates_done(&store->rates);
	forget(store->networks);
	free(store->networks);
	store->networks = NULL;
}

/* ---- the gates' call ---- */

enum err store_networks(struct store *store, const struct ask_networks *ask, struct arena *arena,
			struct answer_networks *answer) WAITS
{
	struct networks *n = store->networks;
	moment deadline = in_ms((int64_t)ask->wait_ms);
	struct body_writer writer;
	enum err err = OK;

	while (!err && n->version == ask->known && now() < deadline)
		err = waitq_wait(&n->changed, deadline);
	if (err && err != ERR_TIMEOUT)
		return err;
	answer->version = n->version;
	answer->list = BODY_EMPTY;
	if (n->version == ask->known)
		return OK;
	body_writer_init(&writer, LIMIT_network_list);
	err = body_write(&writer, n->text);
	if (!err)
		err = body_finish(&writer, &answer->list);
	if (!err && answer->list.fd < 0)
		answer->list.octets = str_dup(arena, answer->list.octets);
	body_writer_done(&writer);
	return err;
}

/* ---- may it relay? ---- */

bool senders_allow(struct str senders, struct str sender)
{
	struct scan scan = scan_of(senders);
	struct str domain = address_domain(sender);
	struct str line;

	if (!senders.len)
		return true;
	while (sender.len && !scan_at_end(&scan)) {
		if (!take_until(&scan, '\n', &line)) {
			line = scan_rest(&scan);
			scan.at = scan.end;
		}
		if (str_is_nocase(line, sender) ||
		    (line.len > 1 && line.at[0] == '@' && str_is_nocase(str_from(line, 1), domain)))
			return true;
	}
	return false;
}

static const struct network_row *find_address(const struct networks *n, struct str address)
{
	const struct network_row *row;
	struct addr addr;
	size_t place;

	if (!addr_parse_ip(address, &addr))
		return NULL;
	place = netlist_find(n->list, &addr);
	if (place == NETLIST_NONE)
		return NULL;
	row = &n->rows[n->places[place]];
	return row->verdict == NETWORK_RELAY ? row : NULL;
}

static const struct network_row *find_certificate(const struct networks *n, struct str name)
{
	struct table_item *item = table_find(&n->certificates, str_hash(name));

	for (; item; item = table_find_next(item)) {
		const struct network_row *row = CONTAINER_OF(item, struct network_row, item);

		if (str_is(str_from(row->cidr, CERTIFICATE_PREFIX.len), name))
			return row;
	}
	return NULL;
}

const struct network_row *networks_find(const struct networks *n, const struct relay_client *client,
					bool *is_sender_allowed)
{
	const struct network_row *found = find_address(n, client->address);
	const struct network_row *row;

	*is_sender_allowed = found && senders_allow(found->senders, client->sender);
	for (size_t i = 0; i < client->certificate.count && !*is_sender_allowed; i++) {
		row = find_certificate(n, client->certificate.at[i]);
		if (!row)
			continue;
		*is_sender_allowed = senders_allow(row->senders, client->sender);
		if (!found || *is_sender_allowed)
			found = row;
	}
	return found;
}

struct str certificate_name(struct arena *arena, struct str name)
{
	struct buf bare = BUF(LIMIT_address);
	struct str lower;

	/* A fingerprint as openssl prints it has colons. */
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] != ':')
			buf_add_char(&bare, name.at[i]);
	lower = str_lower(arena, buf_str(&bare));
	buf_drop(&bare);
	return lower;
}

struct rated network_rated(const struct network_row *row, struct str address)
{
	/* Accounts have ids of their own. */
	struct rated rated = { .id = row->id | UINT64_C(1) << 63 };
	struct addr addr;

	if (!str_starts(row->cidr, CERTIFICATE_PREFIX) && addr_parse_ip(address, &addr))
		rated.client = addr_rate_group(&addr);
	return rated;
}
