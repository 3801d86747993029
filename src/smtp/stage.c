/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a transcript against one session, in either world. */
#include "smtp/stage.h"

#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINE_MS = 7'200'000, SESSION = 42, TEXT_MAX = 64 << 20 };

struct play {
	struct stage *stage;
	struct config *config;
	struct smtp_service service;
	struct link *store, *filter;
	struct fiber_group house_group;
	struct fiber_group server_group;
	struct stream *ends[2];
	struct conn *client;
	struct tls_context *client_tls;
	struct caps *caps;
	char failure[4000]; /* of the script; "" when all lines were as expected */
};

/* ---- configuration and certificate ---- */

static void use_options(struct play *play)
{
	const struct stage *stage = play->stage;
	OWNED(buf) struct buf text = BUF(8192);
	OWNED(buf) struct buf complaints = BUF(8192);

	buf_print(&text,
		  "hostname = \"mx.here.example\"\n%s%s\nlistener \"port\" {\n\tprotocol = "
		  "%s\n%s\n}\n",
		  stage->exempt ? "" : "connections_exempt = \"203.0.113.0/24\"\n",
		  stage->options ? stage->options : "", stage->protocol ? stage->protocol : "smtp",
		  stage->listener ? stage->listener : "");
	if (config_parse(buf_str(&text), S("test.conf"), NULL, 0, &complaints, &play->config))
		fail_msg("%.*s", STR_ARGS(buf_str(&complaints)));
	play->service.config = play->config;
	play->service.listener = config_listener(play->config, S("port"));
}

static struct str pem_of(BIO *bio)
{
	char *at;
	long len = BIO_get_mem_data(bio, &at);

	return (struct str){ at, (size_t)len };
}

static struct tls_context *server_tls(void)
{
	EVP_PKEY *key;
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	BIO *chain_pem = BIO_new(BIO_s_mem());
	BIO *key_pem = BIO_new(BIO_s_mem());
	struct tls_context *out = NULL;

	key = EVP_EC_gen("P-256");
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				   (const unsigned char *)"mx.here.example", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(chain_pem, certificate);
	PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	assert_int_equal(
		tls_context_new(pem_of(chain_pem), pem_of(key_pem), TLS_AGE_CURRENT, "smtp", &out),
		OK);
	BIO_free(chain_pem);
	BIO_free(key_pem);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return out;
}

/* ---- the client's lines ---- */

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

static void differ(struct play *play, struct str step, struct str got)
{
	struct str seen = buf_str(&play->stage->transcript);

	if (seen.len > 2500)
		seen = str_from(seen, seen.len - 2500);
	snprintf(play->failure, sizeof(play->failure), "at \"%.*s\": got \"%.*s\"\n%.*s",
		 STR_ARGS(str_first(step, 300)), STR_ARGS(str_first(got, 600)), STR_ARGS(seen));
}

static bool read_line(struct play *play, struct str step, struct str *line) WAITS
{
	enum err err = conn_read_line(play->client, 4096, LINE_CRLF_ONLY, in_ms(LINE_MS), line);

	if (err) {
		differ(play, step, str_of(err_text(err)));
		return false;
	}
	if (line->len + 2 > LIMIT_smtp_reply_line)
		differ(play, step, S("a reply line that is too long"));
	buf_add(&play->stage->transcript, *line);
	buf_add(&play->stage->transcript, S("\n"));
	return true;
}

static void expect(struct play *play, struct str step, struct str pattern) WAITS
{
	struct str line;

	if (read_line(play, step, &line) && !matches(pattern, line))
		differ(play, step, line);
}

static void expect_reply(struct play *play, struct str step, struct str code) WAITS
{
	struct str line;

	while (read_line(play, step, &line)) {
		if (!str_starts(line, code) || line.len < 4) {
			differ(play, step, line);
			return;
		}
		if (line.at[3] == ' ')
			return;
	}
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : ascii_lower((unsigned char)c) - 'a' + 10;
}

