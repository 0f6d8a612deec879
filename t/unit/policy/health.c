/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "policy/health.h"

#define MS UINT64_C(1000)
#define SEC UINT64_C(1000000)

static const struct health_params params = {
	.suspect_floor_us = 50 * MS,
	.backoff_min_us = 100 * MS,
	.backoff_max_us = 10 * SEC,
	.flap_limit = 3,
	.flap_window_us = 60 * SEC,
	.probation_us = 120 * SEC,
};

static struct health fresh(void)
{
	struct health h;

	memset(&h, 0xa5, sizeof(h));
	health_init(&h);
	return h;
}

static void samples(struct health *h, int n, uint64_t rtt_us)
{
	while (n--)
		health_sample(h, rtt_us);
}

/* RFC 6298 2.2 and 2.3, worked by hand. */
START_TEST(estimator_of_rfc_6298)
{
	struct health h = fresh();

	health_sample(&h, 8000);
	ck_assert_uint_eq(h.srtt_us, 8000);
	ck_assert_uint_eq(h.rttvar_us, 4000);
	health_sample(&h, 16000); /* var 3/4 * 4000 + 1/4 * 8000, srtt 7/8 * 8000 + 1/8 * 16000 */
	ck_assert_uint_eq(h.rttvar_us, 5000);
	ck_assert_uint_eq(h.srtt_us, 9000);
	health_sample(&h, 1000);
	ck_assert_uint_eq(h.rttvar_us, 5750);
	ck_assert_uint_eq(h.srtt_us, 8000);
}
END_TEST

START_TEST(estimate_settles_on_a_constant)
{
	static const uint64_t rtts[] = { 1, 7, 150, 30000, 2000000 };
	struct health h = fresh();
	size_t i;

	for (i = 0; i < sizeof(rtts) / sizeof(rtts[0]); i++) {
		samples(&h, 200, rtts[i]);
		ck_assert_uint_le(h.srtt_us, rtts[i] + 4);
		ck_assert_uint_ge(h.srtt_us + 4, rtts[i]);
		ck_assert_uint_le(h.rttvar_us, 6); /* rounding */
	}
	samples(&h, 200, 100); /* and down again */
	ck_assert_uint_le(h.srtt_us, 104);
}
END_TEST

START_TEST(sample_of_zero_is_a_sample)
{
	struct health h = fresh();

	health_sample(&h, 0);
	ck_assert_uint_gt(h.srtt_us, 0);
	samples(&h, 100, 0);
	ck_assert_uint_gt(h.srtt_us, 0);
	ck_assert_uint_le(h.srtt_us, 4);
}
END_TEST

START_TEST(outlier_does_not_blind)
{
	struct health_params p = params;
	struct health h = fresh();

	p.suspect_floor_us = 0;
	samples(&h, 100, 2 * MS);
	ck_assert_uint_lt(health_suspect_after(&h, &p), 3 * MS);
	health_sample(&h, 30 * SEC);
	ck_assert_uint_lt(h.srtt_us, 3 * MS);
	ck_assert_uint_lt(health_suspect_after(&h, &p), 20 * MS);
	samples(&h, 20, 2 * MS);
	ck_assert_uint_lt(health_suspect_after(&h, &p), 3 * MS);
}
END_TEST

START_TEST(storage_that_became_slow_is_followed)
{
	struct health h = fresh();

	samples(&h, 100, 200);
	samples(&h, 12, 200 * MS);
	ck_assert_uint_gt(health_suspect_after(&h, &params), 200 * MS);
	samples(&h, 30, 200 * MS);
	ck_assert_uint_gt(h.srtt_us, 190 * MS);
	ck_assert_uint_lt(h.srtt_us, 201 * MS);
}
END_TEST

