/* SPDX-License-Identifier: MIT */
/* CDBs byte for byte as SPC-4 and SBC-3 lay them out. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "transport/scsi.h"

static void expect(const struct scsi_cmd *c, const char *hex, enum scsi_dir dir, uint32_t len)
{
	char got[40] = "";

	for (int i = 0; i < c->cdb_len; i++)
		sprintf(got + i * 2, "%02x", c->cdb[i]);
	ck_assert_str_eq(got, hex);
	ck_assert_int_eq(c->dir, dir);
	ck_assert_uint_eq(c->len, len);
}

START_TEST(each_command)
{
	struct scsi_cmd c;
	uint8_t list[SCSI_UNMAP_LIST_LEN];

	memset(&c, 0xff, sizeof(c)); /* a reused command leaves nothing behind */
	cdb_read16(&c, 0x0123456789abcdefULL, 8, 512);
	expect(&c, "88000123456789abcdef000000080000", SCSI_DIR_IN, 4096);
	cdb_write16(&c, 5, 3, 4096, false);
	expect(&c, "8a000000000000000005000000030000", SCSI_DIR_OUT, 12288);
	cdb_write16(&c, 5, 3, 4096, true);
	expect(&c, "8a080000000000000005000000030000", SCSI_DIR_OUT, 12288);
	cdb_sync_cache16(&c, 0, 0);
	expect(&c, "91000000000000000000000000000000", SCSI_DIR_NONE, 0);
	cdb_sync_cache10(&c, 0x01020304, 0x0506);
	expect(&c, "35000102030400050600", SCSI_DIR_NONE, 0);
	cdb_write_same16(&c, 16, 0x10000, 512, false);
	expect(&c, "93000000000000000010000100000000", SCSI_DIR_OUT, 512);
	cdb_write_same16(&c, 16, 1, 512, true);
	expect(&c, "93080000000000000010000000010000", SCSI_DIR_OUT, 512);
	cdb_unmap(&c, list, 0x1122334455667788ULL, 0x99aabbcc);
	expect(&c, "42000000000000001800", SCSI_DIR_OUT, 24);
	ck_assert_mem_eq(list,
			 "\x00\x16\x00\x10\0\0\0\0\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc"
			 "\0\0\0\0", 24);
	cdb_test_unit_ready(&c);
	expect(&c, "000000000000", SCSI_DIR_NONE, 0);
	cdb_inquiry(&c, false, 0x83, 96);
	expect(&c, "120000006000", SCSI_DIR_IN, 96);
	cdb_inquiry(&c, true, 0x83, 0x1234);
	expect(&c, "120183123400", SCSI_DIR_IN, 0x1234);
	cdb_report_luns(&c, 0x1000);
	expect(&c, "a00000000000000010000000", SCSI_DIR_IN, 4096);
	cdb_read_capacity16(&c, 32);
	expect(&c, "9e100000000000000000000000200000", SCSI_DIR_IN, 32);
	cdb_mode_sense6(&c, 0x3f, 192);
	expect(&c, "1a003f00c000", SCSI_DIR_IN, 192);
}
END_TEST

START_TEST(port_groups_and_reservations)
{
	struct scsi_cmd c;
	uint8_t stpg[SCSI_STPG_LEN], pr[SCSI_PR_OUT_LEN];

	memset(&c, 0xff, sizeof(c));
	memset(stpg, 0xff, sizeof(stpg));
	memset(pr, 0xff, sizeof(pr));
	cdb_get_lba_status(&c, 0x0123456789abcdefULL, 4096);
	expect(&c, "9e120123456789abcdef000010000000", SCSI_DIR_IN, 4096);
	cdb_prefetch16(&c, 0x0123456789abcdefULL, 0x12345);
	expect(&c, "90020123456789abcdef000123450000", SCSI_DIR_NONE, 0);
	cdb_report_groups(&c, 0x1234, true);
	expect(&c, "a32a00000000000012340000", SCSI_DIR_IN, 0x1234);
	cdb_report_groups(&c, 0x1234, false);
	expect(&c, "a30a00000000000012340000", SCSI_DIR_IN, 0x1234);
	cdb_set_group(&c, stpg, 0x1, 0xabcd);
	expect(&c, "a40a00000000000000080000", SCSI_DIR_OUT, 8);
	ck_assert_mem_eq(stpg, "\0\0\0\0\x01\0\xab\xcd", 8);
	cdb_pr_in(&c, SCSI_PR_READ_RESERVATION, 0x1234);
	expect(&c, "5e010000000000123400", SCSI_DIR_IN, 0x1234);
	cdb_pr_in(&c, SCSI_PR_READ_KEYS, 8);
	expect(&c, "5e000000000000000800", SCSI_DIR_IN, 8);
	cdb_pr_out(&c, pr, SCSI_PR_PREEMPT, SCSI_PR_WRITE_EXCLUSIVE_ALL, 0x1122334455667788ULL,
		   0x99aabbccddeeff01ULL);
	expect(&c, "5f040700000000001800", SCSI_DIR_OUT, 24);
	ck_assert_mem_eq(pr,
			 "\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x01"
			 "\0\0\0\0\0\0\0\0", 24);
	cdb_pr_out(&c, pr, SCSI_PR_REGISTER_AND_IGNORE, 0, 0, 1);
	expect(&c, "5f060000000000001800", SCSI_DIR_OUT, 24);
	ck_assert_mem_eq(pr, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0", 24);
}
END_TEST

START_TEST(every_opcode_has_a_name)
{
	char want[32];

	ck_assert_str_eq(scsi_opcode_name(0x88), "READ(16)");
	ck_assert_str_eq(scsi_opcode_name(0xa0), "REPORT LUNS");
	ck_assert_str_eq(scsi_opcode_name(0xa3), "REPORT TARGET PORT GROUPS");
	for (int i = 0; i < 256; i++) {
		const char *name = scsi_opcode_name((uint8_t)i);

		ck_assert_ptr_nonnull(name);
		snprintf(want, sizeof(want), "opcode 0x%02x", i);
		if (strncmp(name, "opcode", 6) == 0)
			ck_assert_str_eq(name, want);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_cdb");
	TCase *t = tcase_create("scsi_cdb");
	SRunner *sr;
	int failed;

	tcase_add_test(t, each_command);
	tcase_add_test(t, port_groups_and_reservations);
	tcase_add_test(t, every_opcode_has_a_name);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
