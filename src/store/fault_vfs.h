/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * fault_vfs: SQLite's file layer and our own, with faults on demand, for tests. Writes and flushes of
 * both are counted together in the order they come.
 */
#include "store/io.h"

struct fault_plan {
	long write_at;        /* the n-th write from now fails; -1: none */
	long flush_at;        /* the n-th flush from now fails; -1: none */
	int error;            /* ENOSPC, EIO ... of writes */
	bool stays;           /* all later ones fail too */
	long writes, flushes; /* seen since the plan was made */
};

extern struct fault_plan fault_plan;
extern const struct io fault_io;
void fault_clear(void);
