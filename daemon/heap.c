/* SPDX-License-Identifier: MIT */
/* A pairing heap (Fredman et al. 1986): insert O(1), remove O(log n) amortized. */
#include "heap.h"

#include <assert.h>
#include <stddef.h>

static struct timer *meld(struct timer *a, struct timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->at < a->at) {
		struct timer *t = a;

		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Melds a list of siblings two by two, then the pairs from the right. */
static struct timer *meld_siblings(struct timer *first)
{
	struct timer *pairs = NULL, *root = NULL;

	while (first) {
		struct timer *a = first, *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct timer *next = pairs->next;

		pairs->next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

void heap_cancel(struct heap *h, struct timer *t)
{
	struct timer *rest;

	if (!t->armed)
		return;
	rest = meld_siblings(t->child);
	t->child = NULL;
	if (t == h->root) {
		h->root = rest;
	} else {
		assert(t->prev);
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		h->root = meld(h->root, rest);
	}
	t->next = t->prev = NULL;
	t->armed = false;
}

void heap_arm(struct heap *h, struct timer *t, uint64_t at)
{
	heap_cancel(h, t);
	t->at = at;
	t->armed = true;
	t->child = t->next = t->prev = NULL;
	h->root = meld(h->root, t);
}

struct timer *heap_first(const struct heap *h)
{
	return h->root;
}
