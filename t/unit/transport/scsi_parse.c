/* SPDX-License-Identifier: MIT */
/* INQUIRY, READ CAPACITY(16), MODE SENSE(6), REPORT LUNS, GET LBA STATUS. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "golden.h"
#include "transport/scsi.h"

static int parse_inquiry(const uint8_t *p, size_t len)
{
	struct scsi_inquiry i;

	return scsi_parse_inquiry(p, len, &i);
}

static int parse_capacity(const uint8_t *p, size_t len)
{
	struct scsi_capacity c;
	int r = scsi_parse_capacity16(p, len, &c);

	if (r == 0) {
		ck_assert_uint_ge(c.block_size, 512);
		ck_assert_uint_le(c.blocks, (UINT64_C(1) << 63) / c.block_size);
		ck_assert_uint_ge(c.physical_block_size, c.block_size);
	}
	return r;
}

static int parse_mode(const uint8_t *p, size_t len)
{
	struct scsi_mode m;

	return scsi_parse_mode_sense6(p, len, &m);
}

static int parse_luns(const uint8_t *p, size_t len)
{
	uint16_t l[2];
	int r = scsi_parse_report_luns(p, len, l, 2);

	ck_assert_int_le(r, 2);
	return r;
}

/* Blocks 0 to 7 mapped, 8 to 15 deallocated, 16 to 31 anchored, 32 to 39 of a status yet to come */
static const uint8_t lba_status[8 + 64] = {
	0, 0, 0, 68, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 8,  0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 8,  0, 0, 0, 8,  1, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16, 2, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 8,  3, 0, 0, 0,
};

/* Whatever was sent: extents without a gap, inside what was asked for. */
static int parse_lba_status(const uint8_t *p, size_t len)
{
	struct scsi_lba_extent x[3];
	uint64_t at = 5;
	int r = scsi_parse_lba_status(p, len, at, 20, x, 3);

	ck_assert_int_le(r, 3);
	for (int i = 0; i < r; i++) {
		ck_assert_uint_eq(x[i].lba, at);
		ck_assert_uint_gt(x[i].blocks, 0);
		ck_assert_uint_le(x[i].status, 2);
		at += x[i].blocks;
	}
	ck_assert_uint_le(at, 25);
	return r;
}

START_TEST(inquiry)
{
	struct scsi_inquiry i;
	uint8_t b[36];

	ck_assert_int_eq(scsi_parse_inquiry(tgt_inquiry, sizeof(tgt_inquiry), &i), 0);
	ck_assert_str_eq(i.vendor, "IET");
	ck_assert_str_eq(i.product, "VIRTUAL-DISK");
	ck_assert_str_eq(i.revision, "0001");
	ck_assert(i.qualifier == 0 && i.type == 0 && i.version == 5 && i.tpgs == 0);
	memcpy(b, tgt_inquiry, sizeof(b));
	b[0] = 0x7f; /* no unit here */
	b[5] = 0x30; /* implicit and explicit */
	b[9] = '\n';
	ck_assert_int_eq(scsi_parse_inquiry(b, sizeof(b), &i), 0);
	ck_assert(i.qualifier == 3 && i.type == 0x1f && i.tpgs == 3);
	ck_assert_str_eq(i.vendor, "I?T");
	b[4] = 3; /* says it ends before the vendor */
	ck_assert_int_eq(scsi_parse_inquiry(b, sizeof(b), &i), 0);
	ck_assert_str_eq(i.vendor, "");
	ck_assert_int_eq(scsi_parse_inquiry(b, 4, &i), -ENODATA);
}
END_TEST

