/* SPDX-License-Identifier: Apache-2.0 */
#include "store/circle.h"

enum { STEPS_MAX = 2000, WORDS_MAX = 300 };

/* One address on the way; `parent` leads back to the alias that named it. */
struct step {
	struct str key;
	size_t parent; /* STR_NONE: a target of the new alias */
};

struct walk {
	struct db *db;
	struct arena *arena;
	struct str address;
	struct step *steps; /* STEPS_MAX */
	size_t count;
};

static void add(struct walk *walk, struct str key, size_t parent)
{
	if (walk->count == STEPS_MAX)
		return;
	for (size_t i = 0; i < walk->count; i++)
		if (str_is(walk->steps[i].key, key))
			return;
	walk->steps[walk->count++] = (struct step){ str_dup(walk->arena, key), parent };
}

static enum err add_targets_of(struct walk *walk, size_t at)
{
	enum err err = db_select(walk->db, Q_alias_get, db_str(walk->steps[at].key));
	bool has_row = true;

	while (!err) {
		err = db_step(walk->db, Q_alias_get, &has_row);
		if (err || !has_row)
			break;
		add(walk, db_text_at(walk->db, Q_alias_get, 0), at);
	}
	db_finish(walk->db, Q_alias_get);
	return err;
}

static struct str in_words(const struct walk *walk, size_t last)
{
	size_t *way = NEW_ARRAY(walk->arena, size_t, STEPS_MAX);
	size_t count = 0;
	struct buf words = BUF(WORDS_MAX);
	struct str result;

	for (size_t at = last; at != STR_NONE; at = walk->steps[at].parent)
		way[count++] = at;
	buf_add(&words, walk->address);
	for (size_t i = count; i > 0; i--)
		buf_print(&words, "%s%.*s", i == count ? " leads to " : ", which leads to ",
			  STR_ARGS(walk->steps[way[i - 1]].key));
	result =
		str_dup(walk->arena, words.failed ? S("it leads back to itself") : buf_str(&words));
	buf_drop(&words);
	return result;
}

enum err circle_find(struct db *db, struct arena *arena, struct str address, struct strs targets,
		     struct str *out)
{
	struct walk walk = { .db = db, .arena = arena, .address = address };
	enum err err = OK;

	*out = (struct str){ 0 };
	walk.steps = NEW_ARRAY(arena, struct step, STEPS_MAX);
	for (size_t i = 0; i < targets.count; i++)
		if (!str_is(targets.at[i], address))
			add(&walk, targets.at[i], STR_NONE);
	for (size_t at = 0; !err && at < walk.count && !out->len; at++) {
		if (str_is(walk.steps[at].key, address))
			*out = in_words(&walk, at);
		else
			err = add_targets_of(&walk, at);
	}
	return err;
}
