/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#define POL (&policy_failover_only)

START_TEST(lowest_id_carries_all)
{
	struct fixture f;

	fixture_init(&f, 3);
	EXPECT(&f, POL, 1, 1, 1);
	ck_assert_uint_eq(f.st.run, 3);
}
END_TEST

START_TEST(stays_after_failover)
{
	struct fixture all, f;

	fixture_init(&all, 3);
	f = all;
	EXPECT(&f, POL, 1);
	fixture_remove(&f, 1);
	EXPECT(&f, POL, 2, 2);
	all.st = f.st; /* path 1 is back */
	EXPECT(&all, POL, 2, 2);
}
END_TEST

START_TEST(preferred_path_first_and_again_when_it_returns)
{
	struct fixture all, f;

	fixture_init(&all, 3);
	all.p[2].preferred = true;
	f = all;
	EXPECT(&f, POL, 3, 3);
	fixture_remove(&f, 3);
	EXPECT(&f, POL, 1, 1);
	all.st = f.st;
	EXPECT(&all, POL, 3);
}
END_TEST

/* Failback not due yet: the preferred path rests, and policy_choose() leaves it out. */
START_TEST(resting_preferred_path_waits_for_failback)
{
	struct fixture f;
	int i;

	fixture_init(&f, 3);
	f.p[0].preferred = f.p[0].resting = true;
	f.st.last = 2;
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(policy_choose(POL, &f.st, f.p, f.n, NULL, 0, 0), 1);
	f.p[0].resting = false;
	ck_assert_int_eq(policy_choose(POL, &f.st, f.p, f.n, NULL, 0, 0), 0);
}
END_TEST

START_TEST(full_path_is_waited_for)
{
	struct fixture f;

	fixture_init(&f, 2);
	EXPECT(&f, POL, 1);
	f.p[0].ready = false;
	ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
	ck_assert_uint_eq(f.st.last, 1);
	f.p[0].ready = true;
	EXPECT(&f, POL, 1);
	f.p[1].preferred = true;
	f.p[1].ready = false;
	ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("failover_only");
	TCase *tc = tcase_create("pick");

	tcase_add_test(tc, lowest_id_carries_all);
	tcase_add_test(tc, stays_after_failover);
	tcase_add_test(tc, preferred_path_first_and_again_when_it_returns);
	tcase_add_test(tc, resting_preferred_path_waits_for_failback);
	tcase_add_test(tc, full_path_is_waited_for);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
