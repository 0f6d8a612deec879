/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include "fixture.h"
#include "policy/verdict.h"

#define NONE DSM_ALUA_UNKNOWN

/* One line for each row of the table, in its order: an example of what leads there, and what it leads to. */
static const struct {
	uint8_t outcome, status, key, asc, ascq;
	uint8_t action, alua;
	unsigned effects;
	int err;
	uint32_t delay_ms;
} rows[] = {
	{ SCSI_OUT_LOST, 0, 0, 0, 0, DSM_OTHER_PATH, NONE, DSM_COUNTED, 0, 0 },
	{ SCSI_OUT_REFUSED, 0, 0, 0, 0, DSM_OTHER_PATH, NONE, 0, 0, 0 },
	{ SCSI_OUT_RESPONSE, 0, 0, 0, 0, DSM_OTHER_PATH, NONE, DSM_COUNTED, 0, 0 },
	{ SCSI_OUT_ERROR, 0, 0, 0, 0, DSM_OTHER_PATH, NONE, DSM_COUNTED, 0, 0 },
	{ SCSI_OUT_STATUS, 0x00, 0, 0, 0, DSM_DONE, NONE, 0, 0, 0 },
	{ SCSI_OUT_STATUS, 0x04, 0, 0, 0, DSM_DONE, NONE, 0, 0, 0 },
	{ SCSI_OUT_STATUS, 0x08, 0, 0, 0, DSM_SAME_PATH, NONE, DSM_SHRINK_WINDOW, 0, 10 },
	{ SCSI_OUT_STATUS, 0x28, 0, 0, 0, DSM_SAME_PATH, NONE, DSM_SHRINK_WINDOW, 0, 10 },
	{ SCSI_OUT_STATUS, 0x40, 0, 0, 0, DSM_SAME_PATH, NONE, 0, 0, 1 },
	{ SCSI_OUT_STATUS, 0x30, 0, 0, 0, DSM_SAME_PATH, NONE, DSM_COUNTED, 0, 10 },
	{ SCSI_OUT_STATUS, 0x18, 0, 0, 0, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 2, 0x0, 0x00, 0x00, DSM_DONE, NONE, 0, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x1, 0x17, 0x01, DSM_DONE, NONE, 0, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x2, 0x04, 0x01, DSM_SAME_PATH, NONE, DSM_COUNTED, 0, 100 },
	{ SCSI_OUT_STATUS, 2, 0x2, 0x04, 0x03, DSM_OTHER_PATH, NONE, DSM_COUNTED, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x2, 0x04, 0x0a, DSM_OTHER_PATH, DSM_ALUA_TRANSITIONING, DSM_REGROUP, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x2, 0x04, 0x0b, DSM_OTHER_PATH, DSM_ALUA_STANDBY, DSM_REGROUP, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x2, 0x04, 0x0c, DSM_OTHER_PATH, DSM_ALUA_UNAVAILABLE, DSM_REGROUP, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x2, 0x04, 0x12, DSM_OTHER_PATH, DSM_ALUA_OFFLINE, DSM_REGROUP, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x2, 0x3a, 0x02, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 2, 0x2, 0x08, 0x00, DSM_SAME_PATH, NONE, DSM_COUNTED, 0, 100 },
	{ SCSI_OUT_STATUS, 2, 0x3, 0x11, 0x00, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 2, 0x4, 0x67, 0x0a, DSM_OTHER_PATH, NONE, DSM_COUNTED | DSM_REGROUP, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x4, 0x44, 0x00, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 2, 0x5, 0x20, 0x00, DSM_CLIENT_ERROR, NONE, DSM_UNSUPPORTED, ENOTSUP, 0 },
	{ SCSI_OUT_STATUS, 2, 0x5, 0x24, 0x00, DSM_CLIENT_ERROR, NONE, DSM_UNSUPPORTED, ENOTSUP, 0 },
	{ SCSI_OUT_STATUS, 2, 0x5, 0x26, 0x00, DSM_CLIENT_ERROR, NONE, DSM_UNSUPPORTED, ENOTSUP, 0 },
	{ SCSI_OUT_STATUS, 2, 0x5, 0x21, 0x00, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 2, 0x5, 0x25, 0x00, DSM_FAIL_PATH, NONE, DSM_COUNTED | DSM_RESCAN, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x5, 0x49, 0x00, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 2, 0x6, 0x2a, 0x04, DSM_SAME_PATH, NONE, 0, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x6, 0x2a, 0x06, DSM_OTHER_PATH, NONE, DSM_REGROUP, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x6, 0x2a, 0x07, DSM_OTHER_PATH, NONE, DSM_REGROUP, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x6, 0x2a, 0x09, DSM_SAME_PATH, NONE, DSM_COUNTED | DSM_REGROW, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x6, 0x38, 0x07, DSM_SAME_PATH, NONE, DSM_COUNTED, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x6, 0x3f, 0x03, DSM_OTHER_PATH, NONE, DSM_COUNTED | DSM_REIDENTIFY, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x6, 0x3f, 0x0e, DSM_SAME_PATH, NONE, DSM_COUNTED | DSM_RESCAN, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x6, 0x29, 0x00, DSM_SAME_PATH, NONE, DSM_COUNTED, 0, 0 },
	{ SCSI_OUT_STATUS, 2, 0x7, 0x27, 0x07, DSM_CLIENT_ERROR, NONE, 0, ENOSPC, 0 },
	{ SCSI_OUT_STATUS, 2, 0x7, 0x27, 0x00, DSM_CLIENT_ERROR, NONE, 0, EPERM, 0 },
	{ SCSI_OUT_STATUS, 2, 0x7, 0x20, 0x07, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 2, 0xb, 0x47, 0x05, DSM_SAME_PATH, NONE, DSM_COUNTED, 0, 1 },
	{ SCSI_OUT_STATUS, 2, 0xe, 0x1d, 0x00, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 2, 0xd, 0x00, 0x00, DSM_CLIENT_ERROR, NONE, 0, EIO, 0 },
	{ SCSI_OUT_STATUS, 0x22, 0, 0, 0, DSM_OTHER_PATH, NONE, DSM_COUNTED, 0, 0 },
};
#define NROWS ((int)(sizeof(rows) / sizeof(rows[0])))

