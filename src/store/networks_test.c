/* SPDX-License-Identifier: Apache-2.0 */
/* Who may relay without signing in: by the row of his network, inside the transaction. */
#include "store/networks.h"
#include "store/queue_fixture.h"

struct listing {
	struct job job;
	const char *cidr, *verdict, *senders;
	struct rate rate;
	bool is_delete;
};

static enum err run_listing(struct writer *writer, struct job *job)
{
	struct listing *l = CONTAINER_OF(job, struct listing, job);
	int64_t place = 0;
	enum err err = db_number_values(writer->db, Q_network_end, NULL, 0, &place);

	if (err || l->is_delete)
		return err ? err : db_run(writer->db, Q_network_delete, db_str(str_of(l->cidr)));
	return db_run(writer->db, Q_network_add, db_int(place), db_str(str_of(l->cidr)),
		      db_str(str_of(l->verdict)), db_str(str_of(l->senders)), db_id(l->rate.max),
		      db_int(l->rate.period_us), db_int(1));
}

/* `is_read`: as the command does; else only the rows change, as in the moment between. */
static void change(struct fixture *f, struct listing l, bool is_read) WAITS
{
	l.job.run = run_listing;
	CHECK(store_commit(f->store, &l.job) == OK);
	if (is_read)
		CHECK(networks_read(f->store) == OK);
}

static void list(struct fixture *f, const char *cidr, const char *verdict, const char *senders)
	WAITS
{
	change(f, (struct listing){ .cidr = cidr, .verdict = verdict, .senders = senders }, true);
}

static uint64_t verdict_of(struct fixture *f, const char *client, const char *sender,
			   uint64_t pending) WAITS
{
	struct arena arena = { 0 };
	struct answer_recipient answer = { 0 };
	struct ask_recipient ask = { .address = S("bob@far.example"),
				     .sender = str_of(sender),
				     .client = str_of(client),
				     .pending = pending };

	CHECK(store_recipient(f->peer, &ask, &arena, &answer) == OK);
	arena_drop(&arena);
	return answer.verdict;
}

static uint64_t sends(struct fixture *f, uint64_t message, const char *client, const char *sender)
	WAITS
{
	uint64_t out[8] = { 99 };

	CHECK(send_mail(f,
			&(struct sending){ .message = message,
					   .sender = sender,
					   .client = client,
					   .to = { "bob@far.example" } },
			out) == OK);
	return out[0];
}

static void by_network(struct fixture *f) WAITS
{
	CHECK(verdict_of(f, "192.0.2.7", "scan@a.example", 0) == RECIPIENT_NOT_OURS);
	CHECK(sends(f, 1, "192.0.2.7", "scan@a.example") == DELIVERY_NOT_OURS);
	list(f, "192.0.2.9/32", "allow", "");
	list(f, "192.0.2.0/24", "relay", "scan@a.example\n@b.example");
	list(f, "2001:db8::/32", "relay", "");
	CHECK(verdict_of(f, "192.0.2.7", "scan@a.example", 0) == RECIPIENT_REMOTE);
	CHECK(verdict_of(f, "192.0.2.7", "Scan@A.example", 0) == RECIPIENT_REMOTE);
	CHECK(verdict_of(f, "192.0.2.7", "any@b.example", 0) == RECIPIENT_REMOTE);
	CHECK(verdict_of(f, "192.0.2.7", "any@sub.b.example", 0) == RECIPIENT_SENDER);
	CHECK(verdict_of(f, "192.0.2.7", "other@a.example", 0) == RECIPIENT_SENDER);
	CHECK(verdict_of(f, "192.0.2.7", "", 0) == RECIPIENT_SENDER);
	CHECK(verdict_of(f, "192.0.2.9", "scan@a.example", 0) == RECIPIENT_NOT_OURS);
	CHECK(verdict_of(f, "198.51.100.1", "scan@a.example", 0) == RECIPIENT_NOT_OURS);
	CHECK(verdict_of(f, "", "scan@a.example", 0) == RECIPIENT_NOT_OURS);
	CHECK(verdict_of(f, "rubbish", "scan@a.example", 0) == RECIPIENT_NOT_OURS);
	CHECK(verdict_of(f, "2001:db8:1::1", "", 0) == RECIPIENT_REMOTE);
	/* And the same at the transaction, whatever was said before. */
	CHECK(sends(f, 2, "192.0.2.7", "scan@a.example") == DELIVERY_DONE);
	CHECK(sends(f, 3, "192.0.2.7", "other@a.example") == DELIVERY_NOT_OURS);
	CHECK(sends(f, 4, "192.0.2.9", "scan@a.example") == DELIVERY_NOT_OURS);
	CHECK(sends(f, 5, "198.51.100.1", "scan@a.example") == DELIVERY_NOT_OURS);
	CHECK(sends(f, 6, "", "scan@a.example") == DELIVERY_NOT_OURS);
	CHECK(state_of(f, 2, 0) == QUEUE_WAITING && state_of(f, 3, 0) == 99);
	CHECK(complaints(f) == 0);
}

static void a_listed_network_relays_for_its_senders_and_nobody_else(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = by_network, .config_text = RELAYING });
}

