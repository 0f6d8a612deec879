/* SPDX-License-Identifier: MIT */
/* What the engine asks its adapter for, and when it must not. */
#include "model.h"

static struct model m;
static struct engine_ops ops;
static int sent;

static int count_submit(void *arg, struct session *s, struct scsi_cmd *cmd)
{
	sent++;
	return -ENOTCONN;
}

static void start(void)
{
	model_start(&m);
	ops = model_ops;
	ops.submit = count_submit;
	m.engine->ops = &ops;
	sent = 0;
}

static void stop(void)
{
	model_stop(&m);
}

static void pass(uint64_t us)
{
	engine_set_time(m.engine, m.engine->now + us);
	engine_tick(m.engine);
}

/* ---- a READ that was asked for twice ---- */

#define GOOD 0x11
#define BAD 0xee
#define REQUEST_OFFSET 100
#define REQUEST_LEN 1000 /* parts of the first and of the third block, and all of the second */

static struct {
	struct scsi_cmd *cmd;
	struct session *s;
} flights[16];
static int nflights, returned;

static int keep_submit(void *arg, struct session *s, struct scsi_cmd *cmd)
{
	ck_assert_int_lt(nflights, 16);
	flights[nflights].cmd = cmd;
	flights[nflights++].s = s;
	return 0;
}

static void count_done(void *arg, struct request *r)
{
	ck_assert_int_eq(r->err, 0);
	returned++;
}

/* Two paths that are fine. */
static void start_twins(void)
{
	start();
	ops.submit = keep_submit;
	ops.request_done = count_done;
	path_set_state(m.engine, m.p1, PATH_USABLE, "");
	m.db->opts.hedge = true;
	m.db->opts.queue_depth = 32;
	m.s1->window = m.s2->window = 32;
	nflights = returned = 0;
}

static void begin(struct request *r, uint8_t op)
{
	*r = (struct request){ .lun = m.db, .op = op, .offset = REQUEST_OFFSET, .len = REQUEST_LEN };
	r->buf = buf_get(m.pool, REQUEST_LEN);
	r->data = r->buf->data;
	memset(r->data, 0x77, REQUEST_LEN);
	engine_submit(m.engine, r);
}

static void answer(int i, bool good)
{
	struct scsi_cmd *c = flights[i].cmd;

	c->outcome = SCSI_OUT_STATUS;
	c->status = good ? SCSI_ST_GOOD : SCSI_ST_CHECK_CONDITION;
	c->sense = (struct sense){ .valid = !good, .key = SCSI_KEY_ABORTED_COMMAND, .asc = 0x47 };
	c->got = c->len;
	if (c->dir == SCSI_DIR_IN)
		memset(c->iov[0].iov_base, good ? GOOD : BAD, c->len);
	engine_cmd_done(m.engine, c);
}

/* The other try of the READ flights[i]; -1: there is none. */
static int twin(int i)
{
	for (int k = 0; k < nflights; k++)
		if (k != i && !memcmp(flights[k].cmd->cdb, flights[i].cmd->cdb, 16))
			return k;
	return -1;
}

static void none_bad(const uint8_t *p, size_t n)
{
	ck_assert_ptr_null(memchr(p, BAD, n));
}

/* The try that lost comes to its end only after its twin has won, and while the request still waits for another block. */
START_TEST(a_late_twin_spoils_no_edge)
{
	struct request r;

	begin(&r, REQUEST_WRITE);
	ck_assert_int_eq(nflights, 2); /* the first and the last block */
	session_hedge_reads(m.engine, flights[0].s);
	ck_assert_int_ge(twin(0), 2);
	answer(twin(0), true);
	answer(0, false);
	answer(1, true);
	ck_assert_uint_eq(flights[nflights - 1].cmd->cdb[0], 0x8a);
	none_bad(flights[nflights - 1].cmd->iov[0].iov_base, flights[nflights - 1].cmd->len);
	answer(nflights - 1, true);
	ck_assert_int_eq(returned, 1);
	buf_put(r.buf);
}
END_TEST

/* The same for what a client reads, in pieces of a block. */
START_TEST(a_late_twin_spoils_no_read)
{
	struct request r;

	m.db->limits.max_transfer = 1;
	begin(&r, REQUEST_READ);
	ck_assert_int_eq(nflights, 3);
	session_hedge_reads(m.engine, flights[1].s);
	ck_assert_int_ge(twin(1), 3);
	answer(twin(1), true);
	answer(1, false);
	for (int i = 0; i < 3; i++)
		if (i != 1)
			answer(i, true);
	ck_assert_int_eq(returned, 1);
	none_bad(r.data, REQUEST_LEN);
	buf_put(r.buf);
}
END_TEST

/* A path may be fine still, but its session has been logged out. */
START_TEST(nothing_is_sent_after_a_shutdown)
{
	verify_arm(m.engine, m.db);
	pass(60000000);
	ck_assert_int_gt(sent, 0);
	verify_arm(m.engine, m.db);
	engine_shutdown(m.engine);
	sent = 0;
	pass(60000000);
	ck_assert_int_eq(sent, 0);
}
END_TEST

/* no_path_timeout = fail: a LUN that never had a path waits for the first one, one that had some does not. */
START_TEST(a_new_lun_may_wait_for_its_first_path)
{
	static const char text[] = "[defaults]\nno_path_timeout = fail\n[target san]\niqn = iqn.2026-01.t:d1\n"
				   "portal = 192.0.2.1\nportal = 192.0.2.2\n";
	char *errors = NULL;
	struct conf *old = m.conf;
	struct lun *l;
	struct path *p;

	m.conf = conf_parse("test.conf", text, strlen(text), &errors);
	ck_assert_msg(m.conf != NULL, "%s", errors);
	engine_configure(m.engine, m.conf);
	conf_free(old);
	l = model_new_lun(&m, "naa.6001405000000000000000000000000f", 1 << 20);
	lun_update(m.engine, l);
	pass(1000000);
	lun_update(m.engine, l);
	ck_assert(!l->no_path_failed);
	pass(5000000);
	ck_assert(l->no_path_failed);
	p = model_new_path(&m, m.s2, l, 5);
	ck_assert(!l->no_path_failed);
	path_fail(m.engine, p, PATH_FAILED, "path-failed", "test");
	ck_assert(l->no_path_failed);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("engine");
	TCase *t = tcase_create("engine");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, nothing_is_sent_after_a_shutdown);
	tcase_add_test(t, a_new_lun_may_wait_for_its_first_path);
	suite_add_tcase(s, t);
	t = tcase_create("twins");
	tcase_add_checked_fixture(t, start_twins, stop);
	tcase_add_test(t, a_late_twin_spoils_no_edge);
	tcase_add_test(t, a_late_twin_spoils_no_read);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
