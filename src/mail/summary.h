/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * summary: what listings show of a message, and what the rules of the header have to say.
 * All texts are well-formed UTF-8 without controls.
 */
enum { SUMMARY_TEXT = 998 }; /* octets at most of each text */

struct summary {
	struct str subject;
	struct str from;
	struct str message_id; /* with angle brackets; "" when there is none */
	struct str preview;    /* LIMIT_preview_octets */
	bool has_date;
	int64_t date_us;
	size_t received_count;
	unsigned oddities; /* MIME_...: those of the pass and those of the header */
};

void summary_of(struct arena *arena, const struct mime *mime, struct summary *out);
/* The first text/plain, else the first text/html with its tags gone; blanks run together. */
struct str mime_preview(struct arena *arena, const struct mime *mime, size_t max);
