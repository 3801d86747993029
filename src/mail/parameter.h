/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * parameter: "; name=value" of Content-Type and Content-Disposition (rfc2045 5.1), continuations,
 * character sets and percent encoding joined and decoded (rfc2231). The first of two of the same
 * name counts.
 */
struct parameter {
	struct str name;  /* lower case, without "*0*" */
	struct str value; /* UTF-8 when it came by rfc2231 or was ASCII, else as written */
};

struct parameters {
	struct parameter *items;
	size_t count;
	bool is_cut; /* there were more than LIMIT_mime_parameters */
};

/* From the first ";" on. */
void parameters_parse(struct arena *arena, struct scan *scan, struct parameters *out);
/* The empty string when there is none; *found may be NULL. */
struct str parameters_find(const struct parameters *parameters, struct str name, bool *found);
/* rfc2045 5.1 token (no blanks, controls or tspecials). */
bool take_token(struct scan *scan, struct str *out);
/*
 * rfc5322 3.2.4 quoted-string, its quotes, backslashes and folding gone; one that is left open
 * ends with the text.
 */
bool take_quoted_string(struct arena *arena, struct scan *scan, struct str *out);
