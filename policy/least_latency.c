/* SPDX-License-Identifier: MIT */
/*
 * Least Latency: the path where this I/O would wait least, its smoothed latency times the I/Os
 * there once this one is added. Equal waits take turns; a full path is passed over, when all are
 * full the I/O waits.
 *
 * An estimate is only as good as its last sample. A path never measured gets one I/O at once, and
 * more only after that came back, as it may be a slow one. A path that lost every comparison would
 * keep its bad figure for ever: so each EXPLORE-th pick goes to the candidates in turn, if the one
 * whose turn it is has nothing outstanding. That is less than 1 % of the I/Os, below the p99.
 * st->run counts the picks here, not those in a row.
 */
#include <inttypes.h>
#include <stdio.h>
#include "round.h"

#define EXPLORE 128

/* Above every wait that is known; among themselves, such paths go by their queues. */
#define WAIT_UNKNOWN (UINT64_C(1) << 63)

static uint64_t expected_wait(const struct policy_load *l)
{
	uint64_t wait;

	if (!l->latency_us)
		return l->ios ? WAIT_UNKNOWN + l->ios : 0;
	if (__builtin_mul_overflow(l->latency_us, (uint64_t)l->ios + 1, &wait) ||
	    wait >= WAIT_UNKNOWN)
		return WAIT_UNKNOWN - 1;
	return wait;
}

/* Whose turn it is to be measured again, or POLICY_WAIT: nobody's. */
static int explore(const struct policy_state *st, const struct policy_path *const *p, int n)
{
	int i;

	if ((st->run + 1) % EXPLORE)
		return POLICY_WAIT;
	i = (int)((st->run / EXPLORE) % (uint32_t)n);
	return p[i]->ready && !p[i]->load->ios ? i : POLICY_WAIT;
}

static int pick(struct policy_state *st, const struct policy_path *const *p, int n, uint32_t bytes)
{
	struct round r = ROUND_INIT;
	int i, at = explore(st, p, n);

	if (at < 0) {
		for (i = 0; i < n; i++)
			round_offer(&r, st, p[i], i, expected_wait(p[i]->load));
		at = round_pick(&r);
	}
	if (at < 0)
		return at;
	st->last = p[at]->id;
	st->run++;
	return at;
}

static void passed(const struct policy_path *p, const struct policy_path *won, char *why)
{
	uint64_t mine = expected_wait(p->load), its = expected_wait(won->load);

	if (mine >= WAIT_UNKNOWN)
		snprintf(why, POLICY_WHY_MAX, "busy, and its latency is not known yet");
	else if (mine <= its)
		snprintf(why, POLICY_WHY_MAX, "no shorter a wait, and not its turn");
	else
		snprintf(why, POLICY_WHY_MAX,
			 "expected wait %" PRIu64 " us, on the chosen one %" PRIu64 " us", mine, its);
}

const struct policy policy_least_latency = {
	.name = "least-latency",
	.help = "the path with the shortest expected wait, by measured latency and queue",
	.pick = pick,
	.passed = passed,
};
