/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * field: header fields as views, nothing copied (rfc5322 2.2). Broken input is read as far as it
 * makes sense: lines end at LF, with or without CR; a line without a colon is a field without
 * a name.
 */
struct field {
	struct str name;  /* without blanks before the colon; empty for a line that is no field */
	struct str value; /* all after the colon, folding and the last line end included */
	struct str whole; /* the field's lines as they are */
};

/*
 * Where the body starts: past the empty line, or at the end when there is none. The header is
 * str_first(message, header_end(message)), its empty line included.
 */
size_t header_end(struct str message);
/* The next field; false at the end of the header (the empty line or the end of octets). */
bool take_field(struct scan *header, struct field *out);
/* The first field of that name; at most LIMIT_header_fields are looked at. */
bool field_find(struct str header, struct str name, struct field *out);
size_t field_count(struct str header, struct str name);
/* rfc5322 2.2.3: line ends taken out, blanks trimmed at both ends; other controls become spaces. */
struct str field_unfold(struct arena *arena, struct str value);
/* Past blanks, line ends and comments (rfc5322 3.2.2 CFWS, any depth); obsolete forms too. */
void skip_cfws(struct scan *scan);
