/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <errno.h>
#include <iconv.h>
#include <stdio.h>

/* What iconv calls a set, by the names that messages use; UTF-8 and ASCII are read by ourselves. */
static const struct {
	const char *name;
	const char *iconv;
} charsets[] = {
	{ "utf-8", NULL },
	{ "utf8", NULL },
	{ "us-ascii", NULL },
	{ "ascii", NULL },
	{ "ansi_x3.4-1968", NULL },
	{ "latin1", "ISO-8859-1" },
	{ "koi8-r", "KOI8-R" },
	{ "koi8-u", "KOI8-U" },
	{ "gb18030", "GB18030" },
	{ "gb2312", "GB18030" }, /* mail that says gb2312 uses its supersets freely */
	{ "gbk", "GB18030" },
	{ "big5", "BIG5" },
	{ "euc-jp", "EUC-JP" },
	{ "euc-kr", "EUC-KR" },
	{ "ks_c_5601-1987", "EUC-KR" },
	{ "shift_jis", "SHIFT_JIS" },
	{ "shift-jis", "SHIFT_JIS" },
	{ "sjis", "SHIFT_JIS" },
	{ "iso-2022-jp", "ISO-2022-JP" },
};

enum { ICONV_NAME = 16 };

/* ISO-8859-1 to 16 (there is no 12) and windows-1250 to 1258. */
static bool family_find(struct str name, char iconv_name[ICONV_NAME])
{
	uint64_t number;

	if (str_starts_nocase(name, S("iso-8859-")) && str_to_u64(str_from(name, 9), 16, &number) &&
	    number >= 1 && number != 12) {
		snprintf(iconv_name, ICONV_NAME, "ISO-8859-%u", (unsigned)number);
		return true;
	}
	if ((str_starts_nocase(name, S("windows-")) &&
	     str_to_u64(str_from(name, 8), 1258, &number) && number >= 1250) ||
	    (str_starts_nocase(name, S("cp")) && str_to_u64(str_from(name, 2), 1258, &number) &&
	     number >= 1250)) {
		snprintf(iconv_name, ICONV_NAME, "CP%u", (unsigned)number);
		return true;
	}
	return false;
}

/* false when the name is not on the list; an empty iconv_name is UTF-8. */
static bool charset_find(struct str name, char iconv_name[ICONV_NAME])
{
	iconv_name[0] = '\0';
	for (size_t i = 0; i < COUNT_OF(charsets); i++) {
		if (!str_is_nocase(name, str_of(charsets[i].name)))
			continue;
		if (charsets[i].iconv)
			snprintf(iconv_name, ICONV_NAME, "%s", charsets[i].iconv);
		return true;
	}
	return family_find(name, iconv_name);
}

bool charset_is_known(struct str name)
{
	char iconv_name[ICONV_NAME];

	return charset_find(name, iconv_name);
}

enum { SETS_MAX = 64 };

static void set_hold(const char *name)
{
	/* Never closed: an open descriptor keeps its conversion module in memory. */
	static iconv_t held[SETS_MAX];
	static size_t count;

	must(count < SETS_MAX);
	held[count] = iconv_open("UTF-8", name);
	if (held[count] != (iconv_t)-1)
		count++;
}

void charset_prepare(void)
{
	static bool is_done;
	char name[ICONV_NAME];

	if (is_done)
		return;
	is_done = true;
	for (size_t i = 0; i < COUNT_OF(charsets); i++) {
		if (charsets[i].iconv)
			set_hold(charsets[i].iconv);
	}
	for (unsigned i = 1; i <= 16; i++) {
		snprintf(name, sizeof(name), "ISO-8859-%u", i);
		set_hold(name);
	}
	for (unsigned i = 1250; i <= 1258; i++) {
		snprintf(name, sizeof(name), "CP%u", i);
		set_hold(name);
	}
}

/* Octets of the well-formed character that starts here; 0 when none does. */
static size_t character_len(const char *at, size_t left)
{
	unsigned char c = (unsigned char)*at;
	size_t len = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;

	if (len == 0 || len > left || (len > 1 && !str_is_utf8((struct str){ at, len })))
		return 0;
	return len;
}

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* Room for text whose every octet may become three, never more than max. */
static size_t room_for(struct str octets, size_t max)
{
	return octets.len < max / 3 ? octets.len * 3 : max;
}

struct str utf8_repair(struct arena *arena, struct str octets, size_t max)
{
	char *out;
	size_t len = 0;
	size_t at = 0;

	if (octets.len <= max && str_is_utf8(octets))
		return octets;
	out = arena_take(arena, room_for(octets, max) + 1);
	while (at < octets.len) {
		size_t count = character_len(octets.at + at, octets.len - at);
		const char *from = count ? octets.at + at : replacement;
		size_t width = count ? count : 3;

		if (width > max - len)
			break;
		memcpy(out + len, from, width);
		len += width;
		at += count ? count : 1;
	}
	return (struct str){ out, len };
}

struct str utf8_first(struct str text, size_t max)
{
	if (text.len <= max)
		return text;
	while (max > 0 && ((unsigned char)text.at[max] & 0xC0) == 0x80)
		max--;
	return str_first(text, max);
}

/* One run of iconv over the octets; what it refuses is replaced, octet by octet. */
static struct str convert(struct arena *arena, iconv_t converter, struct str octets, size_t max)
{
	char *in = (char *)octets.at; /* iconv's signature; it does not write there */
	size_t in_left = octets.len;
	size_t room = room_for(octets, max);
	char *start = arena_take(arena, room + 1);
	char *out = start;

	while (in_left > 0) {
		size_t result = iconv(converter, &in, &in_left, &out, &room);

		if (result != (size_t)-1 || errno == E2BIG || room < 3)
			break;
		memcpy(out, replacement, 3);
		out += 3;
		room -= 3;
		if (in_left > 0) {
			in++;
			in_left--;
		}
	}
	/* CP1255 and CP1258 keep a letter back until they know that no accent follows. */
	iconv(converter, NULL, NULL, &out, &room);
	return (struct str){ start, (size_t)(out - start) };
}

bool charset_to_utf8(struct arena *arena, struct str name, struct str octets, size_t max,
		     struct str *out)
{
	char iconv_name[ICONV_NAME];
	bool is_known = charset_find(name, iconv_name);
	iconv_t converter;
	struct str text;

	if (is_known && iconv_name[0] && octets.len) {
		converter = iconv_open("UTF-8", iconv_name);
		if (converter != (iconv_t)-1) {
			text = convert(arena, converter, octets, max);
			iconv_close(converter);
			*out = utf8_repair(arena, text, max);
			return true;
		}
		is_known = false; /* this machine lacks the module */
	}
	*out = utf8_repair(arena, octets, max);
	return is_known;
}
