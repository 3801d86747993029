/* SPDX-License-Identifier: Apache-2.0 */
#include "config/value.h"

#include <stdarg.h>
#include <stdio.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "G", 1073741824 }, { "M", 1048576 }, { "K", 1024 }, { "", 1 }
};
static const struct unit duration_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }
};

static bool wrong(char complaint[VALUE_COMPLAINT_MAX], const char *format, ...) PRINTF_LIKE(2, 3);
static bool wrong(char complaint[VALUE_COMPLAINT_MAX], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(complaint, VALUE_COMPLAINT_MAX, format, arguments);
	va_end(arguments);
	return false;
}

static void print_with_units(uint64_t value, const struct unit *units, size_t count,
			     struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		if (value >= units[i].factor && value % units[i].factor == 0) {
			buf_print(out, "%llu%s", (unsigned long long)(value / units[i].factor),
				  units[i].name);
			return;
		}
	}
	buf_print(out, "%llu", (unsigned long long)value);
}

void value_print_size(uint64_t octets, struct buf *out)
{
	print_with_units(octets, size_units, COUNT_OF(size_units), out);
}

void value_print_duration(int64_t ms, struct buf *out)
{
	print_with_units((uint64_t)ms, duration_units, COUNT_OF(duration_units), out);
}

/* Digits, then the name of a unit. */
static bool take_with_unit(struct str text, const struct unit *units, size_t count, uint64_t *out)
{
	struct scan scan = scan_of(text);
	uint64_t number;

	if (!take_number(&scan, UINT64_MAX, &number))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (str_is_nocase(scan_rest(&scan), str_of(units[i].name)))
			return !__builtin_mul_overflow(number, units[i].factor, out);
	}
	if (number == 0 && scan_at_end(&scan)) { /* nothing is nothing in every unit */
		*out = 0;
		return true;
	}
	return false;
}

void value_print_bound(const struct option_row *row, uint64_t bound, struct buf *out)
{
	if (row->type == OPTION_SIZE)
		value_print_size(bound, out);
	else if (row->type == OPTION_DURATION)
		value_print_duration((int64_t)bound, out);
	else
		buf_print(out, "%llu", (unsigned long long)bound);
}

static bool check_range(const struct option_row *row, uint64_t value,
			char complaint[VALUE_COMPLAINT_MAX])
{
	OWNED(buf) struct buf low = BUF(40);
	OWNED(buf) struct buf high = BUF(40);

	if (value >= row->min && value <= row->max)
		return true;
	value_print_bound(row, row->min, &low);
	value_print_bound(row, row->max, &high);
	return wrong(complaint, "is out of range; write a value from %.*s to %.*s",
		     STR_ARGS(buf_str(&low)), STR_ARGS(buf_str(&high)));
}

static bool take_flag(struct str text, bool *out, char complaint[VALUE_COMPLAINT_MAX])
{
	static const struct {
		const char *word;
		bool value;
	} words[] = { { "yes", true }, { "true", true },   { "on", true },
		      { "no", false }, { "false", false }, { "off", false } };

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (str_is_nocase(text, str_of(words[i].word))) {
			*out = words[i].value;
			return true;
		}
	}
	return wrong(complaint, "'%.*s' is neither yes nor no; write yes or no", STR_ARGS(text));
}

static bool is_choice(const char *choices, struct str text)
{
	struct str rest = str_of(choices);

	while (rest.len > 0) {
		size_t blank = str_find(rest, ' ');
		struct str word = str_first(rest, blank == STR_NONE ? rest.len : blank);

		if (str_is(word, text))
			return true;
		rest = str_from(rest, word.len + 1);
	}
	return false;
}

static bool take_text(struct arena *arena, const struct option_row *row, struct str text,
		      struct str *out, char complaint[VALUE_COMPLAINT_MAX])
{
	const char *choices = option_choices(row->name);

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c < 32 || c == 127)
			return wrong(complaint, "holds a control character; write it on one line");
	}
	if (text.len > 1000)
		return wrong(complaint, "is longer than 1000 octets; shorten it");
	if (choices && !(text.len == 0 && row->preset[0] == '\0') && !is_choice(choices, text))
		return wrong(complaint, "'%.*s' is no choice; write one of: %s",
			     STR_ARGS(str_first(text, 100)), choices);
	*out = str_dup(arena, text);
	return true;
}

static bool take_number_text(struct str text, uint64_t *out, char complaint[VALUE_COMPLAINT_MAX])
{
	if (str_to_u64(text, UINT64_MAX, out))
		return true;
	return wrong(complaint, "'%.*s' is no number; write digits only",
		     STR_ARGS(str_first(text, 100)));
}

static bool take_size(struct str text, uint64_t *out, char complaint[VALUE_COMPLAINT_MAX])
{
	if (take_with_unit(text, size_units, COUNT_OF(size_units), out))
		return true;
	return wrong(complaint, "'%.*s' is no size; write octets, or a number with K, M or G: 25M",
		     STR_ARGS(str_first(text, 100)));
}

static bool take_duration(struct str text, uint64_t *out, char complaint[VALUE_COMPLAINT_MAX])
{
	if (take_with_unit(text, duration_units, COUNT_OF(duration_units), out))
		return true;
	return wrong(complaint, "'%.*s' is no duration; write a number with ms, s, m, h or d: 30s",
		     STR_ARGS(str_first(text, 100)));
}

struct config_list value_list(struct arena *arena, struct str text)
{
	struct config_list list = { 0 };
	size_t most = 1;

	for (size_t i = 0; i < text.len; i++)
		most += text.at[i] == ',';
	list.at = NEW_ARRAY(arena, struct str, most);
	for (size_t i = 0; i < most; i++) {
		size_t comma = str_find(text, ',');
		struct str word = str_trim(str_first(text, comma == STR_NONE ? text.len : comma));

		if (word.len > 0)
			list.at[list.count++] = str_dup(arena, word);
		if (comma == STR_NONE)
			break;
		text = str_from(text, comma + 1);
	}
	return list;
}

bool value_take(struct arena *arena, const struct option_row *row, struct str text, void *place,
		char complaint[VALUE_COMPLAINT_MAX])
{
	uint64_t number = 0;

	switch (row->type) {
	case OPTION_TEXT:
		return take_text(arena, row, text, place, complaint);
	case OPTION_FLAG:
		return take_flag(text, place, complaint);
	case OPTION_LIST:
		*(struct config_list *)place = value_list(arena, text);
		return true;
	case OPTION_NUMBER:
		if (!take_number_text(text, &number, complaint))
			return false;
		break;
	case OPTION_SIZE:
		if (!take_size(text, &number, complaint))
			return false;
		break;
	case OPTION_DURATION:
		if (!take_duration(text, &number, complaint))
			return false;
		break;
	}
	if (!check_range(row, number, complaint))
		return false;
	if (row->type == OPTION_DURATION)
		*(int64_t *)place = (int64_t)number;
	else
		*(uint64_t *)place = number;
	return true;
}
