/* SPDX-License-Identifier: Apache-2.0 */
/* Each role in its sandbox: what it may not do fails, what it lives on works. */
#include "fiber/fiber.h"
#include "sandbox/test_inside.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <iconv.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <pwd.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const roles[] = { "supervisor", "gate-mx", "gate-user",     "filter",
				     "store",      "relay",   "relay-sockets", "web" };

static char folder[] = "/tmp/glasspost-sandbox-XXXXXX";

/* ---- kernels and containers without Landlock ---- */

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* Files are denied by Landlock alone: where there is none, these tests have nothing to show. */
#define NEEDS_LANDLOCK()                                                                           \
	do {                                                                                       \
		if (!has_landlock())                                                               \
			skip();                                                                    \
	} while (0)

/* ---- children ---- */

struct life {
	const char *role;
	const char *user; /* to become inside */
	void (*inside)(void);
	bool as_ordinary; /* the starter is no root */
};

static void become_nobody(void)
{
	const struct passwd *nobody = getpwnam("nobody");

	if (geteuid() != 0)
		return;
	must(nobody && !setgroups(0, NULL));
	must(!setresgid(nobody->pw_gid, nobody->pw_gid, nobody->pw_gid));
	must(!setresuid(nobody->pw_uid, nobody->pw_uid, nobody->pw_uid));
}

/* Runs `inside` in the sandbox of a child; its status as waitpid gives it. */
static int live(const struct life *life)
{
	struct sandbox_request request = { .role = life->role,
					   .folder = folder,
					   .user = life->user };
	struct sandbox_report report;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		return status;
	}
	if (life->as_ordinary)
		become_nobody();
	if (sandbox_enter(&request, &report)) {
		fprintf(stderr, "%s: %s\n", life->role, fault_text());
		_exit(99);
	}
	life->inside();
	_exit(0);
}

static void expect_well(const struct life *life)
{
	int status = live(life);

	if (WIFSIGNALED(status))
		fail_msg("%s died of signal %d", life->role, WTERMSIG(status));
	if (WEXITSTATUS(status))
		fail_msg("%s left with %d", life->role, WEXITSTATUS(status));
}

/* ---- what must fail ---- */

static void try_role(const char *role, const char *user)
{
	struct sandbox_request request = { .role = role, .folder = folder, .user = user };
	struct sandbox_trial trials[SANDBOX_TRIALS_MAX];
	size_t count = 0;
	struct sandbox_report report;
	enum err err = sandbox_try(&request, trials, &count, &report);

	if (err)
		fail_msg("%s: %s", role, fault_text());
	assert_true(count > 12);
	for (size_t i = 0; i < count; i++)
		if (trials[i].expected && !trials[i].denied)
			fail_msg("%s may %s", role, trials[i].name);
}

static void test_what_a_role_may_not_do_fails(void **state)
{
	(void)state;
	NEEDS_LANDLOCK();
	for (size_t i = 0; i < COUNT_OF(roles); i++)
		try_role(roles[i], geteuid() == 0 && i > 0 ? "nobody" : NULL);
}

static void test_the_same_without_a_change_of_user(void **state)
{
	(void)state;
	NEEDS_LANDLOCK();
	for (size_t i = 0; i < COUNT_OF(roles); i++)
		try_role(roles[i], NULL);
}

