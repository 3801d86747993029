/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read prints as what reads the same; only the separator behind SRS0 or SRS1 and its case may differ. */
static void read_again(struct arena *arena, const struct srs *srs)
{
	struct str text = srs_print(arena, srs);
	struct srs again;

	must(srs_parse(text, &again));
	must(again.kind == srs->kind && str_is(again.hash, srs->hash));
	must(str_is(again.stamp, srs->stamp) && str_is(again.host, srs->host));
	must(str_is(again.local, srs->local));
	must(str_is(srs_print(arena, &again), text));
	must(srs_stamp_age(srs->stamp, 0) < SRS_DAYS || srs->kind == SRS_1);
}

/* An address that it stands for, rewritten by the next forwarder, stands for the same sender in the end. */
static void there_and_back(struct arena *arena, const struct address *sender)
{
	struct address back;
	struct srs made;
	struct srs srs;

	srs_of(sender, &made);
	made.hash = S("AAAAAA");
	if (made.kind == SRS_0)
		made.stamp = S("AA");
	if (!srs_parse(srs_print(arena, &made), &srs))
		return;
	back = srs_sender(arena, &srs);
	/* SRS1 leads to the first forwarder, whatever the sender is that it was made of. */
	if (made.kind == SRS_0)
		must(address_equal(arena, &back, sender));
	else
		must(srs_is(back.local));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(arena) struct arena arena = { 0 };
	struct str text = { (const char *)data, size };
	struct address address;
	struct srs srs;

	if (srs_parse(text, &srs)) {
		must(srs_is(text) && srs.host.len > 0 && srs.local.len > 0);
		read_again(&arena, &srs);
	}
	if (address_parse(&arena, text, true, &address))
		there_and_back(&arena, &address);
	return 0;
}
