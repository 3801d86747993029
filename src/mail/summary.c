/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

/* rfc5322 3.6: what may be there once. */
enum once {
	DATE,
	FROM,
	SENDER,
	REPLY_TO,
	TO,
	CC,
	BCC,
	MESSAGE_ID,
	IN_REPLY_TO,
	REFERENCES,
	SUBJECT
};

static const char *const once_names[] = {
	[DATE] = "Date",
	[FROM] = "From",
	[SENDER] = "Sender",
	[REPLY_TO] = "Reply-To",
	[TO] = "To",
	[CC] = "Cc",
	[BCC] = "Bcc",
	[MESSAGE_ID] = "Message-ID",
	[IN_REPLY_TO] = "In-Reply-To",
	[REFERENCES] = "References",
	[SUBJECT] = "Subject",
};

struct once_fields {
	struct str values[COUNT_OF(once_names)];
	size_t counts[COUNT_OF(once_names)];
};

enum { SHOWN_ADDRESSES = 50 };

static void fields_collect(struct str header, struct once_fields *out, size_t *received)
{
	struct scan scan = scan_of(header);
	struct field field;

	*out = (struct once_fields){ 0 };
	*received = 0;
	for (size_t i = 0; i < LIMIT_header_fields && take_field(&scan, &field); i++) {
		*received += str_is_nocase(field.name, S("Received"));
		for (size_t n = 0; n < COUNT_OF(once_names); n++) {
			if (!str_is_nocase(field.name, str_of(once_names[n])))
				continue;
			if (out->counts[n]++ == 0)
				out->values[n] = field.value;
		}
	}
}

static unsigned field_oddities(const struct once_fields *fields, bool has_date)
{
	unsigned oddities = has_date ? 0 : MIME_NO_DATE;

	if (fields->counts[FROM] == 0)
		oddities |= MIME_NO_FROM;
	if (fields->counts[FROM] > 1)
		oddities |= MIME_MANY_FROM;
	for (size_t n = 0; n < COUNT_OF(once_names); n++) {
		if (fields->counts[n] > 1)
			oddities |= MIME_DUPLICATE;
	}
	return oddities;
}

static struct str shown_addresses(struct arena *arena, struct str value)
{
	struct mailbox_list list;

	mailbox_list_parse(arena, value, SHOWN_ADDRESSES, &list);
	return mailbox_list_show(arena, &list, SUMMARY_TEXT);
}

void summary_of(struct arena *arena, const struct mime *mime, struct summary *out)
{
	struct once_fields fields;
	struct scan ids;

	*out = (struct summary){ 0 };
	fields_collect(mime_part_header(mime, &mime->parts[0]), &fields, &out->received_count);
	out->subject = words_decode(arena, fields.values[SUBJECT], SUMMARY_TEXT);
	out->from = shown_addresses(arena, fields.values[FROM]);
	ids = scan_of(fields.values[MESSAGE_ID]);
	if (take_message_id(arena, &ids, &out->message_id))
		out->message_id = text_clean(arena, out->message_id, SUMMARY_TEXT);
	out->has_date = date_parse(fields.values[DATE], &out->date_us, NULL);
	out->preview = mime_preview(arena, mime, LIMIT_preview_octets);
	out->oddities = mime->oddities | field_oddities(&fields, out->has_date);
}
