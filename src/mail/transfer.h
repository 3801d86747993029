/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * transfer: content transfer encodings (rfc2045 6) undone piece by piece. Lenient: what the
 * encoding does not allow is passed on (quoted-printable) or skipped (base64).
 */
enum transfer_encoding {
	TRANSFER_7BIT,
	TRANSFER_8BIT,
	TRANSFER_BINARY,
	TRANSFER_QUOTED_PRINTABLE,
	TRANSFER_BASE64,
	TRANSFER_UNKNOWN,
};

struct transfer {
	enum transfer_encoding encoding;
	unsigned bits;  /* base64: gathered and not yet given */
	unsigned count; /* how many of them */
	bool ended;     /* base64: padding was seen */
};

/* 7bit where nothing is said [rfc2045 6.1]. */
enum transfer_encoding transfer_encoding_of(struct str name);
/*
 * Decode from *in into out[0..room); *in becomes what is left. Give what is left again, with more
 * after it; `last` says that no more will come. Returns the octets written; 0 with *in unchanged
 * means that more input is needed.
 */
size_t transfer_decode(struct transfer *transfer, struct str *in, bool last, char *out,
		       size_t room);
/* All of a body, at most max octets of what it decodes to. */
struct str transfer_decode_all(struct arena *arena, enum transfer_encoding encoding,
			       struct str body, size_t max);
