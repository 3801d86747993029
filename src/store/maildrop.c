/* SPDX-License-Identifier: Apache-2.0 */
#include "store/maildrop.h"
#include "store/remove.h"

#include <stdlib.h>

enum { LOGINS_REMEMBERED = 20000, GATHERED_MAX = 32 };

struct maildrops {
	struct table held;   /* struct maildrop, by mailbox */
	struct table logins; /* struct login, by account */
};

struct login {
	struct table_item item;
	moment at;
};

struct entry {
	uint64_t uid;
	uint64_t size;
};

/* Where a message lies, so that its further pieces need no look-up. */
struct opened {
	size_t index;
	bool is_valid;
	struct body_place body;
	char prefix[RETURN_PATH_FIXED + LIMIT_address];
	size_t prefix_len;
};

struct maildrop {
	struct handle handle;
	struct table_item lock;
	struct store *store;
	uint64_t account;
	uint64_t mailbox;
	uint64_t session;
	uint64_t uid_validity;
	uint64_t octets;
	struct entry *entries;
	size_t count;
	unsigned char *verified; /* a bit a message: its checksum was compared in this session */
	struct opened opened;
	struct list wanted;              /* pieces that calls wait for */
	bool is_reading;                 /* a worker reads some of them */
	struct waitq were_read;          /* woken when it has */
	char address[LIMIT_address + 1]; /* for the trace */
	char folder[LIMIT_folder_name + 1];
};

void maildrops_init(struct store *store)
{
	store->maildrops = calloc(1, sizeof(*store->maildrops));
	must(store->maildrops);
}

static void forget_logins(struct maildrops *maildrops)
{
	struct table_item *item;

	while ((item = table_any(&maildrops->logins))) {
		table_remove(&maildrops->logins, item);
		free(CONTAINER_OF(item, struct login, item));
	}
}

void maildrops_drop(struct store *store)
{
	if (!store->maildrops)
		return;
	must(store->maildrops->held.count == 0);
	forget_logins(store->maildrops);
	table_drop(&store->maildrops->logins);
	table_drop(&store->maildrops->held);
	free(store->maildrops);
	store->maildrops = NULL;
}

/* ---- opening ---- */

/* rfc2449 6.5: too soon after the last login? Notes this one when it is not. */
static enum err check_login_delay(struct store *store, uint64_t account)
{
	int64_t delay_us = store->config->pop3_login_delay * 1000;
	struct table *logins = &store->maildrops->logins;
	struct table_item *item = table_find(logins, account);
	struct login *login = item ? CONTAINER_OF(item, struct login, item) : NULL;

	if (delay_us <= 0)
		return OK;
	if (login && now() - login->at < delay_us)
		return fault(ERR_LIMIT, "the last login was less than pop3_login_delay ago");
	if (!login) {
		if (logins->count >= LOGINS_REMEMBERED)
			forget_logins(store->maildrops);
		login = calloc(1, sizeof(*login));
		must(login);
		table_add(logins, &login->item, account);
	}
	login->at = now();
	return OK;
}

static void end_maildrop(struct handle *handle)
{
	struct maildrop *drop = CONTAINER_OF(handle, struct maildrop, handle);

	table_remove(&drop->store->maildrops->held, &drop->lock);
	free(drop->entries);
	free(drop->verified);
	free(drop);
}

struct freezing {
	struct maildrop *drop;
	struct str folder;
};

static enum err find_folder(struct db *db, void *arg)
{
	struct freezing *freezing = arg;
	struct maildrop *drop = freezing->drop;
	struct mailbox mailbox;
	bool found;
	enum err err = mailbox_find(db, drop->account, freezing->folder, &mailbox, &found);

	if (err)
		return err;
	if (!found)
		return fault(ERR_NOT_FOUND, "no folder %.*s", STR_ARGS(freezing->folder));
	drop->mailbox = mailbox.id;
	drop->uid_validity = mailbox.uid_validity;
	return OK;
}

static enum err freeze(struct db *db, void *arg)
{
	struct maildrop *drop = ((struct freezing *)arg)->drop;
	size_t room = 0;
	bool has_row = true;
	enum err err = db_select(db, Q_message_page, db_id(drop->account), db_id(drop->mailbox),
				 db_int(0), db_int(LIMIT_maildrop_messages));

