/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dns: the language of the domain name system [rfc1035]: names, questions, answers, and zone
 * files for the simulated world. Octets in, values out; who asks whom is dns/resolver.h.
 *
 * Invariants
 *  (1) A dns_name is whole and well formed: at most 255 octets with the root's, labels of 1 to 63.
 *      Names compare without regard to ASCII case. A-labels of IDNA are the caller's business.
 *  (2) Texts of names come without a final dot, the root as "."; what is not printable, and dots and
 *      backslashes inside labels, are spelt \DDD, \. and \\: ASCII without blanks in every case.
 *  (3) Reading an answer takes time and memory bounded by its length, whatever it holds: compression
 *      pointers lead backwards only and a bounded number of times, CNAMEs are followed at most
 *      LIMIT_dns_chain times, past LIMIT_dns_records records it is refused.
 *  (4) What an answer's texts point to lies in the arena given, never in the octets read.
 */
#include "base/base.h"

enum {
	DNS_NAME_MAX = 255,
	DNS_NAME_TEXT = 4 * DNS_NAME_MAX + 1, /* room for any name's text with its NUL */
	DNS_MESSAGE_MAX = 65535,
	DNS_UDP_SIZE =
		1232 /* what we take in a datagram: never cut on its way (DNS flag day 2020) */
};

struct dns_name {
	uint8_t len;
	unsigned char at[DNS_NAME_MAX]; /* as on the wire, uncompressed */
};

/* A final dot may be left out. false: empty, too long, an empty label, a bad escape, a blank. */
bool dns_name_parse(struct str text, struct dns_name *out);
void dns_name_print(const struct dns_name *name, char text[DNS_NAME_TEXT]);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
bool dns_name_is_root(const struct dns_name *name);
/* Is it `above`, or below it? */
bool dns_name_is_under(const struct dns_name *name, const struct dns_name *above);

#define DNS_TYPES(X)                                                                               \
	X(A, 1)                                                                                    \
	X(CNAME, 5)                                                                                \
	X(SOA, 6)                                                                                  \
	X(PTR, 12)                                                                                 \
	X(MX, 15)                                                                                  \
	X(TXT, 16)                                                                                 \
	X(AAAA, 28)                                                                                \
	X(TLSA, 52)

enum dns_type {
#define X(name, number) DNS_##name = number,
	DNS_TYPES(X)
#undef X
};

const char *dns_type_name(enum dns_type type); /* "MX" */
bool dns_type_parse(struct str text, enum dns_type *out);

struct dns_question {
	struct dns_name name;
	enum dns_type type;
};

/*
 * A recursive query of class IN. With `edns`: the OPT record [rfc6891] with DNS_UDP_SIZE and the DO bit
 * [rfc3225], and AD set [rfc6840 5.7]: tell us whether it is secure. `out` must have room for 512 octets.
 */
void dns_query_print(const struct dns_question *question, uint16_t id, bool edns, struct buf *out);

/* ---- answers ---- */

enum dns_code {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5
}; /* others, up to 15, are possible */

struct dns_record {
	enum dns_type type;
	uint32_t ttl_s;
	union {
		struct addr address; /* A, AAAA; port 0 */
		struct {
			uint16_t preference;
			struct str host;
		} mx;
		struct str name; /* CNAME, PTR */
		struct str text; /* TXT: its strings, joined */
		struct {
			uint8_t usage, selector, matching;
			struct str data;
		} tlsa;
	};
};

struct dns_answer {
	enum dns_code code;
	bool truncated;             /* TC: ask again over TCP */
	bool authentic;             /* AD; worth what the server is */
	struct dns_record *records; /* of the type asked for, at the end of the chain of CNAMEs */
	size_t count;
	struct str canonical; /* the name at that end */
	unsigned chain;       /* CNAMEs that were followed */
	bool is_cut;          /* the chain ends at a name that this answer says nothing about */
	bool loops;           /* the chain is longer than LIMIT_dns_chain */
	/* How long this may be kept: the least of its records, CNAMEs included; without records that of the
	   SOA [rfc2308 5], 0 when there is none. Not clamped. */
	uint32_t ttl_s;
};

/* Is it an answer to this very question? (An answer that knows nothing but FORMERR or NOTIMP may leave the
   question out.) Anything else is somebody else's and should be passed over. */
bool dns_answer_is_for(struct str octets, const struct dns_question *question, uint16_t id);
/* Of octets for which that held. ERR_PROTOCOL: not well formed; ERR_LIMIT: too many records. */
[[nodiscard]] enum err dns_answer_parse(struct arena *arena, struct str octets,
					const struct dns_question *question,
					struct dns_answer *out);
/* "10 mx.example.org, 20 mx2.example.org": what the records say, for people; cut when `out` is full. */
void dns_answer_show(const struct dns_answer *answer, struct buf *out);

/* ---- zones ---- */

/*
 * A file of records for the simulated world, in a part of the master file format [rfc1035 5]: $ORIGIN, $TTL,
 * A AAAA MX TXT CNAME PTR TLSA SOA, comments, quoted strings, parentheses, wildcards; one line beside that for
 * each way in which a server can fail:
 *
 *	$SERVFAIL NAME    what is asked about NAME and names below it gets SERVFAIL
 *	$SILENT NAME      ... gets no answer at all
 *	$SECURE NAME      ... comes with AD, when each CNAME on the way does too
 *
 * One file may hold many domains; a name that it does not have does not exist.
 */
struct dns_zone;

/* ERR_SYNTAX with "line N: what is wrong" as the fault's text. The zone lies in the arena. */
[[nodiscard]] enum err dns_zone_parse(struct arena *arena, struct str text, struct dns_zone **out);
/* What a server of this zone would say to a query with this id, as octets; false: nothing. Cut at
   `size_max` with TC set. */
bool dns_zone_answer(const struct dns_zone *zone, const struct dns_question *question, uint16_t id,
		     size_t size_max, struct buf *out);

/* From now on `zone` says what `with` says: how the net of a simulated world changes. The records stay where they
   lie, in the arena of `with`. */
void dns_zone_become(struct dns_zone *zone, const struct dns_zone *with);

/* ---- /etc/resolv.conf ---- */

/* Its nameserver lines, port 53; those with a zone index (fe80::1%eth0) are passed over. How many, at most `room`. */
size_t dns_resolv_conf(struct str text, struct addr *out, size_t room);
