/* SPDX-License-Identifier: Apache-2.0 */
/* The house with the real roles in both worlds; certificates, the lock, the data directory. */
#include "filter/filter.h"
#include "gate/gate.h"
#include "net/net.h"
#include "store/store.h"
#include "supervisor/certificate.h"
#include "supervisor/crew.h"
#include "supervisor/file.h"
#include "supervisor/opening.h"
#include "supervisor/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const struct role_ops *const all_roles[] = { &store_role, &filter_role, &gate_mx_role,
						    &gate_user_role, NULL };
static char folder[64];

#define BASICS                                                                                     \
	"hostname = mail.example\n"                                                                \
	"catch_all = yes\naccept_any_domain = yes\naccept_any_password = yes\n"                    \
	"durable = no\ndisk_floor = 0\n"
#define MX   "listener mx { protocol = smtp address = 127.0.0.1 port = 2525 }\n"
#define POP3 "listener pop3 { protocol = pop3 address = 127.0.0.1 auth_without_tls = yes }\n"
#define LMTP "listener lmtp { protocol = lmtp address = 127.0.0.1 tls = none }\n"

/* ---- a folder for each test ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static int make_folder(void **state)
{
	char store[100];

	(void)state;
	snprintf(folder, sizeof folder, "/tmp/supervisor-test-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(store, sizeof store, "%s/store", folder);
	return mkdir(store, 0700);
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a scene in a world; it uses must, because cmocka's assertions jump off a fiber's stack ---- */

static void scene_fiber(void *arg)
{
	(*(void (**)(void))arg)();
}

static void play_in(struct world *world, void (*play)(void))
{
	assert_int_equal(world_spawn(world, "scene", scene_fiber, &play), OK);
	world_run(world);
	world_drop(&world);
}

static struct house *start_with(const struct role_ops *const *roles, const char *config,
				bool any_port) WAITS
{
	OWNED(buf) struct buf complaints = BUF(8192);
	struct house *house = NULL;
	const struct house_options options = {
		.roles = roles,
		.config = str_of(config),
		.config_name = S("test.conf"),
		.folder = str_of(folder),
		.any_port = any_port,
	};

	if (house_start(&options, &complaints, &house) != OK)
		fprintf(stderr, "%.*s\n", STR_ARGS(buf_str(&complaints)));
	must(house);
	return house;
}

static struct house *start(const char *config) WAITS
{
	return start_with(all_roles, config, true);
}

static struct conn *call_on(struct house *house, const char *listener) WAITS
{
	struct stream *stream;
	struct addr at;

	must(house_address(house, str_of(listener), 0, &at));
	must(stream_connect(&at, in_ms(5000), &stream) == OK);
	return conn_new(stream);
}

/* Says a line (NULL: nothing), and the answer must begin so. */
static void talk(struct conn *conn, const char *line, const char *answer) WAITS
{
	struct str got;

	if (line) {
		must(conn_write(conn, str_of(line), in_ms(5000)) == OK);
		must(conn_write(conn, S("\r\n"), in_ms(5000)) == OK);
		must(conn_flush(conn, in_ms(5000)) == OK);
	}
	do {
		must(conn_read_line(conn, 1000, LINE_CRLF_ONLY, in_ms(20000), &got) == OK);
	} while (got.len > 3 && got.at[3] == '-');
	if (!str_starts(got, str_of(answer)))
		fprintf(stderr, "wanted %s, got %.*s\n", answer, STR_ARGS(got));
	must(str_starts(got, str_of(answer)));
}

static void send_one(struct house *house) WAITS
{
	struct conn *conn = call_on(house, "mx");

	talk(conn, NULL, "220 mail.example");
	talk(conn, "EHLO client.example", "250 ");
	talk(conn, "MAIL FROM:<a@client.example>", "250 ");
	talk(conn, "RCPT TO:<anna@mail.example>", "250 ");
	talk(conn, "DATA", "354 ");
	talk(conn, "Subject: hello\r\n\r\nHow are you?\r\n.", "250 ");
	talk(conn, "QUIT", "221 ");
	conn_drop(&conn);
}

static void fetch_it(struct house *house) WAITS
{
	struct conn *conn = call_on(house, "pop3");

	talk(conn, NULL, "+OK");
	talk(conn, "USER anna@mail.example", "+OK");
	talk(conn, "PASS anything", "+OK");
	talk(conn, "STAT", "+OK 1 ");
	talk(conn, "QUIT", "+OK");
	conn_drop(&conn);
}

