/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * list: an intrusive ring of links. The list owns nothing; a link is in at most one list.
 *
 * LIST_EACH(l, &head) visits links; the visited one may be removed inside the loop.
 */
struct list {
	struct list *next;
	struct list *prev;
};

/* An empty list, or a link that is in none. */
static inline void list_init(struct list *list)
{
	list->next = list->prev = list;
}

/* Of a link: is it in no list? */
static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

/* The link must be in no list. */
static inline void list_add_last(struct list *list, struct list *link)
{
	link->prev = list->prev;
	link->next = list;
	list->prev->next = link;
	list->prev = link;
}

/* The link must be in no list. */
static inline void list_add_first(struct list *list, struct list *link)
{
	list_add_last(list->next, link);
}

/* Removing a link that is alone (or was removed before) is fine. */
static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* The first link, taken out of the list; NULL when empty. */
static inline struct list *list_take_first(struct list *list)
{
	struct list *first = list->next;

	if (first == list)
		return NULL;
	list->next = first->next;
	first->next->prev = list;
	list_init(first);
	return first;
}

/* All of `from` goes to the end of `to`; `from` is empty after. */
static inline void list_move_all(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define LIST_EACH(link, head)                                                                      \
	for (struct list *link = (head)->next, *link##_next = link->next; link != (head);          \
	     link = link##_next, link##_next = link->next)
