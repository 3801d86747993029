/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * trace_field: the lines that each hop adds on top (rfc5321 4.4), CRLF at their ends.
 *
 * Invariant: whatever the strings hold, what is printed is one well-formed header field. A HELO
 * text that is no domain or literal appears as a quoted comment, never as syntax.
 */
struct received {
	struct str from_helo; /* what EHLO, HELO or LHLO said; "" when nothing */
	struct addr from_addr;
	struct str from_name; /* verified name of that address; "" when unknown */
	struct str by;        /* our host name */
	struct str with;      /* "ESMTPSA" ... (rfc3848) */
	struct str id;
	struct str for_address; /* canonical; "" unless there is exactly one recipient */
	struct str tls;         /* "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" without TLS */
	int64_t wall_us;
	int offset_minutes;
};

/* "Received: ..." folded at 78 where it can be, no line past 998. */
enum err received_print(struct buf *out, const struct received *received);
/* Received fields of a header; stops counting at LIMIT_header_fields fields. */
size_t received_count(struct str header);
/* Those of them that say "by HOST"; blind to comments that say it. */
size_t received_count_by(struct str header, struct str host);