static void play_mail(void) WAITS
{
	struct house *house = start(BASICS MX POP3);

	must(house_role(house, ROLE_STORE) && house_role(house, ROLE_GATE_USER));
	send_one(house);
	fetch_it(house);
	house_stop(&house, 1000);
	must(!house);
}

static void play_idle_at_stop_stopper(void *arg) WAITS
{
	struct house **house = arg;

	house_stop(house, 2000);
}

static void play_idle_at_stop(void) WAITS
{
	struct house *house = start(BASICS MX);
	struct conn *conn = call_on(house, "mx");
	struct fiber_group group;

	group_init(&group);
	talk(conn, NULL, "220 ");
	talk(conn, "EHLO client.example", "250 ");
	must(fiber_spawn(&group, "stopper", play_idle_at_stop_stopper, &house, NULL) == OK);
	talk(conn, NULL, "421 ");
	conn_drop(&conn);
	must(group_wait(&group, in_ms(20000)) == OK);
	must(!house);
}

static void play_reload(void) WAITS
{
	OWNED(buf) struct buf complaints = BUF(8192);
	struct house *house = start(BASICS MX);
	struct conn *old = call_on(house, "mx");
	struct conn *fresh;
	struct addr at;

	talk(old, NULL, "220 mail.example");
	must(house_reload(house, S("hostnam = other.example\n"), &complaints) == ERR_CONFIG);
	must(str_starts(buf_str(&complaints), S("test.conf:1: hostnam")));
	buf_reset(&complaints);
	must(house_reload(house,
			  S(BASICS "listener mx { protocol = submission address = 127.0.0.1 }\n"),
			  &complaints) == ERR_CONFIG);
	must(str_find_str(buf_str(&complaints), S("another name and port")) != STR_NONE);
	must(house_reload(house, S(BASICS LMTP), &complaints) == OK);
	/* The session under way goes on, its listener is gone, the new one is there. */
	talk(old, "NOOP", "250 ");
	must(!house_address(house, S("mx"), 0, &at));
	fresh = call_on(house, "lmtp");
	talk(fresh, NULL, "220 ");
	talk(fresh, "LHLO client.example", "250 ");
	conn_drop(&fresh);
	conn_drop(&old);
	house_stop(&house, 1000);
}

static void play_bad_config(void) WAITS
{
	OWNED(buf) struct buf complaints = BUF(8192);
	struct house *house = NULL;
	struct house_options options = {
		.roles = all_roles,
		.config = S("listener mx { protocol = smpt }\n"),
		.config_name = S("test.conf"),
		.folder = str_of(folder),
	};

	must(house_start(&options, &complaints, &house) == ERR_CONFIG);
	must(!house && str_starts(buf_str(&complaints), S("test.conf:1: listener mx: protocol:")));
}

/* A listener that cannot be opened: nothing is left running. */
static void play_taken_port(void) WAITS
{
	OWNED(buf) struct buf complaints = BUF(8192);
	struct house *house = start(BASICS MX);
	struct house *second = NULL;
	char config[400];
	struct addr at;
	struct house_options options = { .roles = all_roles,
					 .config_name = S("test.conf"),
					 .folder = str_of(folder) };

	must(house_address(house, S("mx"), 0, &at));
	snprintf(config, sizeof config,
		 BASICS "listener mx { protocol = smtp address = 127.0.0.1 port = %u }\n", at.port);
	options.config = str_of(config);
	must(house_start(&options, &complaints, &second) == ERR_BUSY);
	must(!second);
	house_stop(&house, 1000);
}

static enum err open_path(const char *path, struct opening *out)
{
	*out = (struct opening){ .listener = "lmtp",
				 .wanted = { .family = ADDR_UNIX },
				 .mode = 0660 };
	snprintf(out->wanted.path, sizeof out->wanted.path, "%s", path);
	return opening_open(out);
}

/* Only what is a socket, and nobody's, is taken away for ours. */
static void play_paths(void) WAITS
{
	char path[100];
	struct opening first;
	struct opening second;
	struct stat status;
	int fd;

	snprintf(path, sizeof path, "%s/socket", folder);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	must(fd >= 0 && open_path(path, &first) == ERR_CONFIG);
	close(fd);
	must(stat(path, &status) == 0 && S_ISREG(status.st_mode) && unlink(path) == 0);
	must(open_path(path, &first) == OK);
	must(stat(path, &status) == 0 && (status.st_mode & 0777) == 0660);
	must(open_path(path, &second) == ERR_BUSY);
	close(first.fd); /* as a killed server leaves it */
	must(open_path(path, &second) == OK);
	opening_close(&second);
	must(stat(path, &status) != 0);
}

