/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of other servers (rfc5321 4.2), read as they are written in the wild. */
#include "smtp/smtp.h"

void smtp_reply_reader_init(struct smtp_reply_reader *reader)
{
	*reader = (struct smtp_reply_reader){ .text = BUF(LIMIT_smtp_heard_text) };
}

void smtp_reply_reader_done(struct smtp_reply_reader *reader)
{
	buf_drop(&reader->text);
}

/* rfc5321 4.2: "2" to "5", then two digits. Of the second digit more than "5" is met, and harmless. */
static unsigned take_code(struct str *line)
{
	unsigned code;

	if (line->len < 3 || line->at[0] < '2' || line->at[0] > '5')
		return 0;
	if (!ascii_is_digit((unsigned char)line->at[1]) ||
	    !ascii_is_digit((unsigned char)line->at[2]))
		return 0;
	if (line->len > 3 && ascii_is_digit((unsigned char)line->at[3]))
		return 0;
	code = (unsigned)(line->at[0] - '0') * 100 + (unsigned)(line->at[1] - '0') * 10 +
	       (unsigned)(line->at[2] - '0');
	*line = str_from(*line, 3);
	return code;
}

/* rfc3463 2: class "." subject "." detail, and the class is the code's (rfc2034 4). */
static struct str take_enhanced(struct str *text, unsigned code)
{
	struct scan scan = scan_of(*text);
	struct str enhanced;
	uint64_t number;

	if (!take_number(&scan, 5, &number) || number != code / 100)
		return S("");
	for (int i = 0; i < 2; i++)
		if (!take_char(&scan, '.') || !take_number(&scan, 999, &number))
			return S("");
	if (!scan_at_end(&scan) && scan_peek(&scan) != ' ' && scan_peek(&scan) != '\t')
		return S("");
	enhanced = str_first(*text, text->len - scan_rest(&scan).len);
	if (enhanced.len >= sizeof((struct smtp_reply_reader){ 0 }.enhanced))
		return S(""); /* zeros in front, without end */
	take_blanks(&scan);
	*text = scan_rest(&scan);
	return enhanced;
}

static void add_text(struct smtp_reply_reader *reader, struct str text)
{
	bool is_utf8 = str_is_utf8(text);

	if (reader->text.len + text.len + 1 > LIMIT_smtp_heard_text)
		return;
	if (reader->text.len > 0 || reader->lines > 1)
		buf_add_char(&reader->text, '\n');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];
		bool is_text = c == '\t' || (c >= ' ' && c < 0x7f) || (c >= 0x80 && is_utf8);

		buf_add_char(&reader->text, is_text ? (char)c : '?');
	}
}

static void begin(struct smtp_reply_reader *reader)
{
	reader->reply = (struct smtp_reply){ 0 };
	reader->enhanced[0] = '\0';
	reader->lines = 0;
	buf_reset(&reader->text);
}

/* Whole once its code is set. */
static enum err finish(struct smtp_reply_reader *reader, unsigned code)
{
	reader->reply = (struct smtp_reply){
		.code = code,
		.enhanced = str_of(reader->enhanced),
		.text = buf_str(&reader->text),
	};
	/* Of a line before, whose code was another class. */
	if (reader->enhanced[0] && (unsigned)(reader->enhanced[0] - '0') != code / 100)
		reader->reply.enhanced = S("");
	return OK;
}

enum err smtp_reply_parse(struct smtp_reply_reader *reader, struct str line)
{
	struct str enhanced;
	bool goes_on;
	unsigned code;

	if (reader->reply.code)
		begin(reader);
	if (++reader->lines > LIMIT_smtp_heard_lines)
		return fault(ERR_PROTOCOL, "a reply of more than %d lines", LIMIT_smtp_heard_lines);
	code = take_code(&line);
	if (!code) {
		/* Some greet with a text of many lines and number only the first and the last. */
		if (reader->lines == 1)
			return fault(ERR_PROTOCOL, "a line without a reply code");
		add_text(reader, line);
		return ERR_AGAIN;
	}
	goes_on = line.len > 0 && line.at[0] == '-';
	if (goes_on || (line.len > 0 && (line.at[0] == ' ' || line.at[0] == '\t')))
		line = str_from(line, 1);
	enhanced = take_enhanced(&line, code);
	if (enhanced.len > 0) {
		memcpy(reader->enhanced, enhanced.at, enhanced.len);
		reader->enhanced[enhanced.len] = '\0';
	}
	add_text(reader, line);
	return goes_on ? ERR_AGAIN : finish(reader, code);
}
