/* SPDX-License-Identifier: Apache-2.0 */
#include "store/relaying.h"

static struct rate account_rate(const struct config *config)
{
	return (struct rate){ config->user_recipients_max, 1000 * config->user_recipients_period };
}

void relay_right_find(struct store *store, uint64_t account, const struct relay_client *client,
		      struct arena *arena, struct relay_right *out)
{
	bool is_sender_allowed = false;
	const struct network_row *row = networks_find(store->networks, client, &is_sender_allowed);

	*out = (struct relay_right){ .why = S("nobody may relay from there") };
	out->by_account = account && str_is_nocase(store->config->relay, S("users"));
	out->has_network = row != NULL;
	if (row) {
		out->why = str_print(arena, "%s%.*s",
				     str_starts(row->cidr, CERTIFICATE_PREFIX) ? "" : "network ",
				     STR_ARGS(str_first(row->cidr, 180)));
		out->network = is_sender_allowed ? row->id : 0;
		out->rated = network_rated(row, client->address);
		out->rate = row->rate;
	}
	if (out->by_account) {
		out->why = S("account");
		out->rated = (struct rated){ .id = account };
		out->rate = account_rate(store->config);
	}
}

/* ---- on any connection ---- */

enum err account_may_send(struct db *db, struct arena *arena, const struct relay_asking *asking,
			  bool *allowed)
{
	struct ownership who = { asking->account, asking->sender, false };
	struct str key = address_key(arena, asking->sender);
	struct str domain = str_print(arena, "@%.*s", STR_ARGS(address_domain(key)));
	int64_t given = 0;
	enum err err;

	/* The null sender is for notices (rfc5321 4.5.5); it names nobody. */
	*allowed = asking->any_sender || !asking->sender.len;
	if (*allowed)
		return OK;
	err = resolve_owner(db, arena, asking->policy, &who);
	if (!err && !who.is_owner)
		err = db_number_values(
			db, Q_sender_allows,
			DB_VALUES(db_id(asking->account), db_str(key), db_str(domain)), &given);
	*allowed = who.is_owner || given;
	return err;
}

static enum err network_may_send(struct db *db, const struct relay_asking *asking, bool *allowed)
{
	const enum db_query q = Q_network_get;
	bool found = false;
	enum err err = db_select(db, q, db_id(asking->network));

	if (!err)
		err = db_step(db, q, &found);
	if (err || !found)
		return err;
	*allowed = str_is(db_text_at(db, q, 0), str_of(network_verdict_name(NETWORK_RELAY))) &&
		   senders_allow(db_text_at(db, q, 1), asking->sender);
	db_finish(db, q);
	return OK;
}

enum err relay_is_allowed(struct db *db, struct arena *arena, const struct relay_asking *asking,
			  bool *allowed)
{
	int64_t is_open = 0;
	enum err err = OK;

	*allowed = false;
	if (asking->account)
		err = db_number_values(db, Q_account_is_open, DB_VALUES(db_id(asking->account)),
				       &is_open);
	if (!err && is_open)
		err = account_may_send(db, arena, asking, allowed);
	if (!err && !*allowed && asking->network)
		err = network_may_send(db, asking, allowed);
	return err;
}
