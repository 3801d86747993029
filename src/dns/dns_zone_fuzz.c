/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a zone answers is read back, whatever is asked. */
static void ask(const struct dns_zone *zone, const struct dns_question *question)
{
	OWNED(arena) struct arena arena = { 0 };
	OWNED(buf) struct buf octets = BUF(DNS_MESSAGE_MAX);
	struct dns_answer answer;

	if (!dns_zone_answer(zone, question, 7, 4096, &octets))
		return;
	must(octets.len <= 4096);
	must(dns_answer_is_for(buf_str(&octets), question, 7));
	must(dns_answer_parse(&arena, buf_str(&octets), question, &answer) == OK);
	must(answer.code == DNS_NOERROR || answer.code == DNS_SERVFAIL ||
	     answer.code == DNS_NXDOMAIN);
}

/* The names asked about are the file's own words. */
static void ask_for_words(const struct dns_zone *zone, struct str text)
{
	static const enum dns_type types[] = { DNS_A, DNS_MX, DNS_TXT, DNS_CNAME, DNS_TLSA };
	struct scan scan = scan_of(text);

	for (size_t i = 0; i < 20 && !scan_at_end(&scan); i++) {
		struct dns_question question = { .type = types[i % COUNT_OF(types)] };
		struct str word;

		if (!take_until(&scan, ' ', &word))
			word = (struct str){ scan.at, (size_t)(scan.end - scan.at) };
		if (dns_name_parse(word, &question.name))
			ask(zone, &question);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(arena) struct arena arena = { 0 };
	struct str text = { (const char *)data, size };
	struct dns_zone *zone;
	struct addr servers[4];

	must(dns_resolv_conf(text, servers, COUNT_OF(servers)) <= COUNT_OF(servers));
	if (dns_zone_parse(&arena, text, &zone) == OK)
		ask_for_words(zone, text);
	return 0;
}
