/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

static bool is_star(struct str pattern, size_t at)
{
	return at < pattern.len && pattern.at[at] == '*';
}

/* Does the line's octet `c` match here? *width is how much of the pattern it used. */
static bool is_octet(struct str pattern, size_t at, char c, size_t *width)
{
	*width = 1;
	if (at >= pattern.len)
		return false;
	if (pattern.at[at] == '\\' && is_star(pattern, at + 1)) {
		*width = 2;
		return c == '*';
	}
	return pattern.at[at] == c;
}

bool wire_matches(struct str pattern, struct str line)
{
	size_t retry_pattern = STR_NONE; /* behind the last star */
	size_t retry_line = 0;
	size_t p = 0;
	size_t l = 0;

	while (l < line.len) {
		size_t width;

		if (is_star(pattern, p)) {
			retry_pattern = ++p;
			retry_line = l;
		} else if (is_octet(pattern, p, line.at[l], &width)) {
			p += width;
			l++;
		} else if (retry_pattern != STR_NONE) {
			p = retry_pattern;
			l = ++retry_line;
		} else {
			return false;
		}
	}
	while (is_star(pattern, p))
		p++;
	return p == pattern.len;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One escape; *at stands behind the backslash and moves past it. */
static bool unescape_one(struct str text, size_t *at, char *out)
{
	char c = *at < text.len ? text.at[(*at)++] : '\0';

	switch (c) {
	case 'r':
		*out = '\r';
		return true;
	case 'n':
		*out = '\n';
		return true;
	case 't':
		*out = '\t';
		return true;
	case '\\':
		*out = '\\';
		return true;
	case 'x':
		if (*at + 2 > text.len || hex_value(text.at[*at]) < 0 ||
		    hex_value(text.at[*at + 1]) < 0)
			return false;
		*out = (char)(hex_value(text.at[*at]) * 16 + hex_value(text.at[*at + 1]));
		*at += 2;
		return true;
	default:
		return false;
	}
}

bool wire_unescape(struct arena *arena, struct str text, struct str *out)
{
	char *to = arena_take(arena, text.len + 1);
	size_t len = 0;
	size_t at = 0;

	while (at < text.len) {
		char c = text.at[at++];

		if (c == '\\' && !unescape_one(text, &at, &c))
			return false;
		to[len++] = c;
	}
	*out = (struct str){ to, len };
	return true;
}
