/* SPDX-License-Identifier: MIT */
/*
 * Round Robin: the next path for each I/O, in the order of their ids, from the top again after the
 * last. A full path loses its turn; only when all are full the I/O waits. A path that comes or
 * goes does not restart the round: the turn belongs to an id, not to a place. The default.
 */
#include "round.h"

static int pick(struct policy_state *st, const struct policy_path *const *p, int n, uint32_t bytes)
{
	struct round r = ROUND_INIT;
	int i;

	for (i = 0; i < n; i++)
		round_offer(&r, st, p[i], i, 0);
	return policy_note(st, p, round_pick(&r));
}

const struct policy policy_round_robin = {
	.name = "round-robin",
	.help = "the next usable path for each I/O",
	.pick = pick,
};
