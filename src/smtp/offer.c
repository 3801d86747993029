/* SPDX-License-Identifier: Apache-2.0 */
/* The extensions that a server names in its reply to EHLO or LHLO (rfc5321 4.1.1.1). */
#include "smtp/smtp.h"

static const struct extension {
	struct str name;
	enum smtp_extension bit;
} extensions[] = {
#define X(extension_name, place)                                                                   \
	{ { #extension_name, sizeof(#extension_name) - 1 }, SMTP_EXT_##extension_name },
	SMTP_EXTENSIONS(X)
#undef X
};

static struct str take_word(struct scan *scan)
{
	const char *start;

	take_blanks(scan);
	start = scan->at;
	while (scan->at < scan->end && *scan->at != ' ' && *scan->at != '\t')
		scan->at++;
	return (struct str){ start, (size_t)(scan->at - start) };
}

/* rfc9422 4: NAME=VALUE; what is not well formed is not said. */
static void read_limits(struct scan *scan, struct smtp_offer *offer)
{
	const struct {
		struct str name;
		uint64_t *place;
	} limits[] = {
		{ S("MAILMAX="), &offer->mail_max },
		{ S("RCPTMAX="), &offer->rcpt_max },
		{ S("RCPTDOMAINMAX="), &offer->rcpt_domain_max },
	};
	struct str word;

	while ((word = take_word(scan)).len > 0)
		for (size_t i = 0; i < COUNT_OF(limits); i++) {
			struct str digits = str_from(word, limits[i].name.len);
			uint64_t value;

			if (str_starts_nocase(word, limits[i].name) &&
			    str_to_u64(digits, 999'999, &value) && value > 0)
				*limits[i].place = value;
		}
}

static void read_mechanisms(struct arena *arena, struct str words, struct smtp_offer *offer)
{
	words = str_trim(words);
	if (words.len > 0)
		offer->mechanisms =
			str_print(arena, "%.*s%s%.*s", STR_ARGS(offer->mechanisms),
				  offer->mechanisms.len > 0 ? " " : "", STR_ARGS(words));
}

static void read_line(struct arena *arena, struct str line, struct smtp_offer *offer)
{
	struct scan scan = scan_of(line);
	struct str keyword = take_word(&scan);

	/* As servers wrote it before rfc2554, and some still do for the clients of then. */
	if (str_starts_nocase(keyword, S("AUTH="))) {
		offer->extensions |= SMTP_EXT_AUTH;
		read_mechanisms(arena, str_from(keyword, 5), offer);
		read_mechanisms(arena, scan_rest(&scan), offer);
		return;
	}
	for (size_t i = 0; i < COUNT_OF(extensions); i++)
		if (str_is_nocase(keyword, extensions[i].name))
			offer->extensions |= extensions[i].bit;
	if (str_is_nocase(keyword, S("AUTH")))
		read_mechanisms(arena, scan_rest(&scan), offer);
	else if (str_is_nocase(keyword, S("LIMITS")))
		read_limits(&scan, offer);
	else if (str_is_nocase(keyword, S("SIZE")) &&
		 !str_to_u64(take_word(&scan), UINT64_MAX, &offer->size))
		offer->size = 0;
}

void smtp_offer_parse(struct arena *arena, struct str text, struct smtp_offer *out)
{
	struct scan scan = scan_of(text);
	struct str line;
	bool is_first = true;

	*out = (struct smtp_offer){ 0 };
	while (!scan_at_end(&scan)) {
		if (!take_until(&scan, '\n', &line)) {
			line = scan_rest(&scan);
			scan.at = scan.end;
		}
		if (!is_first)
			read_line(arena, line, out);
		is_first = false;
	}
}

bool smtp_offer_has_mechanism(const struct smtp_offer *offer, struct str mechanism)
{
	struct scan scan = scan_of(offer->mechanisms);
	struct str word;

	while ((word = take_word(&scan)).len > 0)
		if (str_is_nocase(word, mechanism))
			return true;
	return false;
}
