/* SPDX-License-Identifier: MIT */
#include "fixture.h"

/* The id chosen by round robin, or POLICY_NONE / POLICY_WAIT. */
static int choose(struct fixture *f, const uint32_t *tried, int ntried)
{
	int i = policy_choose(&policy_round_robin, &f->st, f->p, f->n, tried, ntried, 4096);

	ck_assert_int_lt(i, f->n);
	if (i < 0)
		return i;
	ck_assert_uint_eq(f->st.last, f->p[i].id);
	return (int)f->p[i].id;
}

/* From a fresh round, so that the lowest id of the group that takes part is the answer. */
static int first(struct fixture *f, const uint32_t *tried, int ntried)
{
	f->st = (struct policy_state){ 0 };
	return choose(f, tried, ntried);
}
#define TRIED(...)                                                                                 \
	(const uint32_t[]){ __VA_ARGS__ }, sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t)

START_TEST(names_are_found)
{
	static const char *const names[] = {
		"failover-only",  "round-robin",  "round-robin-subset", "least-queue-depth",
		"weighted-paths", "least-blocks", "least-latency",
	};
	size_t i, n = sizeof(names) / sizeof(names[0]);

	for (i = 0; i < n; i++) {
		const struct policy *p = policy_find(names[i]);

		ck_assert_ptr_nonnull(p);
		ck_assert_str_eq(p->name, names[i]);
		ck_assert_ptr_nonnull(p->pick);
		ck_assert_uint_gt(strlen(p->help), 10);
	}
	ck_assert_ptr_null(policy_find("round"));
	ck_assert_ptr_null(policy_find("Round-Robin"));
	ck_assert_ptr_null(policy_find(""));
	ck_assert_ptr_null(policy_find(NULL));
	ck_assert_ptr_eq(policy_all[0], &policy_round_robin);
	for (i = 0; policy_all[i]; i++)
		ck_assert_ptr_eq(policy_find(policy_all[i]->name), policy_all[i]);
	ck_assert_uint_eq(i, n);
}
END_TEST

START_TEST(nothing_to_choose_from)
{
	struct fixture f;

	fixture_init(&f, 3);
	ck_assert_int_eq(policy_choose(&policy_round_robin, &f.st, f.p, 0, NULL, 0, 0),
			 POLICY_NONE);
	f.p[0].class_ = POLICY_CLASS_UNUSABLE;
	f.p[1].alua = 3;
	f.p[2].alua = 15; /* transitioning: no state that may be picked */
	ck_assert_int_eq(choose(&f, NULL, 0), POLICY_NONE);
	ck_assert_int_eq(choose(&f, TRIED(1, 2, 3)), POLICY_NONE);
	ck_assert_uint_eq(f.st.last, 0);
	f.p[1].alua = 2;
	ck_assert_int_eq(choose(&f, NULL, 0), 2);
}
END_TEST

START_TEST(best_class_first)
{
	struct fixture f;

	fixture_init(&f, 4);
	f.p[0].class_ = POLICY_CLASS_UNUSABLE;
	f.p[1].class_ = POLICY_CLASS_SUSPECT;
	f.p[2].class_ = POLICY_CLASS_MARGINAL;
	ck_assert_int_eq(choose(&f, NULL, 0), 4);
	ck_assert_int_eq(choose(&f, NULL, 0), 4);
	f.p[3].class_ = POLICY_CLASS_UNUSABLE;
	ck_assert_int_eq(choose(&f, NULL, 0), 3);
	f.p[2].class_ = POLICY_CLASS_UNUSABLE;
	ck_assert_int_eq(choose(&f, NULL, 0), 2);
	f.p[1].class_ = POLICY_CLASS_UNUSABLE;
	ck_assert_int_eq(choose(&f, NULL, 0), POLICY_NONE);
}
END_TEST

