/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

enum { PATH = STORE_PATH + 32 };

/* ---- the file ---- */

static enum err write_file(const char *path, const unsigned char key[CIPHER_KEY])
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum err err = OK;

	if (fd < 0)
		return fault_errno("make %s", path);
	if (write(fd, key, CIPHER_KEY) != CIPHER_KEY || fsync(fd))
		err = fault_errno("write %s", path);
	close(fd);
	return err;
}

static enum err make_key(const char *path, unsigned char key[CIPHER_KEY])
{
	if (getrandom(key, CIPHER_KEY, 0) != CIPHER_KEY)
		return fault_errno("random octets for %s", path);
	return write_file(path, key);
}

/* ERR_NOT_FOUND, ERR_CORRUPT when it is too short. */
static enum err read_file(const char *path, unsigned char key[CIPHER_KEY])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0 && errno == ENOENT)
		return fault(ERR_NOT_FOUND, "there is no %s", path);
	if (fd < 0)
		return fault_errno("open %s", path);
	got = read(fd, key, CIPHER_KEY);
	close(fd);
	return got == CIPHER_KEY ? OK : fault(ERR_CORRUPT, "%s is too short", path);
}

static enum err read_or_make(const char *path, bool create, unsigned char key[CIPHER_KEY],
			     bool *is_new)
{
	enum err err = read_file(path, key);

	*is_new = create && (err == ERR_NOT_FOUND || err == ERR_CORRUPT);
	if (!*is_new)
		return err;
	/* A crash while it was being made left it short: nothing was made with it yet. */
	if (err == ERR_CORRUPT && unlink(path) != 0)
		return fault_errno("remove %s", path);
	return make_key(path, key);
}

static enum err flush_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err err = OK;

	if (fd < 0)
		return fault_errno("open %s", folder);
	if (fsync(fd))
		err = fault_errno("flush %s", folder);
	close(fd);
	return err;
}

static void key_path(const char *folder, const char *name, char path[PATH])
{
	snprintf(path, PATH, "%.*s/%s", STORE_PATH - 1, folder, name);
}

/* The new file becomes the key. */
static enum err take_place(const char *folder)
{
	char fresh[PATH];
	char path[PATH];

	key_path(folder, "store.key.new", fresh);
	key_path(folder, "store.key", path);
	if (rename(fresh, path) != 0)
		return fault_errno("rename %s", fresh);
	return flush_folder(folder);
}

/* ---- what the database says of it ---- */

static struct str fingerprint(struct arena *arena, const unsigned char key[CIPHER_KEY])
{
	struct buf hex = BUF(2 * CIPHER_KEY);
	unsigned char digest[CIPHER_KEY];
	struct str text;

	keyed_hash(key, S("fingerprint"), S(""), digest);
	must(hex_add(&hex, (struct str){ (char *)digest, 16 }) == OK);
	text = str_dup(arena, buf_str(&hex));
	buf_drop(&hex);
	return text;
}

static enum err read_setting(struct db *db, struct arena *arena, struct str name, struct str *out)
{
	bool has_row = false;
	enum err err = db_select(db, Q_setting_get, db_str(name));

	*out = S("");
	if (!err)
		err = db_step(db, Q_setting_get, &has_row);
	if (!err && has_row) {
		*out = str_dup(arena, db_text_at(db, Q_setting_get, 0));
		db_finish(db, Q_setting_get);
	}
	return err;
}

/* A change that a crash cut short: its commit decides. */
static enum err finish_change(struct store *store, struct arena *arena)
{
	unsigned char fresh[CIPHER_KEY];
	struct str noted = S("");
	char path[PATH];
	bool is_short;
	enum err err;

	key_path(store->folder, "store.key.new", path);
	err = read_file(path, fresh);
	if (err == ERR_NOT_FOUND)
		return OK;
	is_short = err == ERR_CORRUPT; /* it was never flushed, and nothing was kept under it */
	if (is_short)
		err = OK;
	else if (!err)
		err = read_setting(store->writer.db, arena, S("key"), &noted);
	if (!err && noted.len && str_is(noted, fingerprint(arena, fresh)))
		err = take_place(store->folder);
	else if (!err)
		err = unlink(path) == 0 ? OK : fault_errno("remove %s", path);
	explicit_bzero(fresh, sizeof(fresh));
	return err;
}

