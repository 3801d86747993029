/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * keep: the first of two steps that make a message durable. Bodies that are ready together are
 * appended to the segments and share a flush; the second step, commit.h, writes the rows that refer
 * to them. Each step has a thread of its own, so one batch's rows are written while the next one's
 * bodies are.
 *
 * Invariants
 *  (1) A body is durable (in a durable store) before any row can refer to it.
 *  (2) A body that no row came to refer to is dead space: cut off at the next start when it lies
 *      behind the last committed one, compacted away otherwise.
 *  (3) A segment that holds a body between the two steps is not removed: store_keeps_in.
 */
#include "fiber/fiber.h"
#include "store/health.h"
#include "store/segment.h"

struct keeper {
	struct health health;
	struct body_files *segments;
	uint64_t next_body;
};

struct kept_body {
	uint64_t body; /* id; 0: a new one, set by the keeper */
	struct str octets;
	struct place place; /* set by the keeper */
};

struct keep_job {
	struct batch_job batch;
	struct kept_body *bodies;
	size_t count;

	/* Outcome. */
	enum err err;
	char text[FAULT_TEXT_MAX]; /* of err */
};

/* The batch function: context is a struct keeper. All jobs of a batch succeed or fail together. */
void keeper_run_batch(void *keeper, struct list *jobs);
