/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

struct scan scan_of(struct str s)
{
	static const char nothing[1];
	const char *at = s.at ? s.at : nothing;

	return (struct scan){ at, at + s.len };
}

struct str scan_rest(const struct scan *scan)
{
	return (struct str){ scan->at, (size_t)(scan->end - scan->at) };
}

bool scan_at_end(const struct scan *scan)
{
	return scan->at == scan->end;
}

int scan_peek(const struct scan *scan)
{
	return scan_at_end(scan) ? -1 : (unsigned char)*scan->at;
}

bool take_char(struct scan *scan, char c)
{
	if (scan_at_end(scan) || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

bool take_str_nocase(struct scan *scan, struct str word)
{
	if (!str_starts_nocase(scan_rest(scan), word))
		return false;
	scan->at += word.len;
	return true;
}

bool take_number(struct scan *scan, uint64_t max, uint64_t *out)
{
	struct scan from = *scan;
	struct str digits;

	while (from.at < from.end && ascii_is_digit((unsigned char)*from.at))
		from.at++;
	digits = (struct str){ scan->at, (size_t)(from.at - scan->at) };
	if (!str_to_u64(digits, max, out))
		return false;
	*scan = from;
	return true;
}

size_t take_blanks(struct scan *scan)
{
	const char *from = scan->at;

	while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t'))
		scan->at++;
	return (size_t)(scan->at - from);
}

struct str take_while(struct scan *scan, bool (*accepts)(unsigned char))
{
	const char *from = scan->at;

	while (scan->at < scan->end && accepts((unsigned char)*scan->at))
		scan->at++;
	return (struct str){ from, (size_t)(scan->at - from) };
}

bool take_until(struct scan *scan, char c, struct str *out)
{
	struct str rest = scan_rest(scan);
	size_t index = str_find(rest, c);

	if (index == STR_NONE)
		return false;
	*out = str_first(rest, index);
	scan->at += index + 1;
	return true;
}