/* Two digits an octet, as it stands in a setting. */
static bool hex_take(struct arena *arena, struct str text, struct str *out)
{
	char *at = arena_take(arena, text.len / 2 + 1);

	for (size_t i = 0; i + 1 < text.len; i += 2) {
		static const char digits[] = "0123456789abcdef";
		const char *high = memchr(digits, text.at[i], 16);
		const char *low = memchr(digits, text.at[i + 1], 16);

		if (!high || !low)
			return false;
		at[i / 2] = (char)((high - digits) << 4 | (low - digits));
	}
	*out = (struct str){ at, text.len / 2 };
	return text.len % 2 == 0;
}

static enum err load_salts(struct store *store, struct arena *arena,
			   const unsigned char key[CIPHER_KEY])
{
	struct str kept;
	struct str octets;
	struct str salts;
	enum err err = read_setting(store->writer.db, arena, S("salts"), &kept);

	memcpy(store->salts, key, CIPHER_KEY);
	if (err || !kept.len)
		return err;
	/* With the key they are lost too, and then others are as good. */
	if (!hex_take(arena, kept, &octets) ||
	    secret_decrypt(arena, key, S("salts"), octets, &salts) || salts.len != CIPHER_KEY)
		return OK;
	memcpy(store->salts, salts.at, CIPHER_KEY);
	secret_wipe(&salts);
	return OK;
}

enum err key_load(struct store *store, bool create, bool *lost)
{
	unsigned char key[CIPHER_KEY];
	struct arena arena = { 0 };
	char path[PATH];
	int64_t secrets = 0;
	bool is_new = false;
	enum err err = finish_change(store, &arena);

	key_path(store->folder, "store.key", path);
	if (!err)
		err = read_or_make(path, create, key, &is_new);
	if (!err)
		err = load_salts(store, &arena, key);
	if (!err && is_new)
		err = db_number_values(store->writer.db, Q_count_secrets, NULL, 0, &secrets);
	*lost = secrets > 0;
	if (!err)
		secret_keys_set(&store->secrets, key);
	explicit_bzero(key, sizeof(key));
	arena_drop(&arena);
	if (!err && *lost)
		(void)fault(ERR_CORRUPT, "store.key was lost, and with it %lld kept secrets",
			    (long long)secrets);
	return err;
}

enum err key_create(const char *folder)
{
	unsigned char key[CIPHER_KEY];
	char path[PATH];
	bool is_new;
	enum err err;

	key_path(folder, "store.key", path);
	err = read_or_make(path, true, key, &is_new);
	explicit_bzero(key, sizeof(key));
	return err;
}

/* ---- the change ---- */

struct rotating {
	struct job job;
	struct store *store;
	unsigned char before[CIPHER_KEY], after[CIPHER_KEY];
	uint64_t secrets;
};

/* Secrets of one table: a page of them by their key, and how one is set. */
struct kept_secrets {
	enum db_query page, set;
	const char *binding; /* in front of the key */
};

static const struct kept_secrets kept[] = {
	{ Q_secret_page, Q_secret_set, "" },
	{ Q_credential_page, Q_credential_set, "credential " },
};

static enum err close_anew(struct writer *writer, struct rotating *r, struct arena *arena,
			   const struct kept_secrets *of)
{
	enum db_query q = of->page;
	struct str name = str_dup(arena, db_text_at(writer->db, q, 0));
	struct str cipher = str_dup(arena, db_text_at(writer->db, q, 1));
	struct str binding = str_print(arena, "%s%.*s", of->binding, STR_ARGS(name));
	struct str plain;

	db_finish(writer->db, q);
	if (secret_decrypt(arena, r->before, binding, cipher, &plain))
		return fault(ERR_DENIED,
			     "the secret of %.*s does not open with the key that is in use: set it "
			     "anew, or delete it, and then change the key",
			     STR_ARGS(name));
	if (secret_encrypt(arena, r->after, binding, plain, &cipher)) {
		secret_wipe(&plain);
		return ERR_SYSTEM;
	}
	secret_wipe(&plain);
	r->secrets++;
	return db_run(writer->db, of->set, db_octets(cipher), db_str(name));
}

