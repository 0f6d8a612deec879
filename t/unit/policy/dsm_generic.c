/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "fixture.h"
#include "policy/dsm.h"

enum { INQUIRY = 0x12, READ16 = 0x88, WRITE16 = 0x8a, SYNC16 = 0x91 };

#define SENSE(k, a, q) ((struct sense){ .valid = true, .key = (k), .asc = (a), .ascq = (q) })

static struct scsi_cmd command(uint8_t opcode, enum scsi_dir dir)
{
	struct scsi_cmd c = { .cdb = { opcode }, .cdb_len = 16, .dir = (uint8_t)dir };

	c.outcome = SCSI_OUT_STATUS;
	c.len = c.got = dir == SCSI_DIR_NONE ? 0 : 4096;
	return c;
}

static struct dsm_verdict judge(const struct scsi_cmd *c, unsigned attempt)
{
	return dsm_generic.verdict(c, attempt);
}

static void expect(const struct scsi_cmd *c, enum dsm_action action, unsigned effects, int err)
{
	struct dsm_verdict v = judge(c, 0);

	ck_assert_msg(v.action == action && v.effects == effects && v.err == err,
		      "status %02x sense %x/%02x/%02x: action %u effects %x err %d (%s)", c->status,
		      c->sense.key, c->sense.asc, c->sense.ascq, v.action, v.effects, v.err, v.why);
	ck_assert_ptr_nonnull(v.why);
	ck_assert_int_eq(v.why[0] == '\0', action == DSM_DONE);
}

/* What each row says, and next to each special one what its more general neighbour says. */
static const struct {
	uint8_t key, asc, ascq, action;
	unsigned effects;
	int err;
	bool delay;
} senses[] = {
	{ 0x0, 0x00, 0x00, DSM_DONE, 0, 0, false },
	{ 0x0, 0x5d, 0x10, DSM_DONE, 0, 0, false },
	{ 0x1, 0x17, 0x01, DSM_DONE, 0, 0, false },
	{ 0x1, 0x5d, 0x00, DSM_DONE, 0, 0, false },

	{ 0x2, 0x04, 0x00, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0x2, 0x04, 0x01, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0x2, 0x04, 0x02, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0x2, 0x04, 0x03, DSM_OTHER_PATH, DSM_COUNTED, 0, false },
	{ 0x2, 0x04, 0x09, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0x2, 0x04, 0x0a, DSM_OTHER_PATH, DSM_REGROUP, 0, false },
	{ 0x2, 0x04, 0x0b, DSM_OTHER_PATH, DSM_REGROUP, 0, false },
	{ 0x2, 0x04, 0x0c, DSM_OTHER_PATH, DSM_REGROUP, 0, false },
	{ 0x2, 0x04, 0x12, DSM_OTHER_PATH, DSM_REGROUP, 0, false },
	{ 0x2, 0x04, 0x0d, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0x2, 0x05, 0x0a, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0x2, 0x3a, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x2, 0x3a, 0x02, DSM_CLIENT_ERROR, 0, EIO, false },

	{ 0x3, 0x11, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x3, 0x0c, 0x02, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x4, 0x44, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x4, 0x67, 0x0a, DSM_OTHER_PATH, DSM_COUNTED | DSM_REGROUP, 0, false },
	{ 0x4, 0x67, 0x0b, DSM_CLIENT_ERROR, 0, EIO, false },

	{ 0x5, 0x20, 0x00, DSM_CLIENT_ERROR, DSM_UNSUPPORTED, ENOTSUP, false },
	{ 0x5, 0x20, 0x02, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x5, 0x24, 0x00, DSM_CLIENT_ERROR, DSM_UNSUPPORTED, ENOTSUP, false },
	{ 0x5, 0x26, 0x00, DSM_CLIENT_ERROR, DSM_UNSUPPORTED, ENOTSUP, false },
	{ 0x5, 0x26, 0x02, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x5, 0x21, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x5, 0x25, 0x00, DSM_FAIL_PATH, DSM_COUNTED | DSM_RESCAN, 0, false },
	{ 0x5, 0x25, 0x01, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x5, 0x49, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },

	{ 0x6, 0x28, 0x00, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x29, 0x00, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x29, 0x07, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x2a, 0x01, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x2a, 0x03, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x2a, 0x04, DSM_SAME_PATH, 0, 0, false },
	{ 0x6, 0x2a, 0x05, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x2a, 0x06, DSM_OTHER_PATH, DSM_REGROUP, 0, false },
	{ 0x6, 0x2a, 0x07, DSM_OTHER_PATH, DSM_REGROUP, 0, false },
	{ 0x6, 0x2a, 0x09, DSM_SAME_PATH, DSM_COUNTED | DSM_REGROW, 0, false },
	{ 0x6, 0x38, 0x07, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x38, 0x06, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x3f, 0x03, DSM_OTHER_PATH, DSM_COUNTED | DSM_REIDENTIFY, 0, false },
	{ 0x6, 0x3f, 0x0e, DSM_SAME_PATH, DSM_COUNTED | DSM_RESCAN, 0, false },
	{ 0x6, 0x3f, 0x01, DSM_SAME_PATH, DSM_COUNTED, 0, false },
	{ 0x6, 0x67, 0x0a, DSM_SAME_PATH, DSM_COUNTED, 0, false },

	{ 0x7, 0x27, 0x00, DSM_CLIENT_ERROR, 0, EPERM, false },
	{ 0x7, 0x27, 0x02, DSM_CLIENT_ERROR, 0, EPERM, false },
	{ 0x7, 0x27, 0x07, DSM_CLIENT_ERROR, 0, ENOSPC, false },
	{ 0x7, 0x20, 0x07, DSM_CLIENT_ERROR, 0, EIO, false },

	{ 0xb, 0x00, 0x00, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0xb, 0x47, 0x05, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0xe, 0x1d, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },

	{ 0x8, 0x00, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x9, 0x80, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0xa, 0x0d, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0xc, 0x00, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0xd, 0x00, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0xf, 0x00, 0x00, DSM_CLIENT_ERROR, 0, EIO, false },
};

