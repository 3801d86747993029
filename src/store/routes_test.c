/* SPDX-License-Identifier: Apache-2.0 */
/* Routes, credentials and the key that they are kept under. */
#include "store/key.h"
#include "store/queue_fixture.h"
#include "store/routes.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

/* ---- targets ---- */

static void a_target_is_a_host_with_a_port_or_a_socket(void **state)
{
	static const struct {
		enum queue_transport transport;
		const char *text, *target, *host;
		unsigned port;
	} good[] = {
		{ QUEUE_BY_SMTP, "Smart.Example:587", "smart.example:587", "smart.example", 587 },
		{ QUEUE_BY_SMTP, "smart.example", "smart.example:25", "smart.example", 25 },
		{ QUEUE_BY_SMTPS, "smart.example", "smart.example:465", "smart.example", 465 },
		{ QUEUE_BY_LMTP, "192.0.2.7", "192.0.2.7:24", "192.0.2.7", 24 },
		{ QUEUE_BY_SMTP, "[2001:db8::1]:2525", "[2001:db8::1]:2525", "2001:db8::1", 2525 },
		{ QUEUE_BY_SMTP, "2001:db8::1", "[2001:db8::1]:25", "2001:db8::1", 25 },
		{ QUEUE_BY_LMTP, "/run/lmtp.sock", "/run/lmtp.sock", "/run/lmtp.sock", 0 },
		{ QUEUE_BY_MX, "", "", "", 25 },
		{ QUEUE_BY_MX, "Other.Example", "other.example", "other.example", 25 },
	};
	static const struct {
		enum queue_transport transport;
		const char *text;
	} bad[] = {
		{ QUEUE_BY_SMTP, "" },        { QUEUE_BY_SMTP, "a b:25" },
		{ QUEUE_BY_SMTP, "a.b:0" },   { QUEUE_BY_SMTP, "a.b:65536" },
		{ QUEUE_BY_SMTP, "a.b:" },    { QUEUE_BY_SMTP, "a.b:2x" },
		{ QUEUE_BY_SMTP, "/a/path" }, { QUEUE_BY_SMTP, "a.b\n:25" },
		{ QUEUE_BY_MX, "a.b:25" },    { QUEUE_BY_MX, "[192.0.2.1]" },
		{ QUEUE_BY_SMTP, "[]:25" },   { QUEUE_BY_SMTP, ":25" },
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct route route = { .transport = good[i].transport };

		assert_true(route_take_target(&arena, str_of(good[i].text), &route));
		assert_true(str_is(route.target, str_of(good[i].target)));
		assert_true(str_is(route.host, str_of(good[i].host)));
		assert_int_equal(route.port, good[i].port);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct route route = { .transport = bad[i].transport };

		assert_false(route_take_target(&arena, str_of(bad[i].text), &route));
	}
	arena_drop(&arena);
}

/* ---- which one ---- */

struct writing {
	struct job job;
	const char *sql;
};

static enum err run_sql(struct writer *writer, struct job *job)
{
	return db_define(writer->db, str_of(CONTAINER_OF(job, struct writing, job)->sql));
}

static void write_sql(struct fixture *f, const char *sql) WAITS
{
	struct writing w = { .job.run = run_sql, .sql = sql };

	CHECK(store_commit(f->store, &w.job) == OK);
}

struct looking {
	struct arena arena;
	const char *destination;
	struct route route;
	bool found;
};

static enum err look(struct db *db, void *arg)
{
	struct looking *l = arg;

	return route_find(db, &l->arena, str_of(l->destination), &l->route, &l->found);
}

static bool goes_by(struct fixture *f, const char *destination, const char *row) WAITS
{
	struct looking l = { .destination = destination };
	bool is_so;

	CHECK(store_read(f->store, look, &l) == OK);
	is_so = row ? l.found && str_is(l.route.domain, str_of(row)) : !l.found;
	arena_drop(&l.arena);
	return is_so;
}

static void nearest(struct fixture *f) WAITS
{
	CHECK(goes_by(f, "a.example", NULL));
	write_sql(f,
		  "INSERT INTO route VALUES ('a.example', 'mx', '', 'required', NULL, 0, 1);"
		  "INSERT INTO route VALUES ('*.a.example', 'discard', '', 'none', NULL, 0, 1);"
		  "INSERT INTO route VALUES ('*.b.a.example', 'discard', '', 'none', NULL, 0, 1);"
		  "INSERT INTO route VALUES ('[192.0.2.1]', 'discard', '', 'none', NULL, 0, 1)");
	CHECK(goes_by(f, "a.example", "a.example"));
	CHECK(goes_by(f, "x.a.example", "*.a.example"));
	CHECK(goes_by(f, "x.y.a.example", "*.a.example"));
	CHECK(goes_by(f, "x.b.a.example", "*.b.a.example"));
	CHECK(goes_by(f, "b.a.example", "*.a.example"));
	CHECK(goes_by(f, "example", NULL));
	CHECK(goes_by(f, "[192.0.2.1]", "[192.0.2.1]"));
	write_sql(f, "INSERT INTO route VALUES ('*', 'smtp', 'smart.example:587', 'verified', "
		     "NULL, 0, 1)");
	CHECK(goes_by(f, "example", "*"));
	CHECK(goes_by(f, "a.example", "a.example"));
	CHECK(goes_by(f, "[192.0.2.2]", NULL)); /* an address is connected to */
}

