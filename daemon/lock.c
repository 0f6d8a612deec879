/* SPDX-License-Identifier: MIT */
/*
 * The order of requests that change blocks. An aligned write needs no order among its like. A
 * request that must read, modify and write blocks is exclusive: it waits for earlier writers of
 * the same blocks, and later ones wait for it. While no exclusive request is there, this costs one
 * comparison.
 */
#include "internal.h"

static bool overlap(const struct request *a, const struct request *b)
{
	return a->lba < b->lba + b->blocks && b->lba < a->lba + a->blocks;
}

/* Is there an earlier writer that r has to wait for? */
static bool must_wait(const struct request *r)
{
	const struct list *head = &r->lun->writers, *pos;

	for (pos = r->lock.prev; pos != head; pos = pos->prev) {
		const struct request *w = list_entry(pos, struct request, lock);

		if ((w->exclusive || r->exclusive) && overlap(w, r))
			return true;
	}
	return false;
}

bool writer_enter(struct request *r)
{
	struct lun *l = r->lun;

	list_add_tail(&r->lock, &l->writers);
	if (r->exclusive)
		l->nexclusive++;
	r->blocked = l->nexclusive && must_wait(r);
	return !r->blocked;
}

void writer_leave(struct request *r)
{
	if (!list_linked(&r->lock))
		return;
	list_del(&r->lock);
	if (r->exclusive)
		r->lun->nexclusive--;
}

struct request *writer_next(struct lun *l)
{
	struct list *pos;

	list_for_each(pos, &l->writers) {
		struct request *r = list_entry(pos, struct request, lock);

		if (r->blocked && !must_wait(r)) {
			r->blocked = false;
			return r;
		}
	}
	return NULL;
}