	while (!err) {
		err = db_step(db, Q_message_page, &has_row);
		if (err || !has_row)
			break;
		if (drop->count == room) {
			room = room ? 2 * room : 64;
			drop->entries = realloc(drop->entries, room * sizeof(*drop->entries));
			must(drop->entries);
		}
		drop->entries[drop->count].uid = (uint64_t)db_int_at(db, Q_message_page, 0);
		drop->entries[drop->count].size = (uint64_t)db_int_at(db, Q_message_page, 1);
		drop->octets += drop->entries[drop->count++].size;
	}
	return err;
}

static enum err hold(struct store *store, struct maildrop *drop)
{
	if (table_find(&store->maildrops->held, drop->mailbox))
		return fault(ERR_BUSY, "another session holds the maildrop");
	table_add(&store->maildrops->held, &drop->lock, drop->mailbox);
	return OK;
}

static void note(char *to, size_t room, struct str text)
{
	text = str_first(text, room - 1);
	if (text.len)
		memcpy(to, text.at, text.len);
	to[text.len] = '\0';
}

/* Locks first and freezes then: whoever held it before has finished. */
static enum err open_for(struct peer *peer, const struct signed_in *who, struct str folder,
			 struct maildrop **out) WAITS
{
	struct store *store = peer->store;
	struct maildrop *drop = calloc(1, sizeof(*drop));
	struct freezing freezing = { drop, folder };
	enum err err;

	must(drop);
	drop->store = store;
	list_init(&drop->wanted);
	waitq_init(&drop->were_read);
	drop->account = who->account;
	drop->session = who->session;
	note(drop->address, sizeof(drop->address), who->address);
	note(drop->folder, sizeof(drop->folder), folder);
	drop->handle.kind = HANDLE_MAILDROP;
	drop->handle.end = end_maildrop;
	err = store_read(store, find_folder, &freezing);
	if (!err)
		err = hold(store, drop);
	if (err) {
		free(drop);
		return err;
	}
	err = check_login_delay(store, drop->account);
	if (!err)
		err = store_read(store, freeze, &freezing);
	if (!err)
		err = handle_add(peer, &drop->handle);
	if (err) {
		end_maildrop(&drop->handle);
		return err;
	}
	drop->verified = calloc(drop->count / 8 + 1, 1);
	must(drop->verified);
	*out = drop;
	return OK;
}

enum err store_maildrop_open(struct peer *peer, const struct ask_maildrop_open *ask,
			     struct answer_maildrop_open *answer) WAITS
{
	struct str folder = ask->folder;
	struct maildrop *drop;
	struct signed_in *who;
	enum err err = signed_in_take(peer, ask->account, &who);

	if (err)
		return err;
	if (!folder.len || str_is_nocase(folder, S("INBOX")))
		folder = S("INBOX");
	err = open_for(peer, who, folder, &drop);
	handle_give(&who->handle);
	if (err)
		return err;
	answer->drop = handle_number(&drop->handle);
	answer->count = drop->count;
	answer->octets = drop->octets;
	answer->uid_validity = drop->uid_validity;
	return OK;
}

static enum err take_drop(struct peer *peer, uint64_t number, struct maildrop **out)
{
	struct handle *handle;
	enum err err = handle_take(peer, number, HANDLE_MAILDROP, &handle);

	if (!err)
		*out = CONTAINER_OF(handle, struct maildrop, handle);
	return err;
}

enum err store_maildrop_close(struct peer *peer, const struct ask_maildrop_close *ask) WAITS
{
	struct maildrop *drop;
	enum err err = take_drop(peer, ask->drop, &drop);

	if (err)
		return err;
	handle_close(peer, &drop->handle);
	handle_give(&drop->handle);
	return OK;
}

/* ---- listing ---- */

enum err store_maildrop_list(struct peer *peer, const struct ask_maildrop_list *ask,
			     struct arena *arena, struct answer_maildrop_list *answer) WAITS
{
	struct maildrop *drop;
	uint64_t *uids;
	uint64_t *sizes;
	size_t count;
	enum err err = take_drop(peer, ask->drop, &drop);

	if (err)
		return err;
	count = ask->first < drop->count ? drop->count - (size_t)ask->first : 0;
	if (count > 4000)
		count = 4000;
	uids = NEW_ARRAY(arena, uint64_t, count + 1);
	sizes = NEW_ARRAY(arena, uint64_t, count + 1);
	for (size_t i = 0; i < count; i++) {
		uids[i] = drop->entries[ask->first + i].uid;
		sizes[i] = drop->entries[ask->first + i].size;
	}
	answer->uids = (struct u64s){ uids, count };
	answer->sizes = (struct u64s){ sizes, count };
	handle_give(&drop->handle);
	return OK;
}

