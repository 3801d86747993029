/* SPDX-License-Identifier: Apache-2.0 */
#include "store/keep.h"

#include <stdio.h>

static struct keep_job *job_of(struct list *link)
{
	return CONTAINER_OF(CONTAINER_OF(link, struct batch_job, link), struct keep_job, batch);
}

static enum err append_all(struct keeper *keeper, struct keep_job *job, uint64_t *next_body)
{
	enum err err = OK;

	for (size_t i = 0; !err && i < job->count; i++) {
		struct kept_body *b = &job->bodies[i];

		if (!b->body)
			b->body = (*next_body)++;
		err = body_files_append(keeper->segments, b->body, b->octets, &b->place);
	}
	return err;
}

static enum err keep_all(struct keeper *keeper, struct list *jobs)
{
	uint64_t next_body = keeper->next_body;
	enum err err = health_check(&keeper->health);

	if (err)
		return err;
	LIST_EACH (link, jobs)
		if (!err)
			err = append_all(keeper, job_of(link), &next_body);
	if (!err)
		err = body_files_flush(keeper->segments);
	else
		body_files_forget(keeper->segments);
	/* Ids of a batch that failed are given again: no row has them. */
	if (!err)
		keeper->next_body = next_body;
	health_note(&keeper->health, err, body_files_are_broken(keeper->segments));
	return err;
}

void keeper_run_batch(void *context, struct list *jobs)
{
	enum err err = keep_all(context, jobs);

	LIST_EACH (link, jobs) {
		struct keep_job *job = job_of(link);

		job->err = err;
		if (err)
			snprintf(job->text, sizeof(job->text), "%s", fault_text());
	}
}
