/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"
#include "pop3/session.h"

/* One message on its way to the client. */
struct sending {
	struct dot_writer writer;
	size_t index;
	bool has_line_limit; /* TOP */
	uint64_t lines_left; /* of the body */
	bool line_has_text;  /* the line under way, CR apart */
	bool in_body;
	bool ended; /* TOP: nothing more is wanted */
	uint64_t sent;
};

/*
 * How many of these octets TOP wants: the header, the blank line and `lines_left` lines of the body
 * [rfc1939 7].
 */
static size_t wanted(struct sending *sending, struct str octets)
{
	size_t done = 0;

	while (!sending->ended && done < octets.len) {
		struct str rest = str_from(octets, done);
		size_t lf = str_find(rest, '\n');
		struct str text = str_first(rest, lf);

		if (text.len > 0 && text.at[text.len - 1] == '\r')
			text.len--;
		sending->line_has_text |= text.len > 0;
		if (lf == STR_NONE)
			return octets.len;
		done += lf + 1;
		if (sending->in_body)
			sending->lines_left--;
		else
			sending->in_body = !sending->line_has_text;
		sending->line_has_text = false;
		sending->ended = sending->in_body && sending->lines_left == 0;
	}
	return done;
}

static enum err send_stuffed(struct pop3_session *session, struct sending *sending,
			     struct str octets) WAITS
{
	struct str run;
	enum err err = OK;

	if (sending->has_line_limit)
		octets = str_first(octets, wanted(sending, octets));
	sending->sent += octets.len;
	while (!err && dot_write(&sending->writer, &octets, &run))
		err = pop3_send(session, run);
	return err;
}

/* Past the first piece nothing can be refused any more: a failure then cuts the connection. */
static enum err send_rest(struct pop3_session *session, struct sending *sending, struct str octets,
			  uint64_t size) WAITS
{
	uint64_t offset = 0;
	enum err err = OK;

	for (;;) {
		if (octets.len == 0 && offset < size)
			return fault(ERR_CORRUPT, "a message is shorter than its size");
		err = send_stuffed(session, sending, octets);
		offset += octets.len;
		if (err || sending->ended || offset >= size)
			break;
		err = maildrop_read(&session->drop, (struct position){ sending->index, offset },
				    sending->has_line_limit, &octets, &size);
		if (err)
			break;
	}
	/* rfc1939 3: the end stands on a line of its own, whether or not the message has a last CRLF. */
	return err ? err : pop3_send(session, dot_write_end(&sending->writer));
}

static enum err send_message(struct pop3_session *session, struct sending *sending) WAITS
{
	struct maildrop *drop = &session->drop;
	struct str folder = session->folder.len ? buf_str(&session->folder) : S("INBOX");
	struct str octets;
	uint64_t size;
	enum err err = maildrop_read(drop, (struct position){ sending->index, 0 },
				     sending->has_line_limit, &octets, &size);

	if (err)
		return pop3_answer(session, POP3_REPLY_FAILED_FOR_NOW);
	if (sending->has_line_limit)
		err = pop3_say(session, S("+OK the beginning"));
	else
		err = pop3_say(session, str_print(&session->arena, "+OK %llu octets",
						  (unsigned long long)size));
	if (!err)
		err = send_rest(session, sending, octets, size);
	if (err)
		return err;
	session->messages++;
	TRACE(session->service->trace, session->id, pop3_trace_flags(session), fetch,
	      .account = buf_str(&session->address), .folder = folder,
	      .uid = drop->uids[sending->index], .octets = sending->sent,
	      .what = str_of(pop3_verb_name(session->verb)));
	return OK;
}

enum err pop3_retr(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	struct sending sending = { 0 };
	bool answered;
	enum err err = pop3_message(session, command->number, &sending.index, &answered);

	return answered ? err : send_message(session, &sending);
}

enum err pop3_top(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	struct sending sending = { .has_line_limit = true, .lines_left = command->line_count };
	bool answered;
	enum err err = pop3_message(session, command->number, &sending.index, &answered);

	return answered ? err : send_message(session, &sending);
}
