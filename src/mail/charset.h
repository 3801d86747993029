/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * charset: octets of a named character set made UTF-8. Only the sets on our own list are ever
 * handed to iconv; others are read as UTF-8 with the octets that are none replaced.
 */

/* true when the set is on the list ("utf-8", "iso-8859-1", "shift_jis" ..., any case). */
bool charset_is_known(struct str name);
/*
 * At most `max` octets of UTF-8, cut between characters; octets without meaning become U+FFFD.
 * false when the set is not on the list; *out is then the best reading as UTF-8.
 */
bool charset_to_utf8(struct arena *arena, struct str name, struct str octets, size_t max,
		     struct str *out);
/*
 * Load every set on the list into memory. Conversions need no file after that: a process that is
 * about to give up its right to open files calls this first.
 */
void charset_prepare(void);
/* Well-formed UTF-8 from anything: bad octets become U+FFFD; at most max octets. */
struct str utf8_repair(struct arena *arena, struct str octets, size_t max);
/* At most max octets of UTF-8 text, cut between characters. */
struct str utf8_first(struct str text, size_t max);