START_TEST(capacity)
{
	struct scsi_capacity c;
	uint8_t b[32];

	ck_assert_int_eq(scsi_parse_capacity16(tgt_capacity, 32, &c), 0);
	ck_assert(c.blocks == 131072 && c.block_size == 512 && c.physical_block_size == 4096);
	ck_assert(!c.thin && !c.reads_zero);
	memcpy(b, tgt_capacity, sizeof(b));
	b[14] = 0xc0;
	ck_assert_int_eq(scsi_parse_capacity16(b, 32, &c), 0);
	ck_assert(c.thin && c.reads_zero);
	ck_assert_int_eq(scsi_parse_capacity16(b, 11, &c), -ENODATA);
	b[10] = 0x03; /* 768 */
	ck_assert_int_eq(scsi_parse_capacity16(b, 32, &c), -EPROTO);
	b[10] = 0x01; /* 256 */
	ck_assert_int_eq(scsi_parse_capacity16(b, 32, &c), -EPROTO);
	b[10] = 0x02;
	b[9] = 0x01; /* 66048 */
	ck_assert_int_eq(scsi_parse_capacity16(b, 32, &c), -EPROTO);
	b[10] = 0x00; /* 65536 */
	ck_assert_int_eq(scsi_parse_capacity16(b, 32, &c), 0);
	memset(b, 0xff, 8);
	ck_assert_int_eq(scsi_parse_capacity16(b, 32, &c), -EPROTO);
}
END_TEST

START_TEST(mode)
{
	struct scsi_mode m;
	uint8_t b[32];

	ck_assert_int_eq(scsi_parse_mode_sense6(tgt_mode, sizeof(tgt_mode), &m), 0);
	ck_assert(!m.write_protect && m.dpofua && m.write_cache);
	memcpy(b, tgt_mode, sizeof(b));
	b[2] = 0x80;
	b[14] = 0x10;
	ck_assert_int_eq(scsi_parse_mode_sense6(b, sizeof(b), &m), 0);
	ck_assert(m.write_protect && !m.dpofua && !m.write_cache);
	ck_assert_int_eq(scsi_parse_mode_sense6(b, 12, &m), 0); /* no page: a cache is assumed */
	ck_assert(m.write_cache);
	b[3] = 0xff;
	ck_assert_int_eq(scsi_parse_mode_sense6(b, sizeof(b), &m), -EPROTO);
}
END_TEST

START_TEST(mode_page_behind_others)
{
	/* no block descriptor; a subpage of 08h, page 0Ah, then 08h with WCE */
	static const uint8_t b[] = { 3 + 6 + 4 + 4, 0, 0, 0, 0x48, 0x01, 0x00, 0x02, 0x04, 0x04,
				     0x0a, 0x02, 0xff, 0xff, 0x08, 0x02, 0x04, 0x00 };
	struct scsi_mode m;

	ck_assert_int_eq(scsi_parse_mode_sense6(b, sizeof(b), &m), 0);
	ck_assert(m.write_cache);
}
END_TEST

START_TEST(luns)
{
	uint16_t l[8];
	uint8_t b[24];

	ck_assert_int_eq(scsi_parse_report_luns(tgt_luns, sizeof(tgt_luns), l, 8), 2);
	ck_assert(l[0] == 0 && l[1] == 1);
	ck_assert_int_eq(scsi_parse_report_luns(tgt_luns, sizeof(tgt_luns), l, 1), 1);
	ck_assert_int_eq(scsi_parse_report_luns(tgt_luns, 23, l, 8), 1);
	memcpy(b, tgt_luns, sizeof(b));
	b[16] = 0x40; /* flat space */
	b[8 + 3] = 1; /* a second level: skipped */
	ck_assert_int_eq(scsi_parse_report_luns(b, sizeof(b), l, 8), 1);
	ck_assert_uint_eq(l[0], 0x4001);
	b[3] = 0x0f;
	ck_assert_int_eq(scsi_parse_report_luns(b, sizeof(b), l, 8), -EPROTO);
	memset(b, 0xff, 3);
	b[3] = 0xf8; /* four gigabytes of them */
	ck_assert_int_ge(scsi_parse_report_luns(b, sizeof(b), l, 8), 0);
	ck_assert_int_eq(scsi_parse_report_luns(b, 7, l, 8), -ENODATA);
}
END_TEST

