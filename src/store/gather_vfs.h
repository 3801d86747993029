/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gather_vfs: SQLite writes a commit to its log as a small header and a page for each page that changed, two
 * system calls a page. Here they are gathered and written in one.
 *
 * Invariants
 *  (1) Octets go to the file in the order they came, and before anything else is done to it.
 *  (2) When the page of a commit frame was written with SQLITE_OK, all of the transaction is in the
 *      file: other connections may read it.
 *  (3) A gathered write that failed is told to the write (or read, or flush) that set it off, and forgotten.
 *
 * Only the writing connection uses it, and only its log is touched; one thread at a time.
 */

/*
 * File control of such a log: what is still gathered is written. To be asked for after each commit: where a
 * transaction was too large for the cache, the engine writes its last headers again without a page behind.
 */
enum { GATHER_RELEASE = 0x47505631 };

/* The name of the file layer over that one (NULL: SQLite's own). The same name for the same one. */
const char *gather_vfs(const char *base);
