/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/json.h"
#include "trace/ring.h"

/* The members that every line has, in the order in which they are written. */
static const struct member {
	const char *name;
	const char *type; /* as JSON Schema has it */
	const char *doc;
} members[] = {
	{ "v", "\"const\": 1", "version of this format" },
	{ "kind", NULL, "what happened: one of the kinds below" },
	{ "session", "\"type\": [\"string\", \"null\"], \"pattern\": \"^[0-9A-HJKMNP-TV-Z]{13}$\"",
	  "the session's id; null when the event belongs to none" },
	{ "time", "\"type\": \"string\", \"format\": \"date-time\"",
	  "`wall_us` for people, in UTC" },
	{ "wall_us", "\"type\": \"integer\"", "microseconds since 1970-01-01T00:00:00Z" },
	{ "at_us", "\"type\": \"integer\"",
	  "microseconds of a clock that never jumps; only differences within one run mean "
	  "anything" },
	{ "sequence", "\"type\": \"integer\", \"minimum\": 0",
	  "counts the events of one role process; a gap is a loss" },
	{ "role", "\"type\": \"string\"", "which role saw it" },
	{ "role_index", "\"type\": \"integer\", \"minimum\": 0, \"maximum\": 255",
	  "which process of that role" },
	{ "direction", "\"enum\": [\"none\", \"from-client\", \"to-client\"]",
	  "which way it went, for events that are octets on the wire" },
	{ "cut", "\"type\": \"boolean\"", "a text was longer than the limit and was cut" },
	{ "masked", "\"type\": \"boolean\"", "a secret was replaced before the event was written" },
	{ "encrypted", "\"type\": \"boolean\"", "the connection was under TLS at that moment" },
	{ "fields", "\"type\": \"object\"", "what is particular to the kind" },
};

static void schema_kinds(struct buf *out)
{
	buf_add(out, S("\"enum\": ["));
	for (size_t i = 0; i < trace_kind_count; i++)
		buf_print(out, "%s\"%s\"", i ? ", " : "", trace_kinds[i].name);
	buf_add(out, S("]"));
}

static void schema_members(struct buf *out)
{
	buf_add(out, S("  \"properties\": {\n"));
	for (size_t i = 0; i < COUNT_OF(members); i++) {
		buf_print(out, "    \"%s\": { ", members[i].name);
		if (members[i].type)
			buf_add_c(out, members[i].type);
		else
			schema_kinds(out);
		buf_add(out, S(", \"description\": "));
		json_add_string(out, str_of(members[i].doc));
		buf_add_c(out, i + 1 < COUNT_OF(members) ? " },\n" : " }\n");
	}
	buf_add(out, S("  },\n  \"required\": ["));
	for (size_t i = 0; i < COUNT_OF(members); i++)
		buf_print(out, "%s\"%s\"", i ? ", " : "", members[i].name);
	buf_add(out, S("],\n"));
}

static void schema_kind(struct buf *out, const struct trace_kind_info *kind)
{
	buf_print(out,
		  "    { \"if\": { \"properties\": { \"kind\": { \"const\": \"%s\" } } },\n"
		  "      \"then\": { \"description\": ",
		  kind->name);
	json_add_string(out, str_of(kind->doc));
	buf_add(out, S(", \"properties\": { \"fields\": {\n"
		       "        \"type\": \"object\", \"properties\": {\n"));
	for (size_t i = 0; i < kind->field_count; i++) {
		const struct trace_field_info *field = &kind->fields[i];

		buf_print(out, "          \"%s\": { \"type\": \"%s\", ", field->name,
			  field->is_text ? "string"
					 : "integer\", \"minimum\": 0, \"format\": \"int64");
		buf_add(out, S("\"description\": "));
		json_add_string(out, str_of(field->doc));
		buf_add_c(out, i + 1 < kind->field_count ? " },\n" : " } },\n");
	}
	buf_add(out, S("        \"required\": ["));
	for (size_t i = 0; i < kind->field_count; i++)
		buf_print(out, "%s\"%s\"", i ? ", " : "", kind->fields[i].name);
	buf_add(out, S("] } } } }"));
}

enum err trace_schema_json(struct buf *out)
{
	buf_add(out, S("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
		       "  \"title\": \"One line of a Glasspost trace\",\n"
		       "  \"type\": \"object\",\n"));
	schema_members(out);
	buf_add(out, S("  \"allOf\": [\n"));
	for (size_t i = 0; i < trace_kind_count; i++) {
		schema_kind(out, &trace_kinds[i]);
		buf_add_c(out, i + 1 < trace_kind_count ? ",\n" : "\n");
	}
	buf_add(out, S("  ]\n}\n"));
	return out->failed ? ERR_LIMIT : OK;
}

enum err trace_schema_markdown(struct buf *out)
{
	buf_add(out, S("### Members of every line\n\n| member | meaning |\n|---|---|\n"));
	for (size_t i = 0; i < COUNT_OF(members); i++)
		buf_print(out, "| `%s` | %s |\n", members[i].name, members[i].doc);
	buf_add(out, S("\n### Kinds and their fields\n"));
	for (size_t i = 0; i < trace_kind_count; i++) {
		const struct trace_kind_info *kind = &trace_kinds[i];

		buf_print(out,
			  "\n#### `%s` (%u)\n\n%s\n\n| field | type | meaning |\n|---|---|---|\n",
			  kind->name, kind->number, kind->doc);
		for (size_t j = 0; j < kind->field_count; j++)
			buf_print(out, "| `%s` | %s | %s |\n", kind->fields[j].name,
				  kind->fields[j].is_text ? "text" : "number", kind->fields[j].doc);
	}
	return out->failed ? ERR_LIMIT : OK;
}