/* A child has the socket open for a while after us, as a role that is being killed has. */
static void play_the_dying(void) WAITS
{
	char path[100];
	struct opening first;
	struct opening second;
	pid_t child;
	int status;

	snprintf(path, sizeof path, "%s/dying.sock", folder);
	must(open_path(path, &first) == OK);
	child = fork();
	if (child == 0) {
		usleep(200000);
		_exit(0);
	}
	close(first.fd);
	must(open_path(path, &second) == ERR_BUSY);
	openings_wait_for_dead(folder);
	must(open_path(path, &second) == OK);
	must(waitpid(child, &status, 0) == child);
	opening_close(&second);
}

/* ---- tests ---- */

static void a_start_waits_for_the_processes_of_a_killed_server(void **state)
{
	(void)state;
	play_in(world_real_new(), play_the_dying);
}

static struct crew some_crew;

static struct member member_of_process(int pid)
{
	return (struct member){
		.crew = &some_crew, .kind = ROLE_STORE, .pid = pid, .pidfd = -1, .ring_fd = -1
	};
}

/* As when the process ends while all are stopped: its end is known before the watcher runs. */
static void play_end_at_the_stop(void) WAITS
{
	struct member member = member_of_process(0);

	group_init(&some_crew.watchers);
	must(fiber_spawn(&some_crew.watchers, "watch", member_watch, &member, NULL) == OK);
	group_stop(&some_crew.watchers);
	group_wait_through(&some_crew.watchers);
	must(member.restarts == 0);
}

static void play_slow_end(void) WAITS
{
	struct member member = member_of_process(fork());

	if (member.pid == 0) {
		usleep(100000);
		_exit(7);
	}
	must(member.pid > 0);
	member.pidfd = pidfd_open(member.pid, PIDFD_NONBLOCK);
	must(member.pidfd >= 0 && fd_watch_new(member.pidfd, &member.ended) == OK);
	must(member_wait_end(&member, in_ms(10)) == ERR_TIMEOUT);
	must(member_wait_end(&member, in_ms(10000)) == OK);
	must(member.pid == 0 && strcmp(member.last_end, "exit status 7") == 0);
	member_end(&member);
}

static void a_process_that_ends_at_the_stop_is_not_started_again(void **state)
{
	(void)state;
	play_in(world_sim_new(1), play_end_at_the_stop);
}

static void the_end_of_a_process_is_waited_for(void **state)
{
	(void)state;
	play_in(world_real_new(), play_slow_end);
}

static void only_a_dead_socket_makes_room_for_ours(void **state)
{
	(void)state;
	play_in(world_real_new(), play_paths);
}

static void mail_comes_in_and_is_fetched_in_the_simulated_world(void **state)
{
	(void)state;
	play_in(world_sim_new(7), play_mail);
}

static void mail_comes_in_and_is_fetched_in_the_real_world(void **state)
{
	(void)state;
	play_in(world_real_new(), play_mail);
}

static void idle_clients_are_told_421_at_the_stop(void **state)
{
	(void)state;
	play_in(world_real_new(), play_idle_at_stop);
}

static void a_reload_refuses_a_bad_file_and_moves_listeners_with_a_good_one(void **state)
{
	(void)state;
	play_in(world_real_new(), play_reload);
}

static enum err reload_fails(struct role *role) WAITS
{
	(void)role;
	return fault(ERR_IO, "as the test wants it");
}

static bool complained(struct buf *complaints, const char *text)
{
	return str_find_str(buf_str(complaints), str_of(text)) != STR_NONE;
}

