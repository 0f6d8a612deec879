/* SPDX-License-Identifier: MIT */
/*
 * Columns that fit, and numbers that people can read. The two files belong to a program, not to the
 * library: they are included.
 */
#include "daemon/mpioctl_format.c"
#include "daemon/mpioctl_table.c"

#include <check.h>

static char drawn[8192];

static const struct table_column cols[] = {
	{ "NAME", TABLE_SHRINK, 8 },
	{ "STATE", 0, 0 },
	{ "N", TABLE_RIGHT, 0 },
	{ "EXTRA", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
	{ NULL, 0, 0 },
};

/* Draws t at that width into `drawn`. */
static void draw(struct table *t, int width, bool color)
{
	struct output o = { .width = width, .color = color };

	memset(drawn, 0, sizeof(drawn));
	o.to = fmemopen(drawn, sizeof(drawn) - 1, "w");
	table_print(t, &o, 2);
	fclose(o.to);
}

static struct table *sample(void)
{
	struct table *t = table_new(cols);

	table_cell(t, "san/192.0.2.1:3260/1", NULL);
	table_cell(t, "failed", "<red>");
	table_cell(t, "7", NULL);
	table_cell(t, "12.5k", NULL);
	table_note(t, "connection refused");
	table_cell(t, "a", NULL);
	table_cell(t, "usable", NULL);
	table_cell(t, "1234", NULL);
	table_cell(t, "0", NULL);
	return t;
}

START_TEST(aligned)
{
	struct table *t = sample();

	draw(t, 0, false);
	ck_assert_str_eq(drawn, "  NAME                  STATE      N  EXTRA\n"
				"  san/192.0.2.1:3260/1  failed     7  12.5k\n"
				"      connection refused\n"
				"  a                     usable  1234      0\n");
	table_free(t);
}
END_TEST

START_TEST(shrinks_the_middle)
{
	struct table *t = sample();

	draw(t, 38, false);
	ck_assert_str_eq(drawn, "  NAME             STATE      N  EXTRA\n"
				"  san/1~.1:3260/1  failed     7  12.5k\n"
				"      connection refused\n"
				"  a                usable  1234      0\n");
	table_free(t);
}
END_TEST

START_TEST(never_wider_than_the_terminal)
{
	struct table *t = sample();

	for (int width = 26; width < 60; width++) {
		draw(t, width, false);
		char *save, *l = strtok_r(drawn, "\n", &save);

		for (; l; l = strtok_r(NULL, "\n", &save)) {
			ck_assert_msg(format_width(l) <= width, "%d: %s", width, l);
			ck_assert_msg(l[strlen(l) - 1] != ' ', "%d: blanks at the end", width);
		}
	}
	table_free(t);
}
END_TEST

START_TEST(drops_what_is_optional)
{
	struct table *t = sample();

	draw(t, 28, false);
	ck_assert_ptr_null(strstr(drawn, "EXTRA"));
	ck_assert_ptr_nonnull(strstr(drawn, "1234"));
	draw(t, 80, false);
	ck_assert_ptr_nonnull(strstr(drawn, "EXTRA"));
	table_free(t);
}
END_TEST

START_TEST(color_takes_no_room)
{
	struct table *t = sample();

	draw(t, 0, true);
	ck_assert_ptr_nonnull(strstr(drawn, "<red>failed" COLOR_OFF "     7"));
	draw(t, 0, false);
	ck_assert_ptr_null(strchr(drawn, '\033'));
	ck_assert_ptr_null(strstr(drawn, "<red>"));
	table_free(t);
}
END_TEST

START_TEST(wraps)
{
	struct output o = { .width = 20 };

	memset(drawn, 0, sizeof(drawn));
	o.to = fmemopen(drawn, sizeof(drawn) - 1, "w");
	table_wrap(&o, 4, "  one two three four incomprehensibilities end");
	fclose(o.to);
	ck_assert_str_eq(drawn, "    one two three\n    four\n"
				"    incomprehensibilities\n    end\n");
}
END_TEST

START_TEST(wraps_what_is_begun)
{
	struct output o = { .width = 20 };

	memset(drawn, 0, sizeof(drawn));
	o.to = fmemopen(drawn, sizeof(drawn) - 1, "w");
	fputs("12:00  ", o.to);
	table_wrap_on(&o, 7, 3, "t10.IET    0001 is gone");
	o.width = 0;
	table_wrap_on(&o, 0, 2, "t10.IET    0001 is gone");
	fclose(o.to);
	ck_assert_str_eq(drawn, "12:00  t10.IET\n   0001 is gone\n  t10.IET    0001 is gone\n");
}
END_TEST

START_TEST(middle)
{
	char b[128];

	ck_assert_str_eq(format_middle(b, sizeof(b), "short", 10, false), "short");
	ck_assert_str_eq(format_middle(b, sizeof(b), "0123456789", 10, false), "0123456789");
	ck_assert_str_eq(format_middle(b, sizeof(b), "0123456789x", 10, false), "012~56789x");
	/* by characters, not by bytes */
	ck_assert_str_eq(format_middle(b, sizeof(b),
				       "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f" "abcd", 5, true),
			 "\xc3\xa4\xe2\x80\xa6" "bcd");
	ck_assert_int_eq(format_width("\xc3\xa4\xe2\x80\xa6" "bcd"), 5);
}
END_TEST

START_TEST(bytes)
{
	char b[FORMAT_MAX];

	ck_assert_str_eq(format_bytes(b, 0), "0 B");
	ck_assert_str_eq(format_bytes(b, 1023), "1023 B");
	ck_assert_str_eq(format_bytes(b, 1024), "1 KiB");
	ck_assert_str_eq(format_bytes(b, 1536), "1.5 KiB");
	ck_assert_str_eq(format_bytes(b, 64 << 20), "64 MiB");
	ck_assert_str_eq(format_bytes(b, (1 << 20) - 1), "1.0 MiB");
	ck_assert_str_eq(format_bytes(b, (json_int_t)100 << 30), "100 GiB");
	ck_assert_str_eq(format_bytes(b, ((json_int_t)100 << 30) - 512), "100 GiB");
	ck_assert_str_eq(format_bytes(b, INT64_MAX), "8 EiB");
}
END_TEST

START_TEST(counts_ages_latencies)
{
	char b[FORMAT_MAX];

	ck_assert_str_eq(format_count(b, 9999), "9999");
	ck_assert_str_eq(format_count(b, 12345), "12.3k");
	ck_assert_str_eq(format_count(b, 999999), "1.0M");
	ck_assert_str_eq(format_count(b, 123456789), "123M");
	ck_assert_str_eq(format_age(b, 999), "0 s");
	ck_assert_str_eq(format_age(b, 119999), "119 s");
	ck_assert_str_eq(format_age(b, 120000), "2 min");
	ck_assert_str_eq(format_age(b, 3 * 3600 * 1000), "3 h");
	ck_assert_str_eq(format_age(b, (json_int_t)9 * 86400 * 1000), "9 d");
	ck_assert_str_eq(format_latency(b, 0), "-");
	ck_assert_str_eq(format_latency(b, 850), "850 us");
	ck_assert_str_eq(format_latency(b, 1234), "1.2 ms");
	ck_assert_str_eq(format_latency(b, 2500000), "2.5 s");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mpioctl_table");
	TCase *t = tcase_create("table");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(t, aligned);
	tcase_add_test(t, shrinks_the_middle);
	tcase_add_test(t, never_wider_than_the_terminal);
	tcase_add_test(t, drops_what_is_optional);
	tcase_add_test(t, color_takes_no_room);
	tcase_add_test(t, wraps);
	tcase_add_test(t, wraps_what_is_begun);
	tcase_add_test(t, middle);
	tcase_add_test(t, bytes);
	tcase_add_test(t, counts_ages_latencies);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
