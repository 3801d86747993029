/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_fixture.h"

enum err send_mail(struct fixture *f, const struct sending *s, uint64_t out[8]) WAITS
{
	struct arena arena = { 0 };
	struct str recipients[8];
	uint64_t notify[8];
	struct answer_deliver answer = { 0 };
	struct ask_deliver ask = { .message = s->message,
				   .sender = str_of(s->sender),
				   .account = s->account,
				   .ret = s->ret,
				   .client = str_of(s->client) };
	struct str name = str_of(s->certificate);
	enum err err;

	for (; ask.recipients.count < 8 && s->to[ask.recipients.count]; ask.recipients.count++) {
		notify[ask.recipients.count] = s->notify;
		recipients[ask.recipients.count] = str_of(s->to[ask.recipients.count]);
	}
	ask.recipients.at = recipients;
	ask.certificate = (struct strs){ &name, name.len > 0 };
	ask.notify = (struct u64s){ notify, ask.recipients.count };
	ask.body = body_of(s->body.len ? s->body : S("Subject: hello\r\n\r\nthe text\r\n"));
	err = store_deliver(f->peer, &ask, &arena, &answer);
	body_done(&ask.body);
	for (size_t i = 0; i < answer.outcomes.count; i++)
		out[i] = answer.outcomes.at[i];
	arena_drop(&arena);
	return err;
}

unsigned send_one(struct fixture *f, uint64_t message, uint64_t account, const char *to) WAITS
{
	uint64_t out[8] = { 99 };
	enum err err = send_mail(f,
				 &(struct sending){ .message = message,
						    .sender = "anna@example.org",
						    .account = account,
						    .to = { to } },
				 out);

	return err ? 100 + (unsigned)err : (unsigned)out[0];
}

void claim_of(struct fixture *f, struct claimed *c, const char *only, uint64_t site_max) WAITS
{
	*c = (struct claimed){ 0 };
	CHECK(store_queue_claim(f->peer, 0,
				&(struct ask_queue_claim){ .run = 0x1000,
							   .site_max = site_max,
							   .recipients_max = 10,
							   .only = str_of(only) },
				&c->arena, &c->answer) == OK);
}

bool claim(struct fixture *f, struct claimed *c) WAITS
{
	claim_of(f, c, NULL, 100);
	if (!c->answer.lease)
		drop_claim(c);
	return c->answer.lease != 0;
}

void drop_claim(struct claimed *c)
{
	if (c->answer.lease)
		body_done(&c->answer.body);
	arena_drop(&c->arena);
}

uint64_t report(struct fixture *f, struct claimed *c, const struct saying *s) WAITS
{
	size_t count = c->answer.numbers.count;
	uint64_t *results = NEW_ARRAY(&c->arena, uint64_t, count + 1);
	uint64_t *codes = NEW_ARRAY(&c->arena, uint64_t, count + 1);
	uint64_t *notifies = NEW_ARRAY(&c->arena, uint64_t, count + 1);
	struct str *enhanced = NEW_ARRAY(&c->arena, struct str, count + 1);
	struct str *texts = NEW_ARRAY(&c->arena, struct str, count + 1);
	struct answer_queue_report answer = { 0 };
	struct ask_queue_report ask = { .lease = c->answer.lease,
					.message = c->answer.message,
					.session = 5,
					.peer = S("mx.far.example [192.0.2.7]"),
					.site_down = s->site_down,
					.is_final = s->is_final,
					.numbers = c->answer.numbers,
					.results = { results, count },
					.notifies = { notifies, count },
					.codes = { codes, count },
					.enhanced = { enhanced, count },
					.texts = { texts, count } };

	for (size_t i = 0; i < count; i++) {
		results[i] = s->result;
		codes[i] = s->code;
		enhanced[i] = str_of(s->enhanced);
		texts[i] = str_of(s->text);
	}
	CHECK(store_queue_report(f->peer, &ask, &answer) == OK);
	return answer.noted;
}

const struct saying sent = { QUEUE_SENT, 250, "2.0.0", "ok", false, false };
const struct saying refused = { QUEUE_REFUSED, 550, "5.1.1", "No such user here", false, false };
const struct saying deferred = { QUEUE_DEFERRED, 450, "4.2.0", "Later, please", false, false };
const struct saying down = { QUEUE_DEFERRED, 0, "4.4.1", "connection timed out", true, false };

struct asking_row {
	uint64_t message, number;
	struct arena arena;
	struct queue_message queued;
	struct queue_recipient row;
	bool has_message, found;
};

static enum err read_row(struct db *db, void *arg)
{
	struct asking_row *r = arg;
	const struct queue_rows rows = { db, &r->arena, r->message };
	enum err err = queue_find(db, &r->arena, r->message, &r->queued, &r->has_message);

	return err ? err : queue_find_recipient(&rows, r->number, &r->row, &r->found);
}

unsigned state_of(struct fixture *f, uint64_t message, uint64_t number) WAITS
{
	struct asking_row r = { .message = message, .number = number };
	unsigned state;

	CHECK(store_read(f->store, read_row, &r) == OK);
	state = r.found ? r.row.state : 99;
	arena_drop(&r.arena);
	return state;
}

int64_t next_of(struct fixture *f, uint64_t message) WAITS
{
	struct asking_row r = { .message = message };

	CHECK(store_read(f->store, read_row, &r) == OK);
	arena_drop(&r.arena);
	return r.row.next_us;
}

size_t inbox_count(struct fixture *f, const char *address) WAITS
{
	struct arena arena = { 0 };
	size_t count = read_all(f, &arena, address, "INBOX").count;

	arena_drop(&arena);
	return count;
}

bool has(struct str text, const char *what)
{
	bool found = str_find_str(text, str_of(what)) != STR_NONE;

	if (!found)
		fprintf(stderr, "not in the text: %s\n", what);
	return found;
}
