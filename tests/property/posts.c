/* SPDX-License-Identifier: Apache-2.0 */
#include "posts.h"

#include <stdio.h>

/* enum queue_state, as the rows have it. */
enum { WAITING, LEASED, HELD, DELIVERED, RELAYED, FAILED, EXPIRED, REMOVED };

/* queue_retry_max and its spread, of the recipient and of its site, one after the other; and attempts. */
static const int64_t patience_us = INT64_C(10) * 3600 * 1000000;
/* A commit, a role that is down for seconds, an attempt that ends. */
static const int64_t slack_us = INT64_C(900) * 1000000;
/* Between the time that a message has and the event that tells of it. */
static const int64_t commit_us = INT64_C(5) * 1000000;

/* ---- making ---- */

struct post *post_new(struct posts *posts)
{
	struct ledger_message *message;
	struct post *post;

	if (posts->count == POSTS_MAX)
		return NULL;
	message = ledger_message_new(&posts->ledger);
	post = NEW(&posts->ledger.arena, struct post);
	post->number = message->number;
	post->text = message->text;
	post->is_null = chance(8) == 0;
	posts->list[posts->count++] = post;
	return post;
}

void post_add_to(struct post *post, struct place *place, size_t account)
{
	struct post_to *to = &post->to[post->count];
	const char *name = scene_accounts[account];
	bool has_accounts = place->kind == PLACE_HOME || place->kind == PLACE_FAR;

	for (size_t i = 0; i < post->count && has_accounts; i++)
		if (post->to[i].place == place && post->to[i].account == account)
			return;
	to->place = place;
	to->account = account;
	snprintf(to->address, sizeof(to->address), "%.*s%sw%u-%zu@%s",
		 has_accounts ? (int)strcspn(name, "@") : 0, name, has_accounts ? "+" : "",
		 post->number, post->count, place->domain);
	post->count++;
}

/* ---- finding ---- */

struct post_to *posts_find(struct posts *posts, struct str address, struct post **post)
{
	size_t plus = str_find(address, '+');
	struct scan scan = scan_of(str_from(address, plus == STR_NONE ? 0 : plus + 1));
	uint64_t number;
	uint64_t index;

	*post = NULL;
	if (!take_char(&scan, 'w') || !take_number(&scan, posts->count, &number) || !number ||
	    !take_char(&scan, '-') || !take_number(&scan, POST_TO_MAX, &index))
		return NULL;
	*post = posts->list[number - 1];
	if (index >= (*post)->count || !str_is(str_of((*post)->to[index].address), address))
		return NULL;
	return &(*post)->to[index];
}

static struct post *find_id(struct posts *posts, struct str id)
{
	for (size_t i = 0; i < posts->count; i++)
		if (str_is(id, str_of(posts->list[i]->id)))
			return posts->list[i];
	return NULL;
}

/* ---- copies ---- */

static bool take_line(struct str *rest, struct str *line)
{
	size_t end = str_find_str(*rest, S("\r\n"));

	if (end == STR_NONE)
		return false;
	*line = str_first(*rest, end);
	*rest = str_from(*rest, end + 2);
	return true;
}

/* Received fields in front, those of the servers on the way. */
static struct str without_trace_fields(struct str octets)
{
	struct str line;

	while (str_starts(octets, S("Received: "))) {
		(void)take_line(&octets, &line);
		while (octets.len > 0 && (octets.at[0] == ' ' || octets.at[0] == '\t'))
			if (!take_line(&octets, &line))
				break;
	}
	return octets;
}

bool posts_keep(struct posts *posts, struct post_to *to, struct str octets)
{
	struct post *post;
	struct str text = without_trace_fields(octets);

	(void)posts_find(posts, str_of(to->address), &post);
	to->kept++;
	if (text.len < octets.len && str_is(text, post->text))
		return true;
	ledger_broken(&posts->ledger, "message %u came to %s changed: %zu octets, not %zu: %.*s",
		      post->number, to->address, text.len, post->text.len,
		      STR_ARGS(str_first(text, 300)));
	return false;
}

/* ---- mailboxes ---- */

static struct post_to *find_there(const struct posts *posts, enum place_kind house, size_t account,
				  struct str text)
{
	struct scan scan = scan_of(text);
	uint64_t number;

	if (!take_str_nocase(&scan, S("Subject: walk ")) ||
	    !take_number(&scan, posts->count, &number) || !number)
		return NULL;
	for (size_t i = 0; i < posts->list[number - 1]->count; i++) {
		struct post_to *to = &posts->list[number - 1]->to[i];

		if (to->place->kind == house && to->account == account)
			return to;
	}
	return NULL;
}

