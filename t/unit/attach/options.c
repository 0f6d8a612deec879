/* SPDX-License-Identifier: MIT */
/* The command line, right and wrong. */
#include "../../../attach/options.h"
#include "../../../attach/device.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct attach_options o;

/* Words with single blanks between them. */
static int parse(const char *line)
{
	static char copy[8192], why[256];
	char *argv[32] = { "mpio-attach" }, *at = copy;
	int argc = 1, ret;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((argv[argc] = strsep(&at, " ")))
		argc += argv[argc][0] != '\0';
	argv[argc] = NULL;
	why[0] = '\0';
	ret = attach_options_parse(&o, argc, argv, why, sizeof(why));
	ck_assert((ret != 0) == (why[0] != '\0'));
	return ret;
}

START_TEST(defaults)
{
	ck_assert_int_eq(parse("disk"), 0);
	ck_assert_int_eq(o.verb, ATTACH_KEEP);
	ck_assert_str_eq(o.export, "disk");
	ck_assert_int_eq(o.index, -1);
	ck_assert_int_eq(o.connections, 4);
	ck_assert_uint_eq(o.dead_timeout, 86400);
	ck_assert_uint_eq(attach_options_timeout(&o, 4), 180);
	ck_assert_uint_eq(attach_options_timeout(&o, 1), 0);
	ck_assert_str_eq(o.socket, "unix:/run/mpiod/nbd.sock");
}
END_TEST

START_TEST(all_of_them)
{
	ck_assert_int_eq(parse("--socket tcp:h:1 disk --connections 8 /dev/nbd12 --read-only --timeout=60 "
			       "--dead-timeout 5 --wait 3 --stop-wait 7 --foreground"), 0);
	ck_assert_str_eq(o.export, "disk");
	ck_assert_int_eq(o.index, 12);
	ck_assert_int_eq(o.connections, 8);
	ck_assert(o.read_only);
	ck_assert_uint_eq(attach_options_timeout(&o, 8), 60);
	ck_assert_uint_eq(o.dead_timeout, 5);
	ck_assert_uint_eq(o.wait, 3);
	ck_assert_uint_eq(o.stop_wait, 7);
	ck_assert_str_eq(o.socket, "tcp:h:1");
	ck_assert_int_eq(parse("--detach --force /dev/nbd3"), 0);
	ck_assert_int_eq(o.verb, ATTACH_DETACH);
	ck_assert(o.force);
	ck_assert_int_eq(parse("--list --json"), 0);
	ck_assert_int_eq(o.verb, ATTACH_LIST);
	ck_assert_int_eq(parse("--help whatever follows"), 0);
	ck_assert_int_eq(o.verb, ATTACH_HELP);
	ck_assert_int_eq(parse("disk --connections 1 --timeout 0"), 0);
}
END_TEST

START_TEST(wrong)
{
	static const char *const lines[] = {
		"", "disk /dev/sda", "disk /dev/nbd", "disk /dev/nbd1 more", "--detach", "--detach a b",
		"--list disk", "--connections", "disk --connections 0", "disk --connections 65",
		"disk --connections 4x", "disk --connections -1", "disk --timeout -1", "disk --timeout 0",
		"disk --dead-timeout 0", "disk --timeout 99999999999999999999", "disk --no-such-option",
		"disk --force", "disk --json", "--detach disk --json",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(parse(lines[i]) == -EINVAL, "%s", lines[i]);
}
END_TEST

START_TEST(long_export)
{
	static char name[4200];

	memset(name, 'n', 4096);
	ck_assert_int_eq(parse(name), 0);
	name[4096] = 'n';
	ck_assert_int_eq(parse(name), -EINVAL);
	ck_assert_int_eq(parse("a\nb"), -EINVAL);
}
END_TEST

START_TEST(devices)
{
	ck_assert_int_eq(device_index("/dev/nbd0"), 0);
	ck_assert_int_eq(device_index("nbd15"), 15);
	ck_assert_int_eq(device_index("nbd"), -1);
	ck_assert_int_eq(device_index("/dev/nbd1p1"), -1);
	ck_assert_int_eq(device_index("/dev/nbd-1"), -1);
	ck_assert_int_eq(device_index("/dev/nbd99999999999"), -1);
	ck_assert_int_eq(device_index("disk"), -1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("options");
	TCase *t = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, defaults);
	tcase_add_test(t, all_of_them);
	tcase_add_test(t, wrong);
	tcase_add_test(t, long_export);
	tcase_add_test(t, devices);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
