/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * maildrop: one folder as a POP3 session sees it (rfc1939 4): held exclusively, its list frozen when
 * it was opened. The lock lies in memory and ends with the handle, and so with the channel.
 *
 * maildrop_open fails with ERR_BUSY while another session holds the folder, ERR_LIMIT sooner than
 * pop3_login_delay after the last one, ERR_NOT_FOUND when there is no such folder.
 */
#include "store/peer.h"

void maildrops_init(struct store *store);
void maildrops_drop(struct store *store);

[[nodiscard]] enum err store_maildrop_open(struct peer *peer, const struct ask_maildrop_open *ask,
					   struct answer_maildrop_open *answer) WAITS;
[[nodiscard]] enum err store_maildrop_list(struct peer *peer, const struct ask_maildrop_list *ask,
					   struct arena *arena, struct answer_maildrop_list *answer)
	WAITS;
[[nodiscard]] enum err store_maildrop_read(struct peer *peer, const struct ask_maildrop_read *ask,
					   struct arena *arena, struct answer_maildrop_read *answer)
	WAITS;
[[nodiscard]] enum err store_maildrop_delete(struct peer *peer,
					     const struct ask_maildrop_delete *ask,
					     struct answer_maildrop_delete *answer) WAITS;
[[nodiscard]] enum err store_maildrop_close(struct peer *peer, const struct ask_maildrop_close *ask)
	WAITS;
