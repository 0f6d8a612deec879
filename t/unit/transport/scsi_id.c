/* SPDX-License-Identifier: MIT */
/* VPD page 83h: the right name for a unit, and never that of something else. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "golden.h"
#include "transport/scsi.h"

static int parse(const uint8_t *p, size_t len)
{
	struct scsi_device_id id;
	int r = scsi_parse_vpd_device_id(p, len, &id);

	ck_assert_uint_lt(strnlen(id.id, sizeof(id.id)), sizeof(id.id));
	ck_assert_uint_lt(strnlen(id.t10, sizeof(id.t10)), sizeof(id.t10));
	ck_assert((r == 0) == (id.id[0] != '\0'));
	ck_assert(r == 0 || id.t10[0] == '\0');
	return r;
}

/* One page out of designators written as {code set, type byte, length, data...}. */
struct page {
	uint8_t b[1024];
	size_t n;
};

static void begin(struct page *p)
{
	memset(p, 0, sizeof(*p));
	p->b[1] = 0x83;
	p->n = 4;
}

static void add(struct page *p, uint8_t code_set, uint8_t assoc_type, const char *data, size_t n)
{
	p->b[p->n] = code_set;
	p->b[p->n + 1] = assoc_type;
	p->b[p->n + 3] = (uint8_t)n;
	memcpy(p->b + p->n + 4, data, n);
	p->n += 4 + n;
	p->b[2] = (uint8_t)((p->n - 4) >> 8);
	p->b[3] = (uint8_t)(p->n - 4);
}

static const char *id_of(const struct page *p)
{
	static struct scsi_device_id id;

	return scsi_parse_vpd_device_id(p->b, p->n, &id) == 0 ? id.id : "none";
}

START_TEST(real_targets)
{
	struct scsi_device_id id;

	ck_assert_int_eq(scsi_parse_vpd_device_id(tgt_id, sizeof(tgt_id), &id), 0);
	ck_assert_str_eq(id.id, "naa.60000000000000000e00000000010001");
	ck_assert_str_eq(id.t10, "t10.IET     00010001");
	ck_assert_int_eq(id.relative_port, -1);
	ck_assert_int_eq(id.port_group, -1);

	ck_assert_uint_eq(sizeof(full_id), 4u + 0x74);
	ck_assert_int_eq(scsi_parse_vpd_device_id(full_id, sizeof(full_id), &id), 0);
	ck_assert_str_eq(id.id, "naa.6001405a123456789abcdef011223344");
	ck_assert_str_eq(id.t10, "t10.LIO-ORG FILEIO:abc");
	ck_assert_int_eq(id.relative_port, 2);
	ck_assert_int_eq(id.port_group, 7);
}
END_TEST

START_TEST(precedence)
{
	struct page p;

	begin(&p);
	ck_assert_str_eq(id_of(&p), "none");
	add(&p, 2, 0x00, "shelf 7 ", 8);
	ck_assert_str_eq(id_of(&p), "vendor.shelf 7");
	add(&p, 2, 0x01, "ACME    one", 11);
	ck_assert_str_eq(id_of(&p), "t10.ACME    one");
	add(&p, 1, 0x02, "\x00\x11\x22\x33\x44\x55\x66\x77", 8);
	ck_assert_str_eq(id_of(&p), "eui.0011223344556677");
	add(&p, 1, 0x03, "\x50\x00\x00\x00\x00\x00\x00\x01", 8);
	ck_assert_str_eq(id_of(&p), "naa.5000000000000001");
	add(&p, 1, 0x03, "\x50\x00\x00\x00\x00\x00\x00\x02", 8); /* a tie: the first stays */
	ck_assert_str_eq(id_of(&p), "naa.5000000000000001");
	add(&p, 1, 0x03, "\x60\x00\x00\x00\x00\x00\x00\x02\0\0\0\0\0\0\0\x09", 16);
	ck_assert_str_eq(id_of(&p), "naa.60000000000000020000000000000009");
	add(&p, 3, 0x08, "iqn.2026-01.a:b\0", 16);
	ck_assert_str_eq(id_of(&p), "name.iqn.2026-01.a:b");
}
END_TEST

