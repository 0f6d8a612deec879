/* SPDX-License-Identifier: MIT */
/*
 * Least Queue Depth: the path with the fewest outstanding I/Os. They are counted per session over
 * all LUNs on it, because they share its connection and the target's queue: one I/O each for LUN 1
 * and LUN 2 on path 1 makes 2 there. Equal paths take turns, so an idle LUN uses them all. A full
 * path is passed over; when all are full the I/O waits.
 */
#include <inttypes.h>
#include <stdio.h>
#include "round.h"

static int pick(struct policy_state *st, const struct policy_path *const *p, int n, uint32_t bytes)
{
	struct round r = ROUND_INIT;
	int i;

	for (i = 0; i < n; i++)
		round_offer(&r, st, p[i], i, p[i]->load->ios);
	return policy_note(st, p, round_pick(&r));
}

static void passed(const struct policy_path *p, const struct policy_path *won, char *why)
{
	if (p->load->ios == won->load->ios)
		snprintf(why, POLICY_WHY_MAX, "as few commands outstanding, but not its turn");
	else
		snprintf(why, POLICY_WHY_MAX, "%" PRIu32 " commands outstanding on its session, %" PRIu32 " on the chosen one",
			 p->load->ios, won->load->ios);
}

const struct policy policy_least_queue_depth = {
	.name = "least-queue-depth",
	.help = "the path with the fewest outstanding I/Os",
	.pick = pick,
	.passed = passed,
};
