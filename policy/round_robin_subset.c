/* SPDX-License-Identifier: MIT */
/*
 * Round Robin with Subset: round robin over the active paths (A, B, C); the others (D) stand by
 * and are used, in turn as well, only while no active path is usable, and no longer than that.
 * Full is not unusable: when A, B and C are full the I/O waits, D stays idle.
 */
#include <stdio.h>
#include "round.h"

static int pick(struct policy_state *st, const struct policy_path *const *p, int n, uint32_t bytes)
{
	struct round active = ROUND_INIT, standby = ROUND_INIT;
	bool any_active = false;
	int i;

	for (i = 0; i < n; i++) {
		any_active |= p[i]->active;
		round_offer(p[i]->active ? &active : &standby, st, p[i], i, 0);
	}
	return policy_note(st, p, round_pick(any_active ? &active : &standby));
}

static void passed(const struct policy_path *p, const struct policy_path *won, char *why)
{
	snprintf(why, POLICY_WHY_MAX, "%s",
		 won->active && !p->active ? "stands by: it is not in the active set" : "not its turn");
}

const struct policy policy_round_robin_subset = {
	.name = "round-robin-subset",
	.help = "round robin over the active paths, the others only when none of those is left",
	.pick = pick,
	.passed = passed,
};