/* One recipient's group of fields (rfc3464 2.3), which Final-Recipient begins. */
static void read_status(struct posts *posts, size_t account, struct str fields)
{
	struct str address = str_from(fields, S("Final-Recipient: rfc822; ").len);
	struct post *post;
	struct post_to *to;
	struct str group = str_first(fields, str_find_str(fields, S("\r\n\r\n")));

	address = str_first(address, str_find_str(address, S("\r\n")));
	to = posts_find(posts, address, &post);
	if (!to) {
		ledger_broken(&posts->ledger, "a notice about %.*s, who is nobody's recipient",
			      STR_ARGS(address));
		return;
	}
	if (account != (post->is_null ? SCENE_ACCOUNTS : post->sender))
		ledger_broken(&posts->ledger, "a notice about %s went to a wrong mailbox, %zu",
			      to->address, account);
	if (str_find_str(group, S("\r\nAction: failed")) != STR_NONE) {
		to->bounces++;
		posts->bounces++;
		to->is_expiry = str_find_str(group, S("\r\nStatus: 4.4.7")) != STR_NONE;
	} else if (str_find_str(group, S("\r\nAction: delayed")) != STR_NONE) {
		to->warnings++;
		posts->warnings++;
	} else {
		ledger_broken(&posts->ledger, "a notice about %s that nobody asked for: %.*s",
			      to->address, STR_ARGS(group));
	}
}

static void read_notice(struct posts *posts, size_t account, struct str text)
{
	const struct str begin = S("\r\nFinal-Recipient: rfc822; ");
	size_t at = str_find_str(text, begin);

	if (at == STR_NONE)
		ledger_broken(&posts->ledger, "a message that nobody sent: %.*s",
			      STR_ARGS(str_first(text, 400)));
	while (at != STR_NONE && !posts->ledger.failure[0]) {
		text = str_from(text, at + 2);
		read_status(posts, account, text);
		at = str_find_str(text, begin);
	}
}

void posts_read(struct posts *posts, enum place_kind house, size_t account, struct str octets)
{
	struct str path;
	struct post_to *to;

	if (!take_line(&octets, &path) || !str_starts(path, S("Return-Path: <"))) {
		ledger_broken(&posts->ledger, "a message without Return-Path: %.*s",
			      STR_ARGS(str_first(octets, 300)));
		return;
	}
	to = find_there(posts, house, account, without_trace_fields(octets));
	if (to)
		(void)posts_keep(posts, to, octets);
	else if (house == PLACE_HOME && str_is(path, S("Return-Path: <>")))
		read_notice(posts, account, octets);
	else
		ledger_broken(&posts->ledger, "a message in a wrong mailbox: %.*s",
			      STR_ARGS(str_first(octets, 300)));
}

/* ---- the trace ---- */

static void hear_queued(struct posts *posts, const struct trace_event *event)
{
	struct post *post;
	struct post_to *to = posts_find(posts, event->queued.recipient, &post);

	if (!to)
		return; /* a notice to somebody elsewhere */
	to->is_queued = true;
	post->arrived_us = event->head.wall_us;
	snprintf(post->id, sizeof(post->id), "%.*s", STR_ARGS(event->queued.message));
}

static void hear_attempt(struct posts *posts, const struct trace_event *event)
{
	struct post *post;
	struct post_to *to = posts_find(posts, event->attempt.recipient, &post);
	struct str outcome = event->attempt.outcome;

	if (!to)
		return;
	to->unknown += str_is(outcome, S("unknown"));
	if (str_is(outcome, S("relayed")) || str_is(outcome, S("failed")) ||
	    str_is(outcome, S("expired")))
		to->settled_us = event->head.wall_us;
}

void posts_hear(struct posts *posts, struct str records)
{
	struct str record;
	struct trace_event event;
	struct post *post;

	while (trace_record_take(&records, &record) == OK) {
		if (trace_event_decode(record, &event))
			continue;
		if (event.head.kind == TRACE_queued)
			hear_queued(posts, &event);
		else if (event.head.kind == TRACE_attempt)
			hear_attempt(posts, &event);
		else if (event.head.kind == TRACE_queue_change &&
			 str_is(event.queue_change.what, S("given back")) &&
			 (post = find_id(posts, event.queue_change.message)))
			post->given_back++;
	}
}

/* ---- the rows ---- */

bool posts_row_is_pending(unsigned state)
{
	return state <= HELD;
}

void posts_row(struct posts *posts, struct str address, unsigned state)
{
	struct post *post;
	struct post_to *to = posts_find(posts, address, &post);

	if (!to)
		return;
	to->has_row = true;
	to->state = state;
}

/* How often nobody could know: so many copies, or a bounce, are forgiven. */
static unsigned excuses(const struct post *post, const struct post_to *to)
{
	return to->unknown + post->given_back + to->place->deaths;
}

static void check_row(struct posts *posts, const struct post *post, const struct post_to *to)
{
	bool is_bad = to->state == FAILED || to->state == EXPIRED;

	/* The far house's mailboxes are read in the end. */
	if (!to->has_row || to->place->kind == PLACE_FAR)
		return;
	if (to->state == RELAYED && !to->kept)
		ledger_broken(&posts->ledger, "%s is relayed, and no server has it", to->address);
	if ((to->state == WAITING || to->state == HELD || is_bad) && to->kept > excuses(post, to))
		ledger_broken(&posts->ledger,
			      "%s is in state %u, and its server has it %u times, unknown %u, "
			      "given back %u",
			      to->address, to->state, to->kept, to->unknown, post->given_back);
}

