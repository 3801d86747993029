/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

json_t *row_of(const struct trace_event *event)
{
	OWNED(buf) struct buf line = BUF(1 << 16);
	json_t *row;

	assert_int_equal(trace_event_json(event, &line), OK);
	row = json_loadb(line.at, line.len, 0, NULL);
	assert_non_null(row);
	return row;
}