static void add_escaped(struct buf *out, struct str text)
{
	while (text.len > 0) {
		char c = text.at[0];
		size_t used = 1;

		if (c == '\\' && text.len > 1) {
			used = 2;
			c = text.at[1];
			if (c == 'x' && text.len > 3) {
				c = (char)(hex_digit(text.at[2]) << 4 | hex_digit(text.at[3]));
				used = 4;
			} else {
				c = (char)(c == 'r'   ? '\r'
					   : c == 'n' ? '\n'
					   : c == 't' ? '\t'
					   : c == '0' ? 0
						      : c);
			}
		}
		buf_add_char(out, c);
		text = str_from(text, used);
	}
}

static void send_octets(struct play *play, struct str text, bool is_line, bool more) WAITS
{
	OWNED(buf) struct buf out = BUF(TEXT_MAX);

	add_escaped(&out, text);
	if (is_line)
		buf_add(&out, S("\r\n"));
	(void)!conn_write(play->client, buf_str(&out), in_ms(LINE_MS));
	if (!more)
		(void)!conn_flush(play->client, in_ms(LINE_MS));
}

static void send_fill(struct play *play, struct str what) WAITS
{
	OWNED(buf) struct buf out = BUF(TEXT_MAX);
	size_t space = str_find(what, ' ');
	uint64_t count = 0;

	must(space != STR_NONE && str_to_u64(str_first(what, space), TEXT_MAX, &count));
	for (uint64_t i = 0; i < count; i++)
		add_escaped(&out, str_from(what, space + 1));
	(void)!conn_write(play->client, buf_str(&out), in_ms(LINE_MS));
}

static void expect_end(struct play *play, struct str step) WAITS
{
	struct str line;
	enum err err = conn_read_line(play->client, 4096, LINE_CRLF_ONLY, in_ms(LINE_MS), &line);

	if (err != ERR_CLOSED && err != ERR_RESET)
		differ(play, step, err ? str_of(err_text(err)) : line);
}

static void note_memory(struct play *play)
{
	size_t held = mallinfo2().uordblks;

	if (held > play->stage->memory_most)
		play->stage->memory_most = held;
}

