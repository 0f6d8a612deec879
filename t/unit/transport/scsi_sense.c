/* SPDX-License-Identifier: MIT */
/* Sense data in both formats, whole, cut and hostile. */
#include <check.h>
#include <stdlib.h>
#include "golden.h"
#include "transport/scsi.h"

/* tgt: INVALID FIELD IN CDB; a descriptor-format NOT READY, standby; a unit attention, deferred */
static const uint8_t fixed[18] = { 0x70, 0, 0x05, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0, 0x24, 0x00 };
static const uint8_t desc[] = { 0x72, 0x02, 0x04, 0x0b, 0, 0, 0, 0x0c,
				0x00, 0x0a, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1 };

static int parse(const uint8_t *p, size_t len)
{
	struct sense s;

	scsi_parse_sense(p, len, &s);
	ck_assert_uint_lt(s.key, 16);
	if (!s.valid)
		ck_assert(s.key == 0 && s.asc == 0 && s.ascq == 0 && !s.deferred);
	return s.valid;
}

START_TEST(both_formats)
{
	struct sense s;

	scsi_parse_sense(fixed, sizeof(fixed), &s);
	ck_assert(s.valid && s.key == 5 && s.asc == 0x24 && s.ascq == 0);
	scsi_parse_sense(desc, sizeof(desc), &s);
	ck_assert(s.valid && s.key == 2 && s.asc == 0x04 && s.ascq == 0x0b);
}
END_TEST

START_TEST(deferred_is_about_an_earlier_command)
{
	static const struct {
		uint8_t code;
		bool deferred;
	} codes[] = { { 0x70, false }, { 0x71, true }, { 0xf0, false }, { 0xf1, true },
		      { 0x72, false }, { 0x73, true } };
	uint8_t b[18];
	struct sense s;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		bool d = codes[i].code & 2;

		memcpy(b, d ? desc : fixed, sizeof(b));
		b[0] = codes[i].code;
		scsi_parse_sense(b, sizeof(b), &s);
		ck_assert(s.valid && s.key == (d ? 2 : 5));
		ck_assert(s.deferred == codes[i].deferred);
	}
	b[0] = 0x7f; /* vendor specific: not even that is known */
	scsi_parse_sense(b, sizeof(b), &s);
	ck_assert(!s.valid && !s.deferred);
}
END_TEST

START_TEST(short_and_unknown)
{
	uint8_t b[18];
	struct sense s;

	scsi_parse_sense(NULL, 0, &s);
	ck_assert(!s.valid);
	ck_assert_int_eq(parse_exact(parse, fixed, 2), 0);
	ck_assert_int_eq(parse_exact(parse, fixed, 3), 1);
	scsi_parse_sense(fixed, 12, &s); /* key, but no code */
	ck_assert(s.valid && s.key == 5 && s.asc == 0);
	memcpy(b, fixed, sizeof(b));
	b[7] = 0; /* says itself that it ends before the code */
	scsi_parse_sense(b, sizeof(b), &s);
	ck_assert(s.valid && s.key == 5 && s.asc == 0);
	b[0] = 0x7f;
	scsi_parse_sense(b, sizeof(b), &s);
	ck_assert(!s.valid);
	scsi_parse_sense(desc, 2, &s);
	ck_assert(s.valid && s.key == 2 && s.asc == 0);
}
END_TEST

START_TEST(hostile)
{
	mistreat(parse, fixed, sizeof(fixed));
	mistreat(parse, desc, sizeof(desc));
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(scsi_key_name(SCSI_KEY_UNIT_ATTENTION), "UNIT ATTENTION");
	ck_assert_str_eq(scsi_status_name(SCSI_ST_BUSY), "BUSY");
	for (int i = 0; i < 256; i++) {
		ck_assert_ptr_nonnull(scsi_key_name((uint8_t)i));
		ck_assert_ptr_nonnull(scsi_status_name((uint8_t)i));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_sense");
	TCase *t = tcase_create("scsi_sense");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, both_formats);
	tcase_add_test(t, deferred_is_about_an_earlier_command);
	tcase_add_test(t, short_and_unknown);
	tcase_add_test(t, hostile);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
