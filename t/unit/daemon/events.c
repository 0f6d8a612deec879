/* SPDX-License-Identifier: MIT */
/* The ring keeps the last events, with strings of its own. */
#include "daemon/events.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct events *r, int n)
{
	char lun[16], path[16], text[32], kind[16];
	struct event ev = { .seq = 99, .level = EVENT_ERROR, .kind = kind, .lun = lun, .path = path,
			    .text = text };

	snprintf(kind, sizeof(kind), "kind%d", n);
	snprintf(lun, sizeof(lun), "lun%d", n);
	snprintf(path, sizeof(path), "path%d", n);
	snprintf(text, sizeof(text), "text%d", n);
	events_add(r, &ev, 1000 + n);
	memset(lun, 'x', sizeof(lun)); /* the ring must not look at them again */
	memset(path, 'x', sizeof(path));
	memset(text, 'x', sizeof(text));
	memset(kind, 'x', sizeof(kind));
}

START_TEST(empty)
{
	struct events *r = events_new(3);

	ck_assert_uint_eq(events_newest(r), 0);
	ck_assert_ptr_null(events_get(r, 0));
	ck_assert_ptr_null(events_get(r, 1));
	events_free(r);
	events_free(NULL);
}
END_TEST

START_TEST(strings_are_copied)
{
	struct events *r = events_new(3);
	const struct events_entry *ev;

	add(r, 1);
	ev = events_get(r, 1);
	ck_assert_ptr_nonnull(ev);
	ck_assert_uint_eq(ev->seq, 1);
	ck_assert_int_eq(ev->wall_us, 1001);
	ck_assert_uint_eq(ev->level, EVENT_ERROR);
	ck_assert_str_eq(ev->kind, "kind1");
	ck_assert_str_eq(ev->lun, "lun1");
	ck_assert_str_eq(ev->path, "path1");
	ck_assert_str_eq(ev->text, "text1");
	events_free(r);
}
END_TEST

START_TEST(null_strings)
{
	struct events *r = events_new(3);
	struct event ev = { .kind = "k" };

	events_add(r, &ev, 0);
	ck_assert_ptr_null(events_get(r, 1)->lun);
	ck_assert_ptr_null(events_get(r, 1)->path);
	ck_assert_str_eq(events_get(r, 1)->text, "");
	events_free(r);
}
END_TEST

START_TEST(the_oldest_goes_first)
{
	struct events *r = events_new(3);

	for (int i = 1; i <= 3; i++)
		add(r, i);
	ck_assert_uint_eq(events_oldest(r), 1);
	ck_assert_str_eq(events_get(r, 1)->lun, "lun1");
	for (int i = 4; i <= 5; i++)
		add(r, i);
	ck_assert_uint_eq(events_oldest(r), 3);
	ck_assert_uint_eq(events_newest(r), 5);
	ck_assert_ptr_null(events_get(r, 2));
	ck_assert_str_eq(events_get(r, 3)->lun, "lun3");
	ck_assert_str_eq(events_get(r, 5)->text, "text5");
	ck_assert_ptr_null(events_get(r, 6));
	events_free(r);
}
END_TEST

struct seen {
	int n;
	uint64_t seq;
};

static void watch(void *arg, const struct events_entry *ev)
{
	struct seen *s = arg;

	s->n++;
	s->seq = ev->seq;
}

START_TEST(watcher)
{
	struct events *r = events_new(2);
	struct seen s = { 0, 0 };

	add(r, 1);
	events_watch(r, watch, &s);
	add(r, 2);
	add(r, 3);
	ck_assert_int_eq(s.n, 2);
	ck_assert_uint_eq(s.seq, 3);
	events_watch(r, NULL, NULL);
	add(r, 4);
	ck_assert_int_eq(s.n, 2);
	events_free(r);
}
END_TEST

START_TEST(level_names)
{
	ck_assert_str_eq(events_level_name(EVENT_INFO), "info");
	ck_assert_str_eq(events_level_name(EVENT_WARNING), "warning");
	ck_assert_str_eq(events_level_name(EVENT_ERROR), "error");
	ck_assert_str_eq(events_level_name(200), "info");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("events");
	TCase *t = tcase_create("events");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(t, empty);
	tcase_add_test(t, strings_are_copied);
	tcase_add_test(t, null_strings);
	tcase_add_test(t, the_oldest_goes_first);
	tcase_add_test(t, watcher);
	tcase_add_test(t, level_names);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
