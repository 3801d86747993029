/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 that is taken has one spelling, and each octet string comes back; what is escaped for logs,
 * JSON and manuals holds nothing that could be more than text; an id reads back as itself.
 */
#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 65536, OUTPUT_MAX = 16 * INPUT_MAX };

static void check_base64(struct arena *arena, struct str input)
{
	OWNED(buf) struct buf text = BUF(OUTPUT_MAX);
	struct str octets;

	must(!base64_add(&text, input));
	must(base64_take(arena, buf_str(&text), &octets) && str_is(octets, input));
	if (!base64_take(arena, input, &octets))
		return;
	buf_reset(&text);
	must(!base64_add(&text, octets) && str_is(buf_str(&text), input));
}

static void check_text(struct str input)
{
	OWNED(buf) struct buf text = BUF(OUTPUT_MAX);

	must(!escape_add(&text, input) && str_is_utf8(buf_str(&text)));
	for (size_t i = 0; i < text.len; i++)
		must((unsigned char)text.at[i] >= ' ' && text.at[i] != 0x7f);
	buf_reset(&text);
	must(!json_add_string(&text, input) && str_is_utf8(buf_str(&text)));
	must(text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"');
	for (size_t i = 0; i < text.len; i++)
		must((unsigned char)text.at[i] >= ' ');
	must(str_find_str(buf_str(&text), S("\xC2\x9B")) == STR_NONE);
	must(str_find_str(buf_str(&text), S("\xE2\x80\xAE")) == STR_NONE);
	buf_reset(&text);
	must(!mdoc_add(&text, input));
}

static void check_id(struct str input)
{
	char text[ID_TEXT + 1];
	uint64_t id;
	uint64_t again;

	if (!id_parse(input, &id))
		return;
	id_print(id, text);
	must(id_parse(str_of(text), &again) && again == id && str_is_nocase(str_of(text), input));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data, size };
	struct arena arena = { 0 };

	if (size > INPUT_MAX)
		return 0;
	check_base64(&arena, input);
	check_text(input);
	check_id(input);
	arena_drop(&arena);
	return 0;
}
