/* SPDX-License-Identifier: Apache-2.0 */
/* account list, domain list, alias list: pages of rows are made on a worker and told by the fiber. */
#include "store/commands.h"
#include "mail/address.h"

enum { ROWS_ONCE = 200 };

struct listing {
	enum db_query query;
	struct str after, after_target; /* keyset: where the last page ended */
	struct str domain;              /* only these; empty: all */
	struct arena arena;
	json_t *rows;
	size_t seen;
};

static bool is_wanted(const struct listing *listing, struct str address)
{
	return !listing->domain.len || str_is(address_domain(address), listing->domain);
}

static enum err list_accounts(struct db *db, void *arg)
{
	const enum db_query q = Q_account_list;
	struct listing *listing = arg;
	bool has_row = true;
	enum err err = db_select(db, q, db_str(listing->after), db_int(ROWS_ONCE));

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		struct str address = db_text_at(db, q, 0);
		int64_t quota = db_int_at(db, q, 3);

		listing->seen++;
		listing->after = str_dup(&listing->arena, address);
		if (!is_wanted(listing, address))
			continue;
		json_array_append_new(listing->rows,
				      json_pack("{s:o, s:I, s:b, s:o, s:b, s:I, s:I}", "address",
						control_string(address), "created_us",
						(json_int_t)db_int_at(db, q, 1), "disabled",
						(int)db_int_at(db, q, 2), "quota",
						quota < 0 ? json_null() : json_integer(quota),
						"has_password", (int)db_int_at(db, q, 4),
						"messages", (json_int_t)db_int_at(db, q, 5),
						"octets", (json_int_t)db_int_at(db, q, 6)));
	}
	return err;
}

static enum err list_aliases(struct db *db, void *arg)
{
	const enum db_query q = Q_alias_list;
	struct listing *listing = arg;
	bool has_row = true;
	enum err err = db_select(db, q, db_str(listing->after), db_str(listing->after_target),
				 db_int(ROWS_ONCE));

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		listing->seen++;
		listing->after = str_dup(&listing->arena, db_text_at(db, q, 0));
		listing->after_target = str_dup(&listing->arena, db_text_at(db, q, 1));
		if (is_wanted(listing, listing->after))
			json_array_append_new(listing->rows,
					      json_pack("{s:o, s:o}", "address",
							control_string(listing->after), "target",
							control_string(listing->after_target)));
	}
	return err;
}

static enum err list_domains(struct db *db, void *arg)
{
	const enum db_query q = Q_domain_list;
	struct listing *listing = arg;
	bool has_row = true;
	enum err err = db_start(db, q, NULL, 0);

	while (!err) {
		err = db_step(db, q, &has_row);
		if (err || !has_row)
			break;
		json_array_append_new(listing->rows,
				      json_pack("{s:o, s:o, s:I, s:I, s:I}", "name",
						control_string(db_text_at(db, q, 0)), "postmaster",
						control_string(db_text_at(db, q, 1)), "created_us",
						(json_int_t)db_int_at(db, q, 2), "accounts",
						(json_int_t)db_int_at(db, q, 3), "aliases",
						(json_int_t)db_int_at(db, q, 4)));
	}
	return err;
}

static enum err give_rows(struct control_call *call, struct listing *listing) WAITS
{
	enum err err = OK;

	for (size_t i = 0; !err && i < json_array_size(listing->rows); i++)
		err = control_row(call, json_incref(json_array_get(listing->rows, i)));
	json_array_clear(listing->rows);
	return err;
}

static enum err list(struct control_call *call, store_read_fn *page) WAITS
{
	struct listing listing = { .rows = json_array() };
	enum err err = OK;

	if (control_text(call, "domain").len)
		listing.domain = domain_canonical(&listing.arena, control_text(call, "domain"));
	do {
		listing.seen = 0;
		err = store_read(command_store(call), page, &listing);
		if (!err)
			err = give_rows(call, &listing);
	} while (!err && listing.seen == ROWS_ONCE);
	json_decref(listing.rows);
	arena_drop(&listing.arena);
	return err;
}

enum err command_domain_list(struct control_call *call) WAITS
{
	return list(call, list_domains);
}

enum err command_account_list(struct control_call *call) WAITS
{
	return list(call, list_accounts);
}

enum err command_alias_list(struct control_call *call) WAITS
{
	return list(call, list_aliases);
}
