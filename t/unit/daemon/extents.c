/* SPDX-License-Identifier: MIT */
/* daemon/extents.c: what a range is said to be, from what the storage says; and CACHE and quick zeroes (request.c). */
#include "model.h"

static struct model m;
static struct scsi_cmd *sent;  /* the last command */
static int nsent, ndone;
static struct request r;

static int on_submit(void *arg, struct session *s, struct scsi_cmd *cmd)
{
	sent = cmd;
	nsent++;
	return 0;
}

static void on_done(void *arg, struct request *req)
{
	ck_assert_ptr_eq(req, &r);
	ndone++;
}

static void up(void)
{
	static struct engine_ops ops;

	model_start(&m);
	ops = model_ops;
	ops.submit = on_submit;
	ops.request_done = on_done;
	m.engine->ops = &ops;
	m.db->reads_zero = true;
	m.db->prov.ws16_unmap = false;
	sent = NULL;
	nsent = ndone = 0;
	memset(&r, 0, sizeof(r));
}

static void down(void)
{
	buf_put(r.buf);
	model_stop(&m);
}

static void submit(enum request_op op, uint64_t offset, uint32_t len)
{
	buf_put(r.buf);
	r.buf = NULL;
	r.lun = m.db;
	r.op = (uint8_t)op;
	r.offset = offset;
	r.len = len;
	ndone = 0;
	engine_submit(m.engine, &r);
}

