/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/row.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { SHORT_TURN_NS = 100000 };

static bool entered;

#if SANITIZED
/* The leak checker stops the process with ptrace from a second one and reads /proc: both are denied
 * from here on. It asks this before it begins. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return entered;
}
#endif

struct account {
	uid_t uid;
	gid_t gid;
	bool changes; /* the process is to become it */
};

/* ---- what has to be asked before ---- */

static enum err find_account(const struct sandbox_request *request, struct account *out)
{
	const struct passwd *entry;

	*out = (struct account){ getuid(), getgid(), false };
	if (!request->user || !*request->user || geteuid() != 0)
		return OK;
	entry = getpwnam(request->user);
	if (!entry)
		return fault(ERR_NOT_FOUND, "there is no user %s", request->user);
	*out = (struct account){ entry->pw_uid, entry->pw_gid, true };
	return OK;
}

/* Landlock binds the thread that enters and its later children: there must be no other yet. */
static enum err check_alone(void)
{
	DIR *folder = opendir("/proc/self/task");
	unsigned threads = 0;
	struct dirent *entry;

	if (!folder)
		return OK; /* no /proc here: the caller's word must do */
	while ((entry = readdir(folder)))
		threads += entry->d_name[0] != '.';
	closedir(folder);
	return threads == 1 ? OK : fault(ERR_BUSY, "%u threads run already", threads);
}

/* ---- the parts ---- */

static void set_limit(int which, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit((enum __rlimit_resource)which, &limit) != 0)
		return;
	/* Never up: what the starter took away stays away. */
	limit.rlim_max = value < limit.rlim_max ? value : limit.rlim_max;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit((enum __rlimit_resource)which, &limit);
}

/*
 * RLIMIT_NPROC counts all processes and threads of the user, ours and others', so a bound that
 * is safe for one role would starve another; seccomp forbids new processes instead.
 */
static void set_limits(const struct sandbox_row *row)
{
	set_limit(RLIMIT_CORE, 0); /* mail and keys are in memory */
	set_limit(RLIMIT_NOFILE, RLIM_INFINITY);
	if (row->fsize) {
		set_limit(RLIMIT_FSIZE, row->fsize);
		signal(SIGXFSZ, SIG_IGN); /* EFBIG says it */
	}
}

/*
 * Of this thread and those it will start. Its turns are short besides (Linux 6.12; earlier ones pass over that): who wakes
 * does not wait for the end of one. Not a matter of safety: where it is refused the role serves all the same, and the
 * report says so.
 */
static void step_back(const struct sandbox_row *row, struct progress *progress)
{
	struct sched_attr wanted = { .size = sizeof(wanted),
				     .sched_policy = SCHED_NORMAL,
				     .sched_nice = row->nice,
				     .sched_runtime = SHORT_TURN_NS };

	if (!row->nice)
		return;
	if (getpriority(PRIO_PROCESS, 0) >= row->nice)
		return; /* the starter said so already */
	if (syscall(SYS_sched_setattr, 0, &wanted, 0))
		progress_done(progress, "nice %d refused", row->nice);
	else
		progress_done(progress, "nice %d", row->nice);
}

static enum err drop_rights(const struct sandbox_row *row)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (row->rights == RIGHTS_KEPT)
		return OK;
	(void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) != 0)
		return fault_errno("drop capabilities");
	return OK;
}

/* Out of the bounding set too, which an ordinary user may not change and need not. */
static void drop_bounding(const struct sandbox_row *row)
{
	if (row->rights == RIGHTS_KEPT)
		return;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static enum err become(const struct account *account)
{
	int death_signal = 0;
	pid_t parent = getppid();

	if (!account->changes)
		return OK;
	(void)prctl(PR_GET_PDEATHSIG, &death_signal);
	if (setgroups(0, NULL) != 0 || setresgid(account->gid, account->gid, account->gid) != 0 ||
	    setresuid(account->uid, account->uid, account->uid) != 0)
		return fault_errno("become user %u", account->uid);
	if (account->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0 || geteuid() == 0))
		return fault(ERR_SYSTEM, "the way back to root is open");
	/* The kernel forgets the parent-death signal when the user changes. */
	if (death_signal) {
		(void)prctl(PR_SET_PDEATHSIG, death_signal);
		if (getppid() != parent)
			raise(death_signal);
	}
	return OK;
}

static enum err apply(const struct sandbox_request *request, const struct sandbox_row *row,
		      struct progress *progress)
{
	struct account account;
	enum err err = find_account(request, &account);

	if (!err)
		err = check_alone();
	if (err)
		return err;
	set_limits(row);
	step_back(row, progress);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fault_errno("no new privileges");
	err = landlock_enter(row, request->folder, progress);
	if (err)
		return err;
	drop_bounding(row);
	err = become(&account);
	if (!err)
		err = drop_rights(row);
	if (err)
		return err;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fault_errno("not dumpable");
	entered = true;
	err = seccomp_enter(row, progress);
	if (!err && account.changes)
		progress_done(progress, "user %s", request->user);
	if (!err && SANITIZED)
		progress_done(progress, "sanitizers (no leak check)");
	return err;
}

static void report(const struct progress *progress, struct sandbox_report *out)
{
	out->complete = progress->lacking.len == 0;
	snprintf(out->text, sizeof(out->text), "%.*s%s%.*s", STR_ARGS(buf_str(&progress->done)),
		 out->complete ? "" : "; lacking: ", STR_ARGS(buf_str(&progress->lacking)));
}

enum err sandbox_enter(const struct sandbox_request *request, struct sandbox_report *out)
{
	const struct sandbox_row *row = sandbox_row(request->role);
	struct progress progress = { BUF(1000), BUF(1000) };
	enum err err;

	*out = (struct sandbox_report){ 0 };
	if (!row)
		return fault(ERR_NOT_FOUND, "there is no role %s", request->role);
	sandbox_warm_up();
	err = apply(request, row, &progress);
	report(&progress, out);
	if (!err && request->required && !out->complete)
		err = fault(ERR_UNSUPPORTED, "the sandbox is required, but %s", out->text);
	buf_drop(&progress.done);
	buf_drop(&progress.lacking);
	return err;
}
