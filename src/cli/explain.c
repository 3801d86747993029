/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/explain.h"

#include <stdio.h>
#include <stdlib.h>

enum { WAY_MAX = 120 };

static const char *const depth_names[DEPTHS] = { "newcomer", "student", "rfc" };

const char *depth_name(enum depth depth)
{
	must(depth < DEPTHS);
	return depth_names[depth];
}

bool depth_parse(struct str name, enum depth *out)
{
	for (unsigned i = 0; i < DEPTHS; i++)
		if (str_is_nocase(name, str_of(depth_names[i]))) {
			*out = (enum depth)i;
			return true;
		}
	return false;
}

const char *explanation_text(const struct explanation *explanation, enum depth depth)
{
	switch (depth) {
	case DEPTH_STUDENT:
		return explanation->student;
	case DEPTH_RFC:
		return explanation->rfc_says;
	default:
		return explanation->newcomer;
	}
}

static int by_way(const void *key, const void *entry)
{
	return strcmp(key, ((const struct explanation *)entry)->way);
}

static const struct explanation *find(const char *group, const char *section, struct str name)
{
	char way[WAY_MAX];
	int len = snprintf(way, sizeof way, "%s%s%s/%.*s", group, section[0] ? "/" : "", section,
			   STR_ARGS(name));

	if (len < 0 || (size_t)len >= sizeof way)
		return NULL;
	return bsearch(way, explanations, explanation_count, sizeof explanations[0], by_way);
}

const char *explain_family(struct str protocol)
{
	if (str_starts(protocol, S("pop3")))
		return "pop3";
	return str_starts(protocol, S("lmtp")) ? "lmtp" : "smtp";
}

/* 5xx of 599, 5.x.x of 5.9.9. */
static const struct explanation *find_class(const char *section, struct str name)
{
	char text[8];

	if (name.len == 0 || !ascii_is_digit((unsigned char)name.at[0]))
		return NULL;
	if (strcmp(section, "codes") == 0)
		snprintf(text, sizeof text, "%cxx", name.at[0]);
	else if (strcmp(section, "enhanced") == 0)
		snprintf(text, sizeof text, "%c.x.x", name.at[0]);
	else
		return NULL;
	return find("smtp", section, str_of(text));
}

const struct explanation *explain(struct str protocol, const char *section, struct str name)
{
	const char *family = explain_family(protocol);
	const struct explanation *found = find(family, section, name);

	if (found || strcmp(family, "pop3") == 0)
		return found;
	found = find("smtp", section, name);
	/* LHLO is LMTP's; a client that says it to SMTP is told so, and so is who watches. */
	if (!found)
		found = find("lmtp", section, name);
	return found ? found : find_class(section, name);
}

const struct explanation *explain_event(const char *kind)
{
	return find("events", "", str_of(kind));
}

const struct explanation *explain_mechanism(struct str name)
{
	return find("sasl", "", name);
}
