/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include "filter/filter.h"
#include "gate/gate.h"
#include "relay/relay.h"
#include "store/store.h"

#include <argon2.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_OCTETS = 200, TEXT_OCTETS = 8192, STOP_MS = 1000, LOOK_MS = 1000 };

const char *const scene_accounts[SCENE_ACCOUNTS] = { "ann@wire.example", "bob@wire.example",
						     "carol@wire.example" };

static const char settings[] = "connections_exempt = \"0.0.0.0/0\"\n"
			       "durable = no\n"
			       "disk_floor = 0\n"
			       "segment_size = 1M\n"
			       "sessions_keep = 0s\n";

static const struct {
	const char *name;
	const char *protocol;
	const char *more;
} listeners[] = {
	{ "mx", "smtp", "" },
	{ "submission", "submission", "auth_without_tls = yes\n" },
	{ "lmtp", "lmtp", "" },
	{ "pop3", "pop3", "auth_without_tls = yes\n" },
};

/* Of the usual house, and of the far one. */
static char templates[2][PATH_OCTETS];
static const char *const domains[2] = { "wire.example", "far.example" };

/* ---- folders ---- */

static void make_folder(char path[PATH_OCTETS])
{
	const char *parent = getenv("TMPDIR");

	if (!parent)
		parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(path, PATH_OCTETS, "%s/glasspost-scene-XXXXXX", parent);
	if (!mkdtemp(path)) {
		perror(path);
		exit(1);
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_folder(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void copy_file(const char *template, const char *to_folder, const char *name)
{
	static char octets[65536]; /* a fiber's stack is no larger */
	char path[PATH_OCTETS + 64];
	ssize_t count;
	int from;
	int to;

	snprintf(path, sizeof(path), "%s/%s", template, name);
	from = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/store/%s", to_folder, name);
	to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(from >= 0 && to >= 0);
	while ((count = read(from, octets, sizeof(octets))) > 0)
		must(write(to, octets, (size_t)count) == count);
	must(count == 0);
	close(from);
	close(to);
}

/* ---- the store that scenes begin with ---- */

static void run_sql(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, why);
		exit(1);
	}
}

static void add_account(sqlite3 *db, size_t account, const char *domain)
{
	const char *usual = scene_accounts[account];
	char address[64];
	static const char salt[] = "0123456789abcdef";
	char hash[128];
	char sql[800];

	snprintf(address, sizeof(address), "%.*s@%s", (int)strcspn(usual, "@"), usual, domain);
	/* The cheapest that argon2 knows: a real one takes longer than a whole seed. */
	must(argon2id_hash_encoded(1, 8, 1, "secret", 6, salt, 16, 32, hash, sizeof(hash)) ==
	     ARGON2_OK);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO account (address, display, domain, created_us)"
		 " VALUES ('%s', '%s', '%s', 1);"
		 "INSERT INTO mailbox (account, name, uid_validity, uid_next)"
		 " VALUES (last_insert_rowid(), 'INBOX', 1, 1);"
		 "UPDATE account SET password = '%s';" /* postmaster's too */,
		 address, address, domain, hash);
	run_sql(db, sql);
}

static void make_template(char template[PATH_OCTETS], const char *domain)
{
	char path[PATH_OCTETS + 64];
	sqlite3 *db;

	make_folder(template);
	if (store_create(template, str_of(domain))) {
		fprintf(stderr, "make a store in %s: %s\n", template, fault_text());
		exit(1);
	}
	snprintf(path, sizeof(path), "%s/glasspost.db", template);
	must(sqlite3_open(path, &db) == SQLITE_OK);
	for (size_t i = 0; i < SCENE_ACCOUNTS; i++)
		add_account(db, i, domain);
	/* The last connection carries the log over: the file is whole. */
	must(sqlite3_close(db) == SQLITE_OK);
}

void scene_prepare(void)
{
	for (size_t i = 0; i < COUNT_OF(templates); i++)
		make_template(templates[i], domains[i]);
}

void scene_forget(void)
{
	for (size_t i = 0; i < COUNT_OF(templates); i++)
		remove_folder(templates[i]);
}

/* ---- the house ---- */

static void print_config(const struct scene_plan *plan, struct buf *out)
{
	buf_print(out, "hostname = %s\n%s%s%s", plan->is_far ? "mail.far.example" : "mail.example",
		  settings, plan->zone ? "relay = users\n" : "", plan->options);
	for (size_t i = 0; i < COUNT_OF(listeners); i++)
		buf_print(out,
			  "listener \"%s\" {\nprotocol = %s\naddress = \"%s\"\n"
			  "tls = none\n%s}\n",
			  listeners[i].name, listeners[i].protocol,
			  plan->address ? plan->address : "127.0.0.1", listeners[i].more);
}

