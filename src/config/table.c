/* SPDX-License-Identifier: Apache-2.0 */
#include "config/table.h"

#define OPTION(name, type, preset, min, max, doc)                                                  \
	{ #name, OPTION_##type, preset, min, max, doc, offsetof(struct config, name), false },
#define START_OPTION(name, type, preset, min, max, doc)                                            \
	{ #name,                                                                                   \
	  OPTION_##type,                                                                           \
	  preset,                                                                                  \
	  min,                                                                                     \
	  max,                                                                                     \
	  doc " Counts from the next start.",                                                      \
	  offsetof(struct config, name),                                                           \
	  true },
const struct option_row config_rows[] = {
#include "config/options.def"
};
const size_t config_row_count = COUNT_OF(config_rows);
static_assert(COUNT_OF(config_rows) <= COUNT_OF(((struct config *)0)->line_of),
	      "config.h: line_of holds a line for each option");

#define LISTENER_OPTION(name, type, preset, min, max, doc)                                           \
	{                                                                                            \
		#name, OPTION_##type, preset, min, max, doc, offsetof(struct config_listener, name), \
		false                                                                                \
	},
const struct option_row listener_rows[] = {
#include "config/options.def"
};
const size_t listener_row_count = COUNT_OF(listener_rows);

static const struct {
	const char *name;
	const char *words;
} choices[] = {
	{ "sandbox", "try required" },
	{ "relay", "users nobody" },
	{ "bare_newlines", "refuse normalise" },
	{ "long_lines", "accept refuse" },
	{ "subaddress_folders", "existing create inbox" },
	{ "pregreet", "note refuse" },
	{ "log", "text json postfix dev" },
	{ "protocol", "smtp submission lmtp pop3 http" },
	{ "tls", "none starttls implicit" },
	{ "tls_versions", "1.2 1.3 old" },
	{ "auth", "none offered required" },
};

const struct listener_preset listener_presets[] = {
	{ "mx", "smtp", "0.0.0.0, ::", "starttls", "other servers' mail for our users: 25" },
	{ "mx-socket", "smtp", "run/smtp.sock", "none",
	  "the same for programs of this machine; `glasspost smtp` speaks here" },
	{ "submission", "submission", "0.0.0.0, ::", "starttls",
	  "our users' mail, TLS and a login required: 587" },
	{ "submissions", "submission", "0.0.0.0, ::", "implicit", "the same, TLS at once: 465" },
	{ "lmtp", "lmtp", "127.0.0.1, ::1", "none", "programs of this machine: 24" },
	{ "lmtp-socket", "lmtp", "run/lmtp.sock", "none", "the same, in the data directory" },
	{ "pop3", "pop3", "0.0.0.0, ::", "starttls", "users fetch their mail: 110" },
	{ "pop3s", "pop3", "0.0.0.0, ::", "implicit", "the same, TLS at once: 995" },
	{ "web", "http", "127.0.0.1, ::1", "none", "browsers of this machine: 80" },
};
const size_t listener_preset_count = COUNT_OF(listener_presets);

const struct option_row *option_find(const struct option_row *rows, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++) {
		if (str_is(str_of(rows[i].name), name))
			return &rows[i];
	}
	return NULL;
}

const char *option_choices(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(choices); i++) {
		if (strcmp(choices[i].name, name) == 0)
			return choices[i].words;
	}
	return NULL;
}

enum { NAME_MAX_COMPARED = 48 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static bool same_letter(struct str a, size_t i, struct str b, size_t j)
{
	return ascii_lower((unsigned char)a.at[i]) == ascii_lower((unsigned char)b.at[j]);
}

/*
 * Letters to change, add or drop, and neighbours to swap, to make one word of the other (Levenshtein,
 * with Damerau's swaps).
 */
static unsigned distance(struct str a, struct str b)
{
	unsigned rows[3][NAME_MAX_COMPARED + 1];

	a = str_first(a, NAME_MAX_COMPARED);
	b = str_first(b, NAME_MAX_COMPARED);
	for (unsigned j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *last = rows[(i + 2) % 3];
		const unsigned *older = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			bool same = same_letter(a, i - 1, b, j - 1);

			row[j] = least(last[j - 1] + !same, least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && same_letter(a, i - 1, b, j - 2) &&
			    same_letter(a, i - 2, b, j - 1))
				row[j] = least(row[j], older[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

const char *option_nearest(const struct option_row *rows, size_t count, struct str name)
{
	const char *nearest = NULL;
	unsigned best = (unsigned)(name.len / 2 < 4 ? name.len / 2 : 4) + 1;

	for (size_t i = 0; i < count; i++) {
		unsigned d = distance(name, str_of(rows[i].name));

		if (d < best) {
			best = d;
			nearest = rows[i].name;
		}
	}
	return nearest;
}
