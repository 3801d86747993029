/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#define DAY_US (INT64_C(86400) * 1000000)

static const char stamp_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static bool is_separator(int c)
{
	return c == '=' || c == '+' || c == '-';
}

static enum srs_kind kind_of(struct str local)
{
	if (local.len < 5 || !is_separator(local.at[4]))
		return SRS_NONE;
	if (str_starts_nocase(local, S("SRS0")))
		return SRS_0;
	return str_starts_nocase(local, S("SRS1")) ? SRS_1 : SRS_NONE;
}

bool srs_is(struct str local)
{
	return kind_of(local) != SRS_NONE;
}

/* Nothing else could stand in an address (rfc5321 4.1.2). */
static bool is_text(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7F)
			return false;
	return text.len > 0 && str_is_utf8(text);
}

static bool is_hash(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (base64_value((unsigned char)text.at[i]) < 0)
			return false;
	return text.len > 0;
}

static int stamp_value(char c)
{
	const char *at = c ? strchr(stamp_digits, c >= 'a' && c <= 'z' ? c - 32 : c) : NULL;

	return at ? (int)(at - stamp_digits) : -1;
}

static bool is_stamp(struct str text)
{
	return text.len == SRS_STAMP && stamp_value(text.at[0]) >= 0 &&
	       stamp_value(text.at[1]) >= 0;
}

bool srs_parse(struct str local, struct srs *out)
{
	struct srs srs = { .kind = kind_of(local) };
	struct scan scan = scan_of(str_from(local, 5));

	if (srs.kind == SRS_NONE || !take_until(&scan, '=', &srs.hash) || !is_hash(srs.hash))
		return false;
	if (srs.kind == SRS_0 && (!take_until(&scan, '=', &srs.stamp) || !is_stamp(srs.stamp)))
		return false;
	if (!take_until(&scan, '=', &srs.host) || !is_domain_or_literal(srs.host, true))
		return false;
	srs.local = scan_rest(&scan);
	if (!is_text(srs.local) || (srs.kind == SRS_1 && !is_separator(srs.local.at[0])))
		return false;
	*out = srs;
	return true;
}

struct str srs_print(struct arena *arena, const struct srs *srs)
{
	if (srs->kind == SRS_0)
		return str_print(arena, "SRS0=%.*s=%.*s=%.*s=%.*s", STR_ARGS(srs->hash),
				 STR_ARGS(srs->stamp), STR_ARGS(srs->host), STR_ARGS(srs->local));
	return str_print(arena, "SRS1=%.*s=%.*s=%.*s", STR_ARGS(srs->hash), STR_ARGS(srs->host),
			 STR_ARGS(srs->local));
}

/* A second forwarder keeps the first one's SRS0, a third one too: addresses do not grow with the way. */
void srs_of(const struct address *sender, struct srs *out)
{
	enum srs_kind kind = kind_of(sender->local);
	struct srs before;

	*out = (struct srs){ .kind = SRS_0, .host = sender->domain, .local = sender->local };
	if (kind == SRS_1 && srs_parse(sender->local, &before))
		*out = (struct srs){ .kind = SRS_1, .host = before.host, .local = before.local };
	else if (kind == SRS_0)
		*out = (struct srs){ .kind = SRS_1,
				     .host = sender->domain,
				     .local = str_from(sender->local, 4) };
}

struct address srs_sender(struct arena *arena, const struct srs *srs)
{
	struct address address = { .domain = srs->host, .local = srs->local };

	if (srs->kind == SRS_1)
		address.local = str_print(arena, "SRS0%.*s", STR_ARGS(srs->local));
	address.is_literal = srs->host.len > 0 && srs->host.at[0] == '[';
	address.is_utf8 = !str_is_ascii(address.local) || !str_is_ascii(address.domain);
	return address;
}

struct str srs_hashed(struct arena *arena, const struct srs *srs)
{
	return str_lower(arena, str_print(arena, "%.*s%.*s%.*s", STR_ARGS(srs->stamp),
					  STR_ARGS(srs->host), STR_ARGS(srs->local)));
}

static unsigned day_of(int64_t at_us)
{
	return (unsigned)(at_us / DAY_US) % SRS_DAYS;
}

void srs_stamp_print(int64_t at_us, char out[SRS_STAMP + 1])
{
	unsigned day = day_of(at_us);

	out[0] = stamp_digits[day >> 5];
	out[1] = stamp_digits[day & 31];
	out[2] = '\0';
}

unsigned srs_stamp_age(struct str stamp, int64_t now_us)
{
	if (!is_stamp(stamp))
		return SRS_DAYS;
	return (day_of(now_us) + SRS_DAYS -
		(unsigned)(stamp_value(stamp.at[0]) * 32 + stamp_value(stamp.at[1]))) %
	       SRS_DAYS;
}
