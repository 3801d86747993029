/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken prints as text that reads back as the same address, and prints the same again. */
static void round_trip(struct arena *arena, const struct address *address, bool allow_utf8)
{
	struct str text = address_print(arena, address);
	struct address again;

	must(address_parse(arena, text, allow_utf8, &again));
	must(address_equal(arena, address, &again));
	must(str_is(address_print(arena, &again), text));
	must(text.len <= LIMIT_path - 2);
	for (size_t i = 0; i < text.len; i++)
		must((unsigned char)text.at[i] >= ' ' && text.at[i] != 0x7F);
	must(allow_utf8 ? str_is_utf8(text) : str_is_ascii(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(arena) struct arena arena = { 0 };
	struct str text = { (const char *)data, size };
	struct mailbox_list list;
	struct address address;

	for (int utf8 = 0; utf8 < 2; utf8++) {
		struct scan scan = scan_of(text);

		if (take_mailbox(&arena, &scan, utf8, &address))
			round_trip(&arena, &address, utf8);
		else
			must(scan.at == scan_of(text).at || size == 0);
		if (is_domain_or_literal(text, utf8))
			must(text.len <= LIMIT_domain);
	}
	mailbox_list_parse(&arena, text, 100, &list);
	must(list.count <= 100);
	must(str_is_utf8(mailbox_list_show(&arena, &list, 500)));
	return 0;
}
