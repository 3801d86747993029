/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first octet is the maximum; a lower maximum gives a beginning of the same text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(arena) struct arena arena = { 0 };
	struct str value;
	struct str all;
	struct str cut;

	if (size == 0)
		return 0;
	value = (struct str){ (const char *)data + 1, size - 1 };
	all = words_decode(&arena, value, SIZE_MAX / 8);
	cut = words_decode(&arena, value, data[0]);
	must(str_is_utf8(all) && str_is_utf8(cut));
	must(cut.len <= data[0] && str_starts(all, cut));
	for (size_t i = 0; i < all.len; i++)
		must((unsigned char)all.at[i] >= ' ' && all.at[i] != 0x7F);
	return 0;
}
