/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* value: what is bound to a parameter of a statement. Octets are views: they live as long as the caller says. */
#include "base/base.h"

enum db_kind { DB_NULL, DB_INTEGER, DB_TEXT, DB_OCTETS };
struct db_value {
	enum db_kind kind;
	int64_t integer;
	struct str octets;
};

static inline struct db_value db_null(void)
{
	return (struct db_value){ .kind = DB_NULL };
}
static inline struct db_value db_int(int64_t integer)
{
	return (struct db_value){ .kind = DB_INTEGER, .integer = integer };
}
static inline struct db_value db_id(
	uint64_t id) /* all 64 bits: as the signed number of the same bits */
{
	return db_int((int64_t)id);
}
static inline struct db_value db_str(struct str text)
{
	return (struct db_value){ .kind = DB_TEXT, .octets = text };
}
static inline struct db_value db_octets(struct str octets)
{
	return (struct db_value){ .kind = DB_OCTETS, .octets = octets };
}
