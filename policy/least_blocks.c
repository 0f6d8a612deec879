/* SPDX-License-Identifier: MIT */
/*
 * Least Blocks: the path with the fewest outstanding bytes, counted per session over all LUNs on
 * it (30 on path 1 and 0 on path 2: path 2). Better than counting I/Os where sizes are mixed: one
 * 1 MiB write weighs as much as 256 reads of 4 KiB. Equal paths take turns. A full path is passed
 * over; when all are full the I/O waits.
 */
#include <inttypes.h>
#include <stdio.h>
#include "round.h"

static int pick(struct policy_state *st, const struct policy_path *const *p, int n, uint32_t bytes)
{
	struct round r = ROUND_INIT;
	int i;

	for (i = 0; i < n; i++)
		round_offer(&r, st, p[i], i, p[i]->load->bytes);
	return policy_note(st, p, round_pick(&r));
}

static void passed(const struct policy_path *p, const struct policy_path *won, char *why)
{
	if (p->load->bytes == won->load->bytes)
		snprintf(why, POLICY_WHY_MAX, "as few bytes outstanding, but not its turn");
	else
		snprintf(why, POLICY_WHY_MAX, "%" PRIu64 " bytes outstanding on its session, %" PRIu64 " on the chosen one",
			 p->load->bytes, won->load->bytes);
}

const struct policy policy_least_blocks = {
	.name = "least-blocks",
	.help = "the path with the fewest outstanding bytes",
	.pick = pick,
	.passed = passed,
};
