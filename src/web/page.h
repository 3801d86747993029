/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * page: the files that a browser loads, embedded in the program (cmake/page.cmake), or, where it was built without
 * nodejs, a text that says so. Private to web/.
 */
#include "web/exchange.h"

struct page_file {
	const char *path; /* "/index.html" */
	const char *type;
	const char *etag; /* with its quotes */
	const unsigned char *at, *end;
	const unsigned char *zipped_at, *zipped_end; /* gzip */
};
extern const struct page_file page_files[];
extern const size_t page_file_count;
/* Why there are none; empty: there are. */
extern const char web_page_missing[];

/* GET of anything that api.def does not have. */
void page_answer(struct exchange *exchange);