/* The trials again, begun by an ordinary user: forked, because there is no way back. */
static void test_the_same_started_by_an_ordinary_user(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	NEEDS_LANDLOCK();
	assert_true(pid >= 0);
	if (pid == 0) {
		become_nobody();
		for (size_t i = 0; i < COUNT_OF(roles); i++) {
			struct sandbox_request request = { .role = roles[i],
							   .folder = folder,
							   .user = "root" };
			struct sandbox_trial trials[SANDBOX_TRIALS_MAX];
			size_t count;

			struct sandbox_report report;

			check(!sandbox_try(&request, trials, &count, &report));
			for (size_t k = 0; k < count; k++) {
				if (!trials[k].expected || trials[k].denied)
					continue;
				fprintf(stderr, "%s may %s\n", roles[i], trials[k].name);
				_exit(1);
			}
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The trials themselves are true: without a sandbox most of these work. */
static void test_the_supervisor_may_do_what_its_row_promises(void **state)
{
	struct sandbox_request request = { .role = "supervisor", .folder = folder };
	struct sandbox_trial trials[SANDBOX_TRIALS_MAX];
	struct sandbox_report report;
	size_t count = 0;
	unsigned allowed = 0;

	(void)state;
	assert_int_equal(sandbox_try(&request, trials, &count, &report), OK);
	for (size_t i = 0; i < count; i++) {
		bool needs_root = strcmp(trials[i].name, "become root") == 0 ||
				  strcmp(trials[i].name, "open another role's memory") == 0;

		if (trials[i].expected || (needs_root && geteuid() != 0))
			continue;
		if (trials[i].denied)
			fail_msg("the supervisor may not %s", trials[i].name);
		allowed++;
	}
	assert_true(allowed >= 8);
}

static void test_the_store_may_write_in_its_folder_only(void **state)
{
	struct sandbox_request request = { .role = "store", .folder = folder };
	struct sandbox_trial trials[SANDBOX_TRIALS_MAX];
	struct sandbox_report report;
	size_t count = 0;
	unsigned allowed = 0;

	(void)state;
	NEEDS_LANDLOCK();
	assert_int_equal(sandbox_try(&request, trials, &count, &report), OK);
	for (size_t i = 0; i < count; i++)
		allowed += !trials[i].denied;
	assert_int_equal(allowed, 1);
}

/* ---- what the process has become ---- */

static void inside_as_nobody(void)
{
	struct rlimit limit;

	check(getuid() != 0 && geteuid() != 0 && getgid() != 0 && getegid() != 0);
	check(prctl(PR_GET_DUMPABLE) == 0);
	check(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	check(getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY);
	check(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == limit.rlim_max);
}

static void test_root_is_given_up_for_good(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		skip();
		return;
	}
	expect_well(&(struct life){ "gate-mx", "nobody", inside_as_nobody, false });
}

/* Seen from outside, as `ps` and auditors do. */
static void test_the_kernel_confirms_it(void **state)
{
	struct sandbox_request request = { .role = "filter",
					   .user = geteuid() == 0 ? "nobody" : NULL };
	struct sandbox_report report;
	char path[64], text[4096];
	int pipes[2], ready[2];
	ssize_t len;
	pid_t pid;
	int fd;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		char octet = 'x';

		close(pipes[1]);
		check(!sandbox_enter(&request, &report));
		check(write(ready[1], report.text, sizeof(report.text)) > 0);
		check(read(pipes[0], &octet, 1) == 0);
		_exit(0);
	}
	assert_true(read(ready[0], report.text, sizeof(report.text)) > 0);
	print_message("%s\n", report.text);
	assert_non_null(strstr(report.text, "seccomp "));
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(len > 0);
	text[len] = '\0';
	assert_non_null(strstr(text, "\nNoNewPrivs:\t1\n"));
	assert_non_null(strstr(text, "\nSeccomp:\t2\n"));
	assert_non_null(strstr(text, "\nCapPrm:\t0000000000000000\n"));
	assert_non_null(strstr(text, "\nCapEff:\t0000000000000000\n"));
	assert_non_null(strstr(text, "\nCapAmb:\t0000000000000000\n"));
	if (geteuid() == 0) {
		assert_non_null(strstr(text, "\nCapBnd:\t0000000000000000\n"));
		assert_non_null(strstr(text, "\nGroups:\t \n"));
	}
	close(pipes[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pipes[0]);
	close(ready[0]);
	close(ready[1]);
}

static void test_refusals(void **state)
{
	struct sandbox_report report;
	struct sandbox_request request = { .role = "nobody-s-role" };

	(void)state;
	assert_int_equal(sandbox_enter(&request, &report), ERR_NOT_FOUND);
	if (geteuid() != 0)
		return;
	request = (struct sandbox_request){ .role = "store",
					    .folder = folder,
					    .user = "no-such-user" };
	assert_int_equal(sandbox_enter(&request, &report), ERR_NOT_FOUND);
}

/* ---- kernels that lack a part, as containers do ---- */

static void forbid(const char *const calls[], size_t count)
{
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp set_seccomp = { 0, SCMP_CMP_EQ, PR_SET_SECCOMP, 0 };

	check(context);
	for (size_t i = 0; i < count; i++)
		check(!seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS),
					seccomp_syscall_resolve_name(calls[i]), 0));
	check(!seccomp_rule_add(context, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, set_seccomp));
	check(!seccomp_load(context));
	seccomp_release(context);
}

/* In a child: enter where these calls are missing; what is said to be lacking, and what is not. */
static void enter_without(const char *const calls[], size_t count, const char *lacking,
			  const char *applied)
{
	struct sandbox_request request = { .role = "store", .folder = folder, .required = true };
	struct sandbox_report report;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		char expected[100];

		forbid(calls, count);
		check(sandbox_enter(&request, &report) == ERR_UNSUPPORTED);
		snprintf(expected, sizeof(expected), "; lacking: %s", lacking);
		check(strstr(report.text, expected) && strstr(report.text, applied));
		check(!report.complete);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_what_the_kernel_lacks_is_said_and_may_be_required(void **state)
{
	static const char *const landlock[] = { "landlock_create_ruleset" };
	static const char *const seccomp[] = { "seccomp" };

	(void)state;
	NEEDS_LANDLOCK();
	enter_without(landlock, 1, "landlock", "seccomp ");
	enter_without(seccomp, 1, "seccomp", "landlock abi ");
}

static void *sleep_a_little(void *arg)
{
	(void)arg;
	usleep(200000);
	return NULL;
}

static void test_a_process_with_threads_is_refused(void **state)
{
	struct sandbox_request request = { .role = "filter" };
	struct sandbox_report report;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, sleep_a_little, NULL), 0);
	assert_int_equal(sandbox_enter(&request, &report), ERR_BUSY);
	pthread_join(thread, NULL);
}

