/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[DATE_TEXT];
	int64_t us;
	int64_t back;
	int offset;
	int offset_back;

	if (!date_parse((struct str){ (const char *)data, size }, &us, &offset))
		return 0;
	date_print(us, offset, text);
	must(date_parse(str_of(text), &back, &offset_back));
	must(back == us && offset_back == offset);
	return 0;
}