START_TEST(suspect_between_floor_and_cap)
{
	struct health_params p = params;
	struct health h = fresh();

	ck_assert_uint_eq(health_suspect_after(&h, &p), 50 * MS); /* no sample */
	samples(&h, 50, 200);
	ck_assert_uint_eq(health_suspect_after(&h, &p), 50 * MS);
	h.srtt_us = 20 * MS;
	h.rttvar_us = 10 * MS;
	ck_assert_uint_eq(health_suspect_after(&h, &p), 100 * MS);
	h.rttvar_us = 500 * MS;
	ck_assert_uint_eq(health_suspect_after(&h, &p), SEC);
	p.suspect_floor_us = 3 * SEC; /* the administrator's word is above the cap */
	ck_assert_uint_eq(health_suspect_after(&h, &p), 3 * SEC);
	p.suspect_floor_us = UINT64_MAX;
	ck_assert_uint_eq(health_suspect_after(&h, &p), UINT64_MAX);
}
END_TEST

START_TEST(huge_samples_do_not_wrap)
{
	struct health h = fresh();

	samples(&h, 100, UINT64_MAX);
	ck_assert_uint_ge(h.srtt_us, 59 * SEC);
	ck_assert_uint_le(h.srtt_us, 61 * SEC);
	ck_assert_uint_eq(health_suspect_after(&h, &params), SEC);
	samples(&h, 1, 1);
	samples(&h, 300, UINT64_MAX - 1);
	ck_assert_uint_le(h.srtt_us, 61 * SEC);
	samples(&h, 300, 100);
	ck_assert_uint_le(h.srtt_us, 104);
}
END_TEST

START_TEST(third_failure_in_the_window_is_probation)
{
	struct health h = fresh();

	ck_assert(!health_failed(&h, &params, 1 * SEC));
	ck_assert(!health_failed(&h, &params, 30 * SEC));
	ck_assert(!health_marginal(&h, 30 * SEC));
	ck_assert(health_failed(&h, &params, 61 * SEC)); /* 60 s after the first, still inside */
	ck_assert(health_marginal(&h, 61 * SEC));
	ck_assert(health_marginal(&h, 181 * SEC - 1));
	ck_assert(!health_marginal(&h, 181 * SEC));
	ck_assert(!health_marginal(&h, 62 * SEC)); /* over is over */
}
END_TEST

START_TEST(slow_failures_are_no_flapping)
{
	struct health h = fresh();
	int i;

	for (i = 0; i < 1000; i++) /* any three of them are 60.000002 s apart */
		ck_assert(!health_failed(&h, &params, (uint64_t)i * (30 * SEC + 1)));
	ck_assert(!h.marginal);
}
END_TEST

START_TEST(failure_on_probation_prolongs_it)
{
	struct health h = fresh();

	health_failed(&h, &params, 0);
	health_failed(&h, &params, 1);
	ck_assert(health_failed(&h, &params, 2));
	ck_assert(!health_failed(&h, &params, 100 * SEC)); /* it was already */
	ck_assert(health_marginal(&h, 219 * SEC));
	ck_assert(!health_marginal(&h, 220 * SEC));
}
END_TEST

START_TEST(served_probation_is_a_clean_record)
{
	struct health_params p = params;
	struct health h = fresh();

	p.probation_us = SEC; /* much shorter than the window */
	health_failed(&h, &p, 0);
	health_failed(&h, &p, 1);
	ck_assert(health_failed(&h, &p, 2));
	/* Nobody asked in between whether it is over. */
	ck_assert(!health_failed(&h, &p, 2 * SEC));
	ck_assert(!health_marginal(&h, 2 * SEC));
	ck_assert(!health_failed(&h, &p, 2 * SEC + 1));
	ck_assert(health_failed(&h, &p, 2 * SEC + 2));
}
END_TEST

START_TEST(flap_limits)
{
	struct health_params p = params;
	struct health h = fresh();
	int i;

	p.flap_limit = 0;
	for (i = 0; i < 100; i++)
		ck_assert(!health_failed(&h, &p, 5));
	ck_assert(!health_marginal(&h, 5));

	h = fresh();
	p.flap_limit = 1;
	ck_assert(health_failed(&h, &p, 5));

	h = fresh();
	p.flap_limit = HEALTH_FLAPS;
	for (i = 0; i < HEALTH_FLAPS - 1; i++)
		ck_assert(!health_failed(&h, &p, 5));
	ck_assert(health_failed(&h, &p, 5));

	h = fresh();
	p.flap_limit = UINT32_MAX; /* more than the ring remembers: as many as it does */
	for (i = 0; i < HEALTH_FLAPS - 1; i++)
		ck_assert(!health_failed(&h, &p, 5));
	ck_assert(health_failed(&h, &p, 5));
}
END_TEST

