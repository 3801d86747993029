/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str text)
{
	struct dns_name name;

	must(text.len > 0 && text.len < DNS_NAME_TEXT);
	must(dns_name_parse(text, &name));
}

static void check(const struct dns_answer *answer, const struct dns_question *question)
{
	OWNED(buf) struct buf shown = BUF(1000);

	must(answer->count <= LIMIT_dns_records && answer->chain <= LIMIT_dns_chain + 1);
	must(!answer->truncated || answer->count == 0);
	must(answer->ttl_s <= INT32_MAX);
	check_text(answer->canonical);
	for (size_t i = 0; i < answer->count; i++) {
		const struct dns_record *record = &answer->records[i];

		must(record->type == question->type && record->ttl_s >= answer->ttl_s);
		if (record->type == DNS_MX)
			check_text(record->mx.host);
		if (record->type == DNS_CNAME || record->type == DNS_PTR)
			check_text(record->name);
	}
	dns_answer_show(answer, &shown);
	for (size_t i = 0; i < shown.len; i++)
		must((unsigned char)shown.at[i] >= ' ' && shown.at[i] != 0x7F);
}

/* The first two octets say what was asked, where not the answer itself does. */
static struct dns_question question_of(struct str octets)
{
	static const enum dns_type types[] = {
#define X(name, number) DNS_##name,
		DNS_TYPES(X)
#undef X
	};
	struct dns_question question = {
		.type = types[(unsigned char)octets.at[0] % COUNT_OF(types)]
	};

	must(dns_name_parse(octets.at[1] & 1 ? S("a") : S("example.org"), &question.name));
	return question;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(arena) struct arena arena = { 0 };
	struct str octets = { (const char *)data, size };
	struct dns_question question;
	struct dns_answer answer;

	if (size < 4 || size > DNS_MESSAGE_MAX)
		return 0;
	question = question_of(octets);
	octets = str_from(octets, 2);
	(void)dns_answer_is_for(
		octets, &question,
		(uint16_t)((unsigned char)octets.at[0] << 8 | (unsigned char)octets.at[1]));
	if (dns_answer_parse(&arena, octets, &question, &answer) == OK)
		check(&answer, &question);
	return 0;
}
