/* SPDX-License-Identifier: MIT */
/* One writer a block: what must wait, what need not, and who goes next, against the definition itself. */
#include "daemon/internal.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct lun lun;

static void lun_reset(void)
{
	memset(&lun, 0, sizeof(lun));
	list_init(&lun.ready);
}

static void init(struct request *r, uint64_t lba, uint64_t blocks)
{
	memset(r, 0, sizeof(*r));
	r->lun = &lun;
	r->lba = lba;
	r->blocks = blocks;
	list_init(&r->wait);
}

START_TEST(other_blocks_never_wait)
{
	struct request a, b;

	lun_reset();
	init(&a, 0, 8);
	init(&b, 8, 8);
	ck_assert(writer_enter(&a));
	ck_assert(writer_enter(&b));
	writer_leave(&a);
	ck_assert_ptr_null(writer_next(&lun));
}
END_TEST

START_TEST(one_waits_for_earlier_writers_of_its_blocks)
{
	struct request w, far, x;

	lun_reset();
	init(&w, 10, 1);
	init(&far, 50, 1);
	init(&x, 8, 4);
	ck_assert(writer_enter(&w));
	ck_assert(writer_enter(&far));
	ck_assert(!writer_enter(&x));
	writer_leave(&far);
	ck_assert_ptr_null(writer_next(&lun));
	writer_leave(&w);
	ck_assert_ptr_eq(writer_next(&lun), &x);
	ck_assert_ptr_null(writer_next(&lun));
	writer_leave(&x);
	ck_assert_ptr_null(lun.writers.root);
}
END_TEST

START_TEST(later_ones_wait_for_one_that_waits_itself)
{
	struct request w, x, late, beside;

	lun_reset();
	init(&w, 10, 1);
	init(&x, 10, 2);
	init(&late, 11, 1);
	init(&beside, 12, 1);
	ck_assert(writer_enter(&w));
	ck_assert(!writer_enter(&x));
	ck_assert(!writer_enter(&late));
	ck_assert(writer_enter(&beside));
	writer_leave(&w);
	ck_assert_ptr_eq(writer_next(&lun), &x);
	ck_assert_ptr_null(writer_next(&lun));
	writer_leave(&x);
	ck_assert_ptr_eq(writer_next(&lun), &late);
}
END_TEST

#define N 12

/* Random requests come and go: no two that conflict ever run together, and nobody waits for nothing. */
START_TEST(random_order)
{
	struct request r[N];
	bool in[N] = { false }, blocked[N] = { false };
	uint64_t order[N] = { 0 }, seq = 0;

	lun_reset();
	srand(3);
	for (int step = 0; step < 20000; step++) {
		int i = rand() % N;

		if (!in[i]) {
			init(&r[i], rand() % 16, 1 + rand() % 4);
			in[i] = true;
			order[i] = ++seq;
			blocked[i] = !writer_enter(&r[i]);
		} else if (!blocked[i]) {
			struct request *next;

			in[i] = false;
			writer_leave(&r[i]);
			while ((next = writer_next(&lun)))
				blocked[next - r] = false;
		}
		for (int a = 0; a < N; a++) {
			bool conflict = false;

			for (int b = 0; in[a] && b < N; b++)
				conflict |= in[b] && order[b] < order[a] &&
					    r[a].lba < r[b].lba + r[b].blocks &&
					    r[b].lba < r[a].lba + r[a].blocks;
			if (in[a])
				ck_assert_int_eq(blocked[a], conflict);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lock");
	TCase *tc = tcase_create("lock");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, other_blocks_never_wait);
	tcase_add_test(tc, one_waits_for_earlier_writers_of_its_blocks);
	tcase_add_test(tc, later_ones_wait_for_one_that_waits_itself);
	tcase_add_test(tc, random_order);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
