/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/session.h"

enum { CHUNK = 32768, LINE_ROOM = 64 };

enum err pop3_message(struct pop3_session *session, uint64_t number, size_t *index, bool *answered)
	WAITS
{
	struct maildrop *drop = &session->drop;
	enum err err;

	*answered = true;
	if (number == 0 || number > drop->count)
		return pop3_answer(session, POP3_REPLY_NO_MESSAGE);
	err = maildrop_load(drop);
	if (err)
		return pop3_answer_failure(session, err);
	if (maildrop_is_marked(drop, (size_t)number - 1))
		return pop3_answer(session, POP3_REPLY_DELETED);
	*index = (size_t)number - 1;
	*answered = false;
	return OK;
}

enum err pop3_stat(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	const struct maildrop *drop = &session->drop;

	(void)command;
	return pop3_say(session,
			str_print(&session->arena, "+OK %zu %llu", drop->count - drop->marked_count,
				  (unsigned long long)(drop->octets - drop->marked_octets)));
}

/* "1 120", or with `uidl` "1 1767225600.17": what stands behind +OK or on a line of the list. */
static enum err print_row(const struct maildrop *drop, size_t index, bool uidl, struct buf *out)
{
	if (!uidl)
		return buf_print(out, "%zu %llu", index + 1,
				 (unsigned long long)drop->sizes[index]);
	/* rfc1939 7: for ever the same for a message, never another's; the folder's life and the uid. */
	return buf_print(out, "%zu %llu.%llu", index + 1, (unsigned long long)drop->uid_validity,
			 (unsigned long long)drop->uids[index]);
}

static enum err send_one(struct pop3_session *session, uint64_t number, bool uidl) WAITS
{
	OWNED(buf) struct buf line = BUF(LINE_ROOM);
	size_t index;
	bool answered;
	enum err err = pop3_message(session, number, &index, &answered);

	if (answered)
		return err;
	buf_add(&line, S("+OK "));
	print_row(&session->drop, index, uidl, &line);
	return pop3_say(session, buf_str(&line));
}

static enum err send_all(struct pop3_session *session, bool uidl) WAITS
{
	struct maildrop *drop = &session->drop;
	OWNED(buf) struct buf out = BUF(CHUNK + LINE_ROOM);
	enum err err = maildrop_load(drop);

	if (err)
		return pop3_answer_failure(session, err);
	err = pop3_say(session, str_print(&session->arena, "+OK %zu messages",
					  drop->count - drop->marked_count));
	for (size_t i = 0; i < drop->count && !err; i++) {
		if (maildrop_is_marked(drop, i))
			continue;
		print_row(drop, i, uidl, &out);
		buf_add(&out, S("\r\n"));
		if (out.len >= CHUNK) {
			err = pop3_send(session, buf_str(&out));
			buf_reset(&out);
		}
	}
	buf_add(&out, S(".\r\n"));
	return err ? err : pop3_send(session, buf_str(&out));
}

enum err pop3_list(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	return command->has_number ? send_one(session, command->number, false)
				   : send_all(session, false);
}

enum err pop3_uidl(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	return command->has_number ? send_one(session, command->number, true)
				   : send_all(session, true);
}

enum err pop3_dele(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	size_t index;
	bool answered;
	enum err err = pop3_message(session, command->number, &index, &answered);

	if (answered)
		return err;
	maildrop_mark(&session->drop, index);
	return pop3_answer(session, POP3_REPLY_MARKED);
}

enum err pop3_rset(struct pop3_session *session, const struct pop3_command *command) WAITS
{
	maildrop_unmark_all(&session->drop);
	return pop3_stat(session, command);
}
