/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * str: a read-only view of octets, with a length and without a NUL. It owns nothing: whoever
 * made the octets says how long they live. {NULL, 0} is the empty string.
 */
struct str {
	const char *at;
	size_t len;
};

#define S(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
/* For printf: "%.*s", STR_ARGS(s). */
#define STR_ARGS(s) ((int)(s).len), ((s).at ? (s).at : "")

struct str str_of(const char *c_string);        /* NULL gives the empty string */
bool str_is(struct str a, struct str b);        /* the same octets */
bool str_is_nocase(struct str a, struct str b); /* ASCII letters compare alike */
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);
bool str_is_ascii(struct str s);
bool str_is_utf8(struct str s); /* rfc3629: no overlong forms, no surrogates */

#define STR_NONE SIZE_MAX
size_t str_find(struct str s, char c); /* index, or STR_NONE */
size_t str_find_last(struct str s, char c);
size_t str_find_str(struct str s, struct str what);
struct str str_from(struct str s, size_t start); /* the rest; empty when start is past the end */
struct str str_first(struct str s, size_t len);  /* at most len octets */
struct str str_trim(struct str s);               /* without SP and HTAB at both ends */

/* Decimal digits only, the whole string, no sign; false on anything else or past max. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *out);
uint64_t str_hash(struct str s); /* for tables; keyed per process by str_hash_seed */
void str_hash_seed(uint64_t seed);

char *str_dup_c(struct arena *arena, struct str s); /* NUL-terminated copy */
struct str str_dup(struct arena *arena, struct str s);
struct str str_lower(struct arena *arena, struct str s); /* ASCII letters only */
struct str str_print(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/* Of single octets, whatever the locale: everything outside of ASCII is neither letter nor digit. */
static inline unsigned char ascii_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}
static inline bool ascii_is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
