/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#define POL (&policy_weighted_paths)

static void weights(struct fixture *f, uint32_t a, uint32_t b, uint32_t c)
{
	fixture_init(f, 3);
	f->p[0].weight = a;
	f->p[1].weight = b;
	f->p[2].weight = c;
}

START_TEST(lowest_weight_takes_all)
{
	struct fixture f;

	weights(&f, 30, 10, 20);
	f.load[1].ios = 1000;
	EXPECT(&f, POL, 2, 2, 2);
}
END_TEST

START_TEST(next_weight_takes_over_and_gives_back)
{
	struct fixture all, f;

	weights(&all, 30, 10, 20);
	f = all;
	fixture_remove(&f, 2);
	EXPECT(&f, POL, 3, 3);
	fixture_remove(&f, 3);
	EXPECT(&f, POL, 1);
	all.st = f.st;
	EXPECT(&all, POL, 2);
}
END_TEST

START_TEST(equal_weights_are_the_lowest_id)
{
	struct fixture f;

	weights(&f, 7, 5, 5);
	EXPECT(&f, POL, 2, 2, 2);
	weights(&f, UINT32_MAX, UINT32_MAX, UINT32_MAX);
	EXPECT(&f, POL, 1, 1);
}
END_TEST

START_TEST(full_path_is_waited_for)
{
	struct fixture f;

	weights(&f, 0, 1, 2);
	f.p[0].ready = false;
	ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
	ck_assert_uint_eq(f.st.last, 0);
	f.p[0].ready = true;
	EXPECT(&f, POL, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("weighted_paths");
	TCase *tc = tcase_create("pick");

	tcase_add_test(tc, lowest_weight_takes_all);
	tcase_add_test(tc, next_weight_takes_over_and_gives_back);
	tcase_add_test(tc, equal_weights_are_the_lowest_id);
	tcase_add_test(tc, full_path_is_waited_for);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