START_TEST(verdict_of_each_sense)
{
	struct scsi_cmd c = command(READ16, SCSI_DIR_IN);

	c.status = SCSI_ST_CHECK_CONDITION;
	c.sense = SENSE(senses[_i].key, senses[_i].asc, senses[_i].ascq);
	expect(&c, senses[_i].action, senses[_i].effects, senses[_i].err);
	ck_assert_int_eq(judge(&c, 0).delay_ms > 0, senses[_i].delay);
}
END_TEST

/* Rows that differ from the general one below them only in what the log says. */
static const struct {
	uint8_t key, asc, ascq;
	const char *why;
} reasons[] = {
	{ 0x2, 0x04, 0x01, "becoming ready" },
	{ 0x2, 0x04, 0x00, "not ready" },
	{ 0x3, 0x11, 0x00, "medium error" },
	{ 0x4, 0x44, 0x00, "hardware error" },
	{ 0x5, 0x49, 0x00, "illegal request" },
	{ 0x7, 0x20, 0x02, "data protect" },
	{ 0xe, 0x1d, 0x00, "miscompare" },
	{ 0xd, 0x00, 0x00, "unexpected sense key" },
};

START_TEST(reason_of_each_sense)
{
	struct scsi_cmd c = command(READ16, SCSI_DIR_IN);

	c.status = SCSI_ST_CHECK_CONDITION;
	c.sense = SENSE(reasons[_i].key, reasons[_i].asc, reasons[_i].ascq);
	ck_assert_str_eq(judge(&c, 0).why, reasons[_i].why);
}
END_TEST

START_TEST(out_of_range_depends_on_the_direction)
{
	struct scsi_cmd c = command(READ16, SCSI_DIR_IN);

	c.status = SCSI_ST_CHECK_CONDITION;
	c.sense = SENSE(SCSI_KEY_ILLEGAL_REQUEST, 0x21, 0x00);
	expect(&c, DSM_CLIENT_ERROR, 0, EIO);
	c.dir = SCSI_DIR_OUT;
	expect(&c, DSM_CLIENT_ERROR, 0, ENOSPC);
	c.dir = SCSI_DIR_NONE;
	expect(&c, DSM_CLIENT_ERROR, 0, EIO);
}
END_TEST

static const struct {
	uint8_t status, action;
	unsigned effects;
	int err;
	bool delay;
} statuses[] = {
	{ 0x00, DSM_DONE, 0, 0, false },
	{ 0x04, DSM_OTHER_PATH, DSM_COUNTED, 0, false }, /* an answer to PRE-FETCH */
	{ 0x08, DSM_SAME_PATH, DSM_SHRINK_WINDOW, 0, true },
	{ 0x28, DSM_SAME_PATH, DSM_SHRINK_WINDOW, 0, true },
	{ 0x40, DSM_SAME_PATH, 0, 0, true },
	{ 0x30, DSM_SAME_PATH, DSM_COUNTED, 0, true },
	{ 0x18, DSM_CLIENT_ERROR, 0, EIO, false },
	{ 0x10, DSM_OTHER_PATH, DSM_COUNTED, 0, false }, /* obsolete: INTERMEDIATE */
	{ 0x22, DSM_OTHER_PATH, DSM_COUNTED, 0, false }, /* obsolete: COMMAND TERMINATED */
	{ 0x01, DSM_OTHER_PATH, DSM_COUNTED, 0, false },
	{ 0xff, DSM_OTHER_PATH, DSM_COUNTED, 0, false },
};

