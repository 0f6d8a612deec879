/* SPDX-License-Identifier: MIT */
/*
 * Intrusive doubly linked list. A node that is on no list points at itself, so
 * list_del() may be called twice and list_linked() tells the truth. Owns nothing.
 */
#ifndef TRANSPORT_LIST_H
#define TRANSPORT_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define list_entry(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define list_for_each(pos, head) for (pos = (head)->next; pos != (head); pos = pos->next)

/* The body may unlink `pos`, and nothing else. */
#define list_for_each_safe(pos, tmp, head)                                                         \
	for (pos = (head)->next, tmp = pos->next; pos != (head); pos = tmp, tmp = pos->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline bool list_linked(const struct list *l)
{
	return l->next != l;
}

static inline void list_add_after(struct list *node, struct list *where)
{
	node->next = where->next;
	node->prev = where;
	where->next->prev = node;
	where->next = node;
}

static inline void list_add_tail(struct list *node, struct list *head)
{
	list_add_after(node, head->prev);
}

static inline void list_add_head(struct list *node, struct list *head)
{
	list_add_after(node, head);
}

static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Unlinks and returns the first node; NULL if the list is empty. */
static inline struct list *list_pop(struct list *head)
{
	struct list *first = head->next;

	if (first == head)
		return NULL;
	list_del(first);
	return first;
}

#endif
