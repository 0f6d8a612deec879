/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "fixture.h"
#include "policy/dsm.h"

START_TEST(generic_is_last)
{
	size_t i = 0;

	while (dsm_all[i])
		i++;
	ck_assert_uint_ge(i, 1);
	ck_assert_ptr_eq(dsm_all[i - 1], &dsm_generic);
}
END_TEST

START_TEST(modules_are_complete_and_names_unique)
{
	size_t i, k;

	for (i = 0; dsm_all[i]; i++) {
		ck_assert_ptr_nonnull(dsm_all[i]->claim);
		ck_assert_ptr_nonnull(dsm_all[i]->verdict);
		for (k = 0; k < i; k++)
			ck_assert_str_ne(dsm_all[k]->name, dsm_all[i]->name);
	}
	ck_assert_str_eq(dsm_generic.name, "generic");
}
END_TEST

START_TEST(every_disk_is_claimed_by_the_first_that_wants_it)
{
	static const struct scsi_inquiry inq[] = {
		{ .vendor = "IET", .product = "VIRTUAL-DISK", .version = 5 },
		{ .vendor = "LIO-ORG", .product = "FILEIO", .version = 6, .tpgs = 3 },
		{ .vendor = "", .product = "" },
	};
	size_t i, k;

	for (i = 0; i < sizeof(inq) / sizeof(inq[0]); i++) {
		static const struct scsi_device_id id;
		struct dsm_device d = { &inq[i], &id, "" };

		for (k = 0; dsm_all[k] && !dsm_all[k]->claim(&d); k++)
			;
		ck_assert_ptr_nonnull(dsm_all[k]);
		ck_assert_ptr_eq(dsm_claim(&d, NULL), dsm_all[k]);
	}
}
END_TEST

/* Vendor modules, then whatever reports target port groups, then the rest. */
START_TEST(order_of_claims)
{
	static const struct {
		struct scsi_inquiry inq;
		const struct dsm *dsm;
	} disks[] = {
		{ { .vendor = "LIO-ORG", .product = "FILEIO", .version = 6, .tpgs = 3 }, &dsm_lio },
		{ { .vendor = "LIO-ORG", .product = "IBLOCK", .version = 5, .tpgs = 0 }, &dsm_lio },
		{ { .vendor = "IET", .product = "VIRTUAL-DISK", .version = 5 }, &dsm_tgt },
		{ { .vendor = "IET", .product = "OTHER", .version = 5, .tpgs = 1 }, &dsm_alua },
		{ { .vendor = "ACME", .product = "ARRAY", .version = 6, .tpgs = 1 }, &dsm_alua },
		{ { .vendor = "ACME", .product = "ARRAY", .version = 6, .tpgs = 2 }, &dsm_alua },
		{ { .vendor = "ACME", .product = "DISK", .version = 6 }, &dsm_generic },
	};
	static const struct scsi_device_id id;

	for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
		struct dsm_device d = { &disks[i].inq, &id, "" };

		ck_assert_str_eq(dsm_claim(&d, NULL)->name, disks[i].dsm->name);
		ck_assert_str_eq(dsm_claim(&d, "generic")->name, "generic"); /* [hardware] goes before */
		ck_assert_str_eq(dsm_claim(&d, "nobody")->name, disks[i].dsm->name);
	}
}
END_TEST

START_TEST(default_policy_follows_the_storage)
{
	struct dsm own = dsm_generic;

	ck_assert_str_eq(dsm_default_policy(&dsm_generic, false), "round-robin");
	ck_assert_str_eq(dsm_default_policy(&dsm_alua, true), "round-robin-subset");
	own.policy = "failover-only";
	ck_assert_str_eq(dsm_default_policy(&own, true), "failover-only");
}
END_TEST

START_TEST(older_than_spc3_only_when_listed)
{
	struct scsi_inquiry inq = { .version = 4 };

	ck_assert(!dsm_version_ok(&inq, false));
	ck_assert(dsm_version_ok(&inq, true));
	inq.version = 5;
	ck_assert(dsm_version_ok(&inq, false));
	inq.version = 0; /* "does not claim conformance": not even that */
	ck_assert(!dsm_version_ok(&inq, false));
}
END_TEST

START_TEST(tgt_is_known_by_the_scsi_id_that_an_administrator_gave)
{
	static const struct {
		const char *t10, *id;
	} cases[] = {
		{ "t10.IET     00010001", NULL }, /* made up from target 1, LUN 1 */
		{ "t10.IET     0001000g", "t10.IET     0001000g" },
		{ "t10.IET     000100011", "t10.IET     000100011" },
		{ "t10.database-disk-7", "t10.database-disk-7" },
		{ "", NULL },
	};
	static const struct scsi_inquiry inq = { .vendor = "IET", .product = "VIRTUAL-DISK", .version = 5 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scsi_device_id id = { 0 };
		struct dsm_device d = { &inq, &id, "" };
		char out[SCSI_ID_MAX] = "";

		strcpy(id.t10, cases[i].t10);
		ck_assert_int_eq(dsm_tgt.identity(&d, out, sizeof(out)), cases[i].id != NULL);
		ck_assert_str_eq(out, cases[i].id ? cases[i].id : "");
		ck_assert(!dsm_tgt.identity(&d, out, 4)); /* no room: never half an identifier */
	}
}
END_TEST

START_TEST(lio_backing_store_error_ends)
{
	struct scsi_cmd c = { .outcome = SCSI_OUT_STATUS, .status = SCSI_ST_CHECK_CONDITION };
	struct dsm_verdict v;
	uint32_t ms = 0;
	unsigned tries;

	c.sense = (struct sense){ .valid = true, .key = SCSI_KEY_NOT_READY, .asc = 0x08 };
	for (tries = 0; v = dsm_lio.verdict(&c, tries), v.action == DSM_SAME_PATH; tries++)
		ms += v.delay_ms;
	ck_assert_uint_eq(v.action, DSM_CLIENT_ERROR);
	ck_assert_int_eq(v.err, EIO);
	ck_assert_uint_gt(ms, 5000);
	ck_assert_uint_lt(ms, 10000);
	ck_assert_uint_eq(dsm_generic.verdict(&c, tries).action, DSM_SAME_PATH);
	c.sense.ascq = 1;
	ck_assert_uint_eq(dsm_lio.verdict(&c, tries).action, DSM_SAME_PATH);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dsm");
	TCase *tc = tcase_create("claim");

	tcase_add_test(tc, generic_is_last);
	tcase_add_test(tc, modules_are_complete_and_names_unique);
	tcase_add_test(tc, every_disk_is_claimed_by_the_first_that_wants_it);
	tcase_add_test(tc, order_of_claims);
	tcase_add_test(tc, default_policy_follows_the_storage);
	tcase_add_test(tc, older_than_spc3_only_when_listed);
	tcase_add_test(tc, tgt_is_known_by_the_scsi_id_that_an_administrator_gave);
	tcase_add_test(tc, lio_backing_store_error_ends);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
