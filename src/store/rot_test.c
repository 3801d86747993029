/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bit of one file flips, again and again: the store tells of it or nothing of the mail is changed
 * by it, and never is a wrong octet served, or one of somebody else's mail. GLASSPOST_FLIPS: how often.
 */
#include "store/check.h"
#include "store/fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 16, ACCOUNTS = 2, BODY = 600, FLIPS = 150 };

static const char *const addresses[ACCOUNTS] = { "anna@example.org", "bob@example.org" };
static const char *const names[] = { "glasspost.db", "bodies/00000001.seg", "store.key" };

struct rot_file {
	char path[400];
	char *octets;
	size_t len;
};

struct rotting {
	struct fixture *f;
	struct rot_file files[COUNT_OF(names)];
	struct account accounts[ACCOUNTS];
	bool seen[MESSAGES];
	size_t noticed, harmless, unopened;
};

/* All are of one size, so that none is refused for its length alone. */
static struct str body_of_number(struct arena *arena, size_t number)
{
	char *at = arena_take(arena, BODY);

	for (size_t i = 0; i < BODY; i++)
		at[i] = (char)('a' + (i * 7 + number * (i % 11 + 1)) % 26);
	return (struct str){ at, BODY };
}

/* ---- the store as it was ---- */

struct looking {
	struct arena *arena;
	struct rotting *r;
};

static enum err find_accounts(struct db *db, void *arg)
{
	struct looking *looking = arg;
	enum err err = OK;

	for (size_t i = 0; !err && i < ACCOUNTS; i++) {
		bool found = false;

		err = account_find(db, looking->arena, str_of(addresses[i]),
				   &looking->r->accounts[i], &found);
		CHECK(found);
	}
	return err;
}

static void make_mail(struct rotting *r, struct arena *arena) WAITS
{
	struct looking looking = { arena, r };

	for (size_t i = 0; i < ACCOUNTS; i++)
		add_account(r->f, addresses[i], NULL, -1);
	for (size_t number = 0; number < MESSAGES; number++) {
		struct handover h = { .message = 1000 + number,
				      .to = { addresses[number % ACCOUNTS] },
				      .body = body_of_number(arena, number) };
		uint64_t out[8];

		CHECK(hand_over(r->f, &h, out) == OK && out[0] == DELIVERY_DONE);
	}
	CHECK(store_read(r->f->store, find_accounts, &looking) == OK);
	peer_drop(&r->f->peer);
	store_close(&r->f->store);
}

static void load_file(struct rot_file *file, const char *folder, const char *name)
{
	FILE *from;

	snprintf(file->path, sizeof(file->path), "%s/%s", folder, name);
	from = fopen(file->path, "rb");
	must(from && fseek(from, 0, SEEK_END) == 0);
	file->len = (size_t)ftell(from);
	file->octets = malloc(file->len);
	must(file->octets && fseek(from, 0, SEEK_SET) == 0);
	must(fread(file->octets, file->len, 1, from) == 1 && fclose(from) == 0);
}

static void write_file(const struct rot_file *file)
{
	FILE *to = fopen(file->path, "wb");

	must(to && fwrite(file->octets, file->len, 1, to) == 1 && fclose(to) == 0);
}

static void restore(struct rotting *r)
{
	char path[400];

	for (size_t i = 0; i < COUNT_OF(names); i++)
		write_file(&r->files[i]);
	snprintf(path, sizeof(path), "%s/glasspost.db-wal", r->f->folder);
	(void)remove(path);
	snprintf(path, sizeof(path), "%s/glasspost.db-shm", r->f->folder);
	(void)remove(path);
}

/* ---- a look at one that rots ---- */

/* Its octets, or an empty text: it was not to be had. */
static struct str read_whole(struct peer *peer, struct arena *arena, uint64_t drop, uint64_t index)
	WAITS
{
	struct answer_maildrop_read answer = { 0 };
	struct ask_maildrop_read ask = { .drop = drop, .index = index, .length = 4000 };
	struct str line;
	struct scan scan;

	if (store_maildrop_read(peer, &ask, arena, &answer))
		return (struct str){ 0 };
	scan = scan_of(answer.octets.octets);
	CHECK(take_until(&scan, '\n', &line)); /* Return-Path */
	return scan_rest(&scan);
}

