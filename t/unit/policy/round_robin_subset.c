/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#define POL (&policy_round_robin_subset)

/* A, B, C (1, 2, 3) active, D (4) standby. */
static void abc_d(struct fixture *f)
{
	fixture_init(f, 4);
	f->p[0].active = f->p[1].active = f->p[2].active = true;
}

START_TEST(standby_stays_idle)
{
	struct fixture f;

	abc_d(&f);
	EXPECT(&f, POL, 1, 2, 3, 1, 2, 3);
}
END_TEST

START_TEST(standby_only_when_no_active_is_left_and_back_at_once)
{
	struct fixture f, all;

	abc_d(&f);
	all = f;
	fixture_remove(&f, 1);
	EXPECT(&f, POL, 2, 3, 2);
	fixture_remove(&f, 2);
	EXPECT(&f, POL, 3, 3);
	fixture_remove(&f, 3);
	EXPECT(&f, POL, 4, 4, 4);
	all.st = f.st;
	fixture_remove(&all, 1);
	fixture_remove(&all, 3);
	EXPECT(&all, POL, 2, 2, 2);
}
END_TEST

START_TEST(full_is_not_unusable)
{
	struct fixture f;

	abc_d(&f);
	f.p[0].ready = f.p[1].ready = false;
	EXPECT(&f, POL, 3, 3);
	f.p[2].ready = false;
	ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
	f.p[1].ready = true;
	EXPECT(&f, POL, 2);
}
END_TEST

START_TEST(standbys_take_turns_too)
{
	struct fixture f;

	fixture_init(&f, 3); /* no active one configured, or none left */
	EXPECT(&f, POL, 1, 2, 3, 1);
	f.p[1].ready = false;
	EXPECT(&f, POL, 3, 1);
	f.p[0].ready = f.p[2].ready = false;
	ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
}
END_TEST

START_TEST(standby_with_the_lowest_id_is_not_first)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.p[1].active = f.p[2].active = true;
	EXPECT(&f, POL, 2, 3, 2, 3);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("round_robin_subset");
	TCase *tc = tcase_create("pick");

	tcase_add_test(tc, standby_stays_idle);
	tcase_add_test(tc, standby_only_when_no_active_is_left_and_back_at_once);
	tcase_add_test(tc, full_is_not_unusable);
	tcase_add_test(tc, standbys_take_turns_too);
	tcase_add_test(tc, standby_with_the_lowest_id_is_not_first);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
