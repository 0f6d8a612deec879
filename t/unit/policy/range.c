/* SPDX-License-Identifier: MIT */
/* policy/range.c against a list that is searched from end to end. */
#include "fixture.h"
#include "../../../policy/range.h"

#include <stdlib.h>
#include <string.h>

#define N 200

struct seen {
	const struct range *r[N];
	int n;
};

static void note(struct range *r, void *arg)
{
	struct seen *s = arg;

	ck_assert_int_lt(s->n, N);
	s->r[s->n++] = r;
}

static bool overlap(const struct range *r, uint64_t lo, uint64_t hi)
{
	return r->lo < hi && lo < r->hi;
}

static void compare(const struct range_tree *t, const struct range *all, uint64_t lo, uint64_t hi)
{
	struct seen seen = { .n = 0 };
	const struct range *one = range_find(t, lo, hi);
	int want = 0;

	range_each(t, lo, hi, note, &seen);
	for (int i = 0; i < N; i++)
		want += all[i].linked && overlap(&all[i], lo, hi);
	ck_assert_int_eq(seen.n, want);
	for (int i = 0; i < seen.n; i++) {
		ck_assert(seen.r[i]->linked && overlap(seen.r[i], lo, hi));
		ck_assert(!i || seen.r[i - 1]->lo <= seen.r[i]->lo);
	}
	ck_assert((one != NULL) == (want > 0));
	ck_assert(!one || overlap(one, lo, hi));
}

START_TEST(finds_what_a_list_finds)
{
	struct range all[N];
	struct range_tree t = { 0 };

	memset(all, 0, sizeof(all));
	srand(7);
	for (int step = 0; step < 20000; step++) {
		struct range *r = &all[rand() % N];

		if (r->linked) {
			range_remove(&t, r);
		} else {
			r->lo = rand() % 1000;
			r->hi = r->lo + 1 + rand() % (rand() % 20 ? 8 : 400);
			range_insert(&t, r);
		}
		if (step % 3 == 0) {
			uint64_t lo = rand() % 1000;

			compare(&t, all, lo, lo + 1 + rand() % 30);
		}
	}
}
END_TEST

START_TEST(neighbours_do_not_overlap)
{
	struct range_tree t = { 0 };
	struct range r = { .lo = 10, .hi = 20 };

	range_insert(&t, &r);
	ck_assert_ptr_null(range_find(&t, 0, 10));
	ck_assert_ptr_null(range_find(&t, 20, 30));
	ck_assert_ptr_eq(range_find(&t, 19, 20), &r);
	ck_assert_ptr_eq(range_find(&t, 0, 11), &r);
}
END_TEST

START_TEST(removing_twice_does_nothing)
{
	struct range_tree t = { 0 };
	struct range r = { .lo = 0, .hi = UINT64_MAX };

	range_remove(&t, &r);
	range_insert(&t, &r);
	range_remove(&t, &r);
	range_remove(&t, &r);
	ck_assert_ptr_null(range_find(&t, 0, UINT64_MAX));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("range");
	TCase *tc = tcase_create("range");

	tcase_add_test(tc, finds_what_a_list_finds);
	tcase_add_test(tc, neighbours_do_not_overlap);
	tcase_add_test(tc, removing_twice_does_nothing);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
