/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_value(struct arena *arena, struct str value)
{
	struct scan scan = scan_of(value);
	struct parameters parameters;
	struct str id;
	struct str line = field_unfold(arena, value);

	must(str_find(line, '\n') == STR_NONE && str_find(line, '\r') == STR_NONE);
	parameters_parse(arena, &scan, &parameters);
	must(parameters.count <= LIMIT_mime_parameters);
	scan = scan_of(value);
	while (take_message_id(arena, &scan, &id))
		must(id.len >= 2 && id.at[0] == '<');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(arena) struct arena arena = { 0 };
	struct str text = { (const char *)data, size };
	size_t end = header_end(text);
	struct scan scan = scan_of(str_first(text, end));
	struct field field;
	size_t sum = 0;

	must(end <= size);
	while (take_field(&scan, &field)) {
		must(field.whole.at == (const char *)data + sum && field.whole.len > 0);
		sum += field.whole.len;
		use_value(&arena, field.value);
	}
	must(scan_rest(&scan).len <= 2);
	return 0;
}
