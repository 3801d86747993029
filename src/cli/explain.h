/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * explain: what a verb, a parameter, a code or an event means, in words for people. The texts are those
 * of texts/explain.en.json, made into a table while the program is built. Private to cli/.
 */
#include "base/base.h"

struct explanation {
	const char *way;   /* "smtp/verbs/EHLO" */
	const char *title; /* a few words */
	const char *rfc;   /* its sections, in words; "" where no RFC speaks of it */
	const char *syntax;
	const char *newcomer;
	const char *student;
	const char *rfc_says;
	const char *
		answers; /* codes with blanks between: what else could have been answered; may be "" */
};
extern const struct explanation explanations[]; /* sorted by way */
extern const size_t explanation_count;

enum depth { DEPTH_NEWCOMER, DEPTH_STUDENT, DEPTH_RFC, DEPTHS };
const char *depth_name(enum depth depth); /* "newcomer" ... */
bool depth_parse(struct str name, enum depth *out);
const char *explanation_text(const struct explanation *explanation, enum depth depth);

/* How texts are grouped: of "submission" and "smtp-out" it is "smtp". */
const char *explain_family(struct str protocol);
/*
 * section: "verbs", "parameters", "extensions", "codes", "enhanced" or "states". What LMTP says no
 * otherwise is SMTP's; a code that nobody knows is explained as its class (5xx, 5.x.x). NULL: nothing.
 */
const struct explanation *explain(struct str protocol, const char *section, struct str name);
const struct explanation *explain_event(const char *kind);
const struct explanation *explain_mechanism(struct str name);
