/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/session_test.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

bool stage_is_stressed;

static void serve(const struct stage_service *service, struct conn *conn) WAITS
{
	struct pop3_service pop3 = {
		.config = service->config,
		.listener = service->listener,
		.store = service->store,
		.tls = service->tls,
		.trace = service->trace,
		.caps = service->caps,
		.is_stressed = &stage_is_stressed,
	};

	pop3_serve(&pop3, conn, STAGE_SESSION);
}

/* rfc1939 7: of the greeting's <...> and the secret behind it. */
static void add_digest(struct str greeting, struct buf *out)
{
	OWNED(arena) struct arena arena = { 0 };
	struct str banner = str_from(greeting, str_find(greeting, '<'));
	struct str secret = str_print(&arena, "%.*stanstaaf", STR_ARGS(banner));
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	must(EVP_Digest(secret.at, secret.len, md, &len, EVP_md5(), NULL) == 1);
	hex_add(out, (struct str){ (const char *)md, len });
}

static void add_line(const struct dialogue *dialogue, struct str line, struct buf *out)
{
	struct str seen = buf_str(&dialogue->transcript);
	size_t digest = str_find_str(line, S("DIGEST"));

	buf_add(out, str_first(line, digest));
	if (digest != STR_NONE)
		add_digest(str_first(seen, str_find(seen, '\n')), out);
}

static const struct stage_protocol pop3 = {
	.name = "pop3",
	.host = "dbc.example",
	.line_max = 4096,
	.gate = ROLE_GATE_USER,
	.store = &fake_store_handlers,
	.serve = serve,
	.add_line = add_line,
};

void stage_play(struct stage *stage)
{
	dialogue_play(&stage->dialogue, &pop3, &stage->store);
	/* Whatever happened: nothing stays locked, nobody stays signed in. */
	assert_false(stage->store.held);
	assert_int_equal(stage->store.signed_in, 0);
}

void stage_done(struct stage *stage)
{
	dialogue_done(&stage->dialogue);
}
