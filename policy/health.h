/* SPDX-License-Identifier: MIT */
/*
 * The health of one session: how long a command normally takes, when silence is suspicious, when a
 * session that keeps failing is on probation, how long to wait before the next login. Pure: times
 * are microseconds of any monotonic clock, handed in.
 */
#ifndef POLICY_HEALTH_H
#define POLICY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

struct health_params {
	uint64_t suspect_floor_us;  /* never suspect earlier than this (default 50 ms) */
	uint64_t backoff_min_us, backoff_max_us; /* between two logins */
	unsigned flap_limit;        /* failures within flap_window_us that begin probation; 0: never */
	uint64_t flap_window_us;
	uint64_t probation_us;      /* without a failure, ends probation */
};

#define HEALTH_FLAPS 8

struct health {
	uint64_t srtt_us, rttvar_us;    /* RFC 6298 estimators, 0: no sample */
	unsigned tries;                 /* logins that failed in a row */
	uint64_t fail_at[HEALTH_FLAPS]; /* ring of the last failures of an established session */
	unsigned nfail;
	bool marginal;
	uint64_t marginal_until;
};

void health_init(struct health *h);

/* A command of an average kind took rtt_us. */
void health_sample(struct health *h, uint64_t rtt_us);

/* Silence longer than this makes the session suspect: max(floor, srtt + 8 * rttvar), at most 1 s. */
uint64_t health_suspect_after(const struct health *h, const struct health_params *p);

/* An established session failed. True: it is on probation from now on (and was not before). */
bool health_failed(struct health *h, const struct health_params *p, uint64_t now);

/* On probation? Ends it when its time is over. */
bool health_marginal(struct health *h, uint64_t now);

/* How long to wait before the next login: doubling, with jitter from `random` (any 32 bits). */
uint64_t health_backoff(struct health *h, const struct health_params *p, uint32_t random);

/* A login and identification succeeded, or an administrator or a link coming up asks for a fresh start. */
void health_reset_backoff(struct health *h);

#endif
