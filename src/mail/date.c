/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail.h"

#include <stdio.h>

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

enum { YEAR_FIRST = 1900, YEAR_LAST = 9999, OFFSET_LAST = 24 * 60 - 1 };
#define US_A_SECOND   INT64_C(1'000'000)
#define SECONDS_A_DAY INT64_C(86'400)

/* Days from 1970-01-01 to a day of the Gregorian calendar; years from 1 on, months 1 to 12. */
static int64_t days_of(int64_t year, int month, int day)
{
	/* The year is counted from March, so that the leap day is its last one. */
	int64_t y = month > 2 ? year : year - 1;
	int64_t era = y / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

struct civil {
	int64_t year;
	int month, day;
};

/* The other way round, for days from 0001-03-01 on. */
static struct civil civil_of(int64_t days)
{
	int64_t z = days + 719'468;
	int64_t era = z / 146'097;
	int64_t of_era = z - era * 146'097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;
	struct civil civil = { y + era * 400, (int)(m < 10 ? m + 3 : m - 9),
			       (int)(of_year - (153 * m + 2) / 5 + 1) };

	if (civil.month <= 2)
		civil.year++;
	return civil;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

void date_print(int64_t wall_us, int offset_minutes, char text[DATE_TEXT])
{
	int offset = (int)clamp(offset_minutes, -OFFSET_LAST, OFFSET_LAST);
	int64_t seconds = wall_us / US_A_SECOND - (wall_us % US_A_SECOND < 0) + offset * 60;
	int64_t days;
	struct civil civil;
	int of_day;

	seconds = clamp(seconds, days_of(YEAR_FIRST, 1, 1) * SECONDS_A_DAY,
			days_of(YEAR_LAST + 1, 1, 1) * SECONDS_A_DAY - 1);
	days = seconds / SECONDS_A_DAY - (seconds % SECONDS_A_DAY < 0);
	of_day = (int)(seconds - days * SECONDS_A_DAY);
	civil = civil_of(days);
	/* 1970-01-01 was a Thursday; 7 * 5000 keeps the sum above zero. */
	snprintf(text, DATE_TEXT, "%s, %02d %s %04d %02d:%02d:%02d %c%02d%02d",
		 day_names[(days + 4 + 7 * 5000) % 7], civil.day, month_names[civil.month - 1],
		 (int)civil.year, of_day / 3600, of_day / 60 % 60, of_day % 60,
		 offset < 0 ? '-' : '+', (offset < 0 ? -offset : offset) / 60,
		 (offset < 0 ? -offset : offset) % 60);
}

static bool is_letter(unsigned char c)
{
	return ascii_is_alpha(c);
}

/* The first three letters decide, as people write "Sept" and "Tues". */
static int name_index(struct str word, const char (*names)[4], int count)
{
	for (int i = 0; i < count; i++) {
		if (word.len >= 3 && str_is_nocase(str_first(word, 3), str_of(names[i])))
			return i;
	}
	return -1;
}

static bool take_small(struct scan *scan, uint64_t max, int *out)
{
	uint64_t value;

	skip_cfws(scan);
	if (!take_number(scan, max, &value))
		return false;
	*out = (int)value;
	return true;
}

static bool take_day(struct scan *scan, int64_t *days)
{
	struct str word;
	const char *digits;
	int day;
	int month;
	int year;

	skip_cfws(scan);
	word = take_while(scan, is_letter); /* the day's name, never checked: it is often wrong */
	skip_cfws(scan);
	if (word.len)
		take_char(scan, ',');
	if (!take_small(scan, 31, &day) || day < 1)
		return false;
	skip_cfws(scan);
	take_char(scan, '-'); /* "21-Nov-2026", which some write */
	month = name_index(take_while(scan, is_letter), month_names, 12) + 1;
	if (month == 0)
		return false;
	take_char(scan, '-');
	skip_cfws(scan);
	digits = scan->at;
	if (!take_small(scan, YEAR_LAST, &year))
		return false;
	if (scan->at - digits == 2) /* rfc5322 4.3: 00 to 49 are 2000 to 2049 */
		year += year < 50 ? 2000 : 1900;
	else if (scan->at - digits == 3)
		year += 1900;
	*days = days_of(clamp(year, 1, YEAR_LAST), month, 1) + day - 1;
	/* The 31st of a month that has 30 days is no date. */
	return year >= YEAR_FIRST && civil_of(*days).month == month;
}

static bool take_time(struct scan *scan, int64_t *seconds)
{
	int hour;
	int minute;
	int second = 0;

	if (!take_small(scan, 23, &hour))
		return false;
	skip_cfws(scan);
	if (!take_char(scan, ':') || !take_small(scan, 59, &minute))
		return false;
	skip_cfws(scan);
	if (take_char(scan, ':') && !take_small(scan, 60, &second))
		return false;
	*seconds = hour * 3600 + minute * 60 + second;
	return true;
}

/* rfc5322 4.3 obs-zone: what is unknown means -0000. */
static int zone_of_name(struct str name)
{
	static const struct {
		const char *name;
		int minutes;
	} zones[] = {
		{ "EST", -300 }, { "EDT", -240 }, { "CST", -360 }, { "CDT", -300 },
		{ "MST", -420 }, { "MDT", -360 }, { "PST", -480 }, { "PDT", -420 },
	};

	for (size_t i = 0; i < COUNT_OF(zones); i++) {
		if (str_is_nocase(name, str_of(zones[i].name)))
			return zones[i].minutes;
	}
	return 0;
}

static bool take_zone(struct scan *scan, int *minutes)
{
	int sign = 1;
	uint64_t hhmm;
	const char *digits;

	skip_cfws(scan);
	*minutes = 0;
	if (scan_at_end(scan))
		return true; /* no zone at all is common enough; read as UTC */
	if (ascii_is_alpha((unsigned char)*scan->at)) {
		*minutes = zone_of_name(take_while(scan, is_letter));
		return true;
	}
	if (take_char(scan, '-'))
		sign = -1;
	else if (!take_char(scan, '+'))
		return false;
	digits = scan->at;
	if (!take_number(scan, 9999, &hhmm) || scan->at - digits != 4 || hhmm % 100 > 59)
		return false;
	*minutes = sign * (int)(hhmm / 100 * 60 + hhmm % 100);
	return *minutes >= -OFFSET_LAST && *minutes <= OFFSET_LAST;
}

bool date_parse(struct str text, int64_t *wall_us, int *offset_minutes)
{
	struct scan scan = scan_of(text);
	int64_t days;
	int64_t seconds;
	int offset;

	if (!take_day(&scan, &days) || !take_time(&scan, &seconds) || !take_zone(&scan, &offset))
		return false;
	if (wall_us)
		*wall_us = (days * SECONDS_A_DAY + seconds - (int64_t)offset * 60) * US_A_SECOND;
	if (offset_minutes)
		*offset_minutes = offset;
	return true;
}
