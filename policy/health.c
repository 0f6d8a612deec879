/* SPDX-License-Identifier: MIT */
/*
 * The health of a session. Latency by the estimator of RFC 6298 2 (SRTT and RTTVAR, gains 1/8 and
 * 1/4) in whole microseconds; flapping by a ring of the last failures; back-off by the number of
 * failed logins in a row. A clock that stands still or steps back makes nothing end early.
 */
#include <string.h>
#include "health.h"

#define US_PER_SEC UINT64_C(1000000)

/* Longer is no round trip any more; it also keeps the sums below far away from 2^64. */
#define SAMPLE_MAX_US (60 * US_PER_SEC)

/* Below this nothing is an outlier: the scheduling of either host alone takes that long. */
#define OUTLIER_MIN_US 1000

#define SUSPECT_CAP_US US_PER_SEC

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void health_init(struct health *h)
{
	memset(h, 0, sizeof(*h));
}

/*
 * RFC 6298 2.2 and 2.3. One command that took far longer than the others (a disk that woke up, a
 * controller that failed over) counts as a few times the usual: else it would blind the detector of
 * silence for a dozen commands. Storage that really became slower raises the limit with each
 * sample, so a thousandfold change is followed within a dozen.
 */
void health_sample(struct health *h, uint64_t rtt_us)
{
	uint64_t rtt = max_u64(min_u64(rtt_us, SAMPLE_MAX_US), 1);
	uint64_t off;

	if (!h->srtt_us) {
		h->srtt_us = rtt;
		h->rttvar_us = rtt / 2;
		return;
	}
	rtt = min_u64(rtt, max_u64(4 * h->srtt_us + 8 * h->rttvar_us, OUTLIER_MIN_US));
	off = rtt > h->srtt_us ? rtt - h->srtt_us : h->srtt_us - rtt;
	h->rttvar_us = (3 * h->rttvar_us + off + 2) / 4;
	h->srtt_us = max_u64((7 * h->srtt_us + rtt + 4) / 8, 1);
}

uint64_t health_suspect_after(const struct health *h, const struct health_params *p)
{
	uint64_t us = h->srtt_us + 8 * h->rttvar_us;

	return max_u64(min_u64(us, SUSPECT_CAP_US), p->suspect_floor_us);
}

/* Were the last `limit` failures within the window that ends now? */
static bool flapping(const struct health *h, const struct health_params *p, uint64_t now)
{
	unsigned limit = p->flap_limit < HEALTH_FLAPS ? p->flap_limit : HEALTH_FLAPS;
	uint64_t oldest;

	if (!limit || h->nfail < limit)
		return false;
	oldest = h->fail_at[(h->nfail - limit) % HEALTH_FLAPS];
	return now <= oldest || now - oldest <= p->flap_window_us;
}

bool health_failed(struct health *h, const struct health_params *p, uint64_t now)
{
	bool was_marginal = health_marginal(h, now);

	h->fail_at[h->nfail % HEALTH_FLAPS] = now;
	if (++h->nfail == 2 * HEALTH_FLAPS)
		h->nfail = HEALTH_FLAPS;
	if (!p->flap_limit || (!was_marginal && !flapping(h, p, now)))
		return false;
	h->marginal = true;
	h->marginal_until = max_u64(add_saturated(now, p->probation_us), h->marginal_until);
	return !was_marginal;
}

/* Who has served the probation starts with a clean record. */
bool health_marginal(struct health *h, uint64_t now)
{
	if (h->marginal && now >= h->marginal_until) {
		h->marginal = false;
		h->marginal_until = 0;
		h->nfail = 0;
	}
	return h->marginal;
}

/* `us` plus or minus a quarter of it; all of `random` counts, whatever the size of us. */
static uint64_t jitter(uint64_t us, uint32_t random)
{
	uint64_t span = us / 2;
	uint64_t part = (span >> 32) * random + (((span & UINT32_MAX) * random) >> 32);

	return add_saturated(us - us / 4, part);
}

uint64_t health_backoff(struct health *h, const struct health_params *p, uint32_t random)
{
	/* A minimum of 0 would never double: logins in a tight loop. */
	uint64_t us = max_u64(p->backoff_min_us, 1);
	unsigned i;

	/* At most 64 steps, however large tries is: then us is at its maximum or saturated. */
	for (i = 0; i < h->tries && us < p->backoff_max_us; i++)
		us = add_saturated(us, us);
	us = min_u64(us, p->backoff_max_us);
	if (h->tries < UINT32_MAX)
		h->tries++;
	return jitter(us, random);
}

void health_reset_backoff(struct health *h)
{
	h->tries = 0;
}
