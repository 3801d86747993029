/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * srs: whom we send as when we forward, and back (mail/srs.h has the words). Pure: any thread.
 *
 * Invariants
 *  (1) An address is given back only when its hash is ours and it is not older than SRS_AGE_DAYS.
 *  (2) The same message is always sent as the same address: the day is the day it arrived.
 *  (3) What is given is an address that address_parse takes.
 */
#include "mail/mail.h"

/*
 * SRS_AGE_DAYS is longer than any server should try (rfc5321 4.5.4.1: 4 to 5 days), here and there.
 * SRS_HASH: base64 digits, of which the case may be lost: 31 bits. An address that is believed lets a stranger
 * send one bounce through us, so that guessing is not worth its while (and is slowed down as any guessing is).
 */
enum { SRS_AGE_DAYS = 21, SRS_HASH = 6, SRS_KEY = 32 };

struct srs_rule {
	const unsigned char
		*key;      /* SRS_KEY octets, of the store; NULL: nothing is forwarded back */
	struct str domain; /* srs_domain; empty: of the first domain of ours */
	int64_t now_us;
	bool is_bounce; /* the message at hand has the null sender */
};

/* In the name of a domain of ours. false: it cannot be written within the limits of an address. */
bool srs_forward(struct arena *arena, const struct srs_rule *rule, struct str sender,
		 struct str domain, struct str *out);
/* Whom the local part (in quotes or not) stands for; false: it was not made here, or is too old. */
bool srs_reverse(struct arena *arena, const struct srs_rule *rule, struct str local,
		 struct str *out);
