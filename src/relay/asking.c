/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/asking.h"

#include <stdlib.h>

enum { CLAIM_WAIT_MS = 600000, CALL_MS = 30000, AGAIN_MS = 500, AGAIN_MOST_MS = 60000 };

enum err relay_ask(struct relay *relay, const struct wanted *wanted, struct arena *arena,
		   struct answer_queue_claim *claim) WAITS
{
	struct ask_queue_claim ask = { .run = relay->run,
				       .site_max = relay->role->config->relay_site_connections,
				       .recipients_max = LIMIT_queue_batch,
				       .wait_ms = wanted->only.len ? 0 : CLAIM_WAIT_MS,
				       .only = wanted->only,
				       .instead = wanted->instead };
	enum err err = link_wait_room(relay->role->store, in_ms(CALL_MS));

	if (err)
		return err;
	/* From here to the octets of the call nobody else runs: invariant (1), and the list lies still. */
	ask.tells = relay->held.is_unsure && relay->held.count <= LIMIT_queue_holds;
	if (ask.tells)
		ask.holds = (struct u64s){ relay->held.at, relay->held.count };
	err = call_queue_claim(relay->role->store, &ask, arena, claim,
			       in_ms((int64_t)ask.wait_ms + CALL_MS));
	if (err)
		relay->held.is_unsure = true;
	else if (ask.tells)
		relay->held.is_unsure = false;
	if (!err && claim->lease)
		held_add(&relay->held, claim->lease);
	return err;
}

/* A report on its way; a session that goes on does not wait for it. */
struct telling {
	struct relay *relay;
	struct ask_queue_report ask;
	struct arena arena; /* of all that it says */
};

/* Who is told to stop says it once more; if the store does not hear it then, the lease ends by itself. */
static void tell_fiber(void *arg) WAITS
{
	struct telling *telling = arg;
	struct answer_queue_report answer;
	int64_t again_ms = AGAIN_MS;
	enum err err;

	while ((err = call_queue_report(telling->relay->role->store, &telling->ask, &telling->arena,
					&answer, in_ms(CALL_MS)))) {
		if (fiber_is_stopping())
			break;
		if (err == ERR_GONE)
			again_ms = AGAIN_MS;
		(void)fiber_sleep(in_ms(again_ms));
		again_ms = again_ms < AGAIN_MOST_MS / 2 ? 2 * again_ms : AGAIN_MOST_MS;
	}
	held_remove(&telling->relay->held, telling->ask.lease);
	arena_drop(&telling->arena);
	free(telling);
}

void relay_tell(struct relay *relay, const struct ask_queue_report *ask, struct arena arena,
		bool waits) WAITS
{
	struct telling *telling = calloc(1, sizeof(*telling));

	must(telling);
	*telling = (struct telling){ relay, *ask, arena };
	if (waits || fiber_spawn(&relay->errands, "report", tell_fiber, telling, NULL))
		tell_fiber(telling);
}
