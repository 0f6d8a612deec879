/* SPDX-License-Identifier: MIT */
/*
 * Weighted Paths: the lowest weight among the usable paths takes all; the next one takes over when
 * that path is gone, and gives it all back when it returns. Equal weights: the lowest id, so that
 * there is always one right path. When it is full the I/O waits, as the weight is an order that
 * the administrator gave (a metered or slow link stays unused), not a share.
 */
#include <inttypes.h>
#include <inttypes.h>
#include <stdio.h>
#include "round.h"

static int pick(struct policy_state *st, const struct policy_path *const *p, int n, uint32_t bytes)
{
	int i, at = 0;

	for (i = 1; i < n; i++) {
		if (p[i]->weight < p[at]->weight)
			at = i;
	}
	return p[at]->ready ? policy_note(st, p, at) : POLICY_WAIT;
}

static void passed(const struct policy_path *p, const struct policy_path *won, char *why)
{
	if (p->weight == won->weight)
		snprintf(why, POLICY_WHY_MAX, "the same weight %" PRIu32 ", but a later path", p->weight);
	else
		snprintf(why, POLICY_WHY_MAX, "weight %" PRIu32 ", the chosen one has %" PRIu32, p->weight,
			 won->weight);
}

const struct policy policy_weighted_paths = {
	.name = "weighted-paths",
	.help = "the path with the lowest weight carries all I/O",
	.pick = pick,
	.passed = passed,
};
