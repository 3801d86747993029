/* SPDX-License-Identifier: Apache-2.0 */
#include "config/table.h"
#include "config/value.h"

/* ---- the commented file ---- */

enum { FILE_COLUMNS = 92 };

/* A text broken at blanks, each line begun by `start`. */
static void add_wrapped(struct buf *out, const char *start, struct str text)
{
	while (text.len > 0) {
		size_t end = text.len < FILE_COLUMNS ? text.len : FILE_COLUMNS;

		while (end < text.len && end > 0 && text.at[end] != ' ')
			end--;
		if (end == 0)
			end = text.len; /* one word that is too long */
		buf_print(out, "%s%.*s\n", start, (int)end, text.at);
		text = str_trim(str_from(text, end));
	}
}

static void add_list_value(struct buf *out, struct str preset)
{
	struct arena arena = { 0 };
	struct config_list list = value_list(&arena, preset);

	buf_add_c(out, "{");
	for (size_t i = 0; i < list.count; i++)
		buf_print(out, "%s\"%.*s\"", i ? ", " : " ", STR_ARGS(list.at[i]));
	buf_add_c(out, list.count ? " }" : "}");
	arena_drop(&arena);
}

static void add_value(struct buf *out, const struct option_row *row)
{
	if (row->type == OPTION_LIST)
		add_list_value(out, str_of(row->preset));
	else if (row->type == OPTION_TEXT)
		buf_print(out, "\"%s\"", row->preset);
	else
		buf_add_c(out, row->preset);
}

static void add_row(struct buf *out, const char *indent, const struct option_row *row,
		    struct str hostname)
{
	const char *choices = option_choices(row->name);
	char start[16] = "# ";

	if (indent[0])
		memcpy(start, "#\t# ", sizeof "#\t# ");
	add_wrapped(out, start, str_of(row->doc));
	if (choices)
		buf_print(out, "%sOne of: %s\n", start, choices);
	if (strcmp(row->name, "hostname") == 0 && hostname.len > 0) {
		buf_print(out, "hostname = \"%.*s\"\n\n", STR_ARGS(hostname));
		return;
	}
	buf_print(out, "#%s%s = ", indent, row->name);
	add_value(out, row);
	buf_add_c(out, indent[0] ? "\n#\n" : "\n\n");
}

static void add_presets(struct buf *out)
{
	buf_add_c(out, "# Listeners. While this file names none, these are there:\n#\n");
	for (size_t i = 0; i < listener_preset_count; i++) {
		const struct listener_preset *preset = &listener_presets[i];

		buf_print(out, "# %s\n#listener \"%s\" {\n#\tprotocol = %s\n", preset->doc,
			  preset->name, preset->protocol);
		buf_add_c(out, "#\taddress = ");
		add_list_value(out, str_of(preset->address));
		buf_print(out, "\n#\ttls = %s\n#}\n#\n", preset->tls);
	}
	buf_add_c(out, "# One listener named here takes the place of all of them. Its options:\n"
		       "#\n#listener \"name\" {\n");
}

enum err config_write_default(struct str hostname, struct buf *out)
{
	buf_add_c(out, "# Configuration of Glasspost, glasspost.conf(5). A line begun by # is a "
		       "comment; what\n# stands commented out is the default. "
		       "Check it with `glasspost check`, then reload with\n"
		       "# `glasspost reload` or SIGHUP.\n\n");
	for (size_t i = 0; i < config_row_count; i++)
		add_row(out, "", &config_rows[i], hostname);
	add_presets(out);
	for (size_t i = 0; i < listener_row_count; i++)
		add_row(out, "\t", &listener_rows[i], S(""));
	buf_add_c(out, "#}\n");
	return out->failed ? ERR_LIMIT : OK;
}

/* ---- the document ---- */

static const char *type_name(enum option_type type)
{
	static const char *const names[] = {
		[OPTION_TEXT] = "text", [OPTION_FLAG] = "yes or no", [OPTION_NUMBER] = "number",
		[OPTION_SIZE] = "size", [OPTION_DURATION] = "time",  [OPTION_LIST] = "list",
	};

	return names[type];
}