void posts_check_rows(struct posts *posts)
{
	for (size_t i = 0; i < posts->count; i++)
		for (size_t j = 0; j < posts->list[i]->count; j++)
			check_row(posts, posts->list[i], &posts->list[i]->to[j]);
}

/* ---- the end ---- */

static void check_patience(struct posts *posts, const struct post *post, const struct post_to *to)
{
	int64_t since_us =
		to->place->well_us > post->arrived_us ? to->place->well_us : post->arrived_us;
	int64_t late_us;

	if (to->place->well_us == INT64_MAX || since_us > post->arrived_us + posts->expire_us)
		return;
	late_us = (to->settled_us ? to->settled_us : posts->end_us) - since_us;
	if (late_us > patience_us)
		ledger_broken(&posts->ledger, "%s waited %lld s while all was well there",
			      to->address, (long long)late_us / 1000000);
}

static bool may_bounce(const struct post_to *to)
{
	return to->refused || to->place->may_refuse || to->place->kind == PLACE_NO_DOMAIN ||
	       to->place->kind == PLACE_NO_MAIL;
}

static void check_reason(struct posts *posts, const struct post *post, const struct post_to *to)
{
	if (to->is_expiry && to->settled_us + commit_us < post->arrived_us + posts->expire_us)
		ledger_broken(&posts->ledger, "%s was given up %lld s after it came", to->address,
			      (long long)(to->settled_us - post->arrived_us) / 1000000);
	if (!to->is_expiry && !may_bounce(to))
		ledger_broken(&posts->ledger, "%s bounced, and nobody refused it", to->address);
}

static void check_warning(struct posts *posts, const struct post *post, const struct post_to *to)
{
	int64_t due_us = post->arrived_us + posts->warning_us;
	bool is_before = to->settled_us && to->settled_us < due_us;
	bool is_after = !to->settled_us || to->settled_us > due_us + slack_us;
	unsigned least = is_after && !post->is_null && posts->warning_us ? 1 : 0;

	if (to->warnings > 1 || to->warnings < least ||
	    (to->warnings && (is_before || post->is_null || !posts->warning_us)))
		ledger_broken(&posts->ledger, "the sender of %s was warned %u times", to->address,
			      to->warnings);
}

static void check_sent(struct posts *posts, const struct post *post, const struct post_to *to)
{
	bool is_pending = to->has_row && posts_row_is_pending(to->state);
	unsigned excused = excuses(post, to);

	posts->twice += to->kept > 1;
	if (!to->kept && !to->bounces && !is_pending)
		ledger_broken(&posts->ledger, "%s: neither delivered, nor bounced, nor queued",
			      to->address);
	else if (to->bounces > 1 || (to->bounces && is_pending))
		ledger_broken(&posts->ledger, "%s: %u bounces, %s", to->address, to->bounces,
			      is_pending ? "still queued" : "not queued");
	else if (to->kept > 1 + excused)
		ledger_broken(&posts->ledger, "%s has it %u times, unknown %u, given back %u",
			      to->address, to->kept, to->unknown, post->given_back);
	else if (to->kept && (to->bounces || is_pending) && to->kept > excused)
		ledger_broken(&posts->ledger, "%s has it, and it %s; unknown %u, given back %u",
			      to->address, is_pending ? "is still queued" : "bounced", to->unknown,
			      post->given_back);
	check_patience(posts, post, to);
	if (to->bounces)
		check_reason(posts, post, to);
	check_warning(posts, post, to);
}

static void check_home(struct posts *posts, const struct post_to *to)
{
	if (to->kept != 1 || to->bounces || to->warnings || to->has_row)
		ledger_broken(&posts->ledger, "%s has it %u times, with %u bounces", to->address,
			      to->kept, to->bounces);
}

static void check_post(struct posts *posts, const struct post *post)
{
	bool is_taken = post->fate == FATE_ACCEPTED;

	/* Without an answer: all of it, or nothing. */
	for (size_t i = 0; i < post->count && post->fate == FATE_UNKNOWN; i++)
		is_taken = is_taken || post->to[i].is_queued || post->to[i].kept;
	if (post->fate == FATE_OPEN)
		ledger_broken(&posts->ledger, "message %u: nobody settled its fate", post->number);
	for (size_t i = 0; i < post->count; i++) {
		const struct post_to *to = &post->to[i];

		if (is_taken && to->place->kind == PLACE_HOME)
			check_home(posts, to);
		else if (is_taken)
			check_sent(posts, post, to);
		else if (to->kept || to->bounces || to->warnings || to->has_row)
			ledger_broken(&posts->ledger, "%s: was refused, and is there", to->address);
	}
}

void posts_check(struct posts *posts)
{
	posts_check_rows(posts);
	for (size_t i = 0; i < posts->count; i++)
		check_post(posts, posts->list[i]);
}