START_TEST(lba_extents)
{
	struct scsi_lba_extent x[8];
	size_t n = sizeof(lba_status);
	uint8_t b[sizeof(lba_status)];

	ck_assert_int_eq(scsi_parse_lba_status(lba_status, n, 0, 40, x, 8), 4);
	ck_assert(x[1].lba == 8 && x[1].blocks == 8 && x[1].status == 1);
	ck_assert(x[2].lba == 16 && x[2].blocks == 16 && x[2].status == 2);
	ck_assert_uint_eq(x[3].status, 0);
	/* clipped at both ends */
	ck_assert_int_eq(scsi_parse_lba_status(lba_status, n, 5, 4, x, 8), 2);
	ck_assert(x[0].lba == 5 && x[0].blocks == 3 && x[0].status == 0);
	ck_assert(x[1].lba == 8 && x[1].blocks == 1 && x[1].status == 1);
	ck_assert_int_eq(scsi_parse_lba_status(lba_status, n, 0, UINT64_MAX, x, 8), 4);
	ck_assert_int_eq(scsi_parse_lba_status(lba_status, n, 0, 40, x, 2), 2);
	ck_assert_int_eq(scsi_parse_lba_status(lba_status, n, 0, 0, x, 2), 0);
	/* cut by the allocation length */
	ck_assert_int_eq(scsi_parse_lba_status(lba_status, n - 1, 0, 40, x, 8), 3);
	ck_assert_int_eq(scsi_parse_lba_status(lba_status, 23, 0, 40, x, 8), 0);
	ck_assert_int_eq(scsi_parse_lba_status(lba_status, 7, 0, 40, x, 8), -ENODATA);
	memcpy(b, lba_status, n);
	b[3] = 3;
	ck_assert_int_eq(scsi_parse_lba_status(b, n, 0, 40, x, 8), -EPROTO);
	b[3] = 20; /* says that it ends after the first */
	ck_assert_int_eq(scsi_parse_lba_status(b, n, 0, 40, x, 8), 1);
}
END_TEST

START_TEST(lba_extents_that_contradict_each_other)
{
	struct scsi_lba_extent x[8];
	size_t n = sizeof(lba_status);
	uint8_t b[sizeof(lba_status)];

	memcpy(b, lba_status, n);
	b[15] = 1; /* begins after the block that was asked for */
	ck_assert_int_eq(scsi_parse_lba_status(b, n, 0, 40, x, 8), -EPROTO);
	ck_assert_int_eq(scsi_parse_lba_status(lba_status, n, 60, 8, x, 8), -EPROTO);
	memcpy(b, lba_status, n);
	b[31] = 9; /* a gap */
	ck_assert_int_eq(scsi_parse_lba_status(b, n, 0, 40, x, 8), -EPROTO);
	b[31] = 7; /* an overlap */
	b[35] = 9;
	ck_assert_int_eq(scsi_parse_lba_status(b, n, 0, 40, x, 8), -EPROTO);
	memcpy(b, lba_status, n);
	b[35] = 0; /* empty: what came before it is good */
	ck_assert_int_eq(scsi_parse_lba_status(b, n, 0, 40, x, 8), 1);
	b[19] = 0;
	ck_assert_int_eq(scsi_parse_lba_status(b, n, 0, 40, x, 8), -EPROTO);
	memset(b + 8, 0xff, 12); /* past the last block there can be */
	b[15] = 0xf0;
	ck_assert_int_eq(scsi_parse_lba_status(b, n, UINT64_MAX - 15, 1, x, 8), -EPROTO);
	/* one so long that it ends past 32 bits */
	memcpy(b, lba_status, n);
	memset(b + 16, 0xff, 4);
	ck_assert_int_eq(scsi_parse_lba_status(b, 24, 0, UINT64_MAX, x, 8), 1);
	ck_assert_uint_eq(x[0].blocks, UINT32_MAX);
}
END_TEST

START_TEST(hostile)
{
	mistreat(parse_inquiry, tgt_inquiry, sizeof(tgt_inquiry));
	mistreat(parse_capacity, tgt_capacity, sizeof(tgt_capacity));
	mistreat(parse_mode, tgt_mode, sizeof(tgt_mode));
	mistreat(parse_luns, tgt_luns, sizeof(tgt_luns));
	mistreat(parse_lba_status, lba_status, sizeof(lba_status));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_parse");
	TCase *t = tcase_create("scsi_parse");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, inquiry);
	tcase_add_test(t, capacity);
	tcase_add_test(t, mode);
	tcase_add_test(t, mode_page_behind_others);
	tcase_add_test(t, luns);
	tcase_add_test(t, lba_extents);
	tcase_add_test(t, lba_extents_that_contradict_each_other);
	tcase_add_test(t, hostile);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