static void the_nearest_route_counts(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = nearest });
}

/* ---- in a claim ---- */

static void keep_secret(struct fixture *f, const char *name, const char *password) WAITS
{
	struct arena arena = { 0 };
	unsigned char key[CIPHER_KEY];
	struct buf hex = BUF(1000);
	struct str cipher;

	secret_keys_current(&f->store->secrets, key);
	CHECK(secret_encrypt(&arena, key, str_print(&arena, "credential %s", name),
			     str_of(password), &cipher) == OK);
	CHECK(hex_add(&hex, cipher) == OK);
	write_sql(f,
		  str_print(&arena, "INSERT INTO credential VALUES ('%s', 'carrier', x'%.*s', 1)",
			    name, STR_ARGS(buf_str(&hex)))
			  .at);
	buf_drop(&hex);
	arena_drop(&arena);
}

static bool claim_has_password(struct fixture *f, const char *password) WAITS
{
	struct claimed c;
	bool is_so;

	if (!claim(f, &c))
		return false;
	is_so = str_is(c.answer.password, str_of(password)) &&
		str_is(c.answer.user, S("carrier")) && str_is(c.answer.credential, S("smart")) &&
		c.answer.transport == QUEUE_BY_SMTP && c.answer.port == 587 &&
		str_is(c.answer.target, S("smart.example")) && c.answer.tls == QUEUE_TLS_VERIFIED &&
		c.answer.signed_in;
	CHECK(report(f, &c, &sent) == 1);
	drop_claim(&c);
	return is_so;
}

static void claimed(struct fixture *f) WAITS
{
	uint64_t anna, secrets = 0;
	struct claimed c;

	add_account(f, "anna@example.org", "kept too", -1);
	anna = sign_in_as(f, "anna@example.org");
	CHECK(send_one(f, 7, anna, "bob@far.example") == DELIVERY_DONE && claim(f, &c));
	CHECK(c.answer.transport == QUEUE_BY_MX && c.answer.tls == QUEUE_TLS_OPPORTUNISTIC &&
	      !c.answer.password.len && !c.answer.sources.count);
	CHECK(report(f, &c, &sent) == 1);
	drop_claim(&c);
	keep_secret(f, "smart", "open sesame");
	write_sql(f, "INSERT INTO route VALUES ('*', 'smtp', 'smart.example:587', 'verified', "
		     "'smart', 0, 1);"
		     "INSERT INTO source VALUES ('example.org', '192.0.2.9 2001:db8::9')");
	CHECK(send_one(f, 8, anna, "bob@far.example") == DELIVERY_DONE && claim(f, &c));
	CHECK(c.answer.sources.count == 2 && str_is(c.answer.sources.at[1], S("2001:db8::9")));
	CHECK(report(f, &c, &deferred) == 1);
	drop_claim(&c);
	CHECK(send_one(f, 9, anna, "bob@other.example") == DELIVERY_DONE);
	CHECK(claim_has_password(f, "open sesame"));
	/* Under another key it is the same. */
	CHECK(store_rotate_key(f->store, &secrets) == OK && secrets == 2);
	CHECK(send_one(f, 10, anna, "bob@third.example") == DELIVERY_DONE);
	CHECK(claim_has_password(f, "open sesame"));
	CHECK(complaints(f) == 0);
	/* Another's row does not open. */
	write_sql(f, "INSERT INTO credential SELECT 'moved', user_name, secret, 1 FROM credential;"
		     "UPDATE route SET credential = 'moved'");
	CHECK(send_one(f, 11, anna, "bob@fourth.example") == DELIVERY_DONE && claim(f, &c));
	CHECK(str_is(c.answer.credential, S("moved")) && !c.answer.password.len);
	drop_claim(&c);
	CHECK(complaints(f) == 1);
}

static void a_claim_has_the_way_and_the_secret_that_its_host_needs(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = claimed,
				       .config_text = RELAYING "keep_secrets = yes\n" });
}

