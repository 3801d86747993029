/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* words: what browsers write in the first lines of a request, read. No I/O. Private to web/. */
#include "base/base.h"

/* Host: (rfc9110 7.2): a name or an address, perhaps a port; nothing else. */
bool host_is_sound(struct str host);
/* Does it name this machine for whoever asks: localhost, a name below it, 127.0.0.0/8, [::1]? */
bool host_is_local(struct str host);
/* Origin: http:// or https:// and exactly this Host. */
bool origin_is_of(struct str origin, struct str host);
/*
 * A header field, in what it says about where a request begins and ends. Two readers of one connection (a proxy, and we)
 * that read it otherwise would let one request hide in another: what could be read in two ways is not read at all.
 */
struct framing {
	unsigned hosts, lengths;
	bool has_coding; /* Transfer-Encoding: nobody needs it here */
	bool is_unsound;
};
void framing_note(struct framing *framing, struct str name, struct str value);
/* NULL: there is one way to read it; else why not. */
const char *framing_complaint(const struct framing *framing);
/* application/json, with parameters or without. */
bool type_is_json(struct str type);
/* Does If-None-Match: or Accept-Encoding: list it? A parameter of q=0 takes it out again. */
bool list_has(struct str list, struct str word);
/* Fits PATTERN, in which {id} stands for an id (base.h), the path? *id is 0 where there is none. */
bool path_fits(struct str pattern, struct str path, uint64_t *id);
