/* SPDX-License-Identifier: Apache-2.0 */
/* glasspost.conf(5), made from options.def. */
#include "config/table.h"

static const char head[] =
	".\\\" Made by `glasspost document configuration-manual` from src/config/options.def.\n"
	".Dd November 21, 2026\n"
	".Dt GLASSPOST.CONF 5\n"
	".Os\n"
	".Sh NAME\n"
	".Nm glasspost.conf\n"
	".Nd configuration of the mail system glasspost\n"
	".Sh DESCRIPTION\n"
	"One file in the data directory.\n"
	"A line is\n"
	".Ar name Li = Ar value ;\n"
	"what follows a # is a comment.\n"
	"Texts with blanks stand in double quotes, lists in braces with commas.\n"
	"Sizes take K, M and G, powers of 1024; times take ms, s, m, h and d.\n"
	".Pp\n"
	".Ic glasspost check\n"
	"names every mistake with its line and what to do;\n"
	".Ic glasspost reload\n"
	"takes a changed file over, or refuses it and keeps the old one.\n"
	".Sh GENERAL OPTIONS\n"
	".Bl -tag -width Ds\n";

static const char between[] = ".El\n"
			      ".Sh LISTENERS\n"
			      "Each listener is a section of its own:\n"
			      ".Bd -literal -offset indent\n"
			      "listener \"mx\" {\n"
			      "\tprotocol = smtp\n"
			      "\taddress = { 192.0.2.1, 2001:db8::1 }\n"
			      "}\n"
			      ".Ed\n"
			      ".Pp\n"
			      "While the file names none, there are these:\n"
			      ".Bl -tag -width Ds\n";

static const char tail[] = ".El\n"
			   ".Sh SEE ALSO\n"
			   ".Xr glasspost 1\n";

static void add_row(struct buf *out, const struct option_row *row)
{
	const char *choices = option_choices(row->name);

	buf_print(out, ".It Ic %s\n", row->name);
	mdoc_add(out, str_of(row->doc));
	if (choices)
		buf_print(out, "One of: %s.\n", choices);
	if (row->preset[0]) {
		buf_add_c(out, "Default:\n");
		mdoc_add(out, str_of(row->preset));
	}
}

enum err config_manual(struct buf *out)
{
	buf_add_c(out, head);
	for (size_t i = 0; i < config_row_count; i++)
		add_row(out, &config_rows[i]);
	buf_add_c(out, between);
	for (size_t i = 0; i < listener_preset_count; i++) {
		const struct listener_preset *p = &listener_presets[i];

		buf_print(out, ".It %s\nprotocol %s, address %s, tls %s:\n%s.\n", p->name,
			  p->protocol, p->address, p->tls, p->doc);
	}
	buf_add_c(out, ".El\n.Sh LISTENER OPTIONS\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < listener_row_count; i++)
		add_row(out, &listener_rows[i]);
	buf_add_c(out, tail);
	return out->failed ? ERR_LIMIT : OK;
}
