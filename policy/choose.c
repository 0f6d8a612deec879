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
 *   pref     The group that its storage prefers (PREF bit), among those of equal state.
 *   resting  Came back, but its time has not come: only while no other of this rank is there.
 *
 * The rank does not look at `ready`: when the best paths are all full, waiting for one of them is
 * the policy's decision, spilling over to a worse class is not offered.
 */
#include <stdio.h>
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
	       (uint32_t)p->alua << 8 | (uint32_t)!p->preferred_group << 1 | (uint32_t)p->resting;
}

/* Those of the lowest rank, in order; how many. */
static int best_of(const struct policy_path *p, int n, const uint32_t *tried, int ntried,
		   const struct policy_path *best[POLICY_MAX_PATHS])
{
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
	return nbest;
}

int policy_choose(const struct policy *pol, struct policy_state *st, const struct policy_path *p,
		  int n, const uint32_t *tried, int ntried, uint32_t bytes)
{
	const struct policy_path *best[POLICY_MAX_PATHS];
	int i, nbest = best_of(p, n, tried, ntried, best);

	if (!nbest)
		return POLICY_NONE;
	i = pol->pick(st, best, nbest, bytes);
	return i < 0 ? i : (int)(best[i] - p);
}

/* Why it does not even take part beside `in`, which does. */
static void outranked(const struct policy_path *p, const struct policy_path *in, char *why)
{
	static const char *const alua[] = {
		"active/optimized", "active/non-optimized", "standby", "unavailable",
	};

	if (p->class_ != in->class_)
		snprintf(why, POLICY_WHY_MAX, "%s",
			 p->class_ == POLICY_CLASS_SUSPECT ? "its session is silent" :
							     "on probation after it failed too often");
	else if (p->alua != in->alua)
		snprintf(why, POLICY_WHY_MAX, "its port group is %s, others are %s", alua[p->alua & 3],
			 alua[in->alua & 3]);
	else if (p->preferred_group != in->preferred_group)
		snprintf(why, POLICY_WHY_MAX, "its port group is not the one that the storage prefers");
	else
		snprintf(why, POLICY_WHY_MAX, "it came back, its time to fail back has not come");
}

static void explain_one(const struct policy *pol, const struct policy_path *p, const struct policy_path *in,
			const struct policy_path *won, char *why)
{
	const char *text = "not its turn";

	if (usable(p) && rank(p, NULL, 0) != rank(in, NULL, 0)) {
		outranked(p, in, why);
		return;
	}
	if (usable(p) && p != won && p->ready && won && pol->passed) {
		pol->passed(p, won, why);
		return;
	}
	if (!usable(p))
		text = p->alua >= ALUA_UNAVAILABLE ? "its port group is unavailable or in transition" :
						     "not usable";
	else if (p == won)
		text = "takes the next I/O";
	else if (!p->ready)
		text = "full: as many commands outstanding as its session takes";
	else if (!won)
		text = "stands by while the right path is full";
	snprintf(why, POLICY_WHY_MAX, "%s", text);
}

void policy_explain(const struct policy *pol, const struct policy_state *st,
		    const struct policy_path *p, int n, uint32_t bytes, int *chosen,
		    char (*why)[POLICY_WHY_MAX])
{
	const struct policy_path *best[POLICY_MAX_PATHS];
	struct policy_state copy = *st;
	int i, nbest = best_of(p, n, NULL, 0, best);

	*chosen = nbest ? pol->pick(&copy, best, nbest, bytes) : POLICY_NONE;
	if (*chosen >= 0)
		*chosen = (int)(best[*chosen] - p);
	for (i = 0; i < n; i++)
		explain_one(pol, &p[i], nbest ? best[0] : &p[i], *chosen >= 0 ? &p[*chosen] : NULL, why[i]);
}
