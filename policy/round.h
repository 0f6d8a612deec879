/* SPDX-License-Identifier: MIT */
/*
 * Private to policy/: the cheapest ready path, and among equals the one whose turn it is. A plain
 * round robin is the case where all cost the same. Turns go by id, not by place in the array, so
 * paths that come and go do not disturb the round.
 */
#ifndef POLICY_ROUND_H
#define POLICY_ROUND_H

#include "policy.h"

struct round {
	uint64_t cost; /* of the cheapest so far */
	int first;     /* among those of that cost, the lowest id */
	int next;      /* and the lowest id above that of the last pick */
};

#define ROUND_INIT { .first = POLICY_WAIT, .next = POLICY_WAIT, .cost = UINT64_MAX }

/* Offers candidate i, ids ascending from call to call. A path that is not ready is passed over. */
static inline void round_offer(struct round *r, const struct policy_state *st,
			       const struct policy_path *p, int i, uint64_t cost)
{
	if (!p->ready || (r->first >= 0 && cost > r->cost))
		return;
	if (r->first < 0 || cost < r->cost) {
		r->first = i;
		r->next = POLICY_WAIT;
		r->cost = cost;
	}
	if (r->next < 0 && p->id > st->last)
		r->next = i;
}

/* The index of the pick, or POLICY_WAIT when no ready path was offered. */
static inline int round_pick(const struct round *r)
{
	return r->next >= 0 ? r->next : r->first;
}

/* Every pick that is not POLICY_WAIT is noted, and passed on. */
static inline int policy_note(struct policy_state *st, const struct policy_path *const *p, int i)
{
	if (i < 0)
		return i;
	st->run = st->last == p[i]->id ? st->run + 1 : 1;
	st->last = p[i]->id;
	return i;
}

#endif
