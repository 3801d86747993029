/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp.h"

struct reply_row {
	unsigned code;
	struct str enhanced;
	struct str text;
};

static const struct reply_row rows[SMTP_REPLIES] = {
#define REPLY(reply_name, reply_code, enhanced_code, reply_text)                                   \
	[SMTP_REPLY_##reply_name] = { reply_code,                                                  \
				      { enhanced_code, sizeof(enhanced_code) - 1 },                \
				      { reply_text, sizeof(reply_text) - 1 } },
#include "smtp/replies.def"
#undef REPLY
};

struct smtp_reply smtp_reply(enum smtp_reply_name name)
{
	must(name < SMTP_REPLIES);
	return (struct smtp_reply){ rows[name].code, rows[name].enhanced, rows[name].text };
}

struct smtp_reply smtp_reply_with(struct arena *arena, enum smtp_reply_name name, struct str detail)
{
	struct smtp_reply reply = smtp_reply(name);
	size_t place = str_find_str(reply.text, S("%s"));

	must(place != STR_NONE);
	reply.text = str_print(arena, "%.*s%.*s%.*s", STR_ARGS(str_first(reply.text, place)),
			       STR_ARGS(detail), STR_ARGS(str_from(reply.text, place + 2)));
	return reply;
}

/* How much of the text fits on a line of `room` octets: whole words where there are any. */
static size_t line_length(struct str text, size_t room)
{
	size_t space;

	if (text.len <= room)
		return text.len;
	space = str_find_last(str_first(text, room), ' ');
	return space == STR_NONE || space < room / 2 ? room : space + 1;
}

static void add_clean(struct buf *out, struct str text)
{
	if (buf_add(out, text))
		return;
	for (char *at = out->at + out->len - text.len; at < out->at + out->len; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
}

/* The next line's text off the front of *rest; false when none is left. */
static bool take_line(struct str *rest, size_t room, struct str *line)
{
	size_t end;
	size_t len;

	if (!rest->at)
		return false;
	end = str_find(*rest, '\n');
	*line = end == STR_NONE ? *rest : str_first(*rest, end);
	len = line_length(*line, room);
	if (len < line->len) {
		*line = str_first(*line, len);
		*rest = (struct str){ rest->at + len, rest->len - len };
	} else if (end == STR_NONE) {
		*rest = (struct str){ NULL, 0 };
	} else {
		*rest = (struct str){ rest->at + end + 1, rest->len - end - 1 };
	}
	return true;
}

enum err smtp_reply_print(struct buf *out, const struct smtp_reply *reply, bool with_enhanced)
{
	size_t room = LIMIT_smtp_reply_line - sizeof("250-\r\n") + 1;
	struct str rest = reply->text.at ? reply->text : S("");
	struct str line;
	char code[4] = { (char)('0' + reply->code / 100), (char)('0' + reply->code / 10 % 10),
			 (char)('0' + reply->code % 10) };

	must(reply->code >= 200 && reply->code <= 599);
	if (reply->code == 334) /* rfc4954 4: a challenge is one line, up to 12288 octets */
		room = LIMIT_sasl_line - sizeof("334 \r\n") + 1;
	with_enhanced = with_enhanced && reply->enhanced.len > 0;
	if (with_enhanced)
		room -= reply->enhanced.len + 1;
	while (take_line(&rest, room, &line)) {
		code[3] = rest.at ? '-' : ' ';
		buf_add(out, (struct str){ code, sizeof(code) });
		if (with_enhanced) {
			add_clean(out, reply->enhanced);
			buf_add_char(out, ' ');
		}
		add_clean(out, line);
		buf_add(out, S("\r\n"));
	}
	return out->failed ? ERR_LIMIT : OK;
}
