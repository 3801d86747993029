/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * mailbox_list: the addresses of header fields (rfc5322 3.4, with the obsolete forms of 4.4):
 * names, groups, routes, comments. Lenient: what is no address is skipped up to the next comma.
 */
enum list_entry_kind { LIST_MAILBOX, LIST_GROUP, LIST_GROUP_END };

struct list_entry {
	enum list_entry_kind kind;
	struct str name;  /* display name or group name, quotes and folding gone, words undecoded */
	struct str route; /* rfc5322 4.4 obs-route, "@a,@b"; nearly always empty */
	struct str local; /* without quotes */
	struct str domain; /* "" when there was none */
};

struct mailbox_list {
	struct list_entry *entries;
	size_t count;
	bool is_cut;     /* there were more than the maximum */
	bool has_errors; /* something was skipped */
};

void mailbox_list_parse(struct arena *arena, struct str value, size_t max,
			struct mailbox_list *out);
/* "Name <local@domain>, ..." with names decoded, for people; at most max octets of UTF-8. */
struct str mailbox_list_show(struct arena *arena, const struct mailbox_list *list, size_t max);
/*
 * rfc5322 3.6.4 msg-id, from anywhere in the rest of the value (References, In-Reply-To); *out has
 * its angle brackets, the blanks between them gone. false when there is no further one.
 */
bool take_message_id(struct arena *arena, struct scan *scan, struct str *out);