START_TEST(the_t10_name_alone)
{
	struct scsi_device_id id;
	struct page p;

	begin(&p);
	add(&p, 1, 0x03, "\x50\x00\x00\x00\x00\x00\x00\x01", 8);
	ck_assert_int_eq(scsi_parse_vpd_device_id(p.b, p.n, &id), 0);
	ck_assert_str_eq(id.t10, "");
	add(&p, 2, 0x91, "ACME    port", 12);
	add(&p, 2, 0x01, "ACME    ", 8); /* says nothing */
	ck_assert_int_eq(scsi_parse_vpd_device_id(p.b, p.n, &id), 0);
	ck_assert_str_eq(id.t10, "");
	add(&p, 2, 0x01, "ACME    one", 11);
	add(&p, 2, 0x01, "ACME    longer", 14);
	add(&p, 2, 0x01, "ACME    late", 12);
	add(&p, 2, 0x00, "ACME    of the vendor", 21);
	ck_assert_int_eq(scsi_parse_vpd_device_id(p.b, p.n, &id), 0);
	ck_assert_str_eq(id.t10, "t10.ACME    longer");
	ck_assert_str_eq(id.id, "naa.5000000000000001");
}
END_TEST

START_TEST(a_port_never_names_a_unit)
{
	struct page p;

	begin(&p);
	add(&p, 3, 0x98, "iqn.2026-01.a:b,t,1\0", 20);
	add(&p, 1, 0x93, "\x50\x00\x00\x00\x00\x00\x00\x01", 8);
	add(&p, 1, 0xa3, "\x50\x00\x00\x00\x00\x00\x00\x01", 8);
	add(&p, 1, 0xb3, "\x50\x00\x00\x00\x00\x00\x00\x01", 8); /* reserved association */
	ck_assert_int_eq(parse(p.b, p.n), -ENODATA);
}
END_TEST

START_TEST(names_that_may_not_be_unique)
{
	struct page p;
	char longest[252];

	begin(&p);
	add(&p, 1, 0x03, "\0\0\0\0\0\0\0\0", 8);
	add(&p, 1, 0x02, "\0\0\0\0\0\0\0\0", 8);
	add(&p, 2, 0x00, "00000000", 8);
	add(&p, 2, 0x01, "ACME    ", 8);
	add(&p, 1, 0x03, "\x60", 1);
	add(&p, 3, 0x08, "", 0);
	memset(longest, '\x01', sizeof(longest)); /* 4 characters each: would not fit */
	add(&p, 1, 0x00, longest, sizeof(longest));
	ck_assert_str_eq(id_of(&p), "none");
	memset(longest, 'a', sizeof(longest));
	add(&p, 2, 0x00, longest, sizeof(longest));
	ck_assert_uint_eq(strlen(id_of(&p)), 7 + sizeof(longest));
}
END_TEST

START_TEST(text_is_injective)
{
	struct page p;

	begin(&p);
	add(&p, 2, 0x01, "ACME    a\\x01", 13);
	ck_assert_str_eq(id_of(&p), "t10.ACME    a\\x5cx01");
	begin(&p);
	add(&p, 1, 0x01, "ACME    a\x01", 10);
	ck_assert_str_eq(id_of(&p), "t10.ACME    a\\x01");
}
END_TEST

START_TEST(a_cut_page_gives_no_name)
{
	for (size_t n = 4; n < sizeof(full_id); n++)
		ck_assert_int_eq(parse_exact(parse, full_id, n), -EPROTO);
	for (size_t n = 0; n < 4; n++)
		ck_assert_int_eq(parse_exact(parse, full_id, n), -ENODATA);
}
END_TEST

START_TEST(a_designator_past_the_end)
{
	struct page p;

	begin(&p);
	add(&p, 1, 0x03, "\x50\x00\x00\x00\x00\x00\x00\x01", 8);
	p.b[7]++;
	ck_assert_int_eq(parse_exact(parse, p.b, p.n), -EPROTO);
	p.b[7]--;
	p.b[3] = (uint8_t)(p.b[3] + 3); /* half a header */
	ck_assert_int_eq(parse_exact(parse, p.b, p.n + 3), -EPROTO);
}
END_TEST

START_TEST(hostile)
{
	mistreat(parse, tgt_id, sizeof(tgt_id));
	mistreat(parse, full_id, sizeof(full_id));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_id");
	TCase *t = tcase_create("scsi_id");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, real_targets);
	tcase_add_test(t, precedence);
	tcase_add_test(t, the_t10_name_alone);
	tcase_add_test(t, a_port_never_names_a_unit);
	tcase_add_test(t, names_that_may_not_be_unique);
	tcase_add_test(t, text_is_injective);
	tcase_add_test(t, a_cut_page_gives_no_name);
	tcase_add_test(t, a_designator_past_the_end);
	tcase_add_test(t, hostile);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
