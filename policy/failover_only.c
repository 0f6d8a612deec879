/* SPDX-License-Identifier: MIT */
/*
 * Failover Only: one path carries everything, the others stand by. That is the preferred path
 * where one is set and takes part; otherwise the path of the last pick for as long as it takes
 * part, so a path that returns changes nothing; otherwise the lowest id. A full path is waited
 * for: on storage with one active controller, spilling over would move the LUN to and fro.
 */
#include <stdio.h>
#include "round.h"

static int pick(struct policy_state *st, const struct policy_path *const *p, int n, uint32_t bytes)
{
	int i, at = 0;

	for (i = 0; i < n; i++) {
		if (p[i]->preferred) {
			at = i;
			break;
		}
		if (p[i]->id == st->last)
			at = i;
	}
	return p[at]->ready ? policy_note(st, p, at) : POLICY_WAIT;
}

static void passed(const struct policy_path *p, const struct policy_path *won, char *why)
{
	snprintf(why, POLICY_WHY_MAX, "stands by: %s",
		 won->preferred ? "the chosen one is preferred" : "one path carries everything");
}

const struct policy policy_failover_only = {
	.name = "failover-only",
	.help = "one path carries all I/O, the others stand by",
	.pick = pick,
	.passed = passed,
};
