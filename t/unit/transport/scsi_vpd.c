/* SPDX-License-Identifier: MIT */
/* VPD pages 00h, 80h, B0h, B1h, B2h. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "golden.h"
#include "transport/scsi.h"

/* The shape of LIO's with emulate_tpu and emulate_tpws on */
static const uint8_t limits[64] = {
	0x00, 0xb0, 0x00, 0x3c, 0x01, 0x00, 0x00, 0x08, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x20, 0x00,
	0x00, 0x00, 0x01, 0x23, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x10,
	0x80, 0x00, 0x00, 0x04, 0, 0, 0, 0, 0x00, 0x00, 0x10, 0x00,
};
static const uint8_t prov[] = { 0x00, 0xb2, 0x00, 0x04, 0x00, 0xc4, 0x02, 0x00 };
static const uint8_t chars[64] = { 0x00, 0xb1, 0x00, 0x3c, 0x00, 0x01 };

static int parse_pages(const uint8_t *p, size_t len)
{
	struct scsi_vpd_pages v;

	return scsi_parse_vpd_pages(p, len, &v);
}

static int parse_serial(const uint8_t *p, size_t len)
{
	char s[40];
	int r = scsi_parse_vpd_serial(p, len, s, sizeof(s));

	ck_assert_uint_lt(strnlen(s, sizeof(s)), sizeof(s));
	return r;
}

static int parse_limits(const uint8_t *p, size_t len)
{
	struct scsi_block_limits l;

	return scsi_parse_vpd_block_limits(p, len, &l);
}

static int parse_prov(const uint8_t *p, size_t len)
{
	struct scsi_provisioning l;

	return scsi_parse_vpd_provisioning(p, len, &l);
}

static int parse_chars(const uint8_t *p, size_t len)
{
	uint16_t r;

	return scsi_parse_vpd_block_chars(p, len, &r);
}

START_TEST(supported_pages)
{
	struct scsi_vpd_pages v;

	ck_assert_int_eq(scsi_parse_vpd_pages(tgt_pages, sizeof(tgt_pages), &v), 0);
	ck_assert(scsi_vpd_has(&v, 0x83) && scsi_vpd_has(&v, 0xb2) && !scsi_vpd_has(&v, 0xb3));
	ck_assert_int_eq(scsi_parse_vpd_pages(tgt_serial, sizeof(tgt_serial), &v), -EPROTO);
	ck_assert_int_eq(scsi_parse_vpd_pages(tgt_pages, 3, &v), -ENODATA);
	ck_assert(!scsi_vpd_has(&v, 0x83));
}
END_TEST

START_TEST(serial_is_trimmed_and_never_cut)
{
	char s[64];

	ck_assert_int_eq(scsi_parse_vpd_serial(tgt_serial, sizeof(tgt_serial), s, sizeof(s)), 0);
	ck_assert_str_eq(s, "beaf11");
	for (size_t n = 4; n < sizeof(tgt_serial); n++)
		ck_assert_int_eq(scsi_parse_vpd_serial(tgt_serial, n, s, sizeof(s)), -EPROTO);
	ck_assert_int_eq(scsi_parse_vpd_serial(tgt_serial, sizeof(tgt_serial), s, 7), 0);
	ck_assert_int_eq(scsi_parse_vpd_serial(tgt_serial, sizeof(tgt_serial), s, 6), -EPROTO);
	ck_assert_int_eq(scsi_parse_vpd_serial(tgt_serial, sizeof(tgt_serial), s, 0), -EPROTO);
}
END_TEST

START_TEST(block_limits)
{
	struct scsi_block_limits l;

	ck_assert_int_eq(scsi_parse_vpd_block_limits(limits, sizeof(limits), &l), 0);
	ck_assert(l.wsnz);
	ck_assert_uint_eq(l.optimal_granularity, 8);
	ck_assert_uint_eq(l.max_transfer, 0x4000);
	ck_assert_uint_eq(l.optimal_transfer, 0x2000);
	ck_assert_uint_eq(l.max_prefetch, 0x123);
	ck_assert_uint_eq(l.max_unmap_blocks, 0x10000);
	ck_assert_uint_eq(l.max_unmap_descriptors, 1);
	ck_assert_uint_eq(l.unmap_granularity, 16);
	ck_assert_uint_eq(l.unmap_alignment, 4);
	ck_assert_uint_eq(l.max_write_same, 0x1000);
	/* an old, short page: what is not there is not limited */
	ck_assert_int_eq(scsi_parse_vpd_block_limits(limits, 16, &l), 0);
	ck_assert_uint_eq(l.max_transfer, 0x4000);
	ck_assert_uint_eq(l.max_write_same, 0);
	ck_assert_int_eq(scsi_parse_vpd_block_limits(limits, 15, &l), -ENODATA);
}
END_TEST

START_TEST(provisioning_and_rotation)
{
	struct scsi_provisioning l;
	uint16_t r;

	ck_assert_int_eq(scsi_parse_vpd_provisioning(prov, sizeof(prov), &l), 0);
	ck_assert(l.unmap && l.ws16_unmap && l.reads_zero && l.type == 2);
	ck_assert_int_eq(scsi_parse_vpd_block_chars(chars, sizeof(chars), &r), 0);
	ck_assert_uint_eq(r, 1);
}
END_TEST

START_TEST(hostile)
{
	mistreat(parse_pages, tgt_pages, sizeof(tgt_pages));
	mistreat(parse_serial, tgt_serial, sizeof(tgt_serial));
	mistreat(parse_limits, limits, sizeof(limits));
	mistreat(parse_prov, prov, sizeof(prov));
	mistreat(parse_chars, chars, sizeof(chars));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_vpd");
	TCase *t = tcase_create("scsi_vpd");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, supported_pages);
	tcase_add_test(t, serial_is_trimmed_and_never_cut);
	tcase_add_test(t, block_limits);
	tcase_add_test(t, provisioning_and_rotation);
	tcase_add_test(t, hostile);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
