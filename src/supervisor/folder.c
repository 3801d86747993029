/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/file.h"
#include "supervisor/supervisor.h"

#include <ftw.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

/* The user to whom the store's part belongs, when root makes it; NULL: whoever we are. */
static const struct passwd *owner(const struct config *config, char *name, size_t room)
{
	if (getuid() != 0 || config->user.len >= room)
		return NULL;
	memcpy(name, config->user.len ? config->user.at : "glasspost",
	       config->user.len ? config->user.len : sizeof "glasspost");
	name[config->user.len ? config->user.len : sizeof "glasspost" - 1] = '\0';
	return getpwnam(name);
}

/* nftw's callback carries no pointer of ours. */
static const struct passwd *giving_to;

static int give_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)kind;
	(void)place;
	return status->st_uid == 0 ? lchown(path, giving_to->pw_uid, giving_to->pw_gid) : 0;
}

/*
 * Only what root owns changes hands, and what lies in a folder only together with it: in a folder
 * that was the user's before, root's files are not ours to give away.
 */
static enum err give(const char *path, const struct passwd *to, bool with_all_in_it)
{
	struct stat status;
	int failed;

	if (!to || lstat(path, &status) != 0 || status.st_uid != 0)
		return OK;
	giving_to = to;
	failed = with_all_in_it ? nftw(path, give_one, 16, FTW_PHYS)
				: lchown(path, to->pw_uid, to->pw_gid);
	return failed ? fault_errno("give %s to %s", path, to->pw_name) : OK;
}

/* Who may write in the data directory becomes the server by way of its configuration. */
static enum err check_folder(const char *folder, struct stat *status)
{
	if (stat(folder, status) != 0)
		return fault_errno("look at %s", folder);
	if (!S_ISDIR(status->st_mode))
		return fault(ERR_CONFIG, "%s: is no directory", folder);
	if (status->st_mode & S_IWOTH)
		return fault(ERR_CONFIG,
			     "%s: everybody may write in it; take that away with: chmod o-w %s",
			     folder, folder);
	return OK;
}

/*
 * Root makes files in it by their names: so it is no link to somewhere else, and nobody but us, the
 * roles' user and the directory's owner can have put it there.
 */
static enum err check_part(const char *path, const struct stat *whole, const struct passwd *to)
{
	struct stat status;

	if (lstat(path, &status) != 0)
		return fault_errno("look at %s", path);
	if (!S_ISDIR(status.st_mode))
		return fault(ERR_CONFIG, "%s: is no directory; a link to one is not followed",
			     path);
	if (status.st_uid != geteuid() && status.st_uid != whole->st_uid &&
	    !(to && status.st_uid == to->pw_uid))
		return fault(ERR_CONFIG,
			     "%s: belongs to user %u, who is neither us nor the owner "
			     "of the directory; give it back with: chown %u %s",
			     path, (unsigned)status.st_uid, (unsigned)whole->st_uid, path);
	return OK;
}

enum err supervisor_make_folder(const char *folder, const struct config *config)
{
	static const char *const parts[] = { "run", "store", "tls" };
	struct stat whole;
	char name[300];
	const struct passwd *to = owner(config, name, sizeof name);
	enum err err = file_make_folder(folder, 0700);

	if (!err && config->user.len > 0 && getuid() == 0 && !to)
		err = fault(ERR_CONFIG,
			    "user: there is no user %.*s on this machine; make it, or "
			    "change the option",
			    STR_ARGS(str_first(config->user, 100)));
	if (!err)
		err = check_folder(folder, &whole);
	if (!err)
		err = give(folder, to, false);
	for (size_t i = 0; i < COUNT_OF(parts) && !err; i++) {
		char *path = file_path(folder, str_of(parts[i]));

		err = file_make_folder(path, 0700);
		if (!err)
			err = check_part(path, &whole, to);
		/* Keys and control sockets stay root's. */
		if (!err && strcmp(parts[i], "store") == 0)
			err = give(path, to, true);
		free(path);
	}
	return err;
}