START_TEST(best_alua_state_within_the_class)
{
	struct fixture f;

	fixture_init(&f, 4);
	f.p[0].alua = 2;
	f.p[1].alua = 1;
	f.p[2].alua = 3;
	ck_assert_int_eq(first(&f, NULL, 0), 4);
	f.p[3].class_ = POLICY_CLASS_MARGINAL; /* AO, but the class outranks that */
	ck_assert_int_eq(first(&f, NULL, 0), 2);
	f.p[1].class_ = POLICY_CLASS_MARGINAL;
	ck_assert_int_eq(first(&f, NULL, 0), 1);
	f.p[0].class_ = POLICY_CLASS_UNUSABLE;
	ck_assert_int_eq(first(&f, NULL, 0), 4);
}
END_TEST

START_TEST(all_of_the_best_group_take_part)
{
	struct fixture f;

	fixture_init(&f, 6);
	f.p[0].alua = 1;
	f.p[2].class_ = POLICY_CLASS_SUSPECT;
	f.p[4].resting = true;
	ck_assert_int_eq(choose(&f, NULL, 0), 2);
	ck_assert_int_eq(choose(&f, NULL, 0), 4);
	ck_assert_int_eq(choose(&f, NULL, 0), 6);
	ck_assert_int_eq(choose(&f, NULL, 0), 2);
}
END_TEST

START_TEST(resting_only_while_no_other_of_its_kind)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.p[0].resting = true;
	ck_assert_int_eq(first(&f, NULL, 0), 2);
	f.p[1].class_ = f.p[2].class_ = POLICY_CLASS_SUSPECT;
	ck_assert_int_eq(first(&f, NULL, 0), 1);
	f.p[1].class_ = f.p[2].class_ = POLICY_CLASS_HEALTHY;
	f.p[1].alua = f.p[2].alua = 1; /* a lesser state only when no AO path remains */
	ck_assert_int_eq(first(&f, NULL, 0), 1);
}
END_TEST

START_TEST(retry_goes_elsewhere)
{
	struct fixture f;

	fixture_init(&f, 3);
	ck_assert_int_eq(first(&f, TRIED(1)), 2);
	ck_assert_int_eq(first(&f, TRIED(2, 1)), 3);
	ck_assert_int_eq(first(&f, TRIED(99)), 1); /* a path that left since */
	f.p[1].class_ = POLICY_CLASS_MARGINAL;
	f.p[2].class_ = POLICY_CLASS_SUSPECT;
	f.p[2].alua = 2;
	ck_assert_int_eq(first(&f, TRIED(1)), 2);
	ck_assert_int_eq(first(&f, TRIED(1, 2)), 3); /* the worst untried one still wins */
	f.p[2].resting = true;
	ck_assert_int_eq(first(&f, TRIED(1, 2)), 3);
}
END_TEST

START_TEST(all_tried_all_allowed_again)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.p[0].class_ = POLICY_CLASS_MARGINAL;
	ck_assert_int_eq(first(&f, TRIED(1, 2, 3)), 2);
	f.p[2].class_ = POLICY_CLASS_UNUSABLE; /* untried, but no path */
	ck_assert_int_eq(first(&f, TRIED(1, 2)), 2);
	f.p[2].class_ = POLICY_CLASS_HEALTHY;
	f.p[2].alua = 3;
	ck_assert_int_eq(first(&f, TRIED(1, 2)), 2);
}
END_TEST

START_TEST(full_best_paths_are_waited_for)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.p[0].ready = false;
	f.p[1].class_ = POLICY_CLASS_MARGINAL;
	f.p[2].alua = 1;
	ck_assert_int_eq(choose(&f, NULL, 0), POLICY_WAIT);
	f.p[1].ready = false;
	ck_assert_int_eq(choose(&f, TRIED(1, 3)), POLICY_WAIT); /* no way back to a tried one */
	f.p[0].ready = true;
	ck_assert_int_eq(choose(&f, NULL, 0), 1);
}
END_TEST