static void taken_back(struct fixture *f) WAITS
{
	list(f, "192.0.2.0/24", "relay", "");
	CHECK(sends(f, 1, "192.0.2.7", "a@b.example") == DELIVERY_DONE);
	change(f, (struct listing){ .cidr = "192.0.2.0/24", .is_delete = true }, false);
	/* The forecast is old; the transaction is not. */
	CHECK(verdict_of(f, "192.0.2.7", "a@b.example", 0) == RECIPIENT_REMOTE);
	CHECK(sends(f, 2, "192.0.2.7", "a@b.example") == DELIVERY_NOT_OURS);
	CHECK(networks_read(f->store) == OK);
	CHECK(verdict_of(f, "192.0.2.7", "a@b.example", 0) == RECIPIENT_NOT_OURS);
}

static void a_network_that_was_deleted_relays_nothing_more_from_that_commit_on(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = taken_back, .config_text = RELAYING });
}

static void rated(struct fixture *f) WAITS
{
	const struct sending three = { .message = 1,
				       .sender = "a@b.example",
				       .client = "192.0.2.7",
				       .to = { "x@far.example", "y@far.example",
					       "z@far.example" } };
	struct sending more = three;
	uint64_t out[8];

	add_account(f, "anna@example.org", NULL, -1);
	change(f,
	       (struct listing){ .cidr = "192.0.2.0/24",
				 .verdict = "relay",
				 .senders = "",
				 .rate = { 4, 600'000'000 } },
	       true);
	CHECK(verdict_of(f, "192.0.2.7", "a@b.example", 3) == RECIPIENT_REMOTE);
	CHECK(verdict_of(f, "192.0.2.7", "a@b.example", 4) == RECIPIENT_RATE);
	CHECK(send_mail(f, &three, out) == OK && out[0] == DELIVERY_DONE);
	/* One is left: the whole of a message for two is refused, and costs nothing. */
	more.message = 2;
	more.to[2] = "anna@example.org";
	CHECK(send_mail(f, &more, out) == OK);
	CHECK(out[0] == DELIVERY_RATE && out[2] == DELIVERY_RATE);
	CHECK(inbox_count(f, "anna@example.org") == 0 && state_of(f, 2, 0) == 99);
	/* A replay of what was kept is no more than it was. */
	CHECK(send_mail(f, &three, out) == OK && out[0] == DELIVERY_DONE);
	CHECK(sends(f, 3, "192.0.2.8", "a@b.example") == DELIVERY_DONE);
	CHECK(sends(f, 4, "192.0.2.7", "a@b.example") == DELIVERY_DONE);
	CHECK(sends(f, 5, "192.0.2.7", "a@b.example") == DELIVERY_RATE);
	CHECK(fiber_sleep(in_ms(601'000)) == OK);
	CHECK(sends(f, 6, "192.0.2.7", "a@b.example") == DELIVERY_DONE);
	CHECK(complaints(f) == 0);
}

static void a_client_gets_so_many_recipients_a_period(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = rated, .config_text = RELAYING, .simulated = true });
}

static void by_certificate(struct fixture *f) WAITS
{
	struct sending s = { .message = 1,
			     .sender = "scan@a.example",
			     .client = "198.51.100.1",
			     .certificate = "printer@a.example",
			     .to = { "bob@far.example" } };
	uint64_t out[8];

	CHECK(send_mail(f, &s, out) == OK && out[0] == DELIVERY_NOT_OURS);
	list(f, "certificate:printer@a.example", "relay", "scan@a.example");
	s.message = 2;
	CHECK(send_mail(f, &s, out) == OK && out[0] == DELIVERY_DONE);
	s.message = 3;
	s.sender = "other@a.example";
	CHECK(send_mail(f, &s, out) == OK && out[0] == DELIVERY_NOT_OURS);
	s.message = 4;
	s.sender = "scan@a.example";
	s.certificate = "rinter@a.example";
	CHECK(send_mail(f, &s, out) == OK && out[0] == DELIVERY_NOT_OURS);
}

static void a_listed_certificate_relays_from_anywhere(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = by_certificate, .config_text = RELAYING });
}

static void told(struct fixture *f) WAITS
{
	struct arena arena = { 0 };
	struct ask_networks ask = { .wait_ms = 1000 };
	struct answer_networks answer = { 0 };
	struct str text;
	moment start;

	list(f, "192.0.2.0/24", "relay", "a@b.example");
	list(f, "10.0.0.0/8", "deny", "");
	list(f, "certificate:a@b.example", "relay", "");
	CHECK(store_networks(f->store, &ask, &arena, &answer) == OK && answer.version != 0);
	CHECK(body_map(&answer.list, &text) == OK);
	CHECK(str_is(text, S("relay 192.0.2.0/24\ndeny 10.0.0.0/8\n")));
	body_unmap(&answer.list, text);
	ask.known = answer.version;
	start = now();
	CHECK(store_networks(f->store, &ask, &arena, &answer) == OK);
	CHECK(answer.version == ask.known && now() - start >= 1'000'000);
	list(f, "11.0.0.0/8", "deny", "");
	CHECK(store_networks(f->store, &ask, &arena, &answer) == OK);
	CHECK(answer.version != ask.known);
	body_done(&answer.list);
	arena_drop(&arena);
}

static void gates_are_told_the_list_when_it_is_another(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = told, .simulated = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listed_network_relays_for_its_senders_and_nobody_else),
		cmocka_unit_test(
			a_network_that_was_deleted_relays_nothing_more_from_that_commit_on),
		cmocka_unit_test(a_client_gets_so_many_recipients_a_period),
		cmocka_unit_test(a_listed_certificate_relays_from_anywhere),
		cmocka_unit_test(gates_are_told_the_list_when_it_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