static void add_markdown_row(struct buf *out, const struct option_row *row)
{
	const char *choices = option_choices(row->name);

	buf_print(out, "### `%s`\n\n%s\n\n*%s", row->name, row->doc, type_name(row->type));
	if (row->max > 0) {
		buf_add_c(out, ", ");
		value_print_bound(row, row->min, out);
		buf_add_c(out, " to ");
		value_print_bound(row, row->max, out);
	}
	if (choices)
		buf_print(out, ", one of: %s", choices);
	if (row->preset[0])
		buf_print(out, "; default `%s`*\n\n", row->preset);
	else
		buf_add_c(out, "; default: empty*\n\n");
}

enum err config_markdown(struct buf *out)
{
	buf_add_c(out, "## General options\n\n");
	for (size_t i = 0; i < config_row_count; i++)
		add_markdown_row(out, &config_rows[i]);
	buf_add_c(out, "## Options of a listener\n\nWritten inside `listener \"NAME\" { ... }`. "
		       "While the file names no listener, these are there:\n\n"
		       "| name | protocol | address | tls | for |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < listener_preset_count; i++) {
		const struct listener_preset *p = &listener_presets[i];

		buf_print(out, "| `%s` | %s | %s | %s | %s |\n", p->name, p->protocol, p->address,
			  p->tls, p->doc);
	}
	buf_add_char(out, '\n');
	for (size_t i = 0; i < listener_row_count; i++)
		add_markdown_row(out, &listener_rows[i]);
	return out->failed ? ERR_LIMIT : OK;
}

/* ---- what holds now ---- */

static void add_json_list(struct buf *out, const struct config_list *list)
{
	buf_add_char(out, '[');
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			buf_add_char(out, ',');
		json_add_string(out, list->at[i]);
	}
	buf_add_char(out, ']');
}

static void add_json_value(struct buf *out, const struct option_row *row, const void *place)
{
	switch (row->type) {
	case OPTION_TEXT:
		json_add_string(out, *(const struct str *)place);
		break;
	case OPTION_FLAG:
		buf_add_c(out, *(const bool *)place ? "true" : "false");
		break;
	case OPTION_LIST:
		add_json_list(out, place);
		break;
	case OPTION_DURATION:
		buf_print(out, "%lld", (long long)*(const int64_t *)place);
		break;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		buf_print(out, "%llu", (unsigned long long)*(const uint64_t *)place);
		break;
	}
}

static void add_json_listener(struct buf *out, const struct config_listener *listener)
{
	buf_add_c(out, "{\"name\":");
	json_add_string(out, listener->name);
	buf_print(out, ",\"line\":%u,\"real_port\":%u", listener->line, listener->real_port);
	for (size_t i = 0; i < listener_row_count; i++) {
		buf_print(out, ",\"%s\":", listener_rows[i].name);
		add_json_value(out, &listener_rows[i],
			       (const char *)listener + listener_rows[i].offset);
	}
	buf_add_char(out, '}');
}

enum err config_json(const struct config *config, struct buf *out)
{
	struct arena arena = { 0 };

	buf_add_c(out, "{\"file\":");
	json_add_string(out, config->file);
	buf_add_c(out, ",\"options\":[");
	for (size_t i = 0; i < config_row_count; i++) {
		buf_print(out, "%s{\"name\":\"%s\",\"value\":", i ? "," : "", config_rows[i].name);
		add_json_value(out, &config_rows[i], (const char *)config + config_rows[i].offset);
		buf_add_c(out, ",\"origin\":");
		json_add_string(out, config_origin(config, &arena, config_rows[i].name));
		buf_add_char(out, '}');
	}
	buf_add_c(out, "],\"listeners\":[");
	for (size_t i = 0; i < config->listener_count; i++) {
		if (i)
			buf_add_char(out, ',');
		add_json_listener(out, &config->listeners[i]);
	}
	buf_add_c(out, "]}");
	arena_drop(&arena);
	return out->failed ? ERR_LIMIT : OK;
}
