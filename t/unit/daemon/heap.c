/* SPDX-License-Identifier: MIT */
/* The heap of deadlines against a plain list that is searched. */
#include "daemon/heap.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define N 300

static struct timer timers[N];

static struct timer *earliest(void)
{
	struct timer *best = NULL;

	for (int i = 0; i < N; i++)
		if (timers[i].armed && (!best || timers[i].at < best->at))
			best = &timers[i];
	return best;
}

START_TEST(first_is_always_the_earliest)
{
	struct heap h = { 0 };

	memset(timers, 0, sizeof(timers));
	srand(1);
	for (int step = 0; step < 50000; step++) {
		struct timer *t = &timers[rand() % N], *want;

		switch (rand() % 4) {
		case 0:
			heap_cancel(&h, t);
			ck_assert(!t->armed);
			break;
		case 1:
			if (heap_first(&h))
				heap_cancel(&h, heap_first(&h));
			break;
		default:
			heap_arm(&h, t, rand() % 1000);
			ck_assert(t->armed);
		}
		want = earliest();
		ck_assert_int_eq(!want, !heap_first(&h));
		if (want)
			ck_assert_uint_eq(heap_first(&h)->at, want->at);
	}
}
END_TEST

START_TEST(drains_in_order)
{
	struct heap h = { 0 };
	uint64_t last = 0;
	int n = 0;

	memset(timers, 0, sizeof(timers));
	srand(2);
	for (int i = 0; i < N; i++)
		heap_arm(&h, &timers[i], rand());
	while (heap_first(&h)) {
		struct timer *t = heap_first(&h);

		ck_assert_uint_ge(t->at, last);
		last = t->at;
		heap_cancel(&h, t);
		n++;
	}
	ck_assert_int_eq(n, N);
}
END_TEST

START_TEST(arming_again_moves)
{
	struct heap h = { 0 };

	memset(timers, 0, sizeof(timers));
	heap_arm(&h, &timers[0], 10);
	heap_arm(&h, &timers[1], 20);
	heap_arm(&h, &timers[0], 30);
	ck_assert_ptr_eq(heap_first(&h), &timers[1]);
	heap_cancel(&h, &timers[1]);
	ck_assert_ptr_eq(heap_first(&h), &timers[0]);
	ck_assert_uint_eq(timers[0].at, 30);
	heap_cancel(&h, &timers[0]);
	heap_cancel(&h, &timers[0]); /* harmless twice */
	ck_assert_ptr_null(heap_first(&h));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("heap");
	TCase *tc = tcase_create("heap");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, first_is_always_the_earliest);
	tcase_add_test(tc, drains_in_order);
	tcase_add_test(tc, arming_again_moves);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