static void test_the_parent_death_signal_outlives_the_change_of_user(void **state)
{
	struct sandbox_request request = { .role = "filter",
					   .user = geteuid() == 0 ? "nobody" : NULL };
	struct sandbox_report report;
	int pipes[2];
	char octet;
	pid_t middle;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	middle = fork();
	if (middle == 0) {
		int ready[2];

		check(pipe(ready) == 0);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(pipes[0]);
			check(!sandbox_enter(&request, &report));
			check(write(ready[1], "r", 1) == 1);
			for (;;)
				usleep(1000000);
		}
		check(read(ready[0], &octet, 1) == 1);
		_exit(0);
	}
	close(pipes[1]);
	assert_int_equal(waitpid(middle, NULL, 0), middle);
	/* The pipe ends only when the grandchild is dead too. */
	assert_int_equal(read(pipes[0], &octet, 1), 0);
	close(pipes[0]);
}

/* ---- what must work ---- */

/* As charset_prepare does: what is open stays loaded. */
static void hold_charsets(void)
{
	static iconv_t held;

	if (!held)
		held = iconv_open("UTF-8", "KOI8-R");
	assert_true(held != (iconv_t)-1);
}

static void test_libraries_and_fibers_work_inside(void **state)
{
	(void)state;
	NEEDS_LANDLOCK();
	hold_charsets();
	for (size_t i = 1; i < COUNT_OF(roles); i++) {
		expect_well(&(struct life){ roles[i], NULL, inside_any, true });
		if (geteuid() == 0)
			expect_well(&(struct life){ roles[i], "nobody", inside_any, false });
	}
}

