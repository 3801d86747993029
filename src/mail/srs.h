/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * srs: the local parts of the Sender Rewriting Scheme (Wong, "Sender Rewriting Scheme", 2003), as libsrs2
 * and Mail::SRS write and read them. A forwarder sends as an address of its own domain that holds the
 * sender's, so that SPF has nothing against it and bounces find the way back:
 *
 *	SRS0=HASH=TT=sender.example=local        the sender's domain and local part
 *	SRS1=HASH=first.example==HASH=TT=...     the first forwarder, and its SRS0 behind "SRS0"
 *
 * Only the words: what the hash is over, and not the hash itself. A separator other than "=" after SRS0 or
 * SRS1 ("+", "-") is understood; we write "=".
 *
 * Invariants
 *  (1) Host and local part that srs_parse gives are not empty, and the host is a Domain or an address literal.
 *  (2) The local part may hold anything: who makes an address of it prints it by address_print and parses
 *      that again.
 */
enum srs_kind { SRS_NONE, SRS_0, SRS_1 };

struct srs {
	enum srs_kind kind;
	struct str hash;
	struct str stamp; /* SRS0: two characters of base 32, in days */
	struct str host;  /* SRS0: of the sender; SRS1: of the first forwarder */
	struct str
		local; /* SRS0: of the sender; SRS1: what follows "SRS0" there, its separator first */
};

enum { SRS_STAMP = 2, SRS_DAYS = 1024 /* the cycle of stamps */ };

/* Does it begin as one? Then it is nobody's account. */
bool srs_is(struct str local);
/* Of a local part without quotes. false: none that could have been made by this scheme. */
bool srs_parse(struct str local, struct srs *out);
/* The local part, without quotes. */
struct str srs_print(struct arena *arena, const struct srs *srs);
/* What a forwarder makes of a sender: kind, host and local part. Stamp and hash are the caller's to add. */
void srs_of(const struct address *sender, struct srs *out);
/* Whom a verified one stands for: the sender (SRS0), or the first forwarder's SRS0 (SRS1). */
struct address srs_sender(struct arena *arena, const struct srs *srs);
/* What the hash is over: in small letters, since hosts on the way may change the case. */
struct str srs_hashed(struct arena *arena, const struct srs *srs);

void srs_stamp_print(int64_t at_us, char out[SRS_STAMP + 1]);
/* How many days ago, within the cycle (a day in the future is very long ago); SRS_DAYS: no stamp. */
unsigned srs_stamp_age(struct str stamp, int64_t now_us);
