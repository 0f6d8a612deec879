/* SPDX-License-Identifier: MIT */
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

int main(void)
{
	Suite *s = suite_create("dsm");
	TCase *tc = tcase_create("claim");

	tcase_add_test(tc, generic_is_last);
	tcase_add_test(tc, modules_are_complete_and_names_unique);
	tcase_add_test(tc, every_disk_is_claimed_by_the_first_that_wants_it);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
