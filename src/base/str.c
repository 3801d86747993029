/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

static uint64_t hash_seed = 0x9E37'79B9'7F4A'7C15u;

struct str str_of(const char *c_string)
{
	return (struct str){ c_string, c_string ? strlen(c_string) : 0 };
}

bool str_is(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool str_is_nocase(struct str a, struct str b)
{
	return a.len == b.len && str_starts_nocase(a, b);
}

bool str_starts(struct str s, struct str prefix)
{
	return str_is(str_first(s, prefix.len), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
	if (s.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++)
		if (ascii_lower((unsigned char)s.at[i]) != ascii_lower((unsigned char)prefix.at[i]))
			return false;
	return true;
}

bool str_ends_nocase(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_is_nocase(str_from(s, s.len - suffix.len), suffix);
}

bool str_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] > 127)
			return false;
	return true;
}

/* rfc3629 4: the octets of one character from `at`, or 0 when they are none. */
static size_t utf8_length(const unsigned char *at, size_t room)
{
	unsigned char first = at[0];
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	size_t length;

	if (first < 0x80)
		return 1;
	if (first < 0xC2 || first > 0xF4)
		return 0;
	length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
	if (room < length)
		return 0;
	if (first == 0xE0)
		low = 0xA0; /* shorter forms exist */
	else if (first == 0xED)
		high = 0x9F; /* surrogates */
	else if (first == 0xF0)
		low = 0x90;
	else if (first == 0xF4)
		high = 0x8F; /* past U+10FFFF */
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	return length;
}

/* How many octets from i on are ASCII, looked at eight at a time. */
static size_t ascii_length(struct str s, size_t i)
{
	size_t start = i;
	uint64_t word;

	for (; s.len - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, s.at + i, sizeof(word));
		if (word & 0x8080808080808080)
			break;
	}
	return i - start;
}

bool str_is_utf8(struct str s)
{
	size_t i = 0;

	for (;;) {
		i += ascii_length(s, i);
		if (i == s.len)
			return true;
		size_t length = utf8_length((const unsigned char *)s.at + i, s.len - i);

		if (length == 0)
			return false;
		i += length;
	}
}

size_t str_find(struct str s, char c)
{
	const char *hit = s.len ? memchr(s.at, c, s.len) : NULL;

	return hit ? (size_t)(hit - s.at) : STR_NONE;
}

size_t str_find_last(struct str s, char c)
{
	const char *hit = s.len ? memrchr(s.at, c, s.len) : NULL;

	return hit ? (size_t)(hit - s.at) : STR_NONE;
}

size_t str_find_str(struct str s, struct str what)
{
	const char *hit = s.len ? memmem(s.at, s.len, what.at, what.len) : NULL;

	return hit ? (size_t)(hit - s.at) : STR_NONE;
}

struct str str_from(struct str s, size_t start)
{
	if (start >= s.len)
		return (struct str){ NULL, 0 };
	return (struct str){ s.at + start, s.len - start };
}

struct str str_first(struct str s, size_t len)
{
	return (struct str){ s.at, s.len < len ? s.len : len };
}

struct str str_trim(struct str s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
		s = str_from(s, 1);
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_digit((unsigned char)s.at[i]) ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.at[i] - '0'), &value) || value > max)
			return false;
	}
	*out = value;
	return true;
}

void str_hash_seed(uint64_t seed)
{
	hash_seed = seed;
}

/* FNV-1a with a seed and a final mix: tables are seeded per process, so collisions cannot be chosen. */
uint64_t str_hash(struct str s)
{
	uint64_t hash = 0xCBF2'9CE4'8422'2325u ^ hash_seed;

	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ (unsigned char)s.at[i]) * 0x100'0000'01B3u;
	hash ^= hash >> 32;
	hash *= 0xD6E8'FEB8'6659'FD93u;
	return hash ^ (hash >> 32);
}

char *str_dup_c(struct arena *arena, struct str s)
{
	char *copy = arena_take(arena, s.len + 1);

	if (s.len)
		memcpy(copy, s.at, s.len);
	copy[s.len] = 0;
	return copy;
}

struct str str_dup(struct arena *arena, struct str s)
{
	return (struct str){ str_dup_c(arena, s), s.len };
}

struct str str_lower(struct arena *arena, struct str s)
{
	char *copy = str_dup_c(arena, s);

	for (size_t i = 0; i < s.len; i++)
		copy[i] = (char)ascii_lower((unsigned char)copy[i]);
	return (struct str){ copy, s.len };
}

struct str str_print(struct arena *arena, const char *format, ...)
{
	char most[256]; /* are not longer */
	va_list args;
	va_list again;
	char *text;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(most, sizeof(most), format, args);
	va_end(args);
	must(len >= 0);
	text = arena_take(arena, (size_t)len + 1);
	if ((size_t)len < sizeof(most))
		memcpy(text, most, (size_t)len + 1);
	else
		vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	return (struct str){ text, (size_t)len };
}
