/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* zone (private): what a zone file says, as it will be said on the wire. */
#include "dns/wire.h"

struct zone_record {
	struct zone_record *next;
	struct dns_name owner;
	enum dns_type type;
	uint32_t ttl_s;
	struct str data; /* on the wire */
};

/* How servers behave for a name and what is below it. */
enum zone_rule_kind { ZONE_SERVFAIL, ZONE_SILENT, ZONE_SECURE };
struct zone_rule {
	struct zone_rule *next;
	enum zone_rule_kind kind;
	struct dns_name name;
};

struct dns_zone {
	struct zone_record *records; /* in the order of the file */
	struct zone_rule *rules;
};
