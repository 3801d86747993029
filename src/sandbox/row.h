/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* row: roles.def and promises.def as data, and the parts of a sandbox that are made from a row. */
#include "sandbox/sandbox.h"

enum promise_index {
#define PROMISE(name, doc) PROMISE_##name,
#include "sandbox/promises.def"
	PROMISES
};

#define P(name) (1u << PROMISE_##name)

enum file_rule { FILES_NONE, FILES_FOLDER, FILES_ANY };
enum tcp_rule { TCP_NONE, TCP_ANY };
enum rights_rule { RIGHTS_NONE, RIGHTS_KEPT };

#define FSIZE_MESSAGE ((uint64_t)2 << 30 | (uint64_t)1 << 24)

struct sandbox_row {
	const char *name;
	unsigned promises;
	enum file_rule files;
	enum tcp_rule tcp;
	uint64_t fsize;
	enum rights_rule rights;
	int nice;
	const char *doc;
};

const struct sandbox_row *sandbox_row(const char *name); /* NULL: no such role */

/* The report, while it is written. */
struct progress {
	struct buf done;
	struct buf lacking;
};
void progress_done(struct progress *progress, const char *format, ...) PRINTF_LIKE(2, 3);
void progress_lacks(struct progress *progress, const char *what);

/*
 * Landlock, before the user changes, who may not open the folder. What the kernel lacks is told to
 * `progress`; an error means that the row asks for something that is not there.
 */
[[nodiscard]] enum err landlock_enter(const struct sandbox_row *row, const char *folder,
				      struct progress *progress);
/* The system calls. The last step: after it the others would be refused. */
[[nodiscard]] enum err seccomp_enter(const struct sandbox_row *row, struct progress *progress);
