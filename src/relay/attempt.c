/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/attempt.h"
#include "relay/roots.h"

enum {
	CONNECT_MS = 30000, /* the kernel's own patience is minutes, and there are other hosts */
	CONNECT_LAPTOP_MS =
		8000, /* where there is another way, waiting is worse than asking there */
	REST_MS =
		30000 /* a host that many destinations go through is asked no more often when it is away */
};

/* ---- who is still to be sent to ---- */

static struct smtp_said said_by_us(enum smtp_result result, unsigned code, struct str enhanced,
				   struct str text)
{
	return (struct smtp_said){ .result = result,
				   .is_ours = true,
				   .reply = { .code = code, .enhanced = enhanced, .text = text } };
}

static void say_for_all(struct attempt *a, struct smtp_said said)
{
	for (size_t i = 0; i < a->claim->recipients.count; i++)
		a->said[i] = said;
}

/* What a host has neither taken nor refused, the next one may take: invariant (1). */
bool attempt_is_pending(const struct smtp_said *said)
{
	return said->result == SMTP_DEFERRED && said->is_ours;
}

static size_t count_pending(const struct attempt *a)
{
	size_t count = 0;

	for (size_t i = 0; i < a->claim->recipients.count; i++)
		count += attempt_is_pending(&a->said[i]);
	return count;
}

/* Who was taken or refused already, by another host or over a session that has ended since, stays so. */
static void say_for_pending(struct attempt *a, struct smtp_said said)
{
	for (size_t i = 0; i < a->claim->recipients.count; i++)
		if (attempt_is_pending(&a->said[i]))
			a->said[i] = said;
}

/* No session came about: for those who are left, this is the reason so far. Another host may do what this
   one would not, so it is not final. */
static void defer_pending(struct attempt *a, struct smtp_said said)
{
	said.is_ours = true;
	said.result = SMTP_DEFERRED;
	say_for_pending(a, said);
}

/* Every host has refused to speak with us at all (rfc5321 3.1: 554): it is final after all. */
static void refuse_pending(struct attempt *a)
{
	for (size_t i = 0; i < a->claim->recipients.count; i++)
		if (attempt_is_pending(&a->said[i]))
			a->said[i].result = SMTP_REFUSED;
}

/* ---- sending ---- */

static struct str return_name(uint64_t ret)
{
	return ret == DSN_RETURN_FULL ? S("FULL") : ret == DSN_RETURN_HEADERS ? S("HDRS") : S("");
}

static struct str notify_names(struct arena *arena, uint64_t notify)
{
	static const struct {
		enum dsn_notify bit;
		const char *name;
	} names[] = { { DSN_SUCCESS, "SUCCESS" },
		      { DSN_FAILURE, "FAILURE" },
		      { DSN_DELAY, "DELAY" } };
	struct str text = S("");

	if (notify & DSN_NEVER)
		return S("NEVER");
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (notify & names[i].bit)
			text = str_print(arena, "%.*s%s%s", STR_ARGS(text), text.len ? "," : "",
					 names[i].name);
	return text;
}

static struct smtp_sending_to recipient_of(const struct attempt *a, size_t index)
{
	const struct answer_queue_claim *claim = a->claim;
	struct smtp_sending_to to = { .address = claim->recipients.at[index] };

	if (index < claim->notify.count)
		to.notify = notify_names(a->arena, claim->notify.at[index]);
	if (index < claim->original.count)
		to.original = claim->original.at[index];
	return to;
}

/* One transaction for as many of them as the server takes at once. */
static void send_some(struct attempt *a, const size_t *which, size_t count) WAITS
{
	const struct answer_queue_claim *claim = a->claim;
	struct smtp_sending_to *to = NEW_ARRAY(a->arena, struct smtp_sending_to, count);
	struct smtp_said *said = NEW_ARRAY(a->arena, struct smtp_said, count);
	struct smtp_sending sending = { .sender = claim->sender,
					.body = (enum smtp_body)claim->body_type,
					.utf8 = claim->utf8,
					.envelope_id = claim->envelope_id,
					.ret = return_name(claim->ret),
					.submitter = claim->signed_in ? claim->sender : S(""),
					.until = a->until,
					.octets = a->octets,
					.count = count,
					.to = to,
					.said = said,
					.arena = a->arena };

	for (size_t i = 0; i < count; i++)
		to[i] = recipient_of(a, which[i]);
	smtp_client_send(a->talk.client, &sending);
	for (size_t i = 0; i < count; i++) {
		a->said[which[i]] = said[i];
		a->notifies[which[i]] =
			smtp_client_offers(a->talk.client) & SMTP_EXT_DSN; /* rfc3461 6.2 */
	}
}

