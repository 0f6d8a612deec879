/* SPDX-License-Identifier: MIT */
/* What the tests of conf/ share. */
#ifndef T_UNIT_CONF_HELPER_H
#define T_UNIT_CONF_HELPER_H

#include "conf/conf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* A section that makes a file complete, on one line so that it shifts the others by nothing. */
#define TARGET "[target a]\niqn = iqn.2001-05.com.example:a\nportal = 192.0.2.1\n" /* 3 lines */

struct text_case {
	const char *text, *errors;
};

/* Must be refused with exactly these lines. */
static inline void check_refused(const char *text, size_t len, const char *errors)
{
	char *got = NULL;
	struct conf *c = conf_parse("f", text, len, &got);

	ck_assert_msg(!c, "accepted: %s", text);
	ck_assert_ptr_nonnull(got);
	ck_assert_str_eq(got, errors);
	free(got);
}

/* Must be accepted without a word. */
static inline struct conf *check_accepted(const char *text)
{
	char *got = NULL;
	struct conf *c = conf_parse("f", text, strlen(text), &got);

	ck_assert_msg(c && !got, "%s\n=> %s", text, got ? got : "");
	return c;
}

static inline int run_tests(const char *name, const TTest *const *tests, int n)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	for (int i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define RUN(name, ...)                                                                             \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const tests[] = {__VA_ARGS__};                                        \
		return run_tests(name, tests, (int)(sizeof(tests) / sizeof(tests[0])));            \
	}

#endif