static void make_scene_folder(struct scene *scene, const char *template)
{
	char path[PATH_OCTETS];
	char store[PATH_OCTETS + 16];

	make_folder(path);
	scene->folder = BUF(PATH_OCTETS);
	must(!buf_add_c(&scene->folder, path));
	snprintf(store, sizeof(store), "%s/store", path);
	must(mkdir(store, 0700) == 0);
	copy_file(template, path, "glasspost.db");
	copy_file(template, path, "store.key");
}

static size_t fibers_now(void)
{
	struct world_stats stats;

	world_get_stats(world_here(), &stats);
	return stats.fibers;
}

enum err scene_begin_as(struct scene *scene, const struct scene_plan *plan) WAITS
{
	static const struct role_ops *const all[] = { &relay_role,   &store_role,     &filter_role,
						      &gate_mx_role, &gate_user_role, NULL };
	OWNED(buf) struct buf text = BUF(TEXT_OCTETS);
	OWNED(buf) struct buf complaints = BUF(TEXT_OCTETS);
	struct house_options house = { .roles = plan->zone ? all : all + 1,
				       .config_name = S("scene.conf"),
				       .zone = plan->zone };
	enum err err;

	*scene = (struct scene){ 0 };
	make_scene_folder(scene, templates[plan->is_far]);
	print_config(plan, &text);
	house.config = buf_str(&text);
	house.folder = buf_str(&scene->folder);
	err = house_start(&house, &complaints, &scene->house);
	if (err)
		return fault(err, "%s: %.*s", err_text(err), STR_ARGS(buf_str(&complaints)));
	err = fiber_sleep(in_ms(1)); /* who was started is waiting now */
	scene->fibers = fibers_now();
	return err;
}

enum err scene_begin(struct scene *scene, const char *options) WAITS
{
	return scene_begin_as(scene, &(struct scene_plan){ .options = options });
}

void scene_end(struct scene *scene) WAITS
{
	char path[PATH_OCTETS];

	for (size_t i = 0; i < SCENE_RINGS; i++)
		trace_reader_drop(&scene->readers[i]);
	(void)sqlite3_close(scene->db);
	house_stop(&scene->house, STOP_MS);
	snprintf(path, sizeof(path), "%.*s", STR_ARGS(buf_str(&scene->folder)));
	remove_folder(path);
	buf_drop(&scene->folder);
}

struct addr scene_address(const struct scene *scene, const char *listener)
{
	struct addr address;

	must(house_address(scene->house, str_of(listener), 0, &address));
	return address;
}

long scene_fibers_more(const struct scene *scene)
{
	return (long)fibers_now() - (long)scene->fibers;
}

enum err scene_wait_for_rest(const struct scene *scene, int64_t ms) WAITS
{
	moment deadline = in_ms(ms);
	enum err err = OK;

	while (!err && scene_fibers_more(scene) != 0) {
		if (now() >= deadline)
			return fault(ERR_TIMEOUT, "%ld fibers more than before",
				     scene_fibers_more(scene));
		err = fiber_sleep(in_ms(LOOK_MS));
	}
	return err;
}

void scene_read_rings(struct scene *scene, struct buf *records)
{
	const struct role *store = house_role(scene->house, ROLE_STORE);

	for (size_t i = 0; store && i < store->ring_count; i++) {
		struct trace_reader **reader = &scene->readers[i];
		uint64_t lost = 0;

		if (!*reader)
			must(!trace_reader_new(store->rings[i].at, store->rings[i].size, false,
					       reader));
		while (trace_reader_next(*reader, records, &lost))
			continue;
		must(lost == 0 && !records->failed);
	}
}

void scene_read_queue(struct scene *scene,
		      void (*each)(void *context, struct str address, unsigned state),
		      void *context)
{
	const char *sql = "SELECT address, state FROM queue_recipient ORDER BY message, number";
	char path[PATH_OCTETS + 32];
	sqlite3_stmt *rows;

	snprintf(path, sizeof(path), "%.*s/store/glasspost.db", STR_ARGS(buf_str(&scene->folder)));
	if (!scene->db)
		must(sqlite3_open_v2(path, &scene->db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
	must(sqlite3_prepare_v2(scene->db, sql, -1, &rows, NULL) == SQLITE_OK);
	while (sqlite3_step(rows) == SQLITE_ROW)
		each(context, str_of((const char *)sqlite3_column_text(rows, 0)),
		     (unsigned)sqlite3_column_int(rows, 1));
	must(sqlite3_finalize(rows) == SQLITE_OK);
}
