/* SPDX-License-Identifier: MIT */
/* Who keeps which device: one at a time, written down for root alone, and seen to have gone. */
#include "../../../attach/state.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/mpio-state.XXXXXX", path[64], why[400];
static const struct state disk = { .index = 7, .export = "disk", .id = "naa.6001", .socket = "unix:/s" };
static struct state s;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(strcpy(dir, "/tmp/mpio-state.XXXXXX")));
	setenv("RUNTIME_DIRECTORY", dir, 1);
	snprintf(path, sizeof(path), "%s/nbd7", dir);
}

static void teardown(void)
{
	char lock[64];

	snprintf(lock, sizeof(lock), "%s/lock", dir);
	unlink(lock);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(kept_and_read)
{
	int lock = state_keep(&disk, why, sizeof(why));
	struct stat st;

	ck_assert_int_ge(lock, 0);
	ck_assert(state_read(7, &s));
	ck_assert_int_eq(s.pid, getpid());
	ck_assert_str_eq(s.export, "disk");
	ck_assert_str_eq(s.id, "naa.6001");
	ck_assert_str_eq(s.socket, "unix:/s");
	/* who can open it can lock it, and then nobody keeps the device any more */
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(state_keep(&disk, why, sizeof(why)), -EBUSY);
	close(lock);
	ck_assert(state_read(7, &s));
	ck_assert_int_eq(s.pid, 0);
}
END_TEST

/* A lock for reading, which takes no more than the right to read, is no keeper's: nobody is to be signalled for it. */
START_TEST(a_reader_is_no_keeper)
{
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int fd, lock = state_keep(&disk, why, sizeof(why));

	ck_assert_int_ge(lock, 0);
	close(lock);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &whole), 0);
	ck_assert(state_read(7, &s));
	ck_assert_int_eq(s.pid, 0);
	close(fd);
}
END_TEST

START_TEST(removed_is_noticed)
{
	int lock = state_keep(&disk, why, sizeof(why)), next;

	ck_assert_int_ge(lock, 0);
	ck_assert(!state_removed(lock));
	state_remove(7);
	ck_assert(state_removed(lock));
	ck_assert(!state_read(7, &s));
	/* the next keeper is not in the way of the one that has still to end */
	next = state_keep(&disk, why, sizeof(why));
	ck_assert_int_ge(next, 0);
	ck_assert(!state_removed(next));
	close(lock);
	close(next);
}
END_TEST

START_TEST(one_through_the_gate)
{
	int gate = state_gate(), report[2];
	char c;
	pid_t pid;

	ck_assert_int_ge(gate, 0);
	ck_assert_int_eq(pipe(report), 0);
	pid = fork();
	if (pid == 0) {
		close(gate);
		c = state_gate() >= 0 ? 'y' : 'n';
		_exit(write(report[1], &c, 1) != 1);
	}
	usleep(200000);
	ck_assert_int_eq(fcntl(report[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(read(report[0], &c, 1), -1);
	close(gate);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(read(report[0], &c, 1), 1);
	ck_assert_int_eq(c, 'y');
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state");
	TCase *t = tcase_create("state");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, kept_and_read);
	tcase_add_test(t, a_reader_is_no_keeper);
	tcase_add_test(t, removed_is_noticed);
	tcase_add_test(t, one_through_the_gate);
	suite_add_tcase(suite, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
