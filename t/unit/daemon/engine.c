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

int main(void)
{
	Suite *s = suite_create("engine");
	TCase *t = tcase_create("engine");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, nothing_is_sent_after_a_shutdown);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
