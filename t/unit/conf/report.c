/* SPDX-License-Identifier: MIT */
#include "helper.h"
#include "conf/parse.h"

START_TEST(told_by_line_and_in_order_within_one)
{
	struct conf_report r = {.file = "x.conf"};
	struct conf_part p = {.title = (char *)"[lun a]"};
	char *text;

	ck_assert_ptr_null(conf_report_text(&r));
	conf_error(&r, 7, &p, "id", "c %d", 3);
	conf_warn(&r, 2, &p, NULL, "a");
	conf_error(&r, 7, NULL, NULL, "d");
	conf_error(&r, 3, &p, NULL, "b");
	conf_error(&r, 0, NULL, NULL, "whole");
	ck_assert_int_eq(r.nerrors, 4);
	text = conf_report_text(&r);
	ck_assert_str_eq(text,
			 "x.conf: whole\nx.conf:2: warning: [lun a]: a\nx.conf:3: [lun a]: b\n"
			 "x.conf:7: [lun a] id: c 3\nx.conf:7: d\n");
	free(text);
	conf_report_free(&r);
}
END_TEST

START_TEST(a_flood_is_counted)
{
	struct conf_report r = {.file = "x"};
	char *text;

	for (int i = 1; i <= CONF_MAX_NOTES + 50; i++)
		conf_error(&r, i, NULL, NULL, "e");
	text = conf_report_text(&r);
	ck_assert_ptr_nonnull(strstr(text, "\nx:200: e\nx: 50 more errors\n"));
	free(text);
	conf_report_free(&r);
}
END_TEST

START_TEST(quoted_text_is_one_line_and_short)
{
	char buf[CONF_QUOTED], text[200], want[300] = "\"";

	ck_assert_str_eq(conf_quote("a b\t\n\x7f\xc3\xa9", buf), "\"a b\\x09\\x0a\\x7f\xc3\xa9\"");
	memset(text, '\a', sizeof(text));
	text[199] = '\0';
	for (int i = 0; i < 60; i++)
		strcat(want, "\\x07");
	strcat(want, "...\"");
	ck_assert_str_eq(conf_quote(text, buf), want);
	/* no half a character at the cut */
	memset(text, 'x', 59);
	strcpy(text + 59, "\xe2\x82\xac\xe2\x82\xac");
	memset(want, 'x', sizeof(want));
	want[0] = '"';
	strcpy(want + 60, "...\"");
	ck_assert_str_eq(conf_quote(text, buf), want);
}
END_TEST

RUN("conf/report", told_by_line_and_in_order_within_one, a_flood_is_counted,
    quoted_text_is_one_line_and_short)
