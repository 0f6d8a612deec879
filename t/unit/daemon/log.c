/* SPDX-License-Identifier: MIT */
/* What a line looks like, what never gets into it, and when it is left out. */
#include "daemon/log.h"
#include "daemon/text.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* stderr goes to a file while a test runs. */
static FILE *captured;
static int saved;

static void capture(void)
{
	captured = tmpfile();
	saved = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

static void release(void)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	fclose(captured);
	unsetenv("JOURNAL_STREAM");
}

static const char *lines(void)
{
	static char buf[65536];
	size_t n;

	rewind(captured);
	n = fread(buf, 1, sizeof(buf) - 1, captured);
	buf[n] = '\0';
	return buf;
}

static void name_journal(int add)
{
	struct stat st;
	char env[64];

	fstat(STDERR_FILENO, &st);
	snprintf(env, sizeof(env), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + add);
	setenv("JOURNAL_STREAM", env, 1);
}

START_TEST(journal_prefix)
{
	name_journal(0);
	log_start(false);
	log_msg(LOG_WARNING, "one %d", 1);
	ck_assert_str_eq(lines(), "<4>one 1\n");
}
END_TEST

START_TEST(another_journal_is_not_ours)
{
	name_journal(1);
	log_start(false);
	log_msg(LOG_WARNING, "one");
	ck_assert_ptr_null(strstr(lines(), "<4>"));
	ck_assert_ptr_nonnull(strstr(lines(), "]: warning: one\n"));
}
END_TEST

START_TEST(foreground_has_a_time)
{
	int y, mo, d, h, mi, s, ms;

	name_journal(0);
	log_start(true);
	log_msg(LOG_ERR, "one");
	ck_assert_int_eq(sscanf(lines(), "%d-%d-%d %d:%d:%d.%d mpiod[", &y, &mo, &d, &h, &mi, &s,
				&ms), 7);
	ck_assert_ptr_nonnull(strstr(lines(), "]: error: one\n"));
}
END_TEST

START_TEST(level)
{
	log_start(true);
	log_set_level(LOG_WARNING);
	ck_assert(!log_wants(LOG_INFO));
	ck_assert(log_wants(LOG_WARNING));
	log_msg(LOG_INFO, "hidden");
	log_msg(LOG_ERR, "shown");
	ck_assert_ptr_null(strstr(lines(), "hidden"));
	ck_assert_ptr_nonnull(strstr(lines(), "shown"));
}
END_TEST

START_TEST(one_line_whatever_a_target_says)
{
	name_journal(0);
	log_start(false);
	log_msg(LOG_ERR, "name %s", "a\n<0>forged\x1b[2J\x07");
	ck_assert_str_eq(lines(), "<3>name a\\n<0>forged\\x1b[2J\\x07\n");
}
END_TEST

START_TEST(long_lines_are_cut)
{
	static char text[3 * LOG_LINE_MAX];
	const char *out;

	name_journal(0);
	log_start(false);
	memset(text, '\n', sizeof(text) - 1);
	log_msg(LOG_ERR, "%s", text);
	out = lines();
	ck_assert_uint_lt(strlen(out), LOG_LINE_MAX + 8);
	ck_assert_str_eq(out + strlen(out) - 4, "...\n");
}
END_TEST

START_TEST(repeated_lines_are_counted)
{
	int n = 0;

	name_journal(0);
	log_start(false);
	for (int i = 0; i < 100; i++)
		log_msg(LOG_ERR, "again");
	for (const char *at = lines(); (at = strstr(at, "again")); at++)
		n++;
	ck_assert_int_eq(n, LOG_LIMIT_BURST);
}
END_TEST

