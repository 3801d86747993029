/* SPDX-License-Identifier: Apache-2.0 */
#include "store/circle.h"
#include "store/fixture.h"

#include <stdio.h>

struct looking {
	struct arena arena;
	struct str address;
	struct str targets[3];
	size_t count;
	struct str circle;
};

static enum err look(struct db *db, void *arg)
{
	struct looking *l = arg;

	return circle_find(db, &l->arena, l->address, (struct strs){ l->targets, l->count },
			   &l->circle);
}

/* Whether the alias would close this circle; NULL: none. */
static void expect(struct fixture *f, const char *address, const char *target, const char *circle)
	WAITS
{
	struct looking l = { .address = str_of(address) };

	l.targets[l.count++] = S("carol@example.net");
	l.targets[l.count++] = str_of(target);
	CHECK(store_read(f->store, look, &l) == OK);
	CHECK(str_is(l.circle, circle ? str_of(circle) : S("")));
	arena_drop(&l.arena);
}

static void circles(struct fixture *f) WAITS
{
	char from[40], to[40];

	add_alias(f, "b@example.org", "c@example.org");
	add_alias(f, "b@example.org", "x@example.org");
	add_alias(f, "c@example.org", "d@example.org");
	expect(f, "a@example.org", "b@example.org", NULL);
	expect(f, "a@example.org", "a@example.org", NULL); /* a copy is kept */
	expect(f, "c@example.org", "b@example.org",
	       "c@example.org leads to b@example.org, which leads to c@example.org");
	expect(f, "d@example.org", "b@example.org",
	       "d@example.org leads to b@example.org, which leads to c@example.org, which leads to "
	       "d@example.org");
	expect(f, "x@example.org", "b@example.org",
	       "x@example.org leads to b@example.org, which leads to x@example.org");
	/* One that is there already, elsewhere, keeps nobody busy. */
	add_alias(f, "d@example.org", "c@example.org");
	expect(f, "a@example.org", "b@example.org", NULL);
	/* Too long to be told in full. */
	for (int i = 0; i < 30; i++) {
		snprintf(from, sizeof(from), "long%d@example.org", i);
		snprintf(to, sizeof(to), "long%d@example.org", i + 1);
		add_alias(f, from, to);
	}
	expect(f, "long30@example.org", "long0@example.org", "it leads back to itself");
}

static void an_alias_that_closes_a_circle_is_found_before_it_is_made(void **state)
{
	(void)state;
	fixture_run(&(struct fixture){ .body = circles, .simulated = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_alias_that_closes_a_circle_is_found_before_it_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
