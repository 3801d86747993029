/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses of a client that signs in, already decoded, through GNU SASL and our callbacks. The first
 * octet chooses the mechanism, the second what comes with it, 0xFF parts the responses. It ends with
 * an answer, nobody is signed in (there are no accounts), and nothing is left when it is dropped.
 */
#include "store/sasl.h"

#include <argon2.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

enum { HAS_INITIAL = 1, HAS_CHANNEL = 2, INPUT_MAX = 16384, STEPS = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const mechanisms[] = { "PLAIN",
					  "LOGIN",
					  "SCRAM-SHA-1",
					  "SCRAM-SHA-256",
					  "SCRAM-SHA-1-PLUS",
					  "SCRAM-SHA-256-PLUS",
					  "CRAM-MD5",
					  "GSSAPI" };

static struct world *world;
static struct store *store;
static struct peer *peer;
static char folder[] = "/tmp/glasspost-sasl-XXXXXX";

/* In the library's place, which takes longer than all the rest. */
int argon2id_verify(const char *encoded, const void *password, const size_t len)
{
	return strlen(encoded) + str_hash((struct str){ password, len }) == 0
		       ? ARGON2_OK
		       : ARGON2_VERIFY_MISMATCH;
}

/* ---- the store, once ---- */

static void begin(void *arg) WAITS
{
	OWNED(buf) struct buf complaints = BUF(4096);
	struct store_options options = { .folder = folder, .create = true };
	struct str text = S("hostname = mail.example.org\ndurable = no\nkeep_secrets = yes\n");

	(void)arg;
	must(config_parse(text, S("fuzz.conf"), NULL, 0, &complaints, &options.config) == OK);
	must(store_open(&options, &store) == OK);
	config_unref(&options.config);
	peer = peer_new(store);
	world_halt(world_here());
}

static void end(void *arg) WAITS
{
	(void)arg;
	peer_drop(&peer);
	store_close(&store);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void run(fiber_fn *fn, void *arg)
{
	must(world_spawn(world, "sasl", fn, arg) == OK);
	world_run(world);
}

static void end_all(void)
{
	run(end, NULL);
	world_drop(&world);
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- one exchange ---- */

struct exchange_input {
	unsigned mechanism, flags;
	struct str rest;
};

static struct str take_response(struct str *rest)
{
	size_t end = str_find(*rest, '\xff');
	struct str response = end == STR_NONE ? *rest : str_first(*rest, end);

	*rest = str_from(*rest, response.len + 1);
	return str_first(response, LIMIT_sasl_line);
}

static void check(const struct sign_in_result *result)
{
	must(result->challenge.len <= LIMIT_sasl_line && result->delay_ms <= 60000);
	must((result->state == SASL_DONE) == (result->account != 0));
	must((result->state == SASL_CONTINUE) == (result->sasl != 0));
	must(result->state != SASL_DONE); /* nobody has a password here */
}

static enum err start(struct exchange_input *in, struct arena *arena, struct sign_in_result *result)
	WAITS
{
	struct answer_sasl_start answer = { 0 };
	struct ask_sasl_start ask = { .mechanism = str_of(mechanisms[in->mechanism]),
				      .has_initial = in->flags & HAS_INITIAL,
				      .service = S("smtp"),
				      .peer = S("192.0.2.1") };
	enum err err;

	if (ask.has_initial)
		ask.initial = take_response(&in->rest);
	if (in->flags & HAS_CHANNEL) {
		ask.channel_type = S("tls-exporter");
		ask.channel_data = S("0123456789abcdef0123456789abcdef");
	}
	err = store_sasl_start(peer, &ask, arena, &answer);
	*result = (struct sign_in_result){ (enum sasl_state)answer.state,
					   answer.sasl,
					   answer.challenge,
					   answer.account,
					   answer.address,
					   answer.folder,
					   answer.delay_ms };
	return err;
}

static enum err step(struct exchange_input *in, struct arena *arena, struct sign_in_result *result)
	WAITS
{
	struct answer_sasl_step answer = { 0 };
	struct ask_sasl_step ask = { .sasl = result->sasl, .response = take_response(&in->rest) };
	enum err err = store_sasl_step(peer, &ask, arena, &answer);

	*result = (struct sign_in_result){ (enum sasl_state)answer.state,
					   answer.sasl,
					   answer.challenge,
					   answer.account,
					   answer.address,
					   answer.folder,
					   answer.delay_ms };
	return err;
}

static void play(void *arg) WAITS
{
	struct exchange_input *in = arg;
	struct arena arena = { 0 };
	struct sign_in_result result;
	enum err err = start(in, &arena, &result);
	unsigned steps = 0;

	if (!err)
		check(&result);
	while (!err && result.state == SASL_CONTINUE && steps++ < STEPS && in->rest.len) {
		err = step(in, &arena, &result);
		if (!err)
			check(&result);
	}
	if (!err && result.state == SASL_CONTINUE)
		must(store_sasl_drop(peer, &(struct ask_sasl_drop){ .sasl = result.sasl }) == OK);
	arena_drop(&arena);
	world_halt(world_here());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exchange_input in;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	if (!world) {
		must(mkdtemp(folder));
		world = world_sim_new(1);
		run(begin, NULL);
		atexit(end_all);
	}
	in.mechanism = data[0] % COUNT_OF(mechanisms);
	in.flags = data[1];
	in.rest = (struct str){ (const char *)data + 2, size - 2 };
	run(play, &in);
	return 0;
}
