/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#define POL (&policy_least_blocks)

START_TEST(thirty_bytes_on_path_1_and_none_on_path_2_is_path_2)
{
	struct fixture f;

	fixture_init(&f, 2);
	f.load[0].bytes = 30;
	EXPECT(&f, POL, 2, 2);
}
END_TEST

START_TEST(ios_do_not_matter)
{
	struct fixture f;

	fixture_init(&f, 2);
	f.load[0] = (struct policy_load){ .ios = 1, .bytes = 1 << 20 };
	f.load[1] = (struct policy_load){ .ios = 200, .bytes = 200 * 4096 };
	EXPECT(&f, POL, 2, 2);
}
END_TEST

START_TEST(equals_take_turns)
{
	struct fixture f;

	fixture_init(&f, 3);
	EXPECT(&f, POL, 1, 2, 3, 1);
	f.load[0].bytes = 4096;
	EXPECT(&f, POL, 2, 3, 2);
}
END_TEST

START_TEST(more_than_4_gib_compares_right)
{
	struct fixture f;

	fixture_init(&f, 2);
	f.load[0].bytes = UINT64_C(1) << 32;
	f.load[1].bytes = 1;
	EXPECT(&f, POL, 2);
	f.load[0].bytes = UINT64_MAX - 1;
	f.load[1].bytes = UINT64_MAX;
	EXPECT(&f, POL, 1, 1);
}
END_TEST

START_TEST(full_paths_are_passed_over)
{
	struct fixture f;

	fixture_init(&f, 2);
	f.load[1].bytes = UINT64_MAX;
	f.p[0].ready = false;
	EXPECT(&f, POL, 2);
	f.p[1].ready = false;
	ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
	f.p[0].ready = true;
	EXPECT(&f, POL, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("least_blocks");
	TCase *tc = tcase_create("pick");

	tcase_add_test(tc, thirty_bytes_on_path_1_and_none_on_path_2_is_path_2);
	tcase_add_test(tc, ios_do_not_matter);
	tcase_add_test(tc, equals_take_turns);
	tcase_add_test(tc, more_than_4_gib_compares_right);
	tcase_add_test(tc, full_paths_are_passed_over);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