static void compare(struct rotting *r, struct str text, size_t account) WAITS
{
	struct arena arena = { 0 };

	for (size_t number = account; text.len && number < MESSAGES; number += ACCOUNTS) {
		if (!str_is(text, body_of_number(&arena, number)))
			continue;
		r->seen[number] = true;
		text.len = 0;
	}
	CHECK(text.len == 0); /* else it is nobody's, or somebody else's */
	arena_drop(&arena);
}

static void read_account(struct rotting *r, struct peer *peer, size_t account) WAITS
{
	struct answer_maildrop_open drop = { 0 };
	uint64_t handle;

	CHECK(signed_in_add(peer, &r->accounts[account], 0, &handle) == OK);
	if (store_maildrop_open(
		    peer, &(struct ask_maildrop_open){ .account = handle, .folder = S("INBOX") },
		    &drop))
		return;
	for (uint64_t i = 0; i < drop.count && i < 10 * MESSAGES; i++) {
		struct arena arena = { 0 };

		compare(r, read_whole(peer, &arena, drop.drop, i), account);
		arena_drop(&arena);
	}
}

static void note_complaint(void *context, struct str what, struct str advice) WAITS
{
	(void)context;
	CHECK(what.len && advice.len);
}

static void look(struct rotting *r) WAITS
{
	struct store_options options = { .folder = r->f->folder, .config = r->f->config };
	struct check_report report = { .deep = true, .complain = note_complaint };
	struct check_result result = { 0 };
	struct store *store = NULL;
	struct peer *peer;
	bool all = true;

	memset(r->seen, 0, sizeof(r->seen));
	if (store_open(&options, &store)) {
		CHECK(*fault_text());
		r->unopened++;
		return;
	}
	peer = peer_new(store);
	for (size_t account = 0; account < ACCOUNTS; account++)
		read_account(r, peer, account);
	for (size_t number = 0; number < MESSAGES; number++)
		all = all && r->seen[number];
	if (store_check(store, &report, &result) || result.complaints)
		r->noticed++;
	else
		r->harmless++;
	/* What cannot be had must be told. */
	CHECK(all || result.complaints || *fault_text());
	peer_drop(&peer);
	store_close(&store);
}

static void flip_again_and_again(struct fixture *f) WAITS
{
	const char *wanted = getenv("GLASSPOST_FLIPS");
	long flips = wanted ? strtol(wanted, NULL, 10) : FLIPS;
	struct arena arena = { 0 };
	struct rotting r = { .f = f };
	uint64_t chance = 42;

	make_mail(&r, &arena);
	for (size_t i = 0; i < COUNT_OF(names); i++)
		load_file(&r.files[i], f->folder, names[i]);
	for (long flip = 0; flip < flips; flip++) {
		struct rot_file *file = &r.files[flip % 40 ? flip % 2 : 2];
		size_t at;

		/* Most of a small database is empty; what is not is looked for. */
		for (at = 0; !at || (!file->octets[at] && flip % 8);) {
			chance = chance * 6364136223846793005U + 1442695040888963407U;
			at = (size_t)((chance >> 20) % file->len);
		}
		file->octets[at] ^= (char)(1U << (chance >> 13 & 7));
		restore(&r);
		look(&r);
		file->octets[at] ^= (char)(1U << (chance >> 13 & 7));
	}
	restore(&r);
	for (size_t i = 0; i < COUNT_OF(names); i++)
		free(r.files[i].octets);
	fprintf(stderr,
		"%ld bits flipped: %zu noticed by the check, %zu at the opening, %zu harmless\n",
		flips, r.noticed, r.unopened, r.harmless);
	CHECK(r.noticed > 0 && r.harmless > 0);
	arena_drop(&arena);
	fixture_reopen(f);
	CHECK(complaints(f) == 0);
}

static void a_bit_that_flips_is_told_or_harms_no_mail(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = flip_again_and_again });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bit_that_flips_is_told_or_harms_no_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
