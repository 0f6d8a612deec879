/* SPDX-License-Identifier: MIT */
/*
 * Which paths a policy gets to see. Each usable path has a rank, the lowest rank takes part, the
 * policy picks among those of equal rank. From the weightiest:
 *
 *   tried    A retry goes elsewhere, even to a path on probation or a silent one: where the I/O
 *            has just failed, the class is older news than the failure. When all were tried, all
 *            may be again.
 *   class    healthy, marginal, suspect.
 *   alua     A lesser access state only when no path of a better one remains. Unavailable: never.
 *   resting  Came back, but its time has not come: only while no other of this rank is there.
 *
 * The rank does not look at `ready`: when the best paths are all full, waiting for one of them is
 * the policy's decision, spilling over to a worse class is not offered.
 */
#include <string.h>
#include "policy.h"

#define ALUA_UNAVAILABLE 3

const struct policy *const policy_all[] = {
	&policy_round_robin,
	&policy_round_robin_subset,
	&policy_failover_only,
	&policy_least_queue_depth,
	&policy_weighted_paths,
	&policy_least_blocks,
	&policy_least_latency,
	NULL,
};

const struct policy *policy_find(const char *name)
{
	const struct policy *const *p;

	if (!name)
		return NULL;
	for (p = policy_all; *p; p++) {
		if (!strcmp((*p)->name, name))
			return *p;
	}
	return NULL;
}

static bool usable(const struct policy_path *p)
{
	return p->class_ < POLICY_CLASS_UNUSABLE && p->alua < ALUA_UNAVAILABLE;
}

static bool was_tried(uint32_t id, const uint32_t *tried, int ntried)
{
	int i;

	for (i = 0; i < ntried; i++) {
		if (tried[i] == id)
			return true;
	}
	return false;
}

static uint32_t rank(const struct policy_path *p, const uint32_t *tried, int ntried)
{
	return (uint32_t)was_tried(p->id, tried, ntried) << 24 | (uint32_t)p->class_ << 16 |
	       (uint32_t)p->alua << 8 | (uint32_t)p->resting;
}

int policy_choose(const struct policy *pol, struct policy_state *st, const struct policy_path *p,
		  int n, const uint32_t *tried, int ntried, uint32_t bytes)
{
	const struct policy_path *best[POLICY_MAX_PATHS];
	uint32_t best_rank = UINT32_MAX;
	int i, nbest = 0;

	for (i = 0; i < n; i++) {
		uint32_t r;

		if (!usable(&p[i]))
			continue;
		r = rank(&p[i], tried, ntried);
		if (r > best_rank)
			continue;
		if (r < best_rank) {
			best_rank = r;
			nbest = 0;
		}
		if (nbest < POLICY_MAX_PATHS)
			best[nbest++] = &p[i];
	}
	if (!nbest)
		return POLICY_NONE;
	i = pol->pick(st, best, nbest, bytes);
	return i < 0 ? i : (int)(best[i] - p);
}
