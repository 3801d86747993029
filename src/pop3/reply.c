/* SPDX-License-Identifier: Apache-2.0 */
#include "pop3/pop3.h"

#define STATUS_OK  "+OK"
#define STATUS_ERR "-ERR"

static const struct str texts[] = {
	[POP3_REPLY_NONE] = { "", 0 },
/* No blank behind a status that nothing follows. */
#define REPLY(name, status, text)                                                                  \
	[POP3_REPLY_##name] = { STATUS_##status " " text,                                          \
				sizeof(STATUS_##status " " text) - 1 - (sizeof(text) == 1) },
#include "pop3/replies.def"
#undef REPLY
};

struct str pop3_reply_text(enum pop3_reply reply)
{
	return texts[reply];
}

bool pop3_reply_is_ok(enum pop3_reply reply)
{
	return str_starts(texts[reply], S(STATUS_OK));
}