/* Also with sense data beside a status that has none: autosense of another time must not count. */
START_TEST(verdict_of_each_status)
{
	struct scsi_cmd c = command(WRITE16, SCSI_DIR_OUT);

	c.status = statuses[_i].status;
	expect(&c, statuses[_i].action, statuses[_i].effects, statuses[_i].err);
	ck_assert_int_eq(judge(&c, 0).delay_ms > 0, statuses[_i].delay);
	c.sense = SENSE(SCSI_KEY_MEDIUM_ERROR, 0x11, 0x00);
	expect(&c, statuses[_i].action, statuses[_i].effects, statuses[_i].err);
}
END_TEST

START_TEST(check_condition_without_sense)
{
	struct scsi_cmd c = command(WRITE16, SCSI_DIR_OUT);

	c.status = SCSI_ST_CHECK_CONDITION; /* the key of zeroes reads NO SENSE */
	expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
}
END_TEST

START_TEST(outcomes_below_scsi)
{
	struct scsi_cmd c = command(WRITE16, SCSI_DIR_OUT); /* status GOOD must not be looked at */

	c.outcome = SCSI_OUT_LOST;
	expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
	c.outcome = SCSI_OUT_REFUSED;
	expect(&c, DSM_OTHER_PATH, 0, 0);
	c.outcome = SCSI_OUT_ERROR;
	expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
	c.outcome = 77;
	expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
}
END_TEST

START_TEST(short_read_is_no_success)
{
	static const uint8_t reads[] = { 0x08, 0x28, 0xa8, 0x88 };
	static const uint8_t keys[] = { SCSI_KEY_NO_SENSE, SCSI_KEY_RECOVERED_ERROR };
	size_t i;

	for (i = 0; i < sizeof(reads); i++) {
		struct scsi_cmd c = command(reads[i], SCSI_DIR_IN);

		expect(&c, DSM_DONE, 0, 0);
		c.got = c.len - 1;
		expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
		c.got = 0;
		expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
		c.status = SCSI_ST_CONDITION_MET;
		expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
		c.status = SCSI_ST_CHECK_CONDITION;
		c.sense = SENSE(keys[i % 2], 0x17, 0x00);
		expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
		c.got = c.len;
		expect(&c, DSM_DONE, 0, 0);
	}
}
END_TEST

START_TEST(short_write_is_no_success)
{
	static const uint8_t writes[] = { WRITE16, 0x93 /* WRITE SAME(16) */ };
	size_t i;

	for (i = 0; i < sizeof(writes); i++) {
		struct scsi_cmd c = command(writes[i], SCSI_DIR_OUT);

		expect(&c, DSM_DONE, 0, 0);
		c.got = 512;
		expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
		c.status = SCSI_ST_CHECK_CONDITION;
		c.sense = (struct sense){ .valid = true, .key = SCSI_KEY_RECOVERED_ERROR };
		expect(&c, DSM_OTHER_PATH, DSM_COUNTED, 0);
	}
}
END_TEST

/* tgt says so of each one that it did, and for ever. */
START_TEST(short_unmap_list_is_believed)
{
	struct scsi_cmd c = command(0x42, SCSI_DIR_OUT);

	c.got = 0;
	expect(&c, DSM_DONE, 0, 0);
	c.status = SCSI_ST_CHECK_CONDITION;
	c.sense = (struct sense){ .valid = true, .key = SCSI_KEY_ILLEGAL_REQUEST, .asc = 0x26 };
	expect(&c, DSM_CLIENT_ERROR, DSM_UNSUPPORTED, ENOTSUP);
}
END_TEST

START_TEST(short_answer_to_others_is_normal)
{
	struct scsi_cmd c = command(INQUIRY, SCSI_DIR_IN);

	c.got = 36;
	expect(&c, DSM_DONE, 0, 0);
	c = command(SYNC16, SCSI_DIR_NONE);
	expect(&c, DSM_DONE, 0, 0);
}
END_TEST

/* An error with all bytes there is still an error. */
START_TEST(bytes_do_not_excuse_an_error)
{
	struct scsi_cmd c = command(READ16, SCSI_DIR_IN);

	c.status = SCSI_ST_CHECK_CONDITION;
	c.sense = SENSE(SCSI_KEY_MEDIUM_ERROR, 0x11, 0x00);
	expect(&c, DSM_CLIENT_ERROR, 0, EIO);
	c.got = 0;
	expect(&c, DSM_CLIENT_ERROR, 0, EIO);
}
END_TEST

