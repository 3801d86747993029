/* SPDX-License-Identifier: Apache-2.0 */
#include "store/turns.h"

/* One who waits; on its fiber's stack. */
struct waiter {
	struct list link;
	struct waitq wake;
	bool has_turn;
};

void turns_init(struct turns *turns)
{
	*turns = (struct turns){ 0 };
	for (size_t i = 0; i < STANDINGS; i++)
		list_init(&turns->waiting[i]);
}

static bool is_free(const struct turns *turns, enum standing standing)
{
	size_t taken = 0;

	for (size_t i = 0; i < STANDINGS; i++)
		taken += turns->taken[i];
	if (standing == STANDING_SUSPECT && turns->places > 1 &&
	    turns->taken[STANDING_SUSPECT] + 1 >= turns->places)
		return false;
	return taken < turns->places;
}

/* The turn is handed over here, so that nobody who comes meanwhile slips in before the one woken. */
static void serve(struct turns *turns)
{
	for (unsigned i = 0; i < STANDINGS; i++) {
		while (!list_is_empty(&turns->waiting[i]) && is_free(turns, (enum standing)i)) {
			struct waiter *waiter = CONTAINER_OF(list_take_first(&turns->waiting[i]),
							     struct waiter, link);

			waiter->has_turn = true;
			turns->taken[i]++;
			waitq_wake_all(&waiter->wake);
		}
	}
}

enum err turns_take(struct turns *turns, enum standing standing, size_t places, moment deadline)
	WAITS
{
	struct waiter waiter = { 0 };
	enum err err = OK;

	must(places > 0 && standing < STANDINGS);
	turns->places = places;
	waitq_init(&waiter.wake);
	list_add_last(&turns->waiting[standing], &waiter.link);
	serve(turns);
	while (!err && !waiter.has_turn)
		err = waitq_wait(&waiter.wake, deadline);
	if (waiter.has_turn)
		return OK;
	list_remove(&waiter.link);
	return err;
}

void turns_give(struct turns *turns, enum standing standing)
{
	must(turns->taken[standing] > 0);
	turns->taken[standing]--;
	serve(turns);
}
