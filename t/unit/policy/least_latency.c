/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#define POL (&policy_least_latency)

START_TEST(shortest_expected_wait)
{
	struct fixture f;

	fixture_init(&f, 2);
	f.load[0].latency_us = 200;
	f.load[1].latency_us = 30000; /* one path delayed 30 ms */
	EXPECT(&f, POL, 1, 1, 1);
	f.load[0].ios = 148; /* 149 * 200 = 29800 */
	EXPECT(&f, POL, 1);
	f.load[0].ios = 150; /* 151 * 200 = 30200 */
	EXPECT(&f, POL, 2);
}
END_TEST

START_TEST(equals_take_turns)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.load[0].latency_us = f.load[1].latency_us = f.load[2].latency_us = 100;
	EXPECT(&f, POL, 1, 2, 3, 1);
	f.load[1].ios = 1;
	EXPECT(&f, POL, 3, 1, 3);
}
END_TEST

START_TEST(unknown_path_gets_one_io_and_no_more_until_it_is_known)
{
	struct fixture f;

	fixture_init(&f, 2);
	f.load[0].latency_us = 100;
	EXPECT(&f, POL, 2);
	f.load[1].ios = 1;
	EXPECT(&f, POL, 1, 1, 1);
	f.load[0].ios = 1000;
	EXPECT(&f, POL, 1);
	f.p[0].ready = false; /* better an unknown path than none */
	EXPECT(&f, POL, 2);
	f.p[0].ready = true;
	f.load[1].latency_us = 50;
	EXPECT(&f, POL, 2);
}
END_TEST

START_TEST(nothing_known_goes_by_queue)
{
	struct fixture f;

	fixture_init(&f, 3);
	EXPECT(&f, POL, 1, 2, 3);
	f.load[0].ios = 2;
	f.load[1].ios = 1;
	f.load[2].ios = 2;
	EXPECT(&f, POL, 2, 2);
}
END_TEST

/* The loser of every comparison is measured again, whatever the number of paths. */
START_TEST(stale_path_is_explored)
{
	int n;

	for (n = 2; n <= POLICY_MAX_PATHS; n++) {
		int i, picks[POLICY_MAX_PATHS + 1] = { 0 };
		struct fixture f;

		fixture_init(&f, n);
		for (i = 0; i < n; i++)
			f.load[i].latency_us = 100;
		f.load[n / 2].latency_us = 1000000;
		for (i = 0; i < 128 * n * 10; i++)
			picks[fixture_pick(&f, POL)]++;
		ck_assert_int_eq(picks[n / 2 + 1], 10);
	}
}
END_TEST

START_TEST(stale_path_that_became_fast_wins_again)
{
	struct fixture f;
	int i, id;

	fixture_init(&f, 2);
	f.load[0].latency_us = 200;
	f.load[1].latency_us = 30000; /* but now it takes 100 */
	for (i = 0; i < 128 * 2 * 60; i++) {
		id = fixture_pick(&f, POL);
		if (id == 2)
			f.load[1].latency_us = (7 * f.load[1].latency_us + 100) / 8;
	}
	EXPECT(&f, POL, 2, 2, 2);
}
END_TEST

START_TEST(exploring_leaves_a_busy_or_full_path_alone)
{
	struct fixture f;
	int i;

	fixture_init(&f, 2);
	f.load[0].latency_us = 100;
	f.load[1].latency_us = 1000000;
	f.load[1].ios = 1; /* its answer will say */
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(fixture_pick(&f, POL), 1);
	f.load[1].ios = 0;
	f.p[1].ready = false;
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(fixture_pick(&f, POL), 1);
}
END_TEST

START_TEST(same_input_same_picks)
{
	struct fixture a, b;
	int i;

	fixture_init(&a, 5);
	for (i = 0; i < 5; i++)
		a.load[i].latency_us = 100 + (uint64_t)i;
	b = a;
	for (i = 0; i < 5; i++) /* the paths carry pointers */
		b.p[i].load = &b.load[i];
	for (i = 0; i < 2000; i++)
		ck_assert_int_eq(fixture_pick(&a, POL), fixture_pick(&b, POL));
}
END_TEST

START_TEST(huge_products_do_not_wrap)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.load[0] = (struct policy_load){ .ios = UINT32_MAX, .latency_us = UINT64_MAX };
	f.load[1] = (struct policy_load){ .ios = 1, .latency_us = (UINT64_C(1) << 63) };
	f.load[2] = (struct policy_load){ .ios = 1000, .latency_us = 1000000 };
	EXPECT(&f, POL, 3, 3);
	f.p[2].ready = false;
	EXPECT(&f, POL, 1, 2, 1);
	f.load[2].ios = 1;
	f.load[2].latency_us = 0; /* unknown and busy: behind all that is known, however slow */
	f.p[2].ready = true;
	EXPECT(&f, POL, 2, 1, 2);
}
END_TEST

START_TEST(counter_wraps_quietly)
{
	struct fixture f;
	int i;

	fixture_init(&f, 3);
	f.load[0].latency_us = f.load[1].latency_us = f.load[2].latency_us = 1;
	f.st.run = UINT32_MAX - 200;
	for (i = 0; i < 1000; i++)
		ck_assert_int_gt(fixture_pick(&f, POL), 0);
}
END_TEST

START_TEST(full_paths_are_passed_over)
{
	struct fixture f;
	int i;

	fixture_init(&f, 2);
	f.load[0].latency_us = 1;
	f.load[1].latency_us = 1000;
	f.p[0].ready = false;
	EXPECT(&f, POL, 2, 2);
	f.p[1].ready = false;
	for (i = 0; i < 300; i++)
		ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
	ck_assert_uint_eq(f.st.run, 2);
	f.p[0].ready = true;
	EXPECT(&f, POL, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("least_latency");
	TCase *tc = tcase_create("pick");

	tcase_add_test(tc, shortest_expected_wait);
	tcase_add_test(tc, equals_take_turns);
	tcase_add_test(tc, unknown_path_gets_one_io_and_no_more_until_it_is_known);
	tcase_add_test(tc, nothing_known_goes_by_queue);
	tcase_add_test(tc, stale_path_is_explored);
	tcase_add_test(tc, stale_path_that_became_fast_wins_again);
	tcase_add_test(tc, exploring_leaves_a_busy_or_full_path_alone);
	tcase_add_test(tc, same_input_same_picks);
	tcase_add_test(tc, huge_products_do_not_wrap);
	tcase_add_test(tc, counter_wraps_quietly);
	tcase_add_test(tc, full_paths_are_passed_over);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
