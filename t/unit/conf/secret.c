/* SPDX-License-Identifier: MIT */
#include "helper.h"
#include "conf/parse.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/conf-secret-XXXXXX", conf_file[64], path[128];

static void put_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void setup(void)
{
	unsetenv("CREDENTIALS_DIRECTORY");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(conf_file, sizeof(conf_file), "%s/mpiod.conf", dir);
}

static void teardown(void)
{
	static const char *const names[] = {"s", "t", "sub/s", "sub", "fifo"};

	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	ck_assert_int_eq(rmdir(dir), 0);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
}

static void expect_secret(const char *name, const char *want, unsigned mode)
{
	struct conf_secret s;
	char why[CONF_WHY];

	ck_assert_msg(!conf_secret_read(conf_file, name, &s, why), "%s", why);
	ck_assert_str_eq(s.text, want);
	ck_assert_uint_eq(s.mode, mode);
	conf_secret_free(s.text);
}

static void expect_refused(const char *name, const char *want)
{
	struct conf_secret s;
	char why[CONF_WHY];

	ck_assert_int_lt(conf_secret_read(conf_file, name, &s, why), 0);
	ck_assert_ptr_null(s.text);
	ck_assert_str_eq(why, want);
}

START_TEST(one_newline_is_stripped)
{
	put_file("s", "secret", 6, 0600);
	expect_secret("s", "secret", 0);
	put_file("s", "secret\n", 7, 0400);
	expect_secret("s", "secret", 0);
	put_file("s", "secret\n\n", 8, 0600);
	expect_secret("s", "secret\n", 0);
	put_file("s", " a b ", 5, 0600);
	expect_secret("s", " a b ", 0);
}
END_TEST

START_TEST(what_is_no_secret)
{
	char big[300];

	expect_refused("s", "cannot be read (No such file or directory)");
	put_file("s", "", 0, 0600);
	expect_refused("s", "is empty");
	put_file("s", "\n", 1, 0600);
	expect_refused("s", "is empty");
	put_file("s", "a\0b", 3, 0600);
	expect_refused("s", "holds a zero byte");
	memset(big, 'x', sizeof(big));
	big[255] = '\n';
	put_file("s", big, 256, 0600);
	big[255] = '\0';
	expect_secret("s", big, 0);
	big[255] = 'x';
	put_file("s", big, 256, 0600);
	expect_refused("s", "is longer than 255 bytes");
	put_file("s", big, 300, 0600);
	expect_refused("s", "is longer than 255 bytes");
	expect_refused(dir, "is not a file");
	expect_refused("/dev/zero", "is not a file");
	snprintf(path, sizeof(path), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect_refused("fifo", "is not a file");
}
END_TEST

START_TEST(an_open_mode_is_told)
{
	put_file("s", "secret", 6, 0640);
	expect_secret("s", "secret", 040);
	put_file("s", "secret", 6, 0604);
	expect_secret("s", "secret", 04);
}
END_TEST

START_TEST(relative_names)
{
	char sub[64];

	snprintf(sub, sizeof(sub), "%s/sub", dir);
	ck_assert_int_eq(mkdir(sub, 0700), 0);
	put_file("s", "beside", 6, 0644);
	put_file("sub/s", "credential", 10, 0444);
	expect_secret("s", "beside", 044);
	expect_secret("sub/s", "credential", 044);
	setenv("CREDENTIALS_DIRECTORY", sub, 1);
	expect_secret("s", "credential", 0);
	expect_secret(path, "credential", 0);
	snprintf(path, sizeof(path), "%s/s", dir);
	expect_secret(path, "beside", 044);
	snprintf(path, sizeof(path), "%s/../s", sub);
	expect_secret(path, "beside", 044);
	expect_refused("t", "cannot be read (No such file or directory)");
	unsetenv("CREDENTIALS_DIRECTORY");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conf/secret");
	TCase *tc = tcase_create("conf/secret");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_newline_is_stripped);
	tcase_add_test(tc, what_is_no_secret);
	tcase_add_test(tc, an_open_mode_is_told);
	tcase_add_test(tc, relative_names);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
