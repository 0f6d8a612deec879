/* SPDX-License-Identifier: MIT */
/* REPORT TARGET PORT GROUPS: both forms, answers that are cut, answers that lie. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "golden.h"
#include "transport/scsi.h"

/* Group 1: active/optimized, preferred, ports 1 and 2; group 0x102: standby after STPG, port 0x203 */
#define GROUPS                                                                                     \
	0x80, 0xdf, 0x00, 0x01, 0x00, 0x02, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,  \
	0x02, 0x02, 0x8f, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0x02, 0x03

static const uint8_t plain[] = { 0, 0, 0, 28, GROUPS };
static const uint8_t extended[] = { 0, 0, 0, 32, 0x10, 60, 0, 0, GROUPS };

static int parse(const uint8_t *p, size_t len, bool ext)
{
	struct scsi_groups g;
	int r = scsi_parse_groups(p, len, ext, &g);

	ck_assert_int_ge(g.n, 0);
	ck_assert_int_le(g.n, SCSI_GROUPS_MAX);
	for (int i = 0; i < g.n; i++) {
		ck_assert_uint_le(g.g[i].state, 15);
		ck_assert_uint_le(g.g[i].nports, SCSI_GROUP_PORTS);
	}
	return r;
}

static int parse_plain(const uint8_t *p, size_t len)
{
	return parse(p, len, false);
}

static int parse_extended(const uint8_t *p, size_t len)
{
	return parse(p, len, true);
}

static void expect_golden(const struct scsi_groups *g)
{
	ck_assert_int_eq(g->n, 2);
	ck_assert(g->g[0].id == 1 && g->g[0].state == 0 && g->g[0].preferred);
	ck_assert(g->g[0].supported == 0xdf && g->g[0].status == 2);
	ck_assert(g->g[0].nports == 2 && g->g[0].ports[0] == 1 && g->g[0].ports[1] == 2);
	ck_assert(g->g[1].id == 0x102 && g->g[1].state == 2 && !g->g[1].preferred);
	ck_assert(g->g[1].supported == 0x8f && g->g[1].status == 1);
	ck_assert(g->g[1].nports == 1 && g->g[1].ports[0] == 0x203);
}

START_TEST(both_forms)
{
	struct scsi_groups g;

	ck_assert_int_eq(scsi_parse_groups(plain, sizeof(plain), false, &g), 0);
	expect_golden(&g);
	ck_assert_uint_eq(g.transition_s, 0);
	ck_assert_int_eq(scsi_parse_groups(extended, sizeof(extended), true, &g), 0);
	expect_golden(&g);
	ck_assert_uint_eq(g.transition_s, 60);
}
END_TEST

START_TEST(an_old_target_ignores_what_form_was_asked_for)
{
	struct scsi_groups g;

	ck_assert_int_eq(scsi_parse_groups(plain, sizeof(plain), true, &g), 0);
	expect_golden(&g);
	ck_assert_uint_eq(g.transition_s, 0);
}
END_TEST

START_TEST(no_groups)
{
	static const uint8_t none[8] = { 0, 0, 0, 4, 0x10, 30 };
	struct scsi_groups g;

	ck_assert_int_eq(scsi_parse_groups(none, 8, true, &g), 0);
	ck_assert(g.n == 0 && g.transition_s == 30);
	ck_assert_int_eq(scsi_parse_groups((const uint8_t[4]){ 0 }, 4, true, &g), 0);
	ck_assert_int_eq(g.n, 0);
	ck_assert_int_eq(scsi_parse_groups((const uint8_t[4]){ 0 }, 4, false, &g), 0);
	ck_assert_int_eq(g.n, 0);
	ck_assert_int_eq(scsi_parse_groups(none, 3, true, &g), -ENODATA);
}
END_TEST