/* ---- reading ---- */

struct piece {
	struct maildrop *drop;
	struct opened opened;
	bool verify;
	uint64_t offset;
	size_t wanted; /* octets; fewer come at the end of the message */
	char *at;
	size_t len; /* octets that came */
	struct list link;
	bool was_read; /* with `err` */
	enum err err;
};

static void note_place(struct db *db, struct opened *o)
{
	struct arena arena = { 0 };
	struct str sender = str_first(db_text_at(db, Q_message_get, 2), LIMIT_address);
	struct str prefix = return_path(&arena, sender);

	o->body.body = (uint64_t)db_int_at(db, Q_message_get, 0);
	o->body.place.segment = (uint64_t)db_int_at(db, Q_message_get, 3);
	o->body.place.offset = (uint64_t)db_int_at(db, Q_message_get, 4);
	o->body.length = (uint64_t)db_int_at(db, Q_message_get, 5);
	memcpy(o->prefix, prefix.at, prefix.len);
	o->prefix_len = prefix.len;
	o->is_valid = true;
	arena_drop(&arena);
}

static enum err look_up(struct db *db, struct piece *piece)
{
	struct maildrop *drop = piece->drop;
	struct opened *o = &piece->opened;
	bool has_row = true;
	enum err err = db_select(db, Q_message_get, db_id(drop->account), db_id(drop->mailbox),
				 db_id(drop->entries[o->index].uid));

	if (!err)
		err = db_step(db, Q_message_get, &has_row);
	if (!err && has_row)
		note_place(db, o);
	db_finish(db, Q_message_get);
	return err || has_row ? err : fault(ERR_NOT_FOUND, "the message is gone");
}

static enum err read_body(const struct piece *piece, uint64_t offset, char *at, size_t len)
{
	struct bodies *bodies = piece->drop->store->bodies;
	const struct body_place *body = &piece->opened.body;
	enum err err = OK;

	if (piece->verify && offset == 0 && len == body->length)
		return bodies_read_whole(bodies, body, at);
	if (piece->verify)
		err = bodies_verify(bodies, body);
	return err || len == 0 ? err : bodies_read(bodies, body, offset, at, len);
}

static enum err read_octets(struct piece *piece)
{
	const struct opened *o = &piece->opened;
	uint64_t size = o->prefix_len + o->body.length;
	uint64_t offset = piece->offset;
	uint64_t left = offset < size ? size - offset : 0;
	size_t from_prefix = 0;

	piece->len = left < piece->wanted ? (size_t)left : piece->wanted;
	if (piece->len == 0)
		return OK;
	if (offset < o->prefix_len) {
		from_prefix = o->prefix_len - (size_t)offset;
		if (from_prefix > piece->len)
			from_prefix = piece->len;
		memcpy(piece->at, o->prefix + offset, from_prefix);
	}
	return read_body(piece, offset + from_prefix - o->prefix_len, piece->at + from_prefix,
			 piece->len - from_prefix);
}

/* Not looked up yet, or a compaction has moved it. */
static enum err read_piece(struct db *db, void *arg)
{
	struct piece *piece = arg;
	enum err err = piece->opened.is_valid ? read_octets(piece) : ERR_NOT_FOUND;

	if (err != ERR_NOT_FOUND)
		return err;
	err = look_up(db, piece);
	return err ? err : read_octets(piece);
}

/* Pieces of one message follow each other: what is known of it serves them all. */
static enum err read_pieces(struct db *db, void *arg)
{
	struct list *pieces = arg;
	const struct piece *before = NULL;

	LIST_EACH (link, pieces) {
		struct piece *piece = CONTAINER_OF(link, struct piece, link);

		if (before && !before->err && before->opened.index == piece->opened.index) {
			piece->opened = before->opened;
			piece->verify = false;
		}
		piece->err = read_piece(db, piece);
		before = piece;
	}
	return OK;
}

