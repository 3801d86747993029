/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/part.h"

struct reading {
	struct arena *arena;
	struct mime_part *part;
	unsigned oddities;
	bool has_type;
	bool has_encoding;
	bool has_disposition;
};

/* rfc2045 5.1 */
static void read_type(struct reading *reading, struct str value)
{
	struct mime_part *part = reading->part;
	struct scan scan = scan_of(value);
	struct str type;
	struct str subtype;

	skip_cfws(&scan);
	if (!take_token(&scan, &type))
		type = (struct str){ 0 };
	skip_cfws(&scan);
	if (!type.len || !take_char(&scan, '/')) {
		reading->oddities |= MIME_BAD_TYPE;
		return;
	}
	skip_cfws(&scan);
	if (!take_token(&scan, &subtype)) {
		reading->oddities |= MIME_BAD_TYPE;
		return;
	}
	part->type = str_lower(reading->arena, type);
	part->subtype = str_lower(reading->arena, subtype);
	parameters_parse(reading->arena, &scan, &part->parameters);
	if (part->parameters.is_cut)
		reading->oddities |= MIME_CUT_PARAMETERS;
}

static void read_encoding(struct reading *reading, struct str value)
{
	struct mime_part *part = reading->part;
	struct scan scan = scan_of(value);
	struct str token;

	skip_cfws(&scan);
	if (!take_token(&scan, &token)) {
		reading->oddities |= MIME_BAD_ENCODING;
		return;
	}
	part->encoding_text = str_lower(reading->arena, token);
	part->encoding = transfer_encoding_of(token);
	if (part->encoding == TRANSFER_UNKNOWN)
		reading->oddities |= MIME_BAD_ENCODING;
}

/* rfc2183 2 */
static void read_disposition(struct reading *reading, struct str value)
{
	struct mime_part *part = reading->part;
	struct scan scan = scan_of(value);
	struct str token;

	skip_cfws(&scan);
	if (!take_token(&scan, &token))
		return;
	part->disposition = str_lower(reading->arena, token);
	parameters_parse(reading->arena, &scan, &part->disposition_parameters);
	if (part->disposition_parameters.is_cut)
		reading->oddities |= MIME_CUT_PARAMETERS;
}

/* The first field of a name counts; false when this is a further one. */
static bool is_first(struct reading *reading, bool *seen)
{
	if (*seen) {
		reading->oddities |= MIME_DUPLICATE;
		return false;
	}
	*seen = true;
	return true;
}

static void read_text(struct reading *reading, struct str *place, struct str value)
{
	if (place->len == 0)
		*place = field_unfold(reading->arena, value);
}

static void read_field(struct reading *reading, const struct field *field)
{
	struct mime_part *part = reading->part;
	struct str name = field->name;

	if (name.len == 0)
		reading->oddities |= MIME_NO_COLON;
	if (!str_starts_nocase(name, S("content-")))
		return;
	name = str_from(name, 8);
	if (str_is_nocase(name, S("type")) && is_first(reading, &reading->has_type))
		read_type(reading, field->value);
	else if (str_is_nocase(name, S("transfer-encoding")) &&
		 is_first(reading, &reading->has_encoding))
		read_encoding(reading, field->value);
	else if (str_is_nocase(name, S("disposition")) &&
		 is_first(reading, &reading->has_disposition))
		read_disposition(reading, field->value);
	else if (str_is_nocase(name, S("id")))
		read_text(reading, &part->id, field->value);
	else if (str_is_nocase(name, S("description")))
		read_text(reading, &part->description, field->value);
	else if (str_is_nocase(name, S("language")))
		read_text(reading, &part->language, field->value);
	else if (str_is_nocase(name, S("location")))
		read_text(reading, &part->location, field->value);
	else if (str_is_nocase(name, S("md5")))
		read_text(reading, &part->md5, field->value);
}

/* rfc2046 5.1.5: in a digest the default is a message. */
static void default_type(struct reading *reading, const struct mime *mime)
{
	struct mime_part *part = reading->part;
	const struct mime_part *parent;

	if (reading->has_type || part->parent == MIME_NO_PARENT)
		return;
	parent = &mime->parts[part->parent];
	if (parent->kind == MIME_MULTIPART && str_is(parent->subtype, S("digest"))) {
		part->type = S("message");
		part->subtype = S("rfc822");
	}
}

/* rfc2045 6.4, rfc6532 3.7: composites are not encoded, but for message/global. */
static enum mime_kind kind_of(struct reading *reading)
{
	const struct mime_part *part = reading->part;
	bool is_encoded =
		part->encoding == TRANSFER_BASE64 || part->encoding == TRANSFER_QUOTED_PRINTABLE;
	bool is_global = str_is(part->subtype, S("global"));

	if (str_is(part->type, S("multipart"))) {
		if (is_encoded)
			reading->oddities |= MIME_BAD_ENCODING;
		return MIME_MULTIPART; /* the encoding named is never there in earnest */
	}
	if (!str_is(part->type, S("message")) ||
	    (!is_global && !str_is(part->subtype, S("rfc822"))))
		return MIME_LEAF;
	if (is_encoded && !is_global)
		reading->oddities |= MIME_BAD_ENCODING;
	return is_encoded ? MIME_LEAF : MIME_MESSAGE;
}

unsigned mime_part_read(struct arena *arena, const struct mime *mime, struct mime_part *part)
{
	struct reading reading = { .arena = arena, .part = part };
	struct str header = mime_part_header(mime, part);
	struct scan scan = scan_of(header);
	struct field field;
	size_t count = 0;

	while (count < LIMIT_header_fields && take_field(&scan, &field)) {
		read_field(&reading, &field);
		count++;
	}
	if (count == LIMIT_header_fields && take_field(&scan, &field))
		reading.oddities |= MIME_CUT_FIELDS;
	if (!str_is_utf8(header))
		reading.oddities |= MIME_RAW_HEADER;
	default_type(&reading, mime);
	part->kind = kind_of(&reading);
	return reading.oddities;
}