START_TEST(cut_by_the_allocation_length)
{
	struct scsi_groups g;

	for (size_t n = 4; n < sizeof(plain); n++) {
		ck_assert_int_eq(scsi_parse_groups(plain, n, false, &g), 0);
		ck_assert_int_eq(g.n, n < 12 ? 0 : n < 28 ? 1 : 2);
		if (g.n == 1)
			ck_assert_uint_eq(g.g[0].nports, n < 16 ? 0 : n < 20 ? 1 : 2);
		if (g.n == 2) /* its state is known, its port is not */
			ck_assert(g.g[1].state == 2 && g.g[1].nports == 0);
	}
}
END_TEST

START_TEST(descriptors_past_the_answers_own_end)
{
	uint8_t b[sizeof(plain)];
	struct scsi_groups g;

	memcpy(b, plain, sizeof(b));
	for (uint8_t n = 0; n < 28; n++) {
		bool whole = n == 0 || n == 16;

		b[3] = n;
		ck_assert_int_eq(scsi_parse_groups(b, sizeof(b), false, &g), whole ? 0 : -EPROTO);
		ck_assert_int_eq(g.n, n == 16); /* nothing of what lies */
	}
	b[3] = 28;
	b[11] = 200; /* ports */
	ck_assert_int_eq(scsi_parse_groups(b, sizeof(b), false, &g), -EPROTO);
	memset(b, 0xff, 4); /* four gigabytes */
	b[11] = 2;
	ck_assert_int_eq(scsi_parse_groups(b, sizeof(b), false, &g), 0);
	ck_assert_int_eq(g.n, 2);
}
END_TEST

/* LIO's extended form: the length leaves the 4 bytes of the extended header out. */
START_TEST(length_without_the_header)
{
	uint8_t b[] = { 0, 0, 0, 24, 0x10, 0, 0, 0, 0, 0x0f, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1,
			2, 0x0f, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2 };
	struct scsi_groups g;

	ck_assert_int_eq(scsi_parse_groups(b, 28, true, &g), -EPROTO);
	ck_assert_int_eq(g.n, 0);
	b[3] = 28;
	ck_assert_int_eq(scsi_parse_groups(b, sizeof(b), true, &g), 0);
	ck_assert_int_eq(g.n, 2);
}
END_TEST

START_TEST(more_than_there_is_room_for)
{
	struct scsi_groups g;
	uint8_t b[4 + 40 * 8] = { 0, 0, 40 * 8 >> 8, 40 * 8 & 0xff };

	for (int i = 0; i < 40; i++)
		b[4 + i * 8 + 3] = (uint8_t)i;
	ck_assert_int_eq(scsi_parse_groups(b, sizeof(b), false, &g), 0);
	ck_assert_int_eq(g.n, SCSI_GROUPS_MAX);
	ck_assert_uint_eq(g.g[31].id, 31);
	b[11] = 20; /* the first has 20 ports now, made of groups 1 to 10 */
	ck_assert_int_eq(scsi_parse_groups(b, sizeof(b), false, &g), 0);
	ck_assert_int_eq(g.g[0].nports, SCSI_GROUP_PORTS);
	ck_assert_int_eq(g.n, 30);
	ck_assert_uint_eq(g.g[1].id, 11);
}
END_TEST

START_TEST(hostile)
{
	mistreat(parse_plain, plain, sizeof(plain));
	mistreat(parse_extended, plain, sizeof(plain));
	mistreat(parse_extended, extended, sizeof(extended));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_groups");
	TCase *t = tcase_create("scsi_groups");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, both_forms);
	tcase_add_test(t, an_old_target_ignores_what_form_was_asked_for);
	tcase_add_test(t, no_groups);
	tcase_add_test(t, length_without_the_header);
	tcase_add_test(t, cut_by_the_allocation_length);
	tcase_add_test(t, descriptors_past_the_answers_own_end);
	tcase_add_test(t, more_than_there_is_room_for);
	tcase_add_test(t, hostile);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