/* The ring must find the right one of its entries after any number of turns. */
START_TEST(ring_after_many_turns)
{
	struct health_params p = params;
	struct health h;
	unsigned limit, n, i;

	p.flap_window_us = 10;
	for (limit = 2; limit <= HEALTH_FLAPS; limit++) {
		p.flap_limit = limit;
		for (n = 0; n < 50; n++) {
			uint64_t t = 1000;

			h = fresh();
			for (i = 0; i < n; i++, t += 1000)
				ck_assert(!health_failed(&h, &p, t));
			for (i = 0; i < limit - 1; i++)
				ck_assert(!health_failed(&h, &p, t));
			ck_assert(health_failed(&h, &p, t));
		}
	}
}
END_TEST

START_TEST(time_that_stands_still_or_steps_back)
{
	struct health_params p = params;
	struct health h = fresh();

	p.flap_window_us = 0;
	ck_assert(!health_failed(&h, &p, 0));
	ck_assert(!health_failed(&h, &p, 0));
	ck_assert(health_failed(&h, &p, 0));
	ck_assert(health_marginal(&h, 0));
	ck_assert(health_marginal(&h, 0));

	h = fresh();
	ck_assert(!health_failed(&h, &params, 500 * SEC));
	ck_assert(!health_failed(&h, &params, 400 * SEC));
	ck_assert(health_failed(&h, &params, 300 * SEC));
	ck_assert(!health_failed(&h, &params, 200 * SEC)); /* does not shorten the probation */
	ck_assert(health_marginal(&h, 419 * SEC));
	ck_assert(!health_marginal(&h, 420 * SEC));
}
END_TEST

START_TEST(times_near_the_end_of_64_bits)
{
	struct health h = fresh();
	uint64_t t = UINT64_MAX - 10;

	ck_assert(!health_failed(&h, &params, t));
	ck_assert(!health_failed(&h, &params, t + 1));
	ck_assert(health_failed(&h, &params, t + 2));
	ck_assert(health_marginal(&h, t + 3)); /* a sum that wrapped would have ended it */
	ck_assert(!health_failed(&h, &params, t + 4));
	ck_assert(health_marginal(&h, UINT64_MAX - 1));
}
END_TEST

/* With the middle value of random there is no jitter but for rounding. */
START_TEST(backoff_doubles_up_to_the_maximum)
{
	static const uint64_t ms[] = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct health h = fresh();
	size_t i;

	for (i = 0; i < sizeof(ms) / sizeof(ms[0]); i++)
		ck_assert_uint_eq(health_backoff(&h, &params, 1u << 31), ms[i] * MS);
	health_reset_backoff(&h);
	ck_assert_uint_eq(h.tries, 0);
	ck_assert_uint_eq(health_backoff(&h, &params, 1u << 31), 100 * MS);
	ck_assert_uint_eq(health_backoff(&h, &params, 1u << 31), 200 * MS);
}
END_TEST

START_TEST(jitter_is_a_quarter_either_way)
{
	struct health h = fresh();
	uint64_t low, high, last = 0;
	uint32_t i;

	low = health_backoff(&h, &params, 0);
	health_reset_backoff(&h);
	high = health_backoff(&h, &params, UINT32_MAX);
	ck_assert_uint_eq(low, 75 * MS);
	ck_assert_uint_le(high, 125 * MS);
	ck_assert_uint_ge(high, 125 * MS - 1);
	for (i = 0; i < 1000; i++) { /* and even in between */
		uint64_t us;

		health_reset_backoff(&h);
		us = health_backoff(&h, &params, UINT32_MAX / 1000 * i);
		ck_assert_uint_ge(us, last);
		ck_assert_uint_le(us, 75 * MS + 50 * i + 1);
		ck_assert_uint_ge(us + 1, 75 * MS + 50 * i);
		last = us;
	}
}
END_TEST