static struct scsi_cmd example(int i)
{
	struct scsi_cmd c = { .cdb = { 0x88 }, .cdb_len = 16, .dir = SCSI_DIR_IN, .len = 4096, .got = 4096 };

	if (rows[i].status == SCSI_ST_CONDITION_MET) /* nothing else is answered with it */
		c = (struct scsi_cmd){ .cdb = { 0x90 }, .cdb_len = 16 };
	c.outcome = rows[i].outcome;
	c.status = rows[i].status;
	c.response = 1;
	c.sense = (struct sense){ .valid = rows[i].status == 2,
				  .key = rows[i].key,
				  .asc = rows[i].asc,
				  .ascq = rows[i].ascq };
	return c;
}

START_TEST(each_row_has_its_example)
{
	ck_assert_int_eq(NROWS, verdict_nrows);
}
END_TEST

START_TEST(verdict_of_row)
{
	struct scsi_cmd c = example(_i);
	struct dsm_verdict v = dsm_generic.verdict(&c, 0);

	ck_assert_ptr_eq(verdict_find(&c), &verdict_rows[_i]);
	ck_assert_msg(v.action == rows[_i].action && v.alua == rows[_i].alua &&
			      v.effects == rows[_i].effects && v.err == rows[_i].err &&
			      v.delay_ms == rows[_i].delay_ms,
		      "row %d (%s): action %u alua %x effects %x err %d delay %u", _i, v.why, v.action,
		      v.alua, v.effects, v.err, v.delay_ms);
}
END_TEST

START_TEST(each_row_names_its_clause_and_reason)
{
	const struct verdict_row *r = &verdict_rows[_i];

	ck_assert(!strncmp(r->clause, "SPC-4 ", 6) || !strncmp(r->clause, "SBC-3 ", 6) ||
		  !strncmp(r->clause, "SAM-5 ", 6) || !strncmp(r->clause, "RFC 7143 ", 9));
	ck_assert_int_eq(r->why[0] == '\0', r->action == DSM_DONE);
	for (int k = 0; k < _i; k++)
		ck_assert(!r->why[0] || strcmp(r->why, verdict_rows[k].why));
}
END_TEST

START_TEST(deferred_sense_is_not_about_this_command)
{
	struct scsi_cmd c = example(21); /* a medium error */
	struct dsm_verdict v;

	c.sense.deferred = true;
	v = dsm_generic.verdict(&c, 0);
	ck_assert_uint_eq(v.action, DSM_SAME_PATH);
	ck_assert_uint_eq(v.effects, DSM_COUNTED | DSM_WRITE_LOST);
	c.sense.key = SCSI_KEY_RECOVERED_ERROR;
	v = dsm_generic.verdict(&c, 0);
	ck_assert_uint_eq(v.action, DSM_SAME_PATH);
	ck_assert_uint_eq(v.effects, DSM_COUNTED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("verdict");
	TCase *tc = tcase_create("table");

	tcase_add_test(tc, each_row_has_its_example);
	tcase_add_loop_test(tc, verdict_of_row, 0, NROWS);
	tcase_add_loop_test(tc, each_row_names_its_clause_and_reason, 0, NROWS);
	tcase_add_test(tc, deferred_sense_is_not_about_this_command);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
