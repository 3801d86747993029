/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a transcript against one POP3 session in the simulated world. */
#include "pop3/session_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINE_MS = 3600000, SESSION = 42, TEXT_MAX = 16777216 };

/* One playing: the two halves of the stage. */
struct play {
	struct stage *stage;
	struct config *config;
	struct pop3_service service;
	struct link *link;
	struct fiber_group store_group;
	struct fiber_group server_group;
	struct stream *ends[2];
	struct conn *client;
	struct tls_context *client_tls;
	struct caps *caps;
	char greeting[300];
	char failure[2000]; /* of the script; "" when all lines were as expected */
};

static void use_options(struct play *play)
{
	const struct stage *stage = play->stage;
	OWNED(buf) struct buf text = BUF(8192);
	OWNED(buf) struct buf complaints = BUF(8192);

	buf_print(
		&text,
		"hostname = \"dbc.example\"\n%s%s\nlistener \"pop\" {\n\tprotocol = pop3\n%s\n}\n",
		stage->exempt ? "connections_exempt = \"0.0.0.0/0\"\n" : "",
		stage->options ? stage->options : "", stage->listener ? stage->listener : "");
	if (config_parse(buf_str(&text), S("test.conf"), NULL, 0, &complaints, &play->config))
		fail_msg("%.*s", STR_ARGS(buf_str(&complaints)));
	play->service.config = play->config;
	play->service.listener = config_listener(play->config, S("pop"));
}

static struct str pem_of(BIO *bio)
{
	char *at;
	long len = BIO_get_mem_data(bio, &at);

	return (struct str){ at, (size_t)len };
}

static struct tls_context *server_tls(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	BIO *chain_pem = BIO_new(BIO_s_mem());
	BIO *key_pem = BIO_new(BIO_s_mem());
	struct tls_context *out = NULL;

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"dbc.example",
				   -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(chain_pem, certificate);
	PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	assert_int_equal(
		tls_context_new(pem_of(chain_pem), pem_of(key_pem), TLS_AGE_CURRENT, "pop3", &out),
		OK);
	BIO_free(chain_pem);
	BIO_free(key_pem);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return out;
}

/* ---- the client ---- */

static bool matches(struct str pattern, struct str line)
{
	size_t star = STR_NONE;
	size_t star_line = 0;
	size_t p = 0;
	size_t l = 0;

	while (l < line.len) {
		if (p < pattern.len && pattern.at[p] == '*') {
			star = p++;
			star_line = l;
		} else if (p < pattern.len && pattern.at[p] == line.at[l]) {
			p++;
			l++;
		} else if (star != STR_NONE) {
			p = star + 1;
			l = ++star_line;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.at[p] == '*')
		p++;
	return p == pattern.len;
}

static bool read_reply(struct play *play, struct str *line) WAITS
{
	enum err err = conn_read_line(play->client, 4096, LINE_CRLF_ONLY, in_ms(LINE_MS), line);

	if (err) {
		*line = str_of(err_text(err));
		return false;
	}
	if (!play->greeting[0])
		snprintf(play->greeting, sizeof(play->greeting), "%.*s", STR_ARGS(*line));
	buf_add(&play->stage->transcript, *line);
	buf_add(&play->stage->transcript, S("\n"));
	return true;
}

static void differ(struct play *play, struct str step, struct str got)
{
	snprintf(play->failure, sizeof(play->failure), "at \"%.*s\": got \"%.*s\"\n%.*s",
		 STR_ARGS(step), STR_ARGS(got), STR_ARGS(buf_str(&play->stage->transcript)));
}

static void expect(struct play *play, struct str step, struct str pattern) WAITS
{
	struct str line;

	if (!read_reply(play, &line) || !matches(pattern, line))
		differ(play, step, line);
}

static void expect_dot(struct play *play, struct str step) WAITS
{
	struct str line;

	do {
		if (!read_reply(play, &line)) {
			differ(play, step, line);
			return;
		}
	} while (!str_is(line, S(".")));
}

/* "C: APOP mrose DIGEST": the digest is made from the greeting that came. */
static void send_line(struct play *play, struct str line, bool more) WAITS
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf out = BUF(TEXT_MAX);
	struct str greeting = str_of(play->greeting);
	size_t digest = str_find_str(line, S("DIGEST"));
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	buf_add(&out, str_first(line, digest));
	if (digest != STR_NONE) {
		struct str secret =
			str_print(&arena, "%.*stanstaaf",
				  STR_ARGS(str_from(greeting, str_find(greeting, '<'))));

		must(EVP_Digest(secret.at, secret.len, md, &len, EVP_md5(), NULL) == 1);
		hex_add(&out, (struct str){ (const char *)md, len });
	}
	buf_add(&out, S("\r\n"));
	(void)!conn_write(play->client, buf_str(&out), in_ms(LINE_MS));
	if (!more)
		(void)!conn_flush(play->client, in_ms(LINE_MS));
}

static void expect_end(struct play *play, struct str step) WAITS
{
	struct str line;
	enum err err = conn_read_line(play->client, 4096, LINE_CRLF_ONLY, in_ms(LINE_MS), &line);

	if (err != ERR_CLOSED && err != ERR_RESET)
		differ(play, step, err ? str_of(err_text(err)) : line);
}

