/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/world.h"

void waitq_init(struct waitq *queue)
{
	list_init(&queue->waiters);
}

static enum err wait_in(struct waitq *queue, const char *what, moment deadline) WAITS
{
	list_add_last(&queue->waiters, &fiber_self()->wait);
	return fiber_park(what, deadline);
}

enum err waitq_wait(struct waitq *queue, moment deadline) WAITS
{
	return wait_in(queue, "queue", deadline);
}

enum err waitq_wait_through(struct waitq *queue, moment deadline) WAITS
{
	list_add_last(&queue->waiters, &fiber_self()->wait);
	return fiber_park_hard("queue", deadline);
}

void waitq_wake_one(struct waitq *queue)
{
	if (!list_is_empty(&queue->waiters))
		fiber_wake(fiber_of_wait(queue->waiters.next), OK);
}

void waitq_wake_all(struct waitq *queue)
{
	LIST_EACH (link, &queue->waiters)
		fiber_wake(fiber_of_wait(link), OK);
}

void semaphore_init(struct semaphore *semaphore, size_t count)
{
	semaphore->free = count;
	waitq_init(&semaphore->queue);
}

/* Whoever gives hands over to the first in the queue, so that a newcomer cannot slip past it. */
enum err semaphore_take(struct semaphore *semaphore, moment deadline) WAITS
{
	if (semaphore->free == 0 || fiber_is_stopping())
		return wait_in(&semaphore->queue, "semaphore", deadline);
	semaphore->free--;
	return OK;
}

void semaphore_give(struct semaphore *semaphore)
{
	if (list_is_empty(&semaphore->queue.waiters))
		semaphore->free++;
	else
		waitq_wake_one(&semaphore->queue);
}