static void send_pending(struct attempt *a) WAITS
{
	const struct smtp_offer *offer = smtp_client_offer(a->talk.client);
	size_t most = offer->rcpt_max ? (size_t)offer->rcpt_max : LIMIT_queue_batch;
	size_t which[LIMIT_queue_batch];
	size_t count = 0;

	for (size_t i = 0; i < a->claim->recipients.count; i++)
		if (attempt_is_pending(&a->said[i]))
			which[count++] = i;
	for (size_t at = 0; at < count && smtp_client_is_open(a->talk.client); at += most)
		send_some(a, which + at, count - at < most ? count - at : most);
}

/* ---- places at hosts that many destinations go through ---- */

static void leave_place(struct relay *relay, struct destination **place)
{
	if (!*place)
		return;
	destination_leave(*place);
	*place = NULL;
	waitq_wake_all(&relay->ways_moved);
}

void dialogue_end(struct relay *relay, struct dialogue_out *talk) WAITS
{
	smtp_client_drop(&talk->client);
	leave_place(relay, &talk->place);
	*talk = (struct dialogue_out){ .peer = talk->peer, .session = talk->session };
}

/* False: the host is known to be away, or we are told to stop; everybody has been told. */
static bool take_place(struct attempt *a) WAITS
{
	struct relay *relay = a->relay;
	struct smtp_said rest;

	if (!a->way.is_fixed || a->talk.place)
		return true;
	for (;;) {
		if (destination_rests(&relay->ways, a->way.key, a->arena, &rest)) {
			a->is_site_down = true;
			defer_pending(a, rest);
			return false;
		}
		if (!destination_is_full(&relay->ways, a->way.key))
			break;
		/* One that waits for a message of its way has it now. */
		if (relay_end_parked(relay, a->way.key))
			continue;
		if (waitq_wait(&relay->ways_moved, a->until))
			return false;
	}
	a->talk.place = destination_enter(&relay->ways, a->way.key);
	return true;
}

static void note_place(struct attempt *a, const struct smtp_said *trouble)
{
	if (!a->talk.place)
		return;
	if (!trouble) {
		destination_went_well(&a->relay->ways, a->talk.place);
		return;
	}
	destination_failed(a->talk.place);
	if (a->is_site_down || trouble->is_sign_in)
		destination_rest(a->talk.place, in_ms(REST_MS), trouble);
}

/* ---- a session ---- */

static enum err find_context(struct attempt *a, struct tls_context **out)
{
	struct relay *relay = a->relay;
	enum err err = OK;

	*out = relay->tls;
	if (a->way.tls != QUEUE_TLS_VERIFIED)
		return OK;
	if (!relay->verifying)
		err = roots_context(&relay->verifying);
	*out = relay->verifying;
	return err;
}

static bool reach(struct attempt *a, const struct way_host *host, struct stream **stream,
		  struct smtp_said *said) WAITS
{
	struct dialled dialled = {
		.addresses = host->addresses,
		.count = host->count,
		.sources = a->way.sources,
		.source_count = a->way.source_count,
		.deadline = sooner(in_ms(a->claim->fallback ? CONNECT_LAPTOP_MS : CONNECT_MS),
				   a->until),
	};
	char address[ADDR_TEXT];
	size_t which = 0;

	if (dial(&dialled, stream, &which)) {
		*said = said_by_us(
			SMTP_DEFERRED, 451, S("4.4.1"),
			str_print(a->arena, "%.*s: %s", STR_ARGS(host->name), fault_text()));
		return false;
	}
	addr_print_ip(&host->addresses[which], address);
	a->talk.peer = host->addresses[which].family == ADDR_UNIX
			       ? str_print(a->arena, "localhost [unix:%.*s]", STR_ARGS(host->name))
			       : str_print(a->arena, "%.*s [%s]", STR_ARGS(host->name), address);
	return true;
}

/* An operator has to do something, and mail waits for it. */
static void tell_sign_in(struct attempt *a, const struct way_host *host,
			 const struct smtp_said *said)
{
	TRACE(a->relay->role->trace, a->talk.session, 0, trouble, .err = S("DENIED"),
	      .detail = str_print(
		      a->arena,
		      "signing in at %.*s as %.*s: %u %.*s: mail for it waits; `glasspost "
		      "credential add %.*s --user USER` sets the password anew",
		      STR_ARGS(host->name), STR_ARGS(a->way.user), said->reply.code,
		      STR_ARGS(said->reply.text), STR_ARGS(a->way.credential)));
}