/* ---- the key ---- */

static void read_key_file(struct fixture *f, const char *name, unsigned char out[CIPHER_KEY])
{
	char path[STORE_PATH + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->store->folder, name);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, out, CIPHER_KEY) == CIPHER_KEY);
	close(fd);
}

static void write_key_file(struct fixture *f, const char *name, const unsigned char *key,
			   size_t len)
{
	char path[STORE_PATH + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->store->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, key, len) == (ssize_t)len);
	close(fd);
}

static bool is_there(struct fixture *f, const char *name)
{
	char path[STORE_PATH + 32];

	snprintf(path, sizeof(path), "%s/%s", f->store->folder, name);
	return access(path, F_OK) == 0;
}

static void cut_short(struct fixture *f) WAITS
{
	unsigned char before[CIPHER_KEY], after[CIPHER_KEY], salts[CIPHER_KEY];
	static const unsigned char stray[CIPHER_KEY] = { 1, 2, 3 };
	uint64_t secrets = 0;

	add_account(f, "anna@example.org", "kept", -1);
	memcpy(salts, f->store->salts, CIPHER_KEY);
	read_key_file(f, "store.key", before);
	/* Cut off before the commit: the new file is only a file. */
	write_key_file(f, "store.key.new", stray, sizeof(stray));
	fixture_reopen(f);
	CHECK(!is_there(f, "store.key.new") && complaints(f) == 0);
	write_key_file(f, "store.key.new", stray, 5);
	fixture_reopen(f);
	CHECK(!is_there(f, "store.key.new") && complaints(f) == 0);
	/* Cut off between the commit and the renaming. */
	CHECK(store_rotate_key(f->store, &secrets) == OK && secrets == 1);
	read_key_file(f, "store.key", after);
	CHECK(memcmp(before, after, CIPHER_KEY) != 0 && !is_there(f, "store.key.new"));
	write_key_file(f, "store.key", before, CIPHER_KEY);
	write_key_file(f, "store.key.new", after, CIPHER_KEY);
	fixture_reopen(f);
	read_key_file(f, "store.key", before);
	CHECK(memcmp(before, after, CIPHER_KEY) == 0 && !is_there(f, "store.key.new"));
	CHECK(complaints(f) == 0);
	CHECK(memcmp(salts, f->store->salts, CIPHER_KEY) == 0);
	/* A second one at once. */
	CHECK(store_rotate_key(f->store, &secrets) == OK);
	fixture_reopen(f);
	CHECK(complaints(f) == 0 && memcmp(salts, f->store->salts, CIPHER_KEY) == 0);
}

static void a_change_of_the_key_that_was_cut_short_is_finished_or_undone(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){
		.body = cut_short,
		.config_text = "hostname = mail.example.org\nkeep_secrets = yes\n" });
}

static struct str former_secret(struct arena *arena, const unsigned char key[CIPHER_KEY],
				struct str binding, struct str plain)
{
	unsigned char *at = arena_take(arena, 28 + plain.len);
	unsigned char own[CIPHER_KEY];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int len;

	memset(at, 7, 12);
	keyed_hash(key, S("kept secrets"), S(""), own);
	must(EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, own, at) == 1 &&
	     EVP_EncryptUpdate(cipher, NULL, &len, (const unsigned char *)binding.at,
			       (int)binding.len) == 1 &&
	     EVP_EncryptUpdate(cipher, at + 28, &len, (const unsigned char *)plain.at,
			       (int)plain.len) == 1 &&
	     EVP_EncryptFinal_ex(cipher, at + 28 + plain.len, &len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, 16, at + 12) == 1);
	EVP_CIPHER_CTX_free(cipher);
	return (struct str){ (char *)at, 28 + plain.len };
}

/* What was kept before secrets had a salt of their own. */
static void former_secrets_open(void **state)
{
	static const unsigned char key[CIPHER_KEY] = { 1 };
	struct arena arena = { 0 };
	struct str cipher = former_secret(&arena, key, S("a@b"), S("secret"));
	struct str plain;

	(void)state;
	assert_int_equal(secret_decrypt(&arena, key, S("a@b"), cipher, &plain), OK);
	assert_true(str_is(plain, S("secret")));
	assert_int_equal(secret_decrypt(&arena, key, S("c@b"), cipher, &plain), ERR_CORRUPT);
	arena_drop(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_is_a_host_with_a_port_or_a_socket),
		cmocka_unit_test(the_nearest_route_counts),
		cmocka_unit_test(a_claim_has_the_way_and_the_secret_that_its_host_needs),
		cmocka_unit_test(a_change_of_the_key_that_was_cut_short_is_finished_or_undone),
		cmocka_unit_test(former_secrets_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