static void read_some(struct maildrop *drop) WAITS
{
	struct list pieces;
	struct list *link;
	enum err err;

	list_init(&pieces);
	for (int i = 0; i < GATHERED_MAX && !list_is_empty(&drop->wanted); i++)
		list_add_last(&pieces, list_take_first(&drop->wanted));
	drop->is_reading = true;
	err = store_read(drop->store, read_pieces, &pieces);
	drop->is_reading = false;
	while ((link = list_take_first(&pieces))) {
		struct piece *piece = CONTAINER_OF(link, struct piece, link);

		piece->was_read = true;
		if (err)
			piece->err = err;
	}
	waitq_wake_all(&drop->were_read);
}

/*
 * A gate reads ahead: calls come by the dozen, and one worker reads for all of them in one go. Whoever
 * failed so tries alone, and learns why.
 */
static enum err read_with_others(struct piece *piece) WAITS
{
	struct maildrop *drop = piece->drop;
	bool verify = piece->verify;

	list_add_last(&drop->wanted, &piece->link);
	/* The calls that came in the same breath get here first; that we are to stop changes nothing. */
	(void)!fiber_yield();
	while (!piece->was_read)
		if (drop->is_reading)
			(void)waitq_wait_through(&drop->were_read, NEVER);
		else
			read_some(drop);
	if (!piece->err)
		return OK;
	piece->verify = verify;
	piece->opened.is_valid = false;
	return store_read(drop->store, read_piece, piece);
}

enum err store_maildrop_read(struct peer *peer, const struct ask_maildrop_read *ask,
			     struct arena *arena, struct answer_maildrop_read *answer) WAITS
{
	struct maildrop *drop;
	struct piece piece = { .offset = ask->offset, .wanted = ask->length };
	enum err err = take_drop(peer, ask->drop, &drop);

	if (err)
		return err;
	if (ask->index >= drop->count) {
		handle_give(&drop->handle);
		return fault(ERR_NOT_FOUND, "no such message in this maildrop");
	}
	piece.drop = drop;
	piece.at = arena_take(arena, piece.wanted + 1);
	if (drop->opened.is_valid && drop->opened.index == ask->index)
		piece.opened = drop->opened;
	piece.opened.index = (size_t)ask->index;
	piece.verify = !(drop->verified[ask->index / 8] & 1u << ask->index % 8);
	err = read_with_others(&piece);
	if (!err) {
		drop->verified[ask->index / 8] |= (unsigned char)(1u << ask->index % 8);
		drop->opened = piece.opened;
		answer->octets = (struct body){ { piece.at, piece.len }, -1, piece.len };
		answer->size = piece.opened.prefix_len + piece.opened.body.length;
	}
	handle_give(&drop->handle);
	if (err == ERR_CORRUPT)
		store_trouble(peer->store, err,
			      "restore it from a backup; `glasspost store check --deep`");
	return err;
}

/* ---- deleting ---- */

struct deletion {
	struct job job;
	struct maildrop *drop;
	const struct u64s *indexes;
	struct removal removal;
};

static enum err run_deletion(struct writer *writer, struct job *job)
{
	struct deletion *d = CONTAINER_OF(job, struct deletion, job);
	enum err err = OK;

	for (size_t i = 0; !err && i < d->indexes->count; i++)
		err = writer_remove_message(writer, &d->removal,
					    d->drop->entries[d->indexes->at[i]].uid);
	if (!err)
		err = writer_end_removal(writer, &d->removal);
	return err;
}

enum err store_maildrop_delete(struct peer *peer, const struct ask_maildrop_delete *ask,
			       struct answer_maildrop_delete *answer) WAITS
{
	struct deletion d = { .job.run = run_deletion, .indexes = &ask->indexes };
	struct store *store = peer->store;
	enum err err = take_drop(peer, ask->drop, &d.drop);

	if (err)
		return err;
	for (size_t i = 0; !err && i < ask->indexes.count; i++)
		if (ask->indexes.at[i] >= d.drop->count)
			err = fault(ERR_NOT_FOUND, "no such message in this maildrop");
	d.removal.account = d.drop->account;
	d.removal.mailbox = d.drop->mailbox;
	if (!err)
		err = store_commit(store, &d.job);
	if (!err) {
		answer->deleted = d.removal.messages;
		lookups_note_octets(store, d.drop->account, -(int64_t)d.removal.octets);
		TRACE(store->trace, d.drop->session, 0, expunge, .account = str_of(d.drop->address),
		      .folder = str_of(d.drop->folder), .messages = d.removal.messages);
	}
	handle_give(&d.drop->handle);
	return err;
}