static void run_step(struct play *play, struct str step) WAITS
{
	uint64_t ms;

	if (str_starts(step, S("S: "))) {
		expect(play, step, str_from(step, 3));
	} else if (str_is(step, S("S..."))) {
		expect_dot(play, step);
	} else if (str_starts(step, S("C: "))) {
		send_line(play, str_from(step, 3), false);
	} else if (str_starts(step, S("C- "))) {
		send_line(play, str_from(step, 3), true);
	} else if (str_is(step, S("TLS"))) {
		if (conn_start_tls_client(play->client, play->client_tls, S("dbc.example"),
					  in_ms(LINE_MS)))
			differ(play, step, str_of(fault_text()));
	} else if (str_starts(step, S("IDLE "))) {
		must(str_to_u64(str_from(step, 5), 1000000000, &ms));
		(void)fiber_sleep(in_ms((int64_t)ms));
	} else if (str_is(step, S("STOP"))) {
		group_stop(&play->server_group);
	} else if (str_is(step, S("CUT"))) {
		sim_stream_cut(play->ends[1]);
	} else if (str_is(step, S("END"))) {
		expect_end(play, step);
	} else {
		differ(play, step, S("no such step"));
	}
}

static void serve(void *arg) WAITS
{
	struct play *play = arg;
	struct conn *conn = conn_new(play->ends[0]);

	pop3_serve(&play->service, conn, SESSION);
	conn_drop(&conn);
}

static void connect_store(struct play *play)
{
	struct channel *channels[2];

	group_init(&play->store_group);
	must(!channel_pair_memory(channels));
	must(!link_serve(channels[0], ROLE_STORE, ROLE_GATE_USER, 0, &fake_store_handlers,
			 &play->stage->store, &play->store_group));
	play->link = link_new(ROLE_GATE_USER, ROLE_STORE);
	must(!link_attach(play->link, 0, channels[1]));
	play->service.store = play->link;
}

static void run_script(struct play *play) WAITS
{
	struct scan script = scan_of(str_of(play->stage->script));
	struct str step;

	while (!play->failure[0] && take_until(&script, '\n', &step))
		if (step.len > 0)
			run_step(play, step);
	must(play->failure[0] || scan_at_end(&script)); /* its last line lacks its end */
}

static void connect_client(struct play *play) WAITS
{
	struct listener *listener;
	struct addr at;

	must(addr_parse(S("127.0.0.1:110"), &at));
	must(!listener_new(&at, 5, &listener));
	must(!stream_connect(&at, in_ms(LINE_MS), &play->ends[1]));
	must(!listener_accept(listener, in_ms(LINE_MS), &play->ends[0]));
	listener_drop(&listener);
}

static void act(void *arg) WAITS
{
	struct play *play = arg;

	connect_store(play);
	group_init(&play->server_group);
	connect_client(play);
	must(!fiber_spawn(&play->server_group, "session", serve, play, NULL));
	play->client = conn_new(play->ends[1]);
	run_script(play);
	conn_drop(&play->client);
	must(!group_wait(&play->server_group, in_ms(LINE_MS)));
	link_drop(&play->link);
	group_stop(&play->store_group);
	must(!group_wait(&play->store_group, in_ms(LINE_MS)));
}

static void read_events(struct stage *stage, const void *ring, size_t size)
{
	OWNED(buf) struct buf record = BUF(65536);
	struct trace_reader *reader;
	uint64_t lost = 0;

	assert_int_equal(trace_reader_new(ring, size, false, &reader), OK);
	while (trace_reader_next(reader, &record, &lost)) {
		struct trace_event event;

		assert_int_equal(trace_event_decode(buf_str(&record), &event), OK);
		assert_int_equal(trace_event_json(&event, &stage->events), OK);
		buf_add(&stage->events, S("\n"));
		buf_reset(&record);
	}
	assert_int_equal(lost, 0);
	trace_reader_drop(&reader);
}

void stage_play(struct stage *stage)
{
	size_t size = trace_ring_size();
	void *ring = aligned_alloc(4096, size);
	struct world *world = world_sim_new(stage->seed);
	struct play play = { .stage = stage };
	struct caps_limits limits = { .open_per_group = 50,
				      .new_per_minute = 50,
				      .open_in_all = 50 };

	stage->store.expected_session = SESSION;
	stage->events = BUF(TEXT_MAX);
	stage->transcript = BUF(TEXT_MAX);
	use_options(&play);
	trace_ring_format(ring, size, ROLE_GATE_USER, 0);
	trace_set_clock(now, wall_us);
	assert_int_equal(trace_writer_new(ring, size, &play.service.trace), OK);
	play.caps = caps_new(&limits);
	play.service.caps = play.caps;
	play.service.tls = server_tls();
	assert_int_equal(tls_client_context_new(S(""), &play.client_tls), OK);
	assert_int_equal(world_spawn(world, "act", act, &play), OK);
	world_run(world);
	world_drop(&world);
	tls_context_unref(&play.service.tls);
	tls_context_unref(&play.client_tls);
	caps_drop(&play.caps);
	config_unref(&play.config);
	trace_writer_drop(&play.service.trace);
	read_events(stage, ring, size);
	free(ring);
	if (play.failure[0])
		fail_msg("%s", play.failure);
	/* Whatever happened: nothing stays locked, nobody stays signed in. */
	assert_false(stage->store.held);
	assert_int_equal(stage->store.signed_in, 0);
}

void stage_done(struct stage *stage)
{
	buf_drop(&stage->events);
	buf_drop(&stage->transcript);
}
