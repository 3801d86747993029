/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that submit mail for everywhere, and who reads all mailboxes in the end. */
#include "poster.h"

#include <stdio.h>

enum { MAILBOX_MAX = 1000, MESSAGE_MAX = 700000, CONNECT_MS = 1000 };

/* ---- submitting ---- */

static void draw_recipients(struct net *net, struct post *post)
{
	/* Where scripted servers are most of it goes. */
	static const unsigned char odds[] = {
		0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 6, 7
	};
	uint64_t count = 1 + chance(POST_TO_MAX);

	for (uint64_t i = 0; i < count; i++)
		post_add_to(post, &net->places[odds[chance(COUNT_OF(odds))]],
			    chance(SCENE_ACCOUNTS));
}

static bool sign_in(struct talk *talk, size_t account) WAITS
{
	OWNED(buf) struct buf plain = BUF(200);
	OWNED(buf) struct buf text = BUF(300);

	buf_add_char(&plain, '\0');
	buf_add_c(&plain, scene_accounts[account]);
	buf_add(&plain, (struct str){ "\0secret", 7 });
	must(!base64_add(&text, buf_str(&plain)));
	return talk_line(talk, "AUTH PLAIN %.*s", STR_ARGS(buf_str(&text))) && talk_reply(talk) &&
	       talk->code == 235;
}

static bool send_envelope(struct talk *talk, struct post *post) WAITS
{
	talk_line(talk, "MAIL FROM:<%s>", post->is_null ? "" : scene_accounts[post->sender]);
	if (!talk_reply(talk) || talk->code != 250)
		return false;
	for (size_t i = 0; i < post->count; i++) {
		talk_line(talk, "RCPT TO:<%s>", post->to[i].address);
		if (!talk_reply(talk))
			return false;
		if (talk->code / 100 == 5)
			ledger_broken(talk->ledger, "%s was refused with %u", post->to[i].address,
				      talk->code);
		if (talk->code != 250)
			return false;
	}
	return true;
}

static void send_post(struct talk *talk, struct poster *poster, size_t account) WAITS
{
	struct post *post = post_new(poster->net->posts);
	unsigned deaths = *poster->deaths;

	if (!post) {
		talk->is_over = true;
		return;
	}
	post->sender = account;
	post->fate = FATE_REFUSED;
	draw_recipients(poster->net, post);
	if (!send_envelope(talk, post)) {
		if (!talk->is_over && talk_line(talk, "RSET"))
			(void)talk_reply(talk);
		return;
	}
	if (!talk_line(talk, "DATA") || !talk_reply(talk) || talk->code != 354 ||
	    !talk_send(talk, talk_stuffed(&talk->arena, post->text)))
		return;
	post->fate = FATE_OPEN;
	talk_send(talk, S(".\r\n"));
	if (!talk_reply(talk))
		post->fate = FATE_UNKNOWN;
	else if (talk->code == 250)
		post->fate = FATE_ACCEPTED;
	else
		/* A store that died meanwhile may have kept it before. */
		post->fate = deaths == *poster->deaths ? FATE_REFUSED : FATE_UNKNOWN;
}

static void hold_session(struct talk *talk, struct poster *poster) WAITS
{
	size_t account = chance(SCENE_ACCOUNTS);

	if (!talk_reply(talk) || talk->code != 220)
		return;
	talk_line(talk, "EHLO walk.example");
	if (!talk_reply(talk) || talk->code != 250 || !sign_in(talk, account))
		return;
	for (uint64_t left = 1 + chance(3); left > 0 && !talk->is_over; left--)
		send_post(talk, poster, account);
	if (!talk->is_over && talk_line(talk, "QUIT"))
		(void)talk_reply(talk);
}

void poster_posts(void *arg) WAITS
{
	static const int64_t pause_ms[] = { 3000, 600000, 6 * 3600000, 12 * 3600000 };
	struct poster *poster = arg;
	struct ledger *ledger = &poster->net->posts->ledger;

	for (unsigned i = 0; i < poster->sessions && !ledger->failure[0]; i++) {
		uint64_t pause = (uint64_t)pause_ms[chance(COUNT_OF(pause_ms))];
		struct talk talk;

		if (fiber_sleep(in_ms((int64_t)chance(pause))))
			return;
		if (talk_open(&talk, ledger, &poster->server, &poster->from))
			hold_session(&talk, poster);
		talk_close(&talk);
	}
}

/* ---- reading ---- */

static bool ask_for(struct talk *talk, struct str *rest, const char *command, const char *what)
	WAITS
{
	return talk_line(talk, "%s%s", command, what) && talk_status(talk, rest) && talk->is_ok;
}

static bool read_all(struct talk *talk, const struct mailbox *mailbox) WAITS
{
	OWNED(buf) struct buf text = BUF(MESSAGE_MAX);
	struct str rest;
	struct scan scan;
	uint64_t count = 0;
	char number[20];

	if (!talk_status(talk, &rest) || !ask_for(talk, NULL, "USER ", mailbox->address) ||
	    !ask_for(talk, NULL, "PASS ", "secret") || !ask_for(talk, &rest, "STAT", ""))
		return false;
	scan = scan_of(rest);
	if (!take_number(&scan, MAILBOX_MAX, &count))
		return false;
	for (uint64_t i = 1; i <= count; i++) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)i);
		buf_reset(&text);
		if (!ask_for(talk, NULL, "RETR ", number) || !talk_text(talk, &text))
			return false;
		posts_read(mailbox->posts, mailbox->house, mailbox->account, buf_str(&text));
	}
	return ask_for(talk, NULL, "QUIT", "");
}

enum err poster_reads(const struct mailbox *mailbox) WAITS
{
	static const struct sim_link clean;
	struct talk talk = { .ledger = &mailbox->posts->ledger };
	bool is_read;

	sim_set_link(world_here(), &clean);
	if (stream_connect(&mailbox->server, in_ms(CONNECT_MS), &talk.stream))
		return ERR_REFUSED;
	talk.conn = conn_new(talk.stream);
	is_read = read_all(&talk, mailbox);
	talk_close(&talk);
	return is_read ? OK
		       : fault(ERR_PROTOCOL, "%s could not be read to its end", mailbox->address);
}