static void expect_pauses(const struct scsi_cmd *c, uint32_t min, uint32_t max)
{
	uint32_t want = min;
	unsigned i;

	for (i = 0; i < 40; i++) {
		ck_assert_uint_eq(judge(c, i).delay_ms, want);
		want = want * 2 < max ? want * 2 : max;
	}
	ck_assert_uint_eq(judge(c, UINT32_MAX).delay_ms, max);
}

START_TEST(pauses_double_up_to_a_bound)
{
	struct scsi_cmd c = command(READ16, SCSI_DIR_IN);

	c.status = SCSI_ST_BUSY;
	expect_pauses(&c, 10, 500);
	c.status = SCSI_ST_TASK_SET_FULL;
	expect_pauses(&c, 10, 500);
	c.status = SCSI_ST_ACA_ACTIVE;
	expect_pauses(&c, 10, 500);
	c.status = SCSI_ST_TASK_ABORTED;
	expect_pauses(&c, 1, 100);
	c.status = SCSI_ST_CHECK_CONDITION;
	c.sense = (struct sense){ .valid = true, .key = SCSI_KEY_ABORTED_COMMAND };
	expect_pauses(&c, 1, 100);
	c.sense = SENSE(SCSI_KEY_NOT_READY, 0x04, 0x01);
	expect_pauses(&c, 100, 1000);
	c.sense = SENSE(SCSI_KEY_UNIT_ATTENTION, 0x29, 0x00);
	expect_pauses(&c, 0, 0);
}
END_TEST

static void sane(const struct scsi_cmd *c)
{
	struct dsm_verdict v = judge(c, 3);
	bool success =
		c->status == SCSI_ST_GOOD ||
		(c->status == SCSI_ST_CHECK_CONDITION && c->sense.key <= SCSI_KEY_RECOVERED_ERROR);

	if (v.action > DSM_FAIL_PATH || (v.action == DSM_DONE) != success || !v.why ||
	    (v.action == DSM_CLIENT_ERROR) != (v.err > 0) || v.err < 0 ||
	    v.effects >= DSM_WRITE_LOST || v.delay_ms > 1000 ||
	    (v.delay_ms && v.action != DSM_SAME_PATH))
		ck_abort_msg("status %02x sense %x/%02x/%02x: action %u err %d effects %x delay %u",
			     c->status, c->sense.key, c->sense.asc, c->sense.ascq, v.action, v.err,
			     v.effects, v.delay_ms);
}

/*
 * Every sense there can be under CHECK CONDITION (all 256 keys, though there are 16), and every
 * status with every key and asc. The ascq of the latter is cut to those that the table knows, as
 * only CHECK CONDITION has sense data.
 */
START_TEST(sweep_of_everything_a_target_can_say)
{
	static const uint8_t ascqs[] = { 0x00, 0x03, 0x04, 0x07, 0x09, 0x0a, 0x0e, 0xff };
	struct scsi_cmd c = command(WRITE16, SCSI_DIR_OUT);
	uint32_t i;

	c.sense.valid = true;
	c.status = SCSI_ST_CHECK_CONDITION;
	for (i = 0; i < 1 << 24; i++) {
		c.sense.key = (uint8_t)(i >> 16);
		c.sense.asc = (uint8_t)(i >> 8);
		c.sense.ascq = (uint8_t)i;
		sane(&c);
	}
	for (i = 0; i < 256 * 16 * 256 * 8; i++) {
		c.status = (uint8_t)(i >> 15);
		c.sense.key = i >> 11 & 0xf;
		c.sense.asc = (uint8_t)(i >> 3);
		c.sense.ascq = ascqs[i & 7];
		sane(&c);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dsm_generic");
	TCase *tc = tcase_create("verdict");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, verdict_of_each_sense, 0, sizeof(senses) / sizeof(senses[0]));
	tcase_add_loop_test(tc, reason_of_each_sense, 0, sizeof(reasons) / sizeof(reasons[0]));
	tcase_add_loop_test(tc, verdict_of_each_status, 0, sizeof(statuses) / sizeof(statuses[0]));
	tcase_add_test(tc, out_of_range_depends_on_the_direction);
	tcase_add_test(tc, check_condition_without_sense);
	tcase_add_test(tc, outcomes_below_scsi);
	tcase_add_test(tc, short_read_is_no_success);
	tcase_add_test(tc, short_write_is_no_success);
	tcase_add_test(tc, short_unmap_list_is_believed);
	tcase_add_test(tc, short_answer_to_others_is_normal);
	tcase_add_test(tc, bytes_do_not_excuse_an_error);
	tcase_add_test(tc, pauses_double_up_to_a_bound);
	tcase_add_test(tc, sweep_of_everything_a_target_can_say);
	suite_add_tcase(s, tc);
	return fixture_run(s);
}
