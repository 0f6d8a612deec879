/* SPDX-License-Identifier: MIT */
/* transport/buf.c: sizes, references, and how much a pool keeps. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "transport/buf.h"

/* Every size gets enough, aligned, and not more than a quarter (or a page) too much. */
START_TEST(sizes)
{
	static const size_t around[] = { 1, 4096, 8192, 12288, 16384, 20480, 65536, 1 << 20, 3 << 20,
					 32 << 20, 48 << 20, 64 << 20, 80 << 20 };
	struct buf_pool *pool = buf_pool_new(0);

	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		for (int d = -1; d <= 1; d++) {
			size_t len = around[i] + (size_t)d;
			struct buf *b = buf_get(pool, len);

			ck_assert_ptr_nonnull(b);
			ck_assert_uint_ge(b->cap, len);
			ck_assert_uint_le(b->cap, len + len / 4 + 4096);
			ck_assert_uint_eq((uintptr_t)b->data % 4096, 0);
			ck_assert_uint_eq(buf_pool_used(pool), b->cap);
			b->data[0] = 1;
			b->data[b->cap - 1] = 1;
			buf_put(b);
			ck_assert_uint_eq(buf_pool_used(pool), 0);
		}
	}
	ck_assert_ptr_null(buf_get(pool, SIZE_MAX));
	ck_assert_ptr_null(buf_get(pool, SIZE_MAX / 2));
	buf_pool_free(pool);
}
END_TEST

START_TEST(every_page_count_has_a_class_that_holds_it)
{
	struct buf_pool *pool = buf_pool_new(1 << 30);

	for (size_t pages = 1; pages < 2000; pages++) {
		struct buf *b = buf_get(pool, pages * 4096);

		ck_assert_uint_ge(b->cap, pages * 4096);
		buf_put(b);
		/* again, from what was kept: the class holds what it is asked for */
		b = buf_get(pool, pages * 4096);
		ck_assert_uint_ge(b->cap, pages * 4096);
		memset(b->data, 0, pages * 4096);
		buf_put(b);
	}
	buf_pool_free(pool);
}
END_TEST

START_TEST(last_reference_gives_back)
{
	struct buf_pool *pool = buf_pool_new(1 << 20);
	struct buf *b = buf_get(pool, 4096), *again;

	ck_assert_uint_eq(b->refs, 1);
	ck_assert_ptr_eq(buf_ref(b), b);
	buf_put(b);
	ck_assert_uint_eq(buf_pool_used(pool), 4096);
	again = buf_get(pool, 4096);
	ck_assert_ptr_ne(again, b);
	buf_put(again);
	buf_put(b);
	ck_assert_uint_eq(buf_pool_used(pool), 0);
	/* last in, first out: it is the one that is warm */
	again = buf_get(pool, 100);
	ck_assert_ptr_eq(again, b);
	buf_put(again);
	buf_put(NULL);
	buf_pool_free(pool);
}
END_TEST

/* The large one goes when small ones need its room; never the other way round. */
START_TEST(keeps_small_ones)
{
	struct buf_pool *pool = buf_pool_new(1 << 20);
	struct buf *large = buf_get(pool, 1 << 20), *small[4], *b;

	for (int i = 0; i < 4; i++)
		small[i] = buf_get(pool, 4096);
	buf_put(large);
	for (int i = 0; i < 4; i++)
		buf_put(small[i]);
	large = buf_get(pool, 1 << 20);
	buf_put(large); /* 4 * 4096 are kept: no room for it */
	for (int i = 3; i >= 0; i--) {
		b = buf_get(pool, 4096);
		ck_assert_ptr_eq(b, small[i]);
		small[i] = b;
	}
	for (int i = 0; i < 4; i++)
		buf_put(small[i]);
	buf_pool_free(pool);
}
END_TEST

/* Many sizes, in any order: what is used adds up, contents stay apart. */
START_TEST(random_order)
{
	struct buf_pool *pool = buf_pool_new(4 << 20);
	struct buf *b[64] = { NULL };
	size_t used = 0;

	srand(5);
	for (int n = 0; n < 20000; n++) {
		int i = rand() % 64;

		if (b[i]) {
			ck_assert_uint_eq(b[i]->data[0], i);
			ck_assert_uint_eq(b[i]->data[b[i]->cap - 1], i);
			used -= b[i]->cap;
			buf_put(b[i]);
			b[i] = NULL;
		} else {
			b[i] = buf_get(pool, (size_t)(rand() % 4 ? rand() % 70000 : rand() % 3000000));
			used += b[i]->cap;
			b[i]->data[0] = b[i]->data[b[i]->cap - 1] = (uint8_t)i;
		}
		ck_assert_uint_eq(buf_pool_used(pool), used);
	}
	for (int i = 0; i < 64; i++)
		buf_put(b[i]);
	buf_pool_free(pool);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("buf");
	TCase *tc = tcase_create("buf");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, sizes);
	tcase_add_test(tc, every_page_count_has_a_class_that_holds_it);
	tcase_add_test(tc, last_reference_gives_back);
	tcase_add_test(tc, keeps_small_ones);
	tcase_add_test(tc, random_order);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