static bool open_session(struct attempt *a, const struct way_host *host, enum smtp_tls_policy tls,
			 struct smtp_said *said) WAITS
{
	struct str names[3];
	struct smtp_client_options options = {
		.hello = a->relay->role->config->hostname,
		.is_lmtp = a->way.transport == QUEUE_BY_LMTP,
		.tls = tls,
		.server_name = host->name,
		.tls_names = names,
		.tls_name_count = way_names(&a->way, host, a->arena, names),
		.tls_sessions = a->relay->tls_sessions,
		.tls_session_key =
			str_print(a->arena, "%.*s %u %u %.*s", STR_ARGS(host->name), a->way.port,
				  (unsigned)a->way.tls, STR_ARGS(a->way.target)),
		.user = a->way.user,
		.password = a->way.password,
		.until = a->until,
		.trace = a->relay->role->trace,
		.session = id_new()
	};
	struct stream *stream = NULL;

	if (find_context(a, &options.tls_context)) {
		*said = said_by_us(SMTP_DEFERRED, 451, S("4.7.5"),
				   str_dup(a->arena, str_of(fault_text())));
		return false;
	}
	if (!reach(a, host, &stream, said))
		return false;
	a->talk.session = options.session;
	a->is_site_down = false;
	a->has_reached = true;
	smtp_client_open(conn_new(stream), &options, &a->talk.client, a->arena, said);
	if (!a->talk.client)
		return false;
	a->talk.way_key = a->way.key;
	return true;
}

/* TLS that is only wished for must not keep the mail: then it goes in the clear [rfc7435 3]. Not a password. */
static bool open_somehow(struct attempt *a, const struct way_host *host, struct smtp_said *said)
	WAITS
{
	enum smtp_tls_policy tls = way_tls(&a->way);

	if (open_session(a, host, tls, said))
		return true;
	return said->is_tls && tls == SMTP_TLS_MAY && !a->way.credential.len &&
	       open_session(a, host, SMTP_TLS_NONE, said);
}

/* ---- the way ---- */

static void try_hosts(struct attempt *a, const struct way_host *hosts, size_t count) WAITS
{
	size_t refused = 0;

	a->is_site_down = true;
	for (size_t i = 0;
	     i < count && count_pending(a) && !fiber_is_stopping() && now() < a->until; i++) {
		struct smtp_said said;

		dialogue_end(a->relay, &a->talk);
		if (!take_place(a))
			return;
		if (open_somehow(a, &hosts[i], &said)) {
			note_place(a, NULL);
			send_pending(a);
			continue;
		}
		refused += said.result == SMTP_REFUSED;
		defer_pending(a, said);
		note_place(a, &said);
		leave_place(a->relay, &a->talk.place);
		if (!said.is_sign_in)
			continue;
		/* With a password that is wrong nobody of this destination gets further, and who tries too
		   often is shut out. */
		tell_sign_in(a, &hosts[i], &said);
		a->is_site_down = true;
	}
	/* A host that was not tried, because we are told to stop or time is up, may take it yet. */
	if (refused == count && !a->way.is_fixed)
		refuse_pending(a);
}

static struct addr *own_copy(const struct relay *relay, struct arena *arena)
{
	struct addr *copy = NEW_ARRAY(arena, struct addr, relay->own_count + 1);

	for (size_t i = 0; i < relay->own_count; i++)
		copy[i] = relay->own[i];
	return copy;
}

static void go(struct attempt *a, bool fallback) WAITS
{
	struct relay *relay = a->relay;
	struct way_host *hosts = NEW_ARRAY(a->arena, struct way_host, WAY_HOSTS_MAX);
	struct config *config;
	struct way_finding finding = { .resolver = relay->resolver,
				       .own_count = relay->own_count,
				       .session = a->claim->session,
				       .arena = a->arena };
	struct smtp_said why;
	size_t count;

	way_of_claim(a->claim, fallback, a->arena, &a->way);
	if (a->way.credential.len && !a->way.password.len) {
		defer_pending(a, said_by_us(SMTP_DEFERRED, 451, S("4.7.0"),
					    str_print(a->arena,
						      "the password of credential %.*s does not "
						      "open: it was kept under another store.key",
						      STR_ARGS(a->way.credential))));
		return;
	}
	/* A reload may come while the DNS is asked. */
	config = config_ref(relay->role->config);
	finding.hostname = config->hostname;
	finding.own = own_copy(relay, a->arena);
	count = way_find_hosts(&a->way, &finding, hosts, &why);
	if (count)
		try_hosts(a, hosts, count);
	else
		say_for_pending(a, why);
	config_unref(&config);
}

