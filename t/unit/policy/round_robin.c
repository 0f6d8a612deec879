/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#define POL (&policy_round_robin)

START_TEST(each_path_in_turn)
{
	struct fixture f;

	fixture_init(&f, 3);
	EXPECT(&f, POL, 1, 2, 3, 1, 2, 3, 1);
}
END_TEST

START_TEST(one_path_takes_all)
{
	struct fixture f;

	fixture_init(&f, 1);
	EXPECT(&f, POL, 1, 1, 1);
	ck_assert_uint_eq(f.st.run, 3);
}
END_TEST

START_TEST(all_32_paths_get_the_same)
{
	int count[POLICY_MAX_PATHS + 1] = { 0 };
	struct fixture f;
	int i;

	fixture_init(&f, POLICY_MAX_PATHS);
	for (i = 0; i < 32 * 100; i++)
		count[fixture_pick(&f, POL)]++;
	for (i = 1; i <= POLICY_MAX_PATHS; i++)
		ck_assert_int_eq(count[i], 100);
}
END_TEST

START_TEST(full_path_loses_its_turn)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.p[1].ready = false;
	EXPECT(&f, POL, 1, 3, 1);
	f.p[1].ready = true;
	EXPECT(&f, POL, 2, 3);
}
END_TEST

START_TEST(all_full_waits_and_forgets_nothing)
{
	struct fixture f;
	int i;

	fixture_init(&f, 3);
	EXPECT(&f, POL, 1);
	for (i = 0; i < 3; i++)
		f.p[i].ready = false;
	ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
	ck_assert_uint_eq(f.st.last, 1);
	for (i = 0; i < 3; i++)
		f.p[i].ready = true;
	EXPECT(&f, POL, 2, 3);
}
END_TEST

START_TEST(round_goes_on_when_paths_leave)
{
	struct fixture f;

	fixture_init(&f, 4);
	EXPECT(&f, POL, 1, 2);
	fixture_remove(&f, 1); /* a place before the turn: an index would skip 3 */
	EXPECT(&f, POL, 3);
	fixture_remove(&f, 3); /* the last pick itself */
	EXPECT(&f, POL, 4, 2, 4);
}
END_TEST

START_TEST(round_goes_on_when_a_path_comes)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.p[0].id = 10;
	f.p[1].id = 20;
	f.p[2].id = 30;
	EXPECT(&f, POL, 10, 20);
	f.n = 4;
	f.p[3] = f.p[2];
	f.p[2].id = 25;
	EXPECT(&f, POL, 25, 30, 10);
}
END_TEST

START_TEST(highest_id_is_an_id_like_others)
{
	struct fixture f;

	fixture_init(&f, 2);
	f.p[1].id = INT32_MAX;
	EXPECT(&f, POL, 1, INT32_MAX, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("round_robin");
	TCase *tc = tcase_create("pick");

	tcase_add_test(tc, each_path_in_turn);
	tcase_add_test(tc, one_path_takes_all);
	tcase_add_test(tc, all_32_paths_get_the_same);
	tcase_add_test(tc, full_path_loses_its_turn);
	tcase_add_test(tc, all_full_waits_and_forgets_nothing);
	tcase_add_test(tc, round_goes_on_when_paths_leave);
	tcase_add_test(tc, round_goes_on_when_a_path_comes);
	tcase_add_test(tc, highest_id_is_an_id_like_others);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
