/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "policy/dsm.h"
#include "policy/groups.h"

#define S 1000000ULL
#define NEVER UINT64_MAX

enum { AO = DSM_ALUA_AO, AU = DSM_ALUA_AU, SB = DSM_ALUA_STANDBY, UN = DSM_ALUA_UNAVAILABLE,
       TR = DSM_ALUA_TRANSITIONING };

/* Groups 1 and 2, 1 preferred, both healthy since the first second. */
static void two(struct group_view g[2], uint8_t first, uint8_t second)
{
	g[0] = (struct group_view){ 1, first, true, true, 1 * S };
	g[1] = (struct group_view){ 2, second, false, true, 1 * S };
}

static void expect_stay(struct groups_decision d, uint64_t again_at)
{
	ck_assert(!d.move);
	ck_assert_uint_eq(d.again_at, again_at);
}

static void expect_move(struct groups_decision d, uint16_t to)
{
	ck_assert(d.move);
	ck_assert_uint_eq(d.to, to);
	ck_assert_str_ne(d.why, "");
}

START_TEST(all_well_nothing_moves)
{
	struct groups_state st = { 0 };
	struct group_view g[2];

	two(g, AO, SB);
	expect_stay(groups_decide(&st, g, 2, 0, 100 * S), NEVER);
	two(g, AO, AU);
	expect_stay(groups_decide(&st, g, 2, 0, 100 * S), NEVER);
}
END_TEST

START_TEST(need_moves_at_once)
{
	struct groups_state st = { 0 };
	struct group_view g[2];

	two(g, AO, SB);
	g[0].healthy_since = NEVER; /* its cables are out */
	expect_move(groups_decide(&st, g, 2, NEVER, 100 * S), 2);
}
END_TEST

/* At a start paths come one after the other: the standby group's may be first. */
START_TEST(need_waits_for_what_may_be_about_to_come)
{
	struct groups_state st = { 0 };
	struct group_view g[2];

	two(g, AO, SB);
	g[0].healthy_since = NEVER; /* not yet there */
	g[1].healthy_since = 100 * S;
	expect_stay(groups_decide(&st, g, 2, NEVER, 100 * S), 100 * S + GROUPS_SETTLE_US);
	expect_move(groups_decide(&st, g, 2, NEVER, 100 * S + GROUPS_SETTLE_US), 2);
}
END_TEST

START_TEST(an_active_group_that_is_not_optimized_is_no_need)
{
	struct groups_state st = { 0 };
	struct group_view g[2];

	two(g, AO, AU);
	g[0].healthy_since = NEVER;
	expect_stay(groups_decide(&st, g, 2, 0, 100 * S), NEVER);
}
END_TEST

START_TEST(need_prefers_the_preferred)
{
	struct groups_state st = { 0 };
	struct group_view g[2];

	two(g, SB, SB);
	g[1].healthy_since = 0; /* older, but not preferred */
	expect_move(groups_decide(&st, g, 2, NEVER, 100 * S), 1);
	g[0].supports_ao = false;
	expect_move(groups_decide(&st, g, 2, NEVER, 100 * S), 2);
}
END_TEST

START_TEST(nobody_to_move_to)
{
	struct groups_state st = { 0 };
	struct group_view g[2];

	two(g, UN, UN);
	expect_stay(groups_decide(&st, g, 2, 0, 100 * S), NEVER);
	two(g, SB, SB);
	g[0].healthy_since = g[1].healthy_since = NEVER;
	expect_stay(groups_decide(&st, g, 2, 0, 100 * S), NEVER);
	two(g, TR, SB); /* it is under way */
	expect_stay(groups_decide(&st, g, 2, 0, 100 * S), NEVER);
	expect_stay(groups_decide(&st, g, 0, 0, 100 * S), NEVER);
}
END_TEST

START_TEST(failback_waits_until_the_preferred_is_healthy_for_long)
{
	struct groups_state st = { 0 };
	struct group_view g[2];

	two(g, SB, AO);
	g[0].healthy_since = 100 * S;
	expect_stay(groups_decide(&st, g, 2, 60 * S, 100 * S), 160 * S);
	expect_stay(groups_decide(&st, g, 2, 60 * S, 160 * S - 1), 160 * S);
	expect_move(groups_decide(&st, g, 2, 60 * S, 160 * S), 1);
	expect_move(groups_decide(&st, g, 2, 0, 100 * S), 1); /* immediate */
	expect_stay(groups_decide(&st, g, 2, NEVER, 999 * S), NEVER); /* manual */
}
END_TEST

