/* SPDX-License-Identifier: MIT */
/* Rates between two looks. The file belongs to a program, not to the library: it is included. */
#include "daemon/mpioctl_rate.c"

#include <check.h>
#include <stdlib.h>

const char *get_string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

json_int_t get_number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* One LUN with a path for each name; counters are 10 times as many bytes as operations. */
static json_t *status(const char *const *names, const json_int_t *reads, const json_int_t *writes)
{
	json_t *paths = json_array();

	for (int i = 0; names[i]; i++)
		json_array_append_new(paths, json_pack("{s:s, s:I, s:I, s:I, s:I, s:i}", "name",
						       names[i], "reads", reads[i], "writes",
						       writes[i], "read_bytes", reads[i] * 10,
						       "write_bytes", writes[i] * 10, "errors", 3));
	return json_pack("{s:[{s:s, s:o}]}", "luns", "name", "db", "paths", paths);
}

static const json_t *lun_of(const json_t *s)
{
	return json_array_get(json_object_get(s, "luns"), 0);
}

static const json_t *path_of(const json_t *s, size_t i)
{
	return json_array_get(json_object_get(lun_of(s), "paths"), i);
}

static const char *const both[] = { "a", "b", NULL };

START_TEST(per_second)
{
	json_t *before = status(both, (json_int_t[]){ 100, 7 }, (json_int_t[]){ 5, 0 });
	json_t *now = status(both, (json_int_t[]){ 300, 7 }, (json_int_t[]){ 6, 50 });

	rates_add(now, before, 2.);
	ck_assert_double_eq(get_rate(path_of(now, 0), "reads_per_s"), 100.);
	ck_assert_double_eq(get_rate(path_of(now, 0), "writes_per_s"), .5);
	ck_assert_double_eq(get_rate(path_of(now, 0), "read_bytes_per_s"), 1000.);
	ck_assert_double_eq(get_rate(path_of(now, 0), "write_bytes_per_s"), 5.);
	ck_assert_double_eq(get_rate(path_of(now, 0), "errors_per_s"), 0.);
	ck_assert_double_eq(get_rate(path_of(now, 1), "reads_per_s"), 0.);
	ck_assert_double_eq(get_rate(path_of(now, 1), "writes_per_s"), 25.);
	ck_assert_double_eq(get_rate(lun_of(now), "reads_per_s"), 100.);
	ck_assert_double_eq(get_rate(lun_of(now), "writes_per_s"), 25.5);
	ck_assert_double_eq(get_rate(now, "write_bytes_per_s"), 255.);
	/* what was there is still there */
	ck_assert_int_eq(get_number(path_of(now, 0), "reads"), 300);
	json_decref(before);
	json_decref(now);
}
END_TEST

START_TEST(paths_are_matched_by_name)
{
	static const char *const swapped[] = { "b", "a", NULL };
	json_t *before = status(both, (json_int_t[]){ 100, 1000 }, (json_int_t[]){ 0, 0 });
	json_t *now = status(swapped, (json_int_t[]){ 1001, 110 }, (json_int_t[]){ 0, 0 });

	rates_add(now, before, 1.);
	ck_assert_double_eq(get_rate(path_of(now, 0), "reads_per_s"), 1.);
	ck_assert_double_eq(get_rate(path_of(now, 1), "reads_per_s"), 10.);
	json_decref(before);
	json_decref(now);
}
END_TEST

START_TEST(new_and_vanished_paths)
{
	static const char *const other[] = { "b", "c", NULL };
	json_t *before = status(both, (json_int_t[]){ 1, 1 }, (json_int_t[]){ 0, 0 });
	json_t *now = status(other, (json_int_t[]){ 3, 5000 }, (json_int_t[]){ 0, 0 });

	rates_add(now, before, 1.);
	ck_assert_double_eq(get_rate(path_of(now, 0), "reads_per_s"), 2.);
	ck_assert_double_lt(get_rate(path_of(now, 1), "reads_per_s"), 0.);
	ck_assert_double_eq(get_rate(lun_of(now), "reads_per_s"), 2.);
	json_decref(before);
	json_decref(now);
}
END_TEST

START_TEST(counters_that_began_again)
{
	json_t *before = status(both, (json_int_t[]){ 1000, 0 }, (json_int_t[]){ 9, 0 });
	json_t *now = status(both, (json_int_t[]){ 30, 0 }, (json_int_t[]){ 9, 0 });

	rates_add(now, before, 1.);
	ck_assert_double_eq(get_rate(path_of(now, 0), "reads_per_s"), 30.);
	ck_assert_double_eq(get_rate(path_of(now, 0), "writes_per_s"), 0.);
	json_decref(before);
	json_decref(now);
}
END_TEST

START_TEST(nothing_to_compare_with)
{
	json_t *now = status(both, (json_int_t[]){ 30, 0 }, (json_int_t[]){ 9, 0 });
	json_t *empty = json_object();

	rates_add(now, NULL, 1.);
	ck_assert_double_lt(get_rate(path_of(now, 0), "reads_per_s"), 0.);
	ck_assert_double_lt(get_rate(lun_of(now), "reads_per_s"), 0.);
	rates_add(now, now, 0.); /* no time between them: no division by it */
	ck_assert_double_lt(get_rate(path_of(now, 0), "reads_per_s"), 0.);
	rates_add(empty, now, 1.);
	ck_assert_double_eq(get_rate(empty, "reads_per_s"), 0.);
	json_decref(now);
	json_decref(empty);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mpioctl_rate");
	TCase *t = tcase_create("rate");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(t, per_second);
	tcase_add_test(t, paths_are_matched_by_name);
	tcase_add_test(t, new_and_vanished_paths);
	tcase_add_test(t, counters_that_began_again);
	tcase_add_test(t, nothing_to_compare_with);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