START_TEST(seed_example_a_b_c_active_d_standby)
{
	struct fixture f;
	int i;

	fixture_init(&f, 4);
	f.p[0].active = f.p[1].active = f.p[2].active = true;
	for (i = 0; i < 9; i++)
		ck_assert_int_eq(
			policy_choose(&policy_round_robin_subset, &f.st, f.p, f.n, NULL, 0, 0),
			i % 3);
	for (i = 0; i < 3; i++)
		f.p[i].class_ = POLICY_CLASS_UNUSABLE;
	ck_assert_int_eq(policy_choose(&policy_round_robin_subset, &f.st, f.p, f.n, NULL, 0, 0), 3);
	f.p[1].class_ = POLICY_CLASS_HEALTHY;
	ck_assert_int_eq(policy_choose(&policy_round_robin_subset, &f.st, f.p, f.n, NULL, 0, 0), 1);
}
END_TEST

START_TEST(thirty_two_paths)
{
	struct fixture f;
	int i;

	fixture_init(&f, POLICY_MAX_PATHS);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(choose(&f, NULL, 0), i % POLICY_MAX_PATHS + 1);
}
END_TEST

/* The contract counts on at most 32; one more must not overrun anything. */
START_TEST(thirty_third_path_is_left_out)
{
	struct policy_load load = { 0 };
	struct policy_path p[POLICY_MAX_PATHS + 1];
	struct policy_state st = { 0 };
	int i;

	memset(p, 0, sizeof(p));
	for (i = 0; i <= POLICY_MAX_PATHS; i++) {
		p[i].id = (uint32_t)i + 1;
		p[i].ready = true;
		p[i].load = &load;
	}
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(policy_choose(&policy_round_robin, &st, p, POLICY_MAX_PATHS + 1,
					       NULL, 0, 0),
				 i % POLICY_MAX_PATHS);
}
END_TEST

/* Six bits of code for each of three paths. */
static void check_one(const struct policy *pol, struct policy_state *st, int code)
{
	static struct policy_load load = { .ios = 1, .bytes = 1, .latency_us = 1 };
	struct policy_path p[3];
	bool any = false;
	int i;

	memset(p, 0, sizeof(p));
	for (i = 0; i < 3; i++) {
		int bits = code >> 6 * i;

		p[i].id = (uint32_t)i + 1;
		p[i].class_ = (uint8_t)(bits & 3);
		p[i].alua = (uint8_t)(bits >> 2 & 3);
		p[i].ready = bits >> 4 & 1;
		p[i].resting = bits >> 5 & 1;
		p[i].load = &load;
		any |= p[i].class_ < POLICY_CLASS_UNUSABLE && p[i].alua < 3;
	}
	i = policy_choose(pol, st, p, 3, NULL, 0, 512);
	if (i < 0)
		ck_assert_int_eq(i, any ? POLICY_WAIT : POLICY_NONE);
	else if (i > 2 || !p[i].ready || p[i].alua == 3 || p[i].class_ == POLICY_CLASS_UNUSABLE)
		ck_abort_msg("%s: %d of %05x", pol->name, i, code);
}

/* Every policy, on every combination of three paths, picks a usable and ready one or none. */
START_TEST(no_policy_ever_picks_what_must_not_be)
{
	const struct policy *const *pol;
	int n = 4 * 4 * 2 * 2, code;

	for (pol = policy_all; *pol; pol++) {
		struct policy_state st = { 0 };

		for (code = 0; code < n * n * n; code++)
			check_one(*pol, &st, code);
	}
}
END_TEST

START_TEST(preferred_group_among_equal_states)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.p[1].preferred_group = true;
	ck_assert_int_eq(first(&f, NULL, 0), 2);
	f.p[1].alua = 1; /* a better state beats the preference */
	ck_assert_int_eq(first(&f, NULL, 0), 1);
}
END_TEST

static void explain(struct fixture *f, const struct policy *pol, int want, const char *const *texts, int n)
{
	char why[POLICY_MAX_PATHS][POLICY_WHY_MAX];
	struct policy_state before = f->st;
	int chosen;

	policy_explain(pol, &f->st, f->p, f->n, 4096, &chosen, why);
	ck_assert_int_eq(chosen, want);
	ck_assert(!memcmp(&before, &f->st, sizeof(before))); /* explaining is not choosing */
	ck_assert_int_eq(n, f->n);
	for (int i = 0; i < n; i++)
		ck_assert_str_eq(why[i], texts[i]);
	ck_assert_int_eq(policy_choose(pol, &f->st, f->p, f->n, NULL, 0, 4096), want);
}
#define EXPLAIN(f, pol, want, ...)                                                                 \
	explain(f, pol, want, (const char *const[]){ __VA_ARGS__ },                                \
		(int)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)))

