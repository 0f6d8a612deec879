/* SPDX-License-Identifier: MIT */
/* PERSISTENT RESERVE IN: who is registered, and whether anybody holds a reservation. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "golden.h"
#include "transport/scsi.h"

static const uint8_t two_keys[] = {
	0, 0, 1, 2, 0, 0, 0, 16,
	0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0, 0, 0, 0, 0, 0, 0, 7,
};
static const uint8_t held[] = {
	0, 0, 1, 2, 0, 0, 0, 16,
	0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0, 0, 0, 0, 0, 0x05, 0, 0,
};

static int parse_keys(const uint8_t *p, size_t len)
{
	uint32_t generation;
	uint64_t k[2];
	int r = scsi_parse_pr_keys(p, len, &generation, k, 2);

	ck_assert_int_le(r, (int)(len / 8));
	return r;
}

static int parse_reservation(const uint8_t *p, size_t len)
{
	struct scsi_reservation r;
	int ret = scsi_parse_pr_reservation(p, len, &r);

	ck_assert(ret == 0 || !r.held);
	return ret;
}

START_TEST(keys)
{
	uint64_t k[4] = { 0, 0, 99 };
	uint32_t generation;
	uint8_t b[sizeof(two_keys)];

	ck_assert_int_eq(scsi_parse_pr_keys(two_keys, sizeof(two_keys), &generation, k, 4), 2);
	ck_assert(k[0] == 0x123456789abcdef0ULL && k[1] == 7 && k[2] == 99);
	ck_assert_uint_eq(generation, 0x102);
	/* room for one: the caller learns that there are more, and nothing is written past it */
	k[1] = 99;
	ck_assert_int_eq(scsi_parse_pr_keys(two_keys, sizeof(two_keys), &generation, k, 1), 2);
	ck_assert_uint_eq(k[1], 99);
	ck_assert_int_eq(scsi_parse_pr_keys(two_keys, sizeof(two_keys), &generation, NULL, 0), 2);
	ck_assert_int_eq(scsi_parse_pr_keys(two_keys, 23, &generation, k, 4), 1);
	ck_assert_int_eq(scsi_parse_pr_keys(two_keys, 8, &generation, k, 4), 0);
	ck_assert_int_eq(scsi_parse_pr_keys(two_keys, 7, &generation, k, 4), -ENODATA);
	memcpy(b, two_keys, sizeof(b));
	b[7] = 8; /* what follows is no key */
	ck_assert_int_eq(scsi_parse_pr_keys(b, sizeof(b), &generation, k, 4), 1);
	b[7] = 0;
	ck_assert_int_eq(scsi_parse_pr_keys(b, sizeof(b), &generation, k, 4), 0);
	b[7] = 12;
	ck_assert_int_eq(scsi_parse_pr_keys(b, sizeof(b), &generation, k, 4), -EPROTO);
	memset(b + 4, 0xff, 3);
	b[7] = 0xf8; /* four gigabytes of them */
	ck_assert_int_eq(scsi_parse_pr_keys(b, sizeof(b), &generation, k, 4), 2);
}
END_TEST

START_TEST(reservation)
{
	static const uint8_t nobody[] = { 0, 0, 1, 3, 0, 0, 0, 0 };
	struct scsi_reservation r;
	uint8_t b[sizeof(held)];

	ck_assert_int_eq(scsi_parse_pr_reservation(held, sizeof(held), &r), 0);
	ck_assert(r.held && r.key == 0x123456789abcdef0ULL && r.type == 5 && r.generation == 0x102);
	ck_assert_int_eq(scsi_parse_pr_reservation(nobody, sizeof(nobody), &r), 0);
	ck_assert(!r.held && r.generation == 0x103);
	memcpy(b, held, sizeof(b));
	b[7] = 0; /* what follows is nothing */
	ck_assert_int_eq(scsi_parse_pr_reservation(b, sizeof(b), &r), 0);
	ck_assert(!r.held && r.key == 0);
	b[7] = 15;
	ck_assert_int_eq(scsi_parse_pr_reservation(b, sizeof(b), &r), -EPROTO);
	b[4] = 0xff;
	ck_assert_int_eq(scsi_parse_pr_reservation(b, sizeof(b), &r), 0);
	ck_assert(r.held);
}
END_TEST

START_TEST(half_a_reservation_is_not_none)
{
	for (size_t n = 8; n < sizeof(held); n++)
		ck_assert_int_eq(parse_exact(parse_reservation, held, n), -EPROTO);
	for (size_t n = 0; n < 8; n++)
		ck_assert_int_eq(parse_exact(parse_reservation, held, n), -ENODATA);
}
END_TEST

START_TEST(type_names)
{
	ck_assert_str_eq(scsi_pr_type_name(1), "write exclusive");
	ck_assert_str_eq(scsi_pr_type_name(SCSI_PR_WRITE_EXCLUSIVE_ALL),
			 "write exclusive, all registrants");
	for (int i = 0; i < 256; i++)
		ck_assert_ptr_nonnull(scsi_pr_type_name((uint8_t)i));
}
END_TEST

START_TEST(hostile)
{
	mistreat(parse_keys, two_keys, sizeof(two_keys));
	mistreat(parse_reservation, held, sizeof(held));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_reserve");
	TCase *t = tcase_create("scsi_reserve");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, keys);
	tcase_add_test(t, reservation);
	tcase_add_test(t, half_a_reservation_is_not_none);
	tcase_add_test(t, type_names);
	tcase_add_test(t, hostile);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
