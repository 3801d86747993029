/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* wire (private): a cursor over a message. A take moves it past what it took, or says false. */
#include "dns/dns.h"

enum {
	DNS_CLASS_IN = 1,
	DNS_OPT = 41,
	DNS_HEAD = 12,
	DNS_QR = 0x8000,
	DNS_TC = 0x0200,
	DNS_RD = 0x0100,
	DNS_RA = 0x0080,
	DNS_AD = 0x0020,
	DNS_CODE = 0x000F
};

struct wire {
	const unsigned char *message;
	size_t len;
	size_t offset;
};

static inline struct wire wire_of(struct str octets)
{
	return (struct wire){ (const unsigned char *)octets.at, octets.len, 0 };
}

bool wire_take_u8(struct wire *wire, uint8_t *out);
bool wire_take_u16(struct wire *wire, uint16_t *out);
bool wire_take_u32(struct wire *wire, uint32_t *out);
bool wire_take(struct wire *wire, size_t count, struct str *out);
/* Decompressed [rfc1035 4.1.4]. */
bool wire_take_name(struct wire *wire, struct dns_name *out);

struct wire_head {
	uint16_t id, flags, questions, answers, authorities, additionals;
};
bool wire_take_head(struct wire *wire, struct wire_head *out);
bool wire_take_question(struct wire *wire, struct dns_name *name, uint16_t *type, uint16_t *class);

/* What stands before a record's data, and where that lies. */
struct wire_record {
	struct dns_name owner;
	uint16_t type, class;
	uint32_t ttl_s;
	size_t data;
	uint16_t data_len;
};
bool wire_take_record(struct wire *wire, struct wire_record *out);

void wire_add_u8(struct buf *out, unsigned value);
void wire_add_u16(struct buf *out, unsigned value);
void wire_add_u32(struct buf *out, uint32_t value);
void wire_add_name(struct buf *out, const struct dns_name *name);
