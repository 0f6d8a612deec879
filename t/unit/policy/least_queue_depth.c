/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#define POL (&policy_least_queue_depth)

/* The session's load is one struct for all its LUNs: LUN 1 and LUN 2 with one I/O each make 2. */
START_TEST(ios_of_all_luns_of_a_session_count)
{
	struct policy_load session1 = { 0 }, session2 = { 0 };
	struct fixture lun1, lun2;

	fixture_init(&lun1, 2);
	fixture_init(&lun2, 2);
	lun1.p[0].load = lun2.p[0].load = &session1;
	lun1.p[1].load = lun2.p[1].load = &session2;
	session1.ios++; /* of LUN 1 */
	session1.ios++; /* of LUN 2 */
	session2.ios++; /* of LUN 1 */
	ck_assert_uint_eq(lun1.p[0].load->ios, 2);
	EXPECT(&lun1, POL, 2, 2);
	EXPECT(&lun2, POL, 2, 2);
	session2.ios += 2;
	EXPECT(&lun1, POL, 1);
	EXPECT(&lun2, POL, 1);
}
END_TEST

START_TEST(equals_take_turns)
{
	struct fixture f;

	fixture_init(&f, 4);
	EXPECT(&f, POL, 1, 2, 3, 4, 1, 2);
	f.load[0].ios = f.load[2].ios = 3;
	f.load[1].ios = f.load[3].ios = 2;
	EXPECT(&f, POL, 4, 2, 4, 2);
}
END_TEST

START_TEST(bytes_do_not_matter)
{
	struct fixture f;

	fixture_init(&f, 2);
	f.load[0] = (struct policy_load){ .ios = 1, .bytes = 1 << 20 };
	f.load[1] = (struct policy_load){ .ios = 2, .bytes = 512 };
	EXPECT(&f, POL, 1, 1);
}
END_TEST

START_TEST(spreads_a_burst_evenly)
{
	struct fixture f;
	int i;

	fixture_init(&f, 4);
	f.load[2].ios = 10;
	for (i = 0; i < 46; i++)
		f.load[fixture_pick(&f, POL) - 1].ios++;
	for (i = 0; i < 4; i++)
		ck_assert_uint_eq(f.load[i].ios, 14);
}
END_TEST

START_TEST(full_paths_are_passed_over)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.load[1].ios = 5;
	f.load[2].ios = UINT32_MAX;
	f.p[0].ready = false;
	EXPECT(&f, POL, 2);
	f.p[1].ready = false;
	EXPECT(&f, POL, 3);
	f.p[2].ready = false;
	ck_assert_int_eq(fixture_pick(&f, POL), POLICY_WAIT);
	f.p[0].ready = true;
	EXPECT(&f, POL, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("least_queue_depth");
	TCase *tc = tcase_create("pick");

	tcase_add_test(tc, ios_of_all_luns_of_a_session_count);
	tcase_add_test(tc, equals_take_turns);
	tcase_add_test(tc, bytes_do_not_matter);
	tcase_add_test(tc, spreads_a_burst_evenly);
	tcase_add_test(tc, full_paths_are_passed_over);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
