/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock by its system calls. The kernel is asked which version it has; what a version lacks is left
 * to seccomp and told in the report. Constants are our own: build machines have older headers.
 */
#include "sandbox/row.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	CREATE_RULESET = 444,
	ADD_RULE = 445,
	RESTRICT_SELF = 446,
	ASK_VERSION = 1,
	RULE_PATH_BENEATH = 1
};

#define FS_EXECUTE     ((uint64_t)1 << 0)
#define FS_MAKE_CHAR   ((uint64_t)1 << 6)
#define FS_MAKE_BLOCK  ((uint64_t)1 << 11)
#define FS_VERSION_1   (((uint64_t)1 << 13) - 1)
#define FS_REFER       ((uint64_t)1 << 13) /* version 2 */
#define FS_TRUNCATE    ((uint64_t)1 << 14) /* version 3 */
#define FS_IOCTL_DEV   ((uint64_t)1 << 15) /* version 5 */
#define NET_BIND_TCP   ((uint64_t)1 << 0)  /* version 4 */
#define NET_CONNECT    ((uint64_t)1 << 1)  /* version 4 */
#define SCOPE_ABSTRACT ((uint64_t)1 << 0)  /* version 6 */
#define SCOPE_SIGNAL   ((uint64_t)1 << 1)  /* version 6 */

struct ruleset {
	uint64_t fs;
	uint64_t net;    /* version 4 */
	uint64_t scoped; /* version 6 */
};

struct path_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

static struct ruleset rules_of(const struct sandbox_row *row, long version)
{
	struct ruleset rules = { .fs = FS_VERSION_1 };

	if (version >= 2)
		rules.fs |= FS_REFER;
	if (version >= 3)
		rules.fs |= FS_TRUNCATE;
	if (version >= 5)
		rules.fs |= FS_IOCTL_DEV;
	if (version >= 4 && row->tcp == TCP_NONE)
		rules.net = NET_BIND_TCP | NET_CONNECT;
	if (version >= 6)
		rules.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
	return rules;
}

/* Files and folders of ours: anything but running them, and devices. */
static enum err allow_folder(int ruleset, const struct ruleset *rules, const char *folder)
{
	struct path_rule rule = {
		.allowed = rules->fs & ~(FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_IOCTL_DEV),
		.fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC),
	};
	long failed;

	if (rule.fd < 0)
		return fault_errno("open the data directory %s", folder);
	failed = syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0);
	close(rule.fd);
	return failed ? fault_errno("landlock: a rule for %s", folder) : OK;
}

static void tell(const struct sandbox_row *row, long version, struct progress *progress)
{
	bool tcp = row->tcp == TCP_NONE;

	progress_done(progress, "landlock abi %ld (files%s%s)", version,
		      version >= 4 && tcp ? " tcp" : "", version >= 6 ? " scope" : "");
	if (version < 4 && tcp)
		progress_lacks(progress, "landlock tcp");
	if (version < 6)
		progress_lacks(progress, "landlock scope");
}

enum err landlock_enter(const struct sandbox_row *row, const char *folder,
			struct progress *progress)
{
	long version = syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
	struct ruleset rules = rules_of(row, version);
	enum err err = OK;
	int ruleset;

	if (row->files == FILES_ANY)
		return OK;
	if (version < 1) { /* not built in, or not permitted here */
		progress_lacks(progress, "landlock");
		return OK;
	}
	ruleset = (int)syscall(CREATE_RULESET, &rules,
			       version >= 6   ? sizeof(rules)
			       : version >= 4 ? offsetof(struct ruleset, scoped)
					      : offsetof(struct ruleset, net),
			       0);
	if (ruleset < 0)
		return fault_errno("landlock: a set of rules");
	if (row->files == FILES_FOLDER && folder)
		err = allow_folder(ruleset, &rules, folder);
	if (!err && syscall(RESTRICT_SELF, ruleset, 0) != 0)
		err = fault_errno("landlock: entering");
	close(ruleset);
	if (!err)
		tell(row, version, progress);
	return err;
}