static void play_half_reload(void) WAITS
{
	static struct role_ops stubborn;
	static const struct role_ops *const roles[] = { &store_role, &stubborn, &gate_mx_role,
							&gate_user_role, NULL };
	OWNED(buf) struct buf complaints = BUF(8192);
	struct house *house;
	struct addr at;

	stubborn = filter_role;
	stubborn.reload = reload_fails;
	house = start_with(roles, BASICS MX, false);
	/* Another name for what is there: refused before anything is changed. */
	must(house_reload(house,
			  S(BASICS "listener mail { protocol = smtp address = 127.0.0.1 "
				   "port = 2525 }\n"),
			  &complaints) == ERR_BUSY);
	must(complained(&complaints, "listener mail: 127.0.0.1:2525 is held by this server's "
				     "listener mx"));
	must(house_address(house, S("mx"), 0, &at) && !house_address(house, S("mail"), 0, &at));
	buf_reset(&complaints);
	/* One that does not take it: the others do, and what is new is served. */
	must(house_reload(house,
			  S(BASICS MX "listener two { protocol = smtp address = 127.0.0.1 "
				      "port = 2526 }\n"),
			  &complaints) == ERR_IO);
	must(complained(&complaints, "filter 0: did not take it and goes on as before: as the test "
				     "wants it\n3 of 4 processes work by the new configuration\n"));
	must(house_address(house, S("two"), 0, &at));
	house_stop(&house, 1000);
}

static void a_reload_that_fails_says_what_holds_now(void **state)
{
	(void)state;
	play_in(world_sim_new(11), play_half_reload);
}

static void a_configuration_with_mistakes_starts_nothing(void **state)
{
	(void)state;
	play_in(world_sim_new(7), play_bad_config);
}

static void a_port_that_is_taken_starts_nothing(void **state)
{
	(void)state;
	play_in(world_real_new(), play_taken_port);
}

static struct config *config_of(const char *text)
{
	OWNED(buf) struct buf complaints = BUF(4096);
	struct config *config = NULL;

	assert_int_equal(config_parse(str_of(text), S("f"), NULL, 0, &complaints, &config), OK);
	return config;
}

static void the_self_signed_certificate_is_kept_and_fits_the_name(void **state)
{
	struct certificate first = CERTIFICATE_EMPTY;
	struct certificate second = CERTIFICATE_EMPTY;
	struct config *config = config_of("hostname = mail.example\n");
	struct config *other = config_of("hostname = other.example\n");
	char path[120];
	struct stat status;

	(void)state;
	assert_int_equal(certificate_load(folder, config, &first), OK);
	assert_int_equal(certificate_load(folder, config, &second), OK);
	assert_true(str_is(buf_str(&first.chain), buf_str(&second.chain)));
	assert_true(str_is(buf_str(&first.key), buf_str(&second.key)));
	snprintf(path, sizeof path, "%s/tls/self-signed.key", folder);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	/* A new name needs a new certificate. */
	assert_int_equal(certificate_load(folder, other, &second), OK);
	assert_false(str_is(buf_str(&first.chain), buf_str(&second.chain)));
	certificate_drop(&first);
	certificate_drop(&second);
	config_unref(&config);
	config_unref(&other);
}

static void a_key_of_another_certificate_is_refused(void **state)
{
	struct certificate one = CERTIFICATE_EMPTY;
	struct certificate two = CERTIFICATE_EMPTY;
	struct config *config = config_of("certificate = chain.pem\ncertificate_key = key.pem\n");
	char path[120];

	(void)state;
	assert_int_equal(certificate_load(folder, config, &one), ERR_NOT_FOUND);
	assert_int_equal(certificate_make(S("one.example"), &one), OK);
	assert_int_equal(certificate_make(S("two.example"), &two), OK);
	snprintf(path, sizeof path, "%s/chain.pem", folder);
	assert_int_equal(file_write_whole(path, buf_str(&one.chain), 0644), OK);
	snprintf(path, sizeof path, "%s/key.pem", folder);
	assert_int_equal(file_write_whole(path, buf_str(&two.key), 0600), OK);
	assert_int_equal(certificate_load(folder, config, &two), ERR_TLS);
	assert_string_equal(fault_text(), "the key does not belong to the certificate");
	assert_int_equal(file_write_whole(path, buf_str(&one.key), 0600), OK);
	assert_int_equal(certificate_load(folder, config, &two), OK);
	assert_int_equal(file_write_whole(path, S("nonsense"), 0600), OK);
	assert_int_equal(certificate_load(folder, config, &two), ERR_TLS);
	certificate_drop(&one);
	certificate_drop(&two);
	config_unref(&config);
}

static void one_server_holds_the_lock_and_the_next_is_told_who(void **state)
{
	char path[100];
	char wanted[40];
	int first = -1;
	int second = -1;

	(void)state;
	snprintf(path, sizeof path, "%s/lock", folder);
	snprintf(wanted, sizeof wanted, "process %d serves", (int)getpid());
	assert_int_equal(file_lock(path, &first), OK);
	assert_int_equal(file_lock(path, &second), ERR_BUSY);
	assert_non_null(strstr(fault_text(), wanted));
	close(first);
	assert_int_equal(file_lock(path, &second), OK);
	close(second);
}