static enum err close_all_anew(struct writer *writer, struct rotating *r,
			       const struct kept_secrets *of)
{
	struct buf last = BUF(LIMIT_address);
	struct arena arena = { 0 };
	bool has_row = true;
	enum err err = OK;

	while (!err && has_row) {
		err = db_select(writer->db, of->page, db_str(buf_str(&last)));
		if (!err)
			err = db_step(writer->db, of->page, &has_row);
		if (err || !has_row)
			break;
		buf_reset(&last);
		buf_add(&last, db_text_at(writer->db, of->page, 0));
		err = close_anew(writer, r, &arena, of);
		arena_reset(&arena);
	}
	buf_drop(&last);
	arena_drop(&arena);
	return err;
}

static enum err set_setting(struct writer *writer, struct str name, struct str value)
{
	return db_run(writer->db, Q_setting_set, db_str(name), db_str(value));
}

static enum err keep_salts(struct writer *writer, struct rotating *r, struct arena *arena)
{
	struct str plain = { (const char *)r->store->salts, CIPHER_KEY };
	struct buf hex = BUF(1024);
	struct str cipher;
	enum err err = secret_encrypt(arena, r->after, S("salts"), plain, &cipher);

	if (!err)
		err = hex_add(&hex, cipher);
	if (!err)
		err = set_setting(writer, S("salts"), buf_str(&hex));
	buf_drop(&hex);
	return err;
}

static enum err run_rotating(struct writer *writer, struct job *job)
{
	struct rotating *r = CONTAINER_OF(job, struct rotating, job);
	struct arena arena = { 0 };
	enum err err = OK;

	for (size_t i = 0; !err && i < COUNT_OF(kept); i++)
		err = close_all_anew(writer, r, &kept[i]);
	if (!err)
		err = keep_salts(writer, r, &arena);
	if (!err)
		err = set_setting(writer, S("key"), fingerprint(&arena, r->after));
	arena_drop(&arena);
	return err;
}

static enum err begin_change(void *arg)
{
	struct rotating *r = arg;
	char path[PATH];
	enum err err;

	key_path(r->store->folder, "store.key.new", path);
	err = make_key(path, r->after);
	if (err == ERR_EXISTS)
		return fault(
			err,
			"an earlier change of the key was cut short: restart the server, which "
			"finishes or undoes it");
	return err ? err : flush_folder(r->store->folder);
}

static enum err undo_change(void *arg)
{
	struct rotating *r = arg;
	char path[PATH];

	key_path(r->store->folder, "store.key.new", path);
	(void)!unlink(path);
	return OK;
}

static enum err end_change(void *arg)
{
	struct rotating *r = arg;

	return take_place(r->store->folder);
}

static enum err rotate(struct rotating *r) WAITS
{
	struct store *store = r->store;
	enum err err = store_work(begin_change, r);

	if (err)
		return err;
	secret_keys_current(&store->secrets, r->before);
	secret_keys_announce(&store->secrets, r->after);
	err = store_commit(store, &r->job);
	/* Where a disk failed it is not known what is kept: the next start looks. */
	if (err == ERR_DENIED) {
		char text[FAULT_TEXT_MAX];

		snprintf(text, sizeof(text), "%s", fault_text());
		(void)!store_work(undo_change, r);
		return fault(err, "%s", text);
	}
	if (err)
		return err;
	secret_keys_turn(&store->secrets);
	return store_work(end_change, r);
}

enum err store_rotate_key(struct store *store, uint64_t *secrets) WAITS
{
	struct rotating r = { .job.run = run_rotating, .store = store };
	enum err err = semaphore_take(&store->closing_secrets, NEVER);

	if (err)
		return err;
	err = rotate(&r);
	*secrets = r.secrets;
	semaphore_give(&store->closing_secrets);
	explicit_bzero(&r, sizeof(r));
	return err;
}
