/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a server says is a reply or none, bounded, and what is kept of it is text. */
#include "smtp/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str text)
{
	must(text.len <= LIMIT_smtp_heard_text);
	must(str_is_utf8(text));
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		must(c == '\t' || c == '\n' || (c >= ' ' && c != 0x7f));
	}
}

static void check_enhanced(const struct smtp_reply *reply)
{
	if (reply->enhanced.len == 0)
		return;
	must(reply->enhanced.len >= 5 && reply->enhanced.len < 16);
	must((unsigned)(reply->enhanced.at[0] - '0') == reply->code / 100);
	must(reply->enhanced.at[1] == '.');
}

static void check_offer(struct arena *arena, const struct smtp_reply *reply)
{
	struct smtp_offer offer;

	smtp_offer_parse(arena, reply->text, &offer);
	must(!(offer.extensions & ~((SMTP_EXT_DSN << 1) - 1u)));
	must(offer.rcpt_max <= 999'999 && offer.mail_max <= 999'999);
	must(offer.mechanisms.len <= reply->text.len);
	if (offer.mechanisms.len > 0)
		must(offer.extensions & SMTP_EXT_AUTH);
	(void)smtp_offer_has_mechanism(&offer, S("PLAIN"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scan scan = scan_of((struct str){ (const char *)data, size });
	struct smtp_reply_reader reader;
	struct arena arena = { 0 };
	struct str line;
	enum err err = OK;

	smtp_reply_reader_init(&reader);
	while (err != ERR_PROTOCOL && take_until(&scan, '\n', &line)) {
		err = smtp_reply_parse(&reader, line);
		must(err == OK || err == ERR_AGAIN || err == ERR_PROTOCOL);
		must(reader.lines <= LIMIT_smtp_heard_lines || err == ERR_PROTOCOL);
		if (err)
			continue;
		must(reader.reply.code >= 200 && reader.reply.code <= 599);
		check_text(reader.reply.text);
		check_enhanced(&reader.reply);
		check_offer(&arena, &reader.reply);
		arena_reset(&arena);
	}
	smtp_reply_reader_done(&reader);
	arena_drop(&arena);
	return 0;
}
