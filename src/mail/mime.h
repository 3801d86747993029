/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * mime: the structure of a message (rfc2045, rfc2046), found in one pass over its octets and laid
 * out as a flat array of parts, parents before children, in the order of the message.
 *
 * Invariants
 *  (1) Time is linear in the message, memory in its number of parts and fields; nothing recurses.
 *  (2) parts[0] is the message itself: header_at 0, end of body at the message's end.
 *  (3) A part's header and body lie inside its parent's body; siblings do not overlap.
 *  (4) Past a limit the rest is one leaf, is_cut is set on it and an oddity says which limit.
 */
#define MIME_ODDITIES(X)                                                                           \
	X(CUT_DEPTH, "deep", "parts nested deeper than looked at")                                 \
	X(CUT_PARTS, "parts", "more parts than looked at")                                         \
	X(CUT_FIELDS, "fields", "more header fields than looked at")                               \
	X(CUT_HEADER, "header", "a header longer than looked at")                                  \
	X(CUT_PARAMETERS, "parameters", "more parameters than looked at")                          \
	X(NO_BOUNDARY, "no-boundary", "a multipart without a usable boundary")                     \
	X(UNCLOSED, "unclosed", "a multipart without its closing boundary")                        \
	X(BAD_TYPE, "bad-type", "a Content-Type that cannot be read")                              \
	X(BAD_ENCODING, "bad-encoding", "an unknown or misplaced transfer encoding")               \
	X(NO_COLON, "no-colon", "a header line that is no field")                                  \
	X(NUL, "nul", "NUL octets")                                                                \
	X(BARE_CR, "bare-cr", "carriage returns without a line feed")                              \
	X(BARE_LF, "bare-lf", "line feeds without a carriage return")                              \
	X(LONG_LINE, "long-line", "lines of more than 998 octets")                                 \
	X(RAW_HEADER, "raw-header", "header octets that are neither ASCII nor UTF-8")              \
	X(NO_FROM, "no-from", "no From field")                                                     \
	X(MANY_FROM, "many-from", "more than one From field")                                      \
	X(NO_DATE, "no-date", "no Date field that can be read")                                    \
	X(DUPLICATE, "duplicate", "a field twice that may be there once")

enum mime_oddity_bit {
#define X(name, word, text) MIME_BIT_##name,
	MIME_ODDITIES(X)
#undef X
		MIME_BIT_COUNT
};

enum mime_oddity {
#define X(name, word, text) MIME_##name = 1 << MIME_BIT_##name,
	MIME_ODDITIES(X)
#undef X
};

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };

#define MIME_NO_PARENT UINT32_MAX

struct mime_part {
	uint32_t parent; /* index, or MIME_NO_PARENT */
	uint32_t depth;  /* 0 for the message itself */
	uint32_t children;
	enum mime_kind kind; /* MIME_MESSAGE: its one child is the message inside */
	bool is_cut;         /* treated as a leaf because of a limit */
	enum transfer_encoding encoding;
	struct str type;    /* lower case; "text" when none was given */
	struct str subtype; /* lower case */
	struct parameters parameters;
	struct str encoding_text; /* as written, lower case; "7bit" when none */
	struct str id;            /* Content-ID, unfolded */
	struct str description;   /* unfolded, words undecoded */
	struct str disposition;   /* lower case; "" when none */
	struct parameters disposition_parameters;
	struct str language; /* Content-Language, unfolded */
	struct str location; /* Content-Location, unfolded */
	struct str md5;      /* Content-MD5, unfolded */
	size_t header_at;    /* offsets in the message, octets */
	size_t body_at;
	size_t body_len;
	size_t lines; /* line ends in the body */
};

struct mime {
	struct str message;
	struct mime_part *parts;
	size_t count;
	size_t depth; /* of the deepest part */
	unsigned oddities;
};

/* Always succeeds: anything is a message. The views in *out point into message and the arena. */
void mime_parse(struct arena *arena, struct str message, struct mime *out);
/* The words of the oddities ("bare-lf nul"), separated by spaces. */
struct str mime_oddities_print(struct arena *arena, unsigned oddities);
struct str mime_part_header(const struct mime *mime, const struct mime_part *part);
struct str mime_part_body(const struct mime *mime, const struct mime_part *part);
