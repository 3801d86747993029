/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns.h"

static void show_record(const struct dns_record *record, struct buf *out)
{
	char text[ADDR_TEXT];

	switch (record->type) {
	case DNS_A:
	case DNS_AAAA:
		addr_print_ip(&record->address, text);
		buf_add_c(out, text);
		break;
	case DNS_MX:
		buf_print(out, "%u ", record->mx.preference);
		buf_add(out, record->mx.host);
		break;
	case DNS_CNAME:
	case DNS_PTR:
		buf_add(out, record->name);
		break;
	case DNS_TXT:
		escape_add(out, record->text);
		break;
	case DNS_TLSA:
		buf_print(out, "%u %u %u ", record->tlsa.usage, record->tlsa.selector,
			  record->tlsa.matching);
		hex_add(out, record->tlsa.data);
		break;
	case DNS_SOA:
		buf_add_c(out, "SOA");
		break;
	}
}

void dns_answer_show(const struct dns_answer *answer, struct buf *out)
{
	for (size_t i = 0; i < answer->count && !out->failed; i++) {
		if (i)
			buf_add_c(out, ", ");
		show_record(&answer->records[i], out);
	}
}

size_t dns_resolv_conf(struct str text, struct addr *out, size_t room)
{
	struct scan scan = scan_of(text);
	size_t count = 0;

	while (!scan_at_end(&scan) && count < room) {
		struct str line;
		struct addr address;

		if (!take_until(&scan, '\n', &line)) {
			line = scan_rest(&scan);
			scan.at = scan.end;
		}
		line = str_first(line, str_find(line, '\r'));
		if (!str_starts(line, S("nameserver ")) && !str_starts(line, S("nameserver\t")))
			continue;
		line = str_trim(str_from(line, sizeof("nameserver") - 1));
		if (!addr_parse_ip(line, &address))
			continue;
		address.port = 53;
		out[count++] = address;
	}
	return count;
}
