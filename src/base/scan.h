/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * scan: a cursor for parsers. A take_* function moves the cursor past what it took and returns
 * true, or leaves everything as it was and returns false.
 */
struct scan {
	const char *at;
	const char *end;
};

struct scan scan_of(struct str s);
struct str scan_rest(const struct scan *scan);
bool scan_at_end(const struct scan *scan);
int scan_peek(const struct scan *scan); /* the next octet, or -1 at the end */
bool take_char(struct scan *scan, char c);
bool take_str_nocase(struct scan *scan, struct str word);
bool take_number(struct scan *scan, uint64_t max, uint64_t *out); /* 1*DIGIT, at most max */
size_t take_blanks(struct scan *scan); /* SP and HTAB, any number of them */
/* The longest run for which `accepts` holds; may be empty. */
struct str take_while(struct scan *scan, bool (*accepts)(unsigned char));
/* Up to `c`, which is taken too but not given; false when there is no c. */
bool take_until(struct scan *scan, char c, struct str *out);