START_TEST(explain_names_what_outranks_a_path)
{
	struct fixture f;

	fixture_init(&f, 7);
	f.p[0].class_ = POLICY_CLASS_SUSPECT;
	f.p[1].class_ = POLICY_CLASS_MARGINAL;
	f.p[2].alua = 2;
	f.p[3].alua = 3;
	f.p[5].resting = true;
	f.p[6].class_ = POLICY_CLASS_UNUSABLE;
	EXPLAIN(&f, &policy_round_robin, 4, "its session is silent",
		"on probation after it failed too often",
		"its port group is standby, others are active/optimized",
		"its port group is unavailable or in transition", "takes the next I/O",
		"it came back, its time to fail back has not come", "not usable");
}
END_TEST

START_TEST(explain_speaks_the_language_of_the_policy)
{
	struct fixture f;

	fixture_init(&f, 3);
	f.load[0].ios = 2;
	f.load[0].bytes = 30;
	f.p[0].weight = 5;
	f.p[1].active = true;
	f.p[2].ready = false;
	EXPLAIN(&f, &policy_least_queue_depth, 1, "2 commands outstanding on its session, 0 on the chosen one",
		"takes the next I/O", "full: as many commands outstanding as its session takes");
	EXPLAIN(&f, &policy_least_blocks, 1, "30 bytes outstanding on its session, 0 on the chosen one",
		"takes the next I/O", "full: as many commands outstanding as its session takes");
	EXPLAIN(&f, &policy_weighted_paths, 1, "weight 5, the chosen one has 0", "takes the next I/O",
		"full: as many commands outstanding as its session takes");
	EXPLAIN(&f, &policy_round_robin_subset, 1, "stands by: it is not in the active set",
		"takes the next I/O", "full: as many commands outstanding as its session takes");
	f.st.last = 1;
	EXPLAIN(&f, &policy_round_robin, 1, "not its turn", "takes the next I/O",
		"full: as many commands outstanding as its session takes");
	f.p[1].preferred = true;
	EXPLAIN(&f, &policy_failover_only, 1, "stands by: the chosen one is preferred",
		"takes the next I/O", "full: as many commands outstanding as its session takes");
	f.p[1].ready = false;
	EXPLAIN(&f, &policy_failover_only, POLICY_WAIT, "stands by while the right path is full",
		"full: as many commands outstanding as its session takes",
		"full: as many commands outstanding as its session takes");
}
END_TEST

START_TEST(explain_without_any_path)
{
	struct fixture f;

	fixture_init(&f, 1);
	f.p[0].class_ = POLICY_CLASS_UNUSABLE;
	EXPLAIN(&f, &policy_round_robin, POLICY_NONE, "not usable");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("choose");
	TCase *tc = tcase_create("choose");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, names_are_found);
	tcase_add_test(tc, nothing_to_choose_from);
	tcase_add_test(tc, best_class_first);
	tcase_add_test(tc, best_alua_state_within_the_class);
	tcase_add_test(tc, all_of_the_best_group_take_part);
	tcase_add_test(tc, resting_only_while_no_other_of_its_kind);
	tcase_add_test(tc, retry_goes_elsewhere);
	tcase_add_test(tc, all_tried_all_allowed_again);
	tcase_add_test(tc, full_best_paths_are_waited_for);
	tcase_add_test(tc, seed_example_a_b_c_active_d_standby);
	tcase_add_test(tc, thirty_two_paths);
	tcase_add_test(tc, thirty_third_path_is_left_out);
	tcase_add_test(tc, preferred_group_among_equal_states);
	tcase_add_test(tc, explain_names_what_outranks_a_path);
	tcase_add_test(tc, explain_speaks_the_language_of_the_policy);
	tcase_add_test(tc, explain_without_any_path);
	tcase_add_test(tc, no_policy_ever_picks_what_must_not_be);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