START_TEST(limit_window)
{
	static struct log_limit l;
	const struct log_limit_slot *old;
	uint64_t t = 1000;

	for (int i = 0; i < LOG_LIMIT_BURST; i++)
		ck_assert(log_limit_pass(&l, t, LOG_ERR, "a"));
	for (int i = 0; i < 3; i++)
		ck_assert(!log_limit_pass(&l, t + 1, LOG_ERR, "a"));
	ck_assert(log_limit_pass(&l, t + 1, LOG_ERR, "b"));
	ck_assert(log_limit_pass(&l, t + 1, LOG_INFO, "a"));
	ck_assert_uint_eq(log_limit_expire(&l, t + LOG_LIMIT_WINDOW_US - 1, &old), 0);
	ck_assert(!log_limit_pass(&l, t + LOG_LIMIT_WINDOW_US - 1, LOG_ERR, "a"));
	ck_assert_uint_eq(log_limit_expire(&l, t + LOG_LIMIT_WINDOW_US, &old), 4);
	ck_assert_str_eq(old->begin, "a");
	ck_assert_int_eq(old->level, LOG_ERR);
	ck_assert_uint_eq(log_limit_expire(&l, t + LOG_LIMIT_WINDOW_US, &old), 0);
	ck_assert(log_limit_pass(&l, t + LOG_LIMIT_WINDOW_US, LOG_ERR, "a"));
}
END_TEST

START_TEST(limit_forgets_nobody_who_is_owed)
{
	static struct log_limit l;
	const struct log_limit_slot *old;
	char text[16];

	for (int i = 0; i <= LOG_LIMIT_BURST; i++)
		log_limit_pass(&l, 1, LOG_ERR, "noisy");
	for (int i = 0; i < 10 * LOG_LIMIT_SLOTS; i++) {
		snprintf(text, sizeof(text), "line %d", i);
		ck_assert(log_limit_pass(&l, 2, LOG_ERR, text));
	}
	ck_assert(!log_limit_pass(&l, 3, LOG_ERR, "noisy"));
	ck_assert_uint_eq(log_limit_expire(&l, 1 + LOG_LIMIT_WINDOW_US, &old), 2);
}
END_TEST

START_TEST(utf8)
{
	char out[64];

	ck_assert_str_eq(text_escape(out, sizeof(out), "gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
	ck_assert_str_eq(text_escape(out, sizeof(out), "\xe2\x82\xac\xf0\x9f\x92\xbe"),
			 "\xe2\x82\xac\xf0\x9f\x92\xbe");
	ck_assert_str_eq(text_escape(out, sizeof(out), "\xc0\xaf"), "\\xc0\\xaf"); /* overlong */
	ck_assert_str_eq(text_escape(out, sizeof(out), "\xed\xa0\x80"), "\\xed\\xa0\\x80");
	ck_assert_str_eq(text_escape(out, sizeof(out), "\xf4\x90\x80\x80"),
			 "\\xf4\\x90\\x80\\x80");
	ck_assert_str_eq(text_escape(out, sizeof(out), "\xe2\x82"), "\\xe2\\x82"); /* cut short */
	ck_assert_str_eq(text_escape(out, sizeof(out), "\xc2\x9b" "2J"), "\\xc2\\x9b2J"); /* CSI */
	ck_assert_str_eq(text_escape(out, sizeof(out), "a\xe2\x80\xae" "b"), "a\\xe2\\x80\\xaeb");
	ck_assert_str_eq(text_escape(out, sizeof(out), "\t\r\x7f"), "\\t\\r\\x7f");
}
END_TEST

START_TEST(cut_between_characters)
{
	char out[8];

	ck_assert_str_eq(text_escape(out, 8, "1234567"), "1234567");
	ck_assert_str_eq(text_escape(out, 8, "12345678"), "1234...");
	ck_assert_str_eq(text_escape(out, 8, "123\xe2\x82\xac" "56"), "123...");
	ck_assert_str_eq(text_escape(out, 8, "12\n4\n6"), "12\\n...");
	ck_assert_str_eq(text_escape(out, 4, "\n\n"), "...");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("lines"), *p = tcase_create("pure");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, capture, release);
	tcase_add_test(t, journal_prefix);
	tcase_add_test(t, another_journal_is_not_ours);
	tcase_add_test(t, foreground_has_a_time);
	tcase_add_test(t, level);
	tcase_add_test(t, one_line_whatever_a_target_says);
	tcase_add_test(t, long_lines_are_cut);
	tcase_add_test(t, repeated_lines_are_counted);
	suite_add_tcase(s, t);
	tcase_add_test(p, limit_window);
	tcase_add_test(p, limit_forgets_nobody_who_is_owed);
	tcase_add_test(p, utf8);
	tcase_add_test(p, cut_between_characters);
	suite_add_tcase(s, p);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