/* The MX hosts first, and the other host where port 25 is closed to everybody from here. */
static void go_as_a_laptop(struct attempt *a) WAITS
{
	struct outside *outside = &a->relay->outside;
	bool was_blocked = outside_is_blocked(outside);

	if (!was_blocked) {
		go(a, false);
		if (a->is_site_down && count_pending(a) && !fiber_is_stopping() &&
		    outside_failed(outside))
			TRACE(a->relay->role->trace, a->claim->session, 0, policy,
			      .rule = S("fallback"), .verdict = S("accept"),
			      .detail = str_print(a->arena,
						  "port 25 is out of reach, mail goes by %.*s",
						  STR_ARGS(a->claim->target)));
		else if (a->has_reached)
			outside_reached(outside);
	}
	if (!outside_is_blocked(outside) || !count_pending(a) || fiber_is_stopping())
		return;
	go(a, true);
	if (a->is_site_down)
		outside_forget(outside);
}

/* ---- ways that lead nowhere ---- */

/* "550 5.1.1 nobody here", or the text alone. */
static struct smtp_said error_said(struct str text)
{
	struct smtp_said said = said_by_us(SMTP_REFUSED, 550, S("5.7.1"), text);
	struct scan scan = scan_of(text);
	struct str word;
	uint64_t code;

	if (!take_until(&scan, ' ', &word) || word.len != 3 || !str_to_u64(word, 599, &code) ||
	    code < 400)
		return said;
	said.reply.code = (unsigned)code;
	said.reply.enhanced = code < 500 ? S("4.7.1") : S("5.7.1");
	said.reply.text = scan_rest(&scan);
	said.result = code < 500 ? SMTP_DEFERRED : SMTP_REFUSED;
	if (take_until(&scan, ' ', &word) && word.len >= 5 && word.len < 10 &&
	    word.at[0] == text.at[0] && word.at[1] == '.') {
		said.reply.enhanced = word;
		said.reply.text = scan_rest(&scan);
	}
	return said;
}

static bool leads_nowhere(struct attempt *a)
{
	struct str text = a->claim->target;

	switch ((enum queue_transport)a->claim->transport) {
	case QUEUE_DISCARD:
		a->is_final = true;
		say_for_all(a,
			    (struct smtp_said){ .result = SMTP_SENT,
						.reply = { 250, S("2.0.0"),
							   S("thrown away, as its route says") } });
		return true;
	case QUEUE_ERROR:
		say_for_all(a, error_said(text.len ? text : S("no mail is sent there")));
		return true;
	default:
		return false;
	}
}

static void send_it(struct attempt *a) WAITS
{
	struct answer_queue_claim *claim = a->claim;
	struct way way;

	if (a->talk.client) {
		way_of_claim(claim, outside_is_blocked(&a->relay->outside), a->arena, &way);
		if (str_is(a->talk.way_key, way.key))
			send_pending(a);
	}
	if (!count_pending(a))
		return;
	if (claim->fallback)
		go_as_a_laptop(a);
	else
		go(a, false);
}

void attempt_run(struct attempt *a) WAITS
{
	struct answer_queue_claim *claim = a->claim;

	a->until = in_ms((int64_t)claim->lease_ms / 6 * 5);
	a->said = NEW_ARRAY(a->arena, struct smtp_said, claim->recipients.count);
	a->notifies = NEW_ARRAY(a->arena, bool, claim->recipients.count);
	a->is_final = claim->transport == QUEUE_BY_LMTP;
	a->is_site_down = false;
	a->has_reached = false;
	say_for_all(a, said_by_us(SMTP_DEFERRED, 451, S("4.4.1"), S("no host was tried")));
	if (leads_nowhere(a))
		return;
	if (body_map(&claim->body, &a->octets)) {
		say_for_all(a, said_by_us(SMTP_DEFERRED, 451, S("4.3.0"),
					  str_print(a->arena, "the message cannot be read here: %s",
						    fault_text())));
		return;
	}
	send_it(a);
	body_unmap(&claim->body, a->octets);
}
