/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"
#include "store/check.h"
#include "store/queue.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
enum { HAS_RED_ZONES = true }; /* or may have: every frame is larger then */
#else
enum { HAS_RED_ZONES = false };
#endif

static unsigned failed_checks;

void check_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not so: %s (newest fault: %s)\n", file, line, condition,
		fault_text());
	failed_checks++;
}

void fixture_assert(void)
{
	unsigned failed = failed_checks;

	failed_checks = 0;
	assert_int_equal(failed, 0);
}

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
	(void)stat;
	(void)kind;
	(void)ftw;
	return remove(path);
}

void fixture_remove_folder(const char *folder)
{
	nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void on_fatal(void *context, const char *text)
{
	struct fixture *f = context;

	(void)text;
	f->fatal_calls++;
}

void fixture_open(struct fixture *f) WAITS
{
	struct store_options options = { .folder = f->folder,
					 .config = f->config,
					 .io = f->io,
					 .fatal = on_fatal,
					 .fatal_context = f,
					 .create = true };
	enum err err = store_open(&options, &f->store);

	if (err)
		fprintf(stderr, "store_open: %s: %s\n", err_text(err), fault_text());
	must(err == OK);
	f->peer = peer_new(f->store);
}

void fixture_reopen(struct fixture *f) WAITS
{
	queue_peer_gone(f->peer);
	peer_drop(&f->peer);
	store_close(&f->store);
	fixture_open(f);
}

static void fixture_fiber(void *arg) WAITS
{
	struct fixture *f = arg;

	fixture_open(f);
	if (!f->keep_folder) {
		add_domain(f, "example.org");
		add_domain(f, "example.net");
	}
	f->body(f);
	peer_drop(&f->peer);
	store_close(&f->store);
}

void fixture_make(struct fixture *f)
{
	struct buf complaints = BUF(4096);
	struct world_stats stats;
	struct world *world = f->simulated ? world_sim_new(7) : world_real_new();
	struct str text = str_of(f->config_text ? f->config_text : "hostname = mail.example.org\n");

	if (config_parse(text, S("test.conf"), NULL, 0, &complaints, &f->config) != OK) {
		fprintf(stderr, "%.*s\n", STR_ARGS(buf_str(&complaints)));
		must(false);
	}
	if (!f->folder[0]) {
		snprintf(f->folder, sizeof(f->folder), "/tmp/glasspost-store-XXXXXX");
		must(mkdtemp(f->folder));
	}
	world_paint_stacks(world, true);
	must(world_spawn(world, "test", fixture_fiber, f) == OK);
	world_run(world);
	world_get_stats(world, &stats);
	world_drop(&world);
	/* In the simulated world the database runs on fibers' stacks too. */
	if (!HAS_RED_ZONES)
		assert_true(stats.stack_used_peak < LIMIT_fiber_stack / 2);
	config_unref(&f->config);
	buf_drop(&complaints);
	fixture_assert();
}

void fixture_run(struct fixture *f)
{
	fixture_make(f);
	if (!f->keep_folder)
		fixture_remove_folder(f->folder);
}

/* ---- directory ---- */

struct change {
	struct job job;
	struct str a, b;
	const struct verifier *verifier;
	int64_t quota;
	struct arena arena;
	int64_t at_us;
};

static enum err run_domain(struct writer *writer, struct job *job)
{
	struct change *c = CONTAINER_OF(job, struct change, job);

	writer->changed_directory = true;
	return db_run(writer->db, Q_domain_add, db_str(c->a), db_int(c->at_us));
}

void add_domain(struct fixture *f, const char *name) WAITS
{
	struct change c = { .job.run = run_domain, .a = str_of(name), .at_us = wall_us() };

	CHECK(store_commit(f->store, &c.job) == OK);
}

static enum err run_account(struct writer *writer, struct job *job)
{
	struct change *c = CONTAINER_OF(job, struct change, job);
	struct account_new new_account = { c->a, c->at_us, c->quota };
	const struct verifier *v = c->verifier;
	enum err err = account_make(writer->db, &c->arena, &new_account);

	writer->changed_directory = true;
	if (err || !v)
		return err;
	return db_run(writer->db, Q_account_set_password, db_str(str_of(v->phc)),
		      db_octets((struct str){ (const char *)v->salt, SALT }),
		      db_int(SCRAM_ITERATIONS),
		      db_octets((struct str){ (const char *)v->sha1_stored, SHA1 }),
		      db_octets((struct str){ (const char *)v->sha1_server, SHA1 }),
		      db_octets((struct str){ (const char *)v->sha256_stored, SHA256 }),
		      db_octets((struct str){ (const char *)v->sha256_server, SHA256 }),
		      v->secret.len ? db_octets(v->secret) : db_null(), db_str(c->a));
}

void add_account(struct fixture *f, const char *address, const char *password, int64_t quota) WAITS
{
	struct change c = {
		.job.run = run_account, .a = str_of(address), .quota = quota, .at_us = wall_us()
	};
	struct verifier verifier;
	unsigned char key[CIPHER_KEY];

	secret_keys_current(&f->store->secrets, key);
	if (password) {
		CHECK(verifier_make(&c.arena, str_of(password),
				    f->config->keep_secrets ? key : NULL, c.a, &verifier) == OK);
		c.verifier = &verifier;
	}
	CHECK(store_commit(f->store, &c.job) == OK);
	arena_drop(&c.arena);
}

static enum err run_alias(struct writer *writer, struct job *job)
{
	struct change *c = CONTAINER_OF(job, struct change, job);

	writer->changed_directory = true;
	return db_run(writer->db, Q_alias_add, db_str(c->a), db_str(c->b),
		      db_str(address_domain(c->a)));
}

void add_alias(struct fixture *f, const char *address, const char *target) WAITS
{
	struct change c = { .job.run = run_alias, .a = str_of(address), .b = str_of(target) };

	CHECK(store_commit(f->store, &c.job) == OK);
}

/* ---- mail ---- */

enum err hand_over(struct fixture *f, const struct handover *h, uint64_t out[8]) WAITS
{
	struct arena arena = { 0 };
	struct str recipients[8];
	struct answer_deliver answer = { 0 };
	struct ask_deliver ask = { .message = h->message,
				   .sender = str_of(h->sender ? h->sender : "from@example.com"),
				   .subject = S("a subject"),
				   .create = h->create };
	enum err err;

	for (; ask.recipients.count < 8 && h->to[ask.recipients.count]; ask.recipients.count++)
		recipients[ask.recipients.count] = str_of(h->to[ask.recipients.count]);
	ask.recipients.at = recipients;
	ask.body = body_of(h->body);
	err = store_deliver(f->peer, &ask, &arena, &answer);
	body_done(&ask.body);
	if (!err) {
		CHECK(answer.outcomes.count == ask.recipients.count);
		memcpy(out, answer.outcomes.at, answer.outcomes.count * sizeof(*out));
	}
	arena_drop(&arena);
	return err;
}

unsigned hand_one(struct fixture *f, uint64_t message, const char *to, const char *text) WAITS
{
	struct handover h = { .message = message, .to = { to }, .body = str_of(text) };
	uint64_t out[8] = { 0 };
	enum err err = hand_over(f, &h, out);

	return err ? 100 + (unsigned)err : (unsigned)out[0];
}

struct signing {
	struct arena *arena;
	struct str address;
	struct account account;
	bool found;
};

static enum err find_account(struct db *db, void *arg)
{
	struct signing *s = arg;

	return account_find(db, s->arena, s->address, &s->account, &s->found);
}

uint64_t sign_in_as(struct fixture *f, const char *address) WAITS
{
	struct arena arena = { 0 };
	struct signing s = { .arena = &arena, .address = str_of(address) };
	uint64_t number = 0;

	CHECK(store_read(f->store, find_account, &s) == OK);
	CHECK(s.found);
	if (s.found)
		CHECK(signed_in_add(f->peer, &s.account, 0, &number) == OK);
	arena_drop(&arena);
	return number;
}

static struct str read_message(struct fixture *f, struct arena *arena, uint64_t drop,
			       uint64_t index) WAITS
{
	struct buf text = BUF(100 << 20);
	struct str copy;

	for (;;) {
		struct arena page = { 0 };
		struct answer_maildrop_read answer = { 0 };
		enum err err = store_maildrop_read(
			f->peer,
			&(struct ask_maildrop_read){
				.drop = drop, .index = index, .offset = text.len, .length = 7777 },
			&page, &answer);
		bool more = err == OK && answer.octets.octets.len > 0;

		CHECK(err == OK);
		if (more)
			buf_add(&text, answer.octets.octets);
		arena_drop(&page);
		if (!more)
			break;
	}
	copy = str_dup(arena, buf_str(&text));
	buf_drop(&text);
	return copy;
}

struct strs read_all(struct fixture *f, struct arena *arena, const char *address,
		     const char *folder) WAITS
{
	struct answer_maildrop_open drop = { 0 };
	uint64_t account = sign_in_as(f, address);
	struct ask_maildrop_open ask = { .account = account, .folder = str_of(folder) };
	enum err err = store_maildrop_open(f->peer, &ask, &drop);
	struct str *texts = NEW_ARRAY(arena, struct str, drop.count + 1);

	CHECK(err == OK);
	for (uint64_t i = 0; i < drop.count; i++)
		texts[i] = read_message(f, arena, drop.drop, i);
	if (!err)
		CHECK(store_maildrop_close(
			      f->peer, &(struct ask_maildrop_close){ .drop = drop.drop }) == OK);
	CHECK(store_sign_out(f->peer, &(struct ask_sign_out){ .account = account }) == OK);
	return (struct strs){ texts, drop.count };
}

static void tell_complaint(void *context, struct str what, struct str advice) WAITS
{
	(void)context;
	fprintf(stderr, "complaint: %.*s (%.*s)\n", STR_ARGS(what), STR_ARGS(advice));
}

uint64_t complaints(struct fixture *f) WAITS
{
	struct check_report report = { true, NULL, tell_complaint };
	struct check_result result = { 0 };

	CHECK(store_check(f->store, &report, &result) == OK);
	return result.complaints;
}

struct answer_password try_password(struct fixture *f, const char *name, const char *password,
				    const char *from) WAITS
{
	struct arena arena = { 0 };
	struct answer_password answer = { 0 };
	struct ask_password ask = { .user = str_of(name),
				    .password = str_of(password),
				    .peer = str_of(from) };

	CHECK(store_password(f->peer, &ask, &arena, &answer) == OK);
	answer.address = (struct str){ 0 };
	arena_drop(&arena);
	return answer;
}
