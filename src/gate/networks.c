/* SPDX-License-Identifier: Apache-2.0 */
/* The list of networks as the store has it: asked for once, and then told whenever it changes. */
#include "gate/port.h"

#include <stdlib.h>

enum { WAIT_MS = 30'000, CALL_MS = 10'000, AGAIN_MS = 500 };

struct gate_networks {
	uint64_t version;
	struct netlist *list;
	struct gate_network *at; /* by what list gives */
	size_t count;
};

static void drop(struct gate_networks **networks)
{
	struct gate_networks *n = *networks;

	*networks = NULL;
	if (!n)
		return;
	netlist_drop(&n->list);
	free(n->at);
	free(n);
}

static bool take_verdict(struct scan *scan, enum gate_verdict *out)
{
	static const struct {
		struct str word;
		enum gate_verdict verdict;
	} words[] = { { { "relay ", 6 }, GATE_RELAY },
		      { { "allow ", 6 }, GATE_ALLOW },
		      { { "deny ", 5 }, GATE_DENY } };

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (!take_str_nocase(scan, words[i].word))
			continue;
		*out = words[i].verdict;
		return true;
	}
	return false;
}

static size_t count_lines(struct str text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.at[i] == '\n';
	return count;
}

/* A line each: verdict and network. One that is neither is the store's bug, and decides nothing. */
static struct gate_networks *parse(struct str text)
{
	struct gate_networks *n = calloc(1, sizeof(*n));
	size_t room = count_lines(text) + 1;
	struct network *networks = calloc(room, sizeof(*networks));
	struct scan scan = scan_of(text);
	struct str line;

	must(n && networks);
	n->at = calloc(room, sizeof(*n->at));
	must(n->at);
	while (take_until(&scan, '\n', &line)) {
		struct scan words = scan_of(line);
		struct gate_network *at = &n->at[n->count];

		if (!take_verdict(&words, &at->verdict) ||
		    !network_parse(scan_rest(&words), &at->network))
			continue;
		networks[n->count++] = at->network;
	}
	n->list = netlist_new(networks, n->count);
	free(networks);
	return n;
}

static enum err ask(struct gate *gate, struct arena *arena) WAITS
{
	const struct gate_networks *old = gate->networks;
	struct ask_networks ask = { .known = old ? old->version : 0, .wait_ms = WAIT_MS };
	struct answer_networks answer = { .list = BODY_EMPTY };
	struct gate_networks *fresh;
	struct str text;
	enum err err =
		call_networks(gate->role->store, &ask, arena, &answer, in_ms(WAIT_MS + CALL_MS));

	if (err || answer.version == ask.known)
		return err;
	err = body_map(&answer.list, &text);
	if (!err) {
		fresh = parse(text);
		fresh->version = answer.version;
		drop(&gate->networks);
		gate->networks = fresh;
		body_unmap(&answer.list, text);
		waitq_wake_all(&gate->networks_known);
	}
	body_done(&answer.list);
	return err;
}

void gate_networks_fiber(void *arg) WAITS
{
	struct gate *gate = arg;

	while (!gate->is_closing && !fiber_is_stopping()) {
		struct arena arena = { 0 };
		enum err err = ask(gate, &arena);

		arena_drop(&arena);
		/* The store is away: what was last known holds. */
		if (err && fiber_sleep(in_ms(AGAIN_MS)))
			return;
	}
}

enum err gate_networks_wait(struct gate *gate) WAITS
{
	enum err err = OK;

	while (!err && !gate->networks)
		err = waitq_wait(&gate->networks_known, NEVER);
	return err;
}

const struct gate_network *gate_network_of(const struct gate *gate, const struct addr *peer)
{
	const struct gate_networks *n = gate->networks;
	size_t place = n ? netlist_find(n->list, peer) : NETLIST_NONE;

	return place == NETLIST_NONE ? NULL : &n->at[place];
}

bool gate_may_relay(void *context, const struct addr *peer)
{
	const struct gate_network *network = gate_network_of(context, peer);

	return network && network->verdict == GATE_RELAY;
}

void gate_networks_drop(struct gate *gate)
{
	drop(&gate->networks);
}
