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
	ck_assert_uint_ne(flight_take_all(f, "naa.1"), 0);
	ck_assert_uint_eq(flight_take_all(f, "naa.1"), 0);
	ck_assert_uint_eq(flight_take_all(f, "naa.2"), 0);
	flight_close(f);
	unlink(path);
	f = open_it();
	for (int i = 0; i < 16384; i++)
		last = put(f, "t/a", "naa.1", i, i + 1);
	flight_end(f, last); /* the one that found none is over: all that is left is known */
	flight_close(f);
	f = open_it();
	ck_assert_uint_eq(flight_take_all(f, "naa.1"), 0);
	flight_close(f);
}
END_TEST

static void no_names(struct flight *f)
{
	flight_put_all(f, 0);
}

static void take_one(struct flight *f)
{
	ck_assert_uint_ne(flight_take_all(f, "naa.1"), 0);
}

static void end_one(struct flight *f)
{
	flight_end(f, flight_take_all(f, "naa.1"));
}

/* Any block of any LUN: it is over for each LUN only when its fence is, however many processes die before. */
START_TEST(any_block_survives_a_second_crash)
{
	uint32_t r;
	struct flight *f;

	killed(no_names);
	killed(take_one);
	killed(take_one);
	f = open_it();
	ck_assert_uint_ne(flight_take_all(f, "naa.2"), 0);
	flight_close(f); /* an orderly end, in which it stays as well */
	killed(end_one);
	f = open_it();
	ck_assert_uint_eq(flight_take_all(f, "naa.1"), 0);
	r = flight_take_all(f, "naa.2");
	ck_assert_uint_ne(r, 0);
	flight_end(f, r);
	flight_close(f);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

static void lose(struct flight *f)
{
	flight_set_lost(f, flight_lun(f, "naa.1"), true);
}

START_TEST(a_lost_write_is_remembered)
{
	struct flight *f;

	killed(lose);
	f = open_it();
	ck_assert(flight_lost(f, "naa.1"));
	ck_assert(!flight_lost(f, "naa.2"));
	flight_close(f);
	f = open_it();
	ck_assert(flight_lost(f, "naa.1"));
	flight_set_lost(f, flight_lun(f, "naa.1"), false);
	flight_close(f);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

/* Opens what is not believed: says so, fences all, works on. kept: the next process will find what it records. */
static void distrusted(const char *text, bool kept)
{
	struct flight *f = open_it();

	ck_assert_msg(strstr(why, text) != NULL, "%s", why);
	ck_assert_int_eq(flight_kept(f), kept);
	ck_assert_uint_ne(flight_take_all(f, "naa.1"), 0);
	ck_assert_uint_ne(flight_take_all(f, "naa.2"), 0);
	flight_end(f, put(f, "t/a", "naa.1", 1, 2));
	flight_close(f);
}

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
		unsigned n = 0;

		killed(three);
		file = fopen(path, "r+");
		ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
		fwrite("\xff\xff\xff\xff", 1, 4, file);
		fclose(file);
		f = open_it();
		for (; flight_take_old(f, "naa.1", &w); n++)
			ck_assert_uint_lt(strlen(w.nexus.session), 160);
		if (!n && why[0]) /* then every block may have been written */
			ck_assert_uint_ne(flight_take_all(f, "naa.1"), 0);
		flight_close(f);
		unlink(path);
	}
	write_file("something else");
	distrusted("made anew", true);
	distrusted("", true); /* a second crash changes nothing */
}
END_TEST

START_TEST(an_empty_file_tells_nothing)
{
	struct flight *f;

	write_file("");
	chmod(path, 0600);
	f = open_it();
	ck_assert_str_eq(why, "");
	ck_assert_uint_eq(flight_take_all(f, "naa.1"), 0);
	flight_close(f);
}
END_TEST

START_TEST(a_file_of_others_is_not_used)
{
	char link_to[80];
	struct flight *f;

	ck_assert_int_eq(symlink("/dev/null", path), 0);
	distrusted("symbolic links", false);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	distrusted("only mpiod", false);
	ck_assert_int_eq(unlink(path), 0);
	killed(three);
	ck_assert_int_eq(chmod(path, 0620), 0);
	distrusted("only mpiod", false);
	ck_assert_int_eq(chmod(path, 0600), 0);
	snprintf(link_to, sizeof(link_to), "%s.2", path);
	ck_assert_int_eq(link(path, link_to), 0);
	distrusted("only mpiod", false);
	ck_assert_int_eq(unlink(link_to), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 1, 1), 0);
		distrusted("only mpiod", false);
	}
	unlink(path);
	/* none was there, and none can be made: nothing is known to be in doubt */
	f = flight_open("/proc/no-such-place/file", why, sizeof(why));
	ck_assert_ptr_nonnull(f);
	ck_assert_str_ne(why, "");
	ck_assert_uint_eq(flight_take_all(f, "naa.1"), 0);
	flight_close(f);
}
END_TEST

/* One process is about to go, and takes the file with it, while the next one opens it. */
START_TEST(two_at_once_share_nothing)
{
	struct flight *f = open_it();
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct flight *own = flight_open(path, why, sizeof(why));

		_exit(!own || why[0] || access(path, F_OK));
	}
	usleep(100000);
	flight_close(f);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	f = open_it();
	pid = fork();
	if (pid == 0)
		_exit(flight_kept(flight_open(path, why, sizeof(why))));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	flight_close(f);
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
	ck_assert_uint_eq(flight_put_all(NULL, 1), 0);
	ck_assert_uint_eq(flight_take_all(NULL, "naa.1"), 0);
	ck_assert(!flight_kept(NULL) && !flight_lost(NULL, "naa.1"));
	flight_set_lost(NULL, 1, true);
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
	tcase_add_test(tc, any_block_survives_a_second_crash);
	tcase_add_test(tc, a_lost_write_is_remembered);
	tcase_add_test(tc, nonsense_is_made_anew);
	tcase_add_test(tc, an_empty_file_tells_nothing);
	tcase_add_test(tc, a_file_of_others_is_not_used);
	tcase_add_test(tc, two_at_once_share_nothing);
	tcase_add_test(tc, without_one_nothing_happens);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