static void a_file_is_written_whole_or_not_at_all(void **state)
{
	OWNED(buf) struct buf text = BUF(100);
	char path[100];

	(void)state;
	snprintf(path, sizeof path, "%s/missing/file", folder);
	assert_int_equal(file_write_whole(path, S("x"), 0600), ERR_NOT_FOUND);
	snprintf(path, sizeof path, "%s/file", folder);
	assert_int_equal(file_write_whole(path, S("old"), 0600), OK);
	assert_int_equal(file_write_whole(path, S("new"), 0600), OK);
	assert_int_equal(file_read_whole(path, &text), OK);
	assert_true(str_is(buf_str(&text), S("new")));
}

static void the_data_directory_is_made_with_its_parts(void **state)
{
	struct config *config = config_of("");
	char inner[100];
	char path[120];
	struct stat status;

	(void)state;
	snprintf(inner, sizeof inner, "%s/data", folder);
	assert_int_equal(supervisor_make_folder(inner, config), OK);
	assert_int_equal(supervisor_make_folder(inner, config), OK); /* again: fine */
	snprintf(path, sizeof path, "%s/run", inner);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	config_unref(&config);
}

static void a_link_in_the_data_directory_leads_nobody_astray(void **state)
{
	struct config *config = config_of("");
	char inner[100];
	char path[120];

	(void)state;
	snprintf(inner, sizeof inner, "%s/data", folder);
	snprintf(path, sizeof path, "%s/run", inner);
	assert_int_equal(mkdir(inner, 0700), 0);
	assert_int_equal(symlink("/etc", path), 0);
	assert_int_equal(supervisor_make_folder(inner, config), ERR_CONFIG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(chmod(inner, 0777), 0);
	assert_int_equal(supervisor_make_folder(inner, config), ERR_CONFIG);
	assert_int_equal(chmod(inner, 0700), 0);
	assert_int_equal(supervisor_make_folder(inner, config), OK);
	config_unref(&config);
}

static void root_obeys_no_file_that_another_user_may_write(void **state)
{
	OWNED(buf) struct buf text = BUF(1000);
	char path[120];

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can give a file away\n");
		skip();
	}
	snprintf(path, sizeof path, "%s/glasspost.conf", folder);
	assert_int_equal(file_write_whole(path, S("user = root\n"), 0644), OK);
	assert_int_equal(file_read_own(path, &text), OK);
	assert_true(str_is(buf_str(&text), S("user = root\n")));
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(file_read_own(path, &text), ERR_CONFIG);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(path, 65534, 0), 0);
	assert_int_equal(file_read_own(path, &text), ERR_CONFIG);
	assert_non_null(strstr(fault_text(), "chown root"));
	assert_int_equal(file_read_own(folder, &text), ERR_UNSUPPORTED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(file_read_own(path, &text), ERR_NOT_FOUND);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(mail_comes_in_and_is_fetched_in_the_simulated_world),
		IN_FOLDER(mail_comes_in_and_is_fetched_in_the_real_world),
		IN_FOLDER(idle_clients_are_told_421_at_the_stop),
		IN_FOLDER(a_reload_refuses_a_bad_file_and_moves_listeners_with_a_good_one),
		IN_FOLDER(a_reload_that_fails_says_what_holds_now),
		IN_FOLDER(a_configuration_with_mistakes_starts_nothing),
		IN_FOLDER(a_port_that_is_taken_starts_nothing),
		IN_FOLDER(the_self_signed_certificate_is_kept_and_fits_the_name),
		IN_FOLDER(a_key_of_another_certificate_is_refused),
		IN_FOLDER(one_server_holds_the_lock_and_the_next_is_told_who),
		IN_FOLDER(a_file_is_written_whole_or_not_at_all),
		IN_FOLDER(the_data_directory_is_made_with_its_parts),
		IN_FOLDER(a_link_in_the_data_directory_leads_nobody_astray),
		IN_FOLDER(root_obeys_no_file_that_another_user_may_write),
		IN_FOLDER(only_a_dead_socket_makes_room_for_ours),
		IN_FOLDER(a_start_waits_for_the_processes_of_a_killed_server),
		cmocka_unit_test(a_process_that_ends_at_the_stop_is_not_started_again),
		cmocka_unit_test(the_end_of_a_process_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