START_TEST(after_a_move_that_worked_the_next_need_is_served_at_once)
{
	struct groups_state st = { 0 };
	struct group_view g[2];

	groups_moved(&st, 2, 100 * S);
	two(g, SB, AO);
	expect_stay(groups_decide(&st, g, 2, NEVER, 101 * S), NEVER);
	g[1].healthy_since = NEVER;
	g[0].healthy_since = 99 * S;
	expect_move(groups_decide(&st, g, 2, NEVER, 102 * S), 1);
}
END_TEST

START_TEST(a_move_that_did_not_happen_is_tried_again_ever_more_slowly)
{
	struct groups_state st = { 0 };
	struct group_view g[2];
	uint64_t now = 100 * S, pause = GROUPS_PAUSE_MIN_US;

	two(g, SB, SB);
	g[1].healthy_since = NEVER;
	for (int i = 0; i < 20; i++) {
		groups_moved(&st, 1, now);
		expect_stay(groups_decide(&st, g, 2, NEVER, now + pause - 1), now + pause);
		expect_move(groups_decide(&st, g, 2, NEVER, now + pause), 1);
		now += pause;
		pause = pause * 2 < GROUPS_PAUSE_MAX_US ? pause * 2 : GROUPS_PAUSE_MAX_US;
	}
}
END_TEST

/* Another host that sees only the other half undoes each move: the tug of war must calm down. */
START_TEST(two_hosts_do_not_pull_to_and_fro)
{
	struct groups_state a = { 0 }, b = { 0 };
	struct group_view ga[2], gb[2];
	uint64_t now;
	int leader = 2, moves = 0;

	for (now = 10 * S; now < 3610 * S; now += S / 10) {
		struct groups_decision d;

		two(ga, leader == 1 ? AO : SB, leader == 2 ? AO : SB);
		two(gb, leader == 1 ? AO : SB, leader == 2 ? AO : SB);
		ga[1].healthy_since = NEVER; /* host a sees group 1 only, */
		gb[0].healthy_since = NEVER; /* host b group 2 only */
		d = groups_decide(&a, ga, 2, 0, now);
		if (d.move) {
			groups_moved(&a, d.to, now);
			leader = d.to;
			moves++;
			continue;
		}
		d = groups_decide(&b, gb, 2, 0, now);
		if (d.move) {
			groups_moved(&b, d.to, now);
			leader = d.to;
			moves++;
		}
	}
	ck_assert_int_ge(moves, 2);
	ck_assert_int_le(moves, 30); /* in an hour, instead of thousands */
}
END_TEST

START_TEST(a_long_calm_resets_the_pause)
{
	struct groups_state st = { .moved_at = 10 * S, .moved_to = 2, .pause_us = 300 * S, .arrived = true };
	struct group_view g[2];

	two(g, AO, SB); /* undone by somebody after a day */
	expect_stay(groups_decide(&st, g, 2, NEVER, 86400 * S), NEVER);
	ck_assert_uint_eq(st.pause_us, GROUPS_PAUSE_MIN_US);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("groups");
	TCase *tc = tcase_create("decide");

	tcase_add_test(tc, all_well_nothing_moves);
	tcase_add_test(tc, need_moves_at_once);
	tcase_add_test(tc, need_waits_for_what_may_be_about_to_come);
	tcase_add_test(tc, an_active_group_that_is_not_optimized_is_no_need);
	tcase_add_test(tc, need_prefers_the_preferred);
	tcase_add_test(tc, nobody_to_move_to);
	tcase_add_test(tc, failback_waits_until_the_preferred_is_healthy_for_long);
	tcase_add_test(tc, after_a_move_that_worked_the_next_need_is_served_at_once);
	tcase_add_test(tc, a_move_that_did_not_happen_is_tried_again_ever_more_slowly);
	tcase_add_test(tc, two_hosts_do_not_pull_to_and_fro);
	tcase_add_test(tc, a_long_calm_resets_the_pause);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
