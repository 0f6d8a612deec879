/* SPDX-License-Identifier: MIT */
/* The flight recorder: what one process left, the next one finds; what nobody wrote is not believed. */
#include "daemon/flight.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64], why[4400];

static void setup(void)
{
	snprintf(path, sizeof(path), "/tmp/mpiod-flight.%d", getpid());
	unlink(path);
}

static void teardown(void)
{
	unlink(path);
}

static struct flight *open_it(void)
{
	struct flight *f = flight_open(path, why, sizeof(why));

	ck_assert_ptr_nonnull(f);
	return f;
}

static uint32_t put(struct flight *f, const char *session, const char *lun, uint64_t lo, uint64_t hi)
{
	struct flight_nexus n = { .target = "t", .session = session, .isid = 7, .tpgt = 1 };
	uint32_t r = flight_put(f, flight_nexus(f, &n), flight_lun(f, lun), lo, hi);

	ck_assert_uint_ne(r, 0);
	return r;
}

/* What is put in a child that is killed. */
static void killed(void (*what)(struct flight *f))
{
	pid_t pid = fork();

	if (pid == 0) {
		what(open_it());
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void three(struct flight *f)
{
	uint32_t over = put(f, "t/a", "naa.1", 1, 2);

	put(f, "t/a", "naa.1", 10, 20);
	put(f, "t/b", "naa.1", 30, 31);
	put(f, "t/b", "naa.2", 40, 50);
	flight_end(f, over);
}

START_TEST(what_was_under_way_is_found)
{
	struct flight_write w;
	uint64_t sum = 0;
	struct flight *f;
	uint32_t r;

	killed(three);
	f = open_it();
	ck_assert_str_eq(why, "");
	ck_assert_uint_eq(flight_take_old(f, "naa.3", &w), 0);
	for (int i = 0; i < 2; i++) {
		r = flight_take_old(f, "naa.1", &w);
		ck_assert_uint_ne(r, 0);
		ck_assert_str_eq(w.nexus.target, "t");
		ck_assert_str_eq(w.nexus.session, w.lo == 10 ? "t/a" : "t/b");
		ck_assert_uint_eq(w.nexus.isid, 7);
		ck_assert_int_eq(w.nexus.tpgt, 1);
		sum += w.lo * 100 + w.hi;
		flight_end(f, r);
	}
	ck_assert_uint_eq(sum, 1000 + 20 + 3000 + 31);
	ck_assert_uint_eq(flight_take_old(f, "naa.1", &w), 0);
	flight_close(f);
	/* nobody asked for the other LUN: it is still there */
	f = open_it();
	r = flight_take_old(f, "naa.2", &w);
	ck_assert_uint_eq(w.lo, 40);
	ck_assert_uint_eq(flight_take_old(f, "naa.1", &w), 0);
	flight_end(f, r);
	flight_close(f);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(frozen_it_stays)
{
	struct flight_write w;
	struct flight *f = open_it();
	uint32_t r = put(f, "t/a", "naa.1", 1, 2);

	flight_freeze(f);
	flight_end(f, r);
	ck_assert_uint_eq(flight_put(f, 1, 1, 5, 6), 0);
	flight_close(f);
	f = open_it();
	ck_assert_uint_ne(flight_take_old(f, "naa.1", &w), 0);
	ck_assert_uint_eq(w.hi, 2);
	flight_close(f);
}
END_TEST

static void too_many(struct flight *f)
{
	for (int i = 0; i < 16384; i++)
		put(f, "t/a", "naa.1", i, i + 1);
}

START_TEST(what_finds_no_room_is_counted)
{
	struct flight *f;
	uint32_t last = 0;

	killed(too_many);
	f = open_it();
	ck_assert(flight_overflowed(f));
	flight_close(f);
	unlink(path);
	f = open_it();
	for (int i = 0; i < 16384; i++)
		last = put(f, "t/a", "naa.1", i, i + 1);
	flight_end(f, last); /* the one that found none is over: all that is left is known */
	flight_close(f);
	f = open_it();
	ck_assert(!flight_overflowed(f));
	flight_close(f);
}
END_TEST

START_TEST(nonsense_is_made_anew)
{
	struct flight_write w;
	struct stat st;
	struct flight *f;
	FILE *file;

	killed(three);
	ck_assert_int_eq(stat(path, &st), 0);
	/* each place of the file once with wrong bytes: never out of bounds, which the sanitizers watch */
	for (long at = 0; at < st.st_size; at += at < 64 ? 4 : 4093) {
		killed(three);
		file = fopen(path, "r+");
		ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
		fwrite("\xff\xff\xff\xff", 1, 4, file);
		fclose(file);
		f = open_it();
		while (flight_take_old(f, "naa.1", &w))
			ck_assert_uint_lt(strlen(w.nexus.session), 160);
		flight_close(f);
		unlink(path);
	}
	file = fopen(path, "w");
	fputs("something else", file);
	fclose(file);
	f = open_it();
	ck_assert_ptr_nonnull(strstr(why, "made anew"));
	flight_close(f);
	ck_assert_int_eq(symlink("/dev/null", path), 0);
	ck_assert_ptr_null(flight_open(path, why, sizeof(why)));
}
END_TEST

START_TEST(without_one_nothing_happens)
{
	struct flight_write w;

	ck_assert_uint_eq(flight_put(NULL, 1, 1, 0, 1), 0);
	flight_end(NULL, 0);
	flight_freeze(NULL);
	flight_close(NULL);
	ck_assert_uint_eq(flight_take_old(NULL, "naa.1", &w), 0);
	ck_assert(!flight_overflowed(NULL));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("flight");
	TCase *tc = tcase_create("flight");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_was_under_way_is_found);
	tcase_add_test(tc, frozen_it_stays);
	tcase_add_test(tc, what_finds_no_room_is_counted);
	tcase_add_test(tc, nonsense_is_made_anew);
	tcase_add_test(tc, without_one_nothing_happens);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