static bool run_network_step(struct play *play, struct str step) WAITS
{
	uint64_t ms;

	if (str_is(step, S("TLS"))) {
		if (conn_start_tls_client(play->client, play->client_tls, S("mx.here.example"),
					  in_ms(LINE_MS)))
			differ(play, step, str_of(fault_text()));
	} else if (str_starts(step, S("IDLE "))) {
		must(str_to_u64(str_from(step, 5), 1'000'000'000, &ms));
		(void)!conn_flush(play->client, in_ms(LINE_MS));
		(void)!fiber_sleep(in_ms((int64_t)ms));
	} else if (str_is(step, S("STOP"))) {
		group_stop(&play->server_group);
	} else if (str_is(step, S("CUT"))) {
		sim_stream_cut(play->ends[1]);
	} else if (str_is(step, S("SHUT"))) {
		(void)!conn_flush(play->client, in_ms(LINE_MS));
		conn_shut(play->client);
	} else if (str_is(step, S("END"))) {
		expect_end(play, step);
	} else {
		return false;
	}
	return true;
}

static void run_step(struct play *play, struct str step) WAITS
{
	struct str rest = str_from(step, 3);

	note_memory(play);
	if (str_starts(step, S("S: ")))
		expect(play, step, rest);
	else if (str_starts(step, S("S...: ")))
		expect_reply(play, step, str_from(step, 6));
	else if (str_starts(step, S("C: ")) || str_starts(step, S("C- ")))
		send_octets(play, rest, true, step.at[1] == '-');
	else if (str_starts(step, S("R: ")) || str_starts(step, S("R- ")))
		send_octets(play, rest, false, step.at[1] == '-');
	else if (str_starts(step, S("FILL ")))
		send_fill(play, str_from(step, 5));
	else if (str_is(step, S("FLUSH")))
		(void)!conn_flush(play->client, in_ms(LINE_MS));
	else if (!run_network_step(play, step))
		differ(play, step, S("no such step"));
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

/* ---- the two sides ---- */

static void serve(void *arg) WAITS
{
	struct play *play = arg;
	struct conn *conn = conn_new(play->ends[0]);
	size_t discarded;

	if (!play->stage->implicit_tls ||
	    !conn_start_tls(conn, play->service.tls, in_ms(LINE_MS), &discarded))
		smtp_serve(&play->service, conn, SESSION);
	conn_drop(&conn);
}

static struct link *connect_role(struct play *play, enum role_kind role,
				 const struct link_handlers *handlers)
{
	struct channel *channels[2];
	struct link *link = link_new(ROLE_GATE_USER, role);

	must(!channel_pair_memory(channels));
	must(!link_serve(channels[0], role, ROLE_GATE_USER, 0, handlers, &play->stage->house,
			 &play->house_group));
	must(!link_attach(link, 0, channels[1]));
	return link;
}

/* The same two addresses in both worlds would not be free in the real one: there a pair of sockets. */
static void connect_client(struct play *play) WAITS
{
	struct listener *listener;
	struct addr at;

	must(addr_parse(play->stage->in_real_world ? S("127.0.0.1:0") : S("192.0.2.1:25"), &at));
	must(!listener_new(&at, 5, &listener));
	at = *listener_address(listener);
	must(!stream_connect(&at, in_ms(LINE_MS), &play->ends[1]));
	must(!listener_accept(listener, in_ms(LINE_MS), &play->ends[0]));
	listener_drop(&listener);
}

static void act(void *arg) WAITS
{
	struct play *play = arg;
	moment start;

	group_init(&play->house_group);
	group_init(&play->server_group);
	play->service.store = play->store = connect_role(play, ROLE_STORE, &house_store);
	play->service.filter = play->filter = connect_role(play, ROLE_FILTER, &house_filter);
	connect_client(play);
	start = now();
	must(!fiber_spawn(&play->server_group, "session", serve, play, NULL));
	play->client = conn_new(play->ends[1]);
	run_script(play);
	play->stage->took_ms = (now() - start) / 1000;
	conn_drop(&play->client);
	must(!group_wait(&play->server_group, in_ms(LINE_MS)));
	link_drop(&play->store);
	link_drop(&play->filter);
	group_stop(&play->house_group);
	must(!group_wait(&play->house_group, in_ms(LINE_MS)));
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

static void play_in_world(struct play *play)
{
	struct world *world =
		play->stage->in_real_world ? world_real_new() : world_sim_new(play->stage->seed);
	struct caps_limits limits = { .open_per_group = 50,
				      .new_per_minute = 50,
				      .open_in_all = 50 };
	size_t held;

	play->caps = caps_new(&limits);
	play->service.caps = play->caps;
	if (!play->stage->without_certificate)
		play->service.tls = server_tls();
	assert_int_equal(tls_client_context_new(S(""), &play->client_tls), OK);
	assert_int_equal(world_spawn(world, "act", act, play), OK);
	held = mallinfo2().uordblks;
	world_run(world);
	play->stage->memory_most -= held < play->stage->memory_most ? held : 0;
	world_drop(&world);
	tls_context_unref(&play->service.tls);
	tls_context_unref(&play->client_tls);
	caps_drop(&play->caps);
}

void stage_play(struct stage *stage)
{
	size_t size = trace_ring_size();
	void *ring = aligned_alloc(4096, size);
	struct play play = { .stage = stage };

	must(ring);
	stage->events = BUF(TEXT_MAX);
	stage->transcript = BUF(TEXT_MAX);
	use_options(&play);
	trace_ring_format(ring, size, ROLE_GATE_MX, 0);
	trace_set_clock(now, wall_us);
	assert_int_equal(trace_writer_new(ring, size, &play.service.trace), OK);
	play_in_world(&play);
	config_unref(&play.config);
	trace_writer_drop(&play.service.trace);
	read_events(stage, ring, size);
	free(ring);
	if (play.failure[0])
		fail_msg("%s", play.failure);
	assert_int_equal(stage->house.signed_in, 0);
}

void stage_done(struct stage *stage)
{
	buf_drop(&stage->events);
	buf_drop(&stage->transcript);
	arena_drop(&stage->house.arena);
}

struct str kept_text(const struct kept *kept)
{
	struct scan header = scan_of(kept->body);
	struct field field;

	assert_true(take_field(&header, &field));
	assert_true(str_is(field.name, S("Received")));
	return scan_rest(&header);
}

bool stage_saw(const struct stage *stage, const char *text)
{
	return str_find_str(buf_str(&stage->transcript), str_of(text)) != STR_NONE;
}

bool stage_traced(const struct stage *stage, const char *text)
{
	return str_find_str(buf_str(&stage->events), str_of(text)) != STR_NONE;
}
