/* SPDX-License-Identifier: Apache-2.0 */
#include "record/kept.h"

#include <stdlib.h>

void kept_drop(struct str *place)
{
	free((char *)(uintptr_t)place->at);
	*place = (struct str){ 0 };
}

struct str text_cut(struct str text, size_t max)
{
	if (text.len <= max)
		return text;
	while (max && ((unsigned char)text.at[max] & 0xc0) == 0x80)
		max--;
	return str_first(text, max);
}

void kept_set(struct str *place, struct str text, size_t max)
{
	text = text_cut(text, max);
	if (str_is(*place, text))
		return;
	kept_drop(place);
	if (!text.len)
		return;
	*place = (struct str){ malloc(text.len), text.len };
	must(place->at);
	memcpy((char *)(uintptr_t)place->at, text.at, text.len);
}
