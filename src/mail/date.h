/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * date: the date-time of header fields (rfc5322 3.3), "Sat, 21 Nov 2026 22:10:00 +0000".
 * Times are microseconds since 1970-01-01T00:00:00Z; offsets are minutes east of UTC.
 */
enum { DATE_TEXT = 64 };

/* Years are held between 1900 and 9999, offsets within a day: the text is always well formed. */
void date_print(int64_t wall_us, int offset_minutes, char text[DATE_TEXT]);
/* With comments, the obsolete zones and two-digit years (rfc5322 4.3). Outputs may be NULL. */
bool date_parse(struct str text, int64_t *wall_us, int *offset_minutes);