START_TEST(backoff_never_overflows)
{
	struct health_params p = params;
	struct health h = fresh();
	int i;

	h.tries = UINT32_MAX;
	ck_assert_uint_eq(health_backoff(&h, &p, 1u << 31), 10 * SEC);
	ck_assert_uint_eq(h.tries, UINT32_MAX);
	ck_assert_uint_eq(health_backoff(&h, &p, 1u << 31), 10 * SEC);

	p.backoff_max_us = UINT64_MAX;
	ck_assert_uint_eq(health_backoff(&h, &p, UINT32_MAX), UINT64_MAX);
	ck_assert_uint_ge(health_backoff(&h, &p, 0), UINT64_MAX / 4 * 3);

	health_init(&h);
	for (i = 0; i < 200; i++)
		ck_assert_uint_ge(health_backoff(&h, &p, 0), 75 * MS);
}
END_TEST

START_TEST(odd_backoff_limits)
{
	struct health_params p = params;
	struct health h = fresh();
	int i;

	p.backoff_min_us = 20 * SEC; /* more than the maximum */
	ck_assert_uint_eq(health_backoff(&h, &p, 1u << 31), 10 * SEC);
	health_init(&h);
	p.backoff_min_us = 0; /* must not stay 0 */
	for (i = 0; i < 30; i++)
		health_backoff(&h, &p, 0);
	ck_assert_uint_eq(health_backoff(&h, &p, 1u << 31), 10 * SEC);
	p.backoff_max_us = 0;
	ck_assert_uint_eq(health_backoff(&h, &p, UINT32_MAX), 0);
}
END_TEST

/* A login that worked is no pardon for flapping, nor does it make the latency unknown. */
START_TEST(reset_of_the_backoff_resets_nothing_else)
{
	struct health h = fresh();
	int i;

	samples(&h, 10, 300);
	for (i = 0; i < 3; i++) {
		health_failed(&h, &params, 5);
		health_backoff(&h, &params, 0);
		health_reset_backoff(&h);
	}
	ck_assert(health_marginal(&h, 6));
	ck_assert_uint_ge(h.srtt_us, 296);
	ck_assert_uint_eq(h.tries, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("health");
	TCase *tc = tcase_create("latency");

	tcase_add_test(tc, estimator_of_rfc_6298);
	tcase_add_test(tc, estimate_settles_on_a_constant);
	tcase_add_test(tc, sample_of_zero_is_a_sample);
	tcase_add_test(tc, outlier_does_not_blind);
	tcase_add_test(tc, storage_that_became_slow_is_followed);
	tcase_add_test(tc, suspect_between_floor_and_cap);
	tcase_add_test(tc, huge_samples_do_not_wrap);
	suite_add_tcase(s, tc);
	tc = tcase_create("flapping");
	tcase_add_test(tc, third_failure_in_the_window_is_probation);
	tcase_add_test(tc, slow_failures_are_no_flapping);
	tcase_add_test(tc, failure_on_probation_prolongs_it);
	tcase_add_test(tc, served_probation_is_a_clean_record);
	tcase_add_test(tc, flap_limits);
	tcase_add_test(tc, ring_after_many_turns);
	tcase_add_test(tc, time_that_stands_still_or_steps_back);
	tcase_add_test(tc, times_near_the_end_of_64_bits);
	suite_add_tcase(s, tc);
	tc = tcase_create("backoff");
	tcase_add_test(tc, backoff_doubles_up_to_the_maximum);
	tcase_add_test(tc, jitter_is_a_quarter_either_way);
	tcase_add_test(tc, backoff_never_overflows);
	tcase_add_test(tc, odd_backoff_limits);
	tcase_add_test(tc, reset_of_the_backoff_resets_nothing_else);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
