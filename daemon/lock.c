/* SPDX-License-Identifier: MIT */
/*
 * The order of requests that change blocks: one that touches a block which an earlier one is still
 * changing waits for it. So a block has one writer at a time, whatever is retried underneath, and what
 * a client reads never goes back. Reads wait for nobody.
 */
#include "internal.h"

static struct request *request_of(struct range *r)
{
	return list_entry(r, struct request, range);
}

static void count_blocker(struct range *r, void *arg)
{
	(void)r;
	((struct request *)arg)->blockers++;
}

bool writer_enter(struct request *r)
{
	struct lun *l = r->lun;

	r->range = (struct range){ .lo = r->lba, .hi = r->lba + r->blocks };
	r->order = ++l->writers_seen;
	r->blockers = 0;
	range_each(&l->writers, r->range.lo, r->range.hi, count_blocker, r);
	range_insert(&l->writers, &r->range);
	return !r->blockers;
}

static void unblock(struct range *range, void *arg)
{
	const struct request *gone = arg;
	struct request *r = request_of(range);

	if (r->order > gone->order && --r->blockers == 0)
		list_add_tail(&r->wait, &r->lun->ready);
}

void writer_leave(struct request *r)
{
	struct lun *l = r->lun;

	if (!r->range.linked)
		return;
	range_remove(&l->writers, &r->range);
	range_each(&l->writers, r->range.lo, r->range.hi, unblock, r);
}

struct request *writer_next(struct lun *l)
{
	struct list *pos = list_pop(&l->ready);

	return pos ? list_entry(pos, struct request, wait) : NULL;
}