/* A role inherits the supervisor's filter and must still find its way into its own. */
static void inside_supervisor(void)
{
	for (size_t i = 1; i < COUNT_OF(roles); i++) {
		struct sandbox_request request = { .role = roles[i],
						   .folder = folder,
						   .user = geteuid() == 0 ? "nobody" : NULL };
		struct sandbox_report report;
		int status;
		pid_t pid = fork();

		check(pid >= 0);
		if (pid == 0) {
			check(!sandbox_enter(&request, &report));
			inside_any();
			_exit(0);
		}
		check(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

static void test_roles_start_under_the_supervisor(void **state)
{
	(void)state;
	NEEDS_LANDLOCK();
	hold_charsets();
	expect_well(&(struct life){ "supervisor", NULL, inside_supervisor, false });
	expect_well(&(struct life){ "supervisor", NULL, inside_supervisor, true });
}

static void sql(sqlite3 *db, const char *text)
{
	char *message = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
		fprintf(stderr, "%s: %s\n", text, message);
	check(!message);
}

static void inside_store(void)
{
	char path[200], other[200];
	struct stat st;
	sqlite3 *db;
	int fd;

	snprintf(path, sizeof(path), "%s/mail-%d.db", folder, (int)getpid());
	check(sqlite3_open(path, &db) == SQLITE_OK);
	sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY");
	sql(db, "CREATE TABLE t(a); CREATE VIRTUAL TABLE f USING fts5(x)");
	sql(db, "BEGIN; INSERT INTO t VALUES(1),(2); INSERT INTO f VALUES('hello world'); COMMIT");
	sql(db, "PRAGMA wal_checkpoint(TRUNCATE); VACUUM");
	check(sqlite3_close(db) == SQLITE_OK);
	check(unlink(path) == 0);
	snprintf(path, sizeof(path), "%s/segments-%d", folder, (int)getpid());
	check(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/segments-%d/1", folder, (int)getpid());
	snprintf(other, sizeof(other), "%s/1-%d", folder, (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	check(fd >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0 && fstat(fd, &st) == 0);
	check(ftruncate(fd, 0) == 0 && close(fd) == 0);
	check(rename(path, other) == 0 && unlink(other) == 0); /* from folder to folder */
	snprintf(path, sizeof(path), "%s/segments-%d", folder, (int)getpid());
	check(rmdir(path) == 0);
	inside_any();
}

static void test_the_store_works_in_its_folder(void **state)
{
	(void)state;
	NEEDS_LANDLOCK();
	expect_well(&(struct life){ "store", NULL, inside_store, true });
	if (geteuid() == 0)
		expect_well(&(struct life){ "store", "nobody", inside_store, false });
}

static void inside_too_large(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	check(ftruncate(fd, (off_t)3 << 30) < 0 && errno == EFBIG);
	check(ftruncate(fd, (off_t)2 << 30) == 0); /* the largest message */
}

static void test_a_memory_file_may_be_as_large_as_a_message_and_no_larger(void **state)
{
	(void)state;
	expect_well(&(struct life){ "gate-mx", NULL, inside_too_large, false });
}

static void inside_abort(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void test_a_bug_still_ends_the_process_as_a_bug(void **state)
{
	int status = live(&(struct life){ "gate-mx", NULL, inside_abort, false });

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && chmod(folder, 0777) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder); /* a test that left something behind fails here */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_role_may_not_do_fails),
		cmocka_unit_test(test_the_same_without_a_change_of_user),
		cmocka_unit_test(test_the_same_started_by_an_ordinary_user),
		cmocka_unit_test(test_the_supervisor_may_do_what_its_row_promises),
		cmocka_unit_test(test_the_store_may_write_in_its_folder_only),
		cmocka_unit_test(test_root_is_given_up_for_good),
		cmocka_unit_test(test_the_kernel_confirms_it),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_what_the_kernel_lacks_is_said_and_may_be_required),
		cmocka_unit_test(test_a_process_with_threads_is_refused),
		cmocka_unit_test(test_the_parent_death_signal_outlives_the_change_of_user),
		cmocka_unit_test(test_libraries_and_fibers_work_inside),
		cmocka_unit_test(test_roles_start_under_the_supervisor),
		cmocka_unit_test(test_the_store_works_in_its_folder),
		cmocka_unit_test(test_a_memory_file_may_be_as_large_as_a_message_and_no_larger),
		cmocka_unit_test(test_a_bug_still_ends_the_process_as_a_bug),
	};

	int failed = cmocka_run_group_tests(tests, make_folder, remove_folder);

	if (!failed && !has_landlock()) {
		puts("skipped in part: no Landlock in this kernel or container");
		return 77;
	}
	return failed;
}