static void be(uint8_t *p, uint64_t v, int n)
{
	while (n--) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

/* Descriptors of `blocks` blocks each, the status of each a digit. */
static void answer(uint64_t lba, uint32_t blocks, const char *digits)
{
	struct scsi_cmd *c = sent;
	uint8_t *p = c->iov[0].iov_base;
	uint32_t n = (uint32_t)strlen(digits);

	ck_assert_uint_le(8 + 16 * n, c->len);
	memset(p, 0, c->len);
	be(p, 4 + 16 * n, 4);
	for (uint32_t i = 0; i < n; i++, lba += blocks) {
		be(p + 8 + 16 * i, lba, 8);
		be(p + 16 + 16 * i, blocks, 4);
		p[20 + 16 * i] = (uint8_t)(digits[i] - '0');
	}
	c->got = 8 + 16 * n;
	c->outcome = SCSI_OUT_STATUS;
	c->status = SCSI_ST_GOOD;
	engine_cmd_done(m.engine, c);
}

static void good(void)
{
	sent->outcome = SCSI_OUT_STATUS;
	sent->status = SCSI_ST_GOOD;
	sent->got = sent->len;
	engine_cmd_done(m.engine, sent);
}

static void refuse(uint8_t key, uint8_t asc)
{
	sent->outcome = SCSI_OUT_STATUS;
	sent->status = SCSI_ST_CHECK_CONDITION;
	sent->sense = (struct sense){ .valid = true, .key = key, .asc = asc };
	engine_cmd_done(m.engine, sent);
}

static void expect_cdb(uint8_t opcode, uint64_t lba)
{
	uint64_t at = 0;

	ck_assert_uint_eq(sent->cdb[0], opcode);
	for (int i = 2; i < 10; i++)
		at = at << 8 | sent->cdb[i];
	ck_assert_uint_eq(at, lba);
}

static void expect_extent(uint32_t i, uint32_t len, uint32_t flags)
{
	struct request_extent *x = (void *)r.data;

	ck_assert_int_eq(ndone, 1);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_lt(i, r.nextents);
	ck_assert_uint_eq(x[i].len, len);
	ck_assert_uint_eq(x[i].flags, flags);
}

/* Every state, cut to the bytes that were asked for; neighbours of one kind are one. */
START_TEST(states)
{
	submit(REQUEST_STATUS, 1000, 10000);
	ck_assert_uint_eq(sent->cdb[1], 0x12);
	expect_cdb(0x9e, 1);
	answer(0, 4, "011200"); /* begins before, ends behind */
	ck_assert_uint_eq(r.nextents, 4);
	expect_extent(0, 2048 - 1000, 0);
	expect_extent(1, 4096, 3);
	expect_extent(2, 2048, 2);
	expect_extent(3, 11000 - 8192, 0);
	m.db->reads_zero = false;
	submit(REQUEST_STATUS, 0, 4096 * 3);
	answer(0, 8, "102");
	expect_extent(0, 4096, 1);
	expect_extent(1, 8192, 0); /* mapped and anchored are one then */
	ck_assert_int_eq(nsent, 2);
}
END_TEST

START_TEST(one_is_enough)
{
	r.one = true;
	submit(REQUEST_STATUS, 512, 1 << 20);
	answer(1, 4, "1101");
	expect_extent(0, 4096, 3);
	ck_assert_uint_eq(r.nextents, 1);
	submit(REQUEST_STATUS, 512, 1 << 20);
	answer(1, 4, "00");
	expect_extent(0, 4096, 0);
	ck_assert_int_eq(nsent, 2);
}
END_TEST

/* The storage tells a part at a time: asked on, but not for ever. */
START_TEST(parts)
{
	submit(REQUEST_STATUS, 0, 20 << 20);
	for (uint64_t lba = 0; !ndone; lba += 8) {
		expect_cdb(0x9e, lba);
		answer(lba, 8, lba % 16 ? "1" : "0");
	}
	ck_assert_int_eq(nsent, 16);
	ck_assert_uint_eq(r.nextents, 16);
	expect_extent(0, 4096, 0);
	expect_extent(15, 4096, 3);
	/* and the number of extents has its bound */
	nsent = 0;
	submit(REQUEST_STATUS, 0, 20 << 20);
	for (uint64_t lba = 0; !ndone; lba += 200) {
		char many[201] = "";

		for (int i = 0; i < 200; i++)
			many[i] = i % 2 ? '1' : '0';
		answer(lba, 1, many);
	}
	ck_assert_uint_eq(r.nextents, REQUEST_EXTENTS_MAX);
	expect_extent(REQUEST_EXTENTS_MAX - 1, 512, 3);
	ck_assert_int_eq(nsent, 6);
	ck_assert_uint_eq(m.engine->inflight_bytes, 0);
}
END_TEST

/* Thick, or it does not know the command, or says nonsense: all of it holds data, and nobody asks again. */
START_TEST(storage_that_does_not_say)
{
	for (int how = 0; how < 6; how++) {
		int n = nsent + (how > 0);

		m.db->no_lba_status = !how;
		submit(REQUEST_STATUS, 77, 100000);
		ck_assert_int_eq(nsent, n);
		if (how == 1)
			refuse(SCSI_KEY_ILLEGAL_REQUEST, 0x20);
		else if (how == 2)
			refuse(SCSI_KEY_MEDIUM_ERROR, 0x11);
		else if (how == 3)
			answer(0, 8, ""); /* nothing */
		else if (how == 4)
			answer(8, 8, "1"); /* begins behind what was asked for */
		else if (how == 5)
			answer(0, 0, "1"); /* no blocks */
		ck_assert_uint_eq(r.nextents, 1);
		expect_extent(0, 100000, 0);
		ck_assert(m.db->no_lba_status);
		submit(REQUEST_STATUS, 0, UINT32_MAX);
		expect_extent(0, UINT32_MAX, 0);
		ck_assert_int_eq(nsent, n);
	}
}
END_TEST

/* What was learned before stands. */
START_TEST(refused_in_the_middle)
{
	submit(REQUEST_STATUS, 0, 100000);
	answer(0, 8, "1");
	expect_cdb(0x9e, 8);
	refuse(SCSI_KEY_ILLEGAL_REQUEST, 0x24);
	ck_assert_uint_eq(r.nextents, 1);
	expect_extent(0, 4096, 3);
}
END_TEST

/* A path is lost: another is asked, or it waits for one, like a READ. */
START_TEST(failover)
{
	struct path *p = m.p2;

	submit(REQUEST_STATUS, 0, 4096);
	sent->outcome = SCSI_OUT_LOST;
	session_drop(m.engine, m.s2, "path-failed", "gone");
	ck_assert_int_eq(ndone, 0);
	ck_assert_uint_eq(m.db->nwaiting, 1);
	m.s2->state = SESSION_UP;
	path_set_state(m.engine, p, PATH_USABLE, "");
	lun_run(m.engine, m.db);
	ck_assert_int_eq(nsent, 2);
	answer(0, 8, "1");
	expect_extent(0, 4096, 3);
}
END_TEST

/* The target reads ahead; where it does not know how, nothing is lost. */
START_TEST(cache)
{
	submit(REQUEST_CACHE, 1000, 4096);
	expect_cdb(0x90, 1);
	ck_assert(sent->cdb[1] == 2 && sent->cdb[13] == 9 && !sent->len); /* at once; every block that is touched */
	sent->outcome = SCSI_OUT_STATUS;
	sent->status = SCSI_ST_CONDITION_MET;
	engine_cmd_done(m.engine, sent);
	ck_assert(ndone == 1 && !r.err);
	submit(REQUEST_CACHE, 0, 4096);
	refuse(SCSI_KEY_ILLEGAL_REQUEST, 0x20);
	ck_assert(ndone == 1 && !r.err);
	submit(REQUEST_CACHE, 0, 4096);
	ck_assert(ndone == 1 && !r.err && nsent == 2);
}
END_TEST

/* A WRITE SAME is quick; as soon as it turns out not to be known the client hears that at once. */
START_TEST(quick_zeroes)
{
	r.fast = true;
	submit(REQUEST_ZERO, 0, 4096);
	expect_cdb(0x93, 0);
	good();
	ck_assert(ndone == 1 && !r.err);
	submit(REQUEST_ZERO, 0, 4096);
	refuse(SCSI_KEY_ILLEGAL_REQUEST, 0x20);
	ck_assert(ndone == 1 && r.err == ENOTSUP && nsent == 2);
	submit(REQUEST_ZERO, 0, 4096);
	ck_assert(ndone == 1 && r.err == ENOTSUP && nsent == 2);
	r.fast = false;
	submit(REQUEST_ZERO, 0, 4096);
	expect_cdb(0x8a, 0);
	good();
	ck_assert(ndone == 1 && !r.err && nsent == 3);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("extents");
	TCase *t = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, up, down);
	tcase_add_test(t, states);
	tcase_add_test(t, one_is_enough);
	tcase_add_test(t, parts);
	tcase_add_test(t, storage_that_does_not_say);
	tcase_add_test(t, refused_in_the_middle);
	tcase_add_test(t, failover);
	tcase_add_test(t, cache);
	tcase_add_test(t, quick_zeroes);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
