/* SPDX-License-Identifier: MIT */
/* What a process that was killed left is fenced by the next one: what of it, for how long, and what ends it. */
#include "model.h"
#include "daemon/fence.h"
#include "daemon/flight.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEW "naa.60014050000000000000000000000009"

static char path[64], why[4400];
static struct model m;
static struct flight *f;

static void setup(void)
{
	snprintf(path, sizeof(path), "/tmp/mpiod-recall.%d", getpid());
	unlink(path);
	model_start(&m);
}

static void teardown(void)
{
	m.p1->inflight = m.p2->inflight = m.p3->inflight = 0;
	engine_shutdown(m.engine);
	model_stop(&m);
	flight_close(f);
	unlink(path);
}

static void left(void (*what)(struct flight *old))
{
	pid_t pid = fork();

	if (pid == 0) {
		what(flight_open(path, why, sizeof(why)));
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	f = flight_open(path, why, sizeof(why));
	engine_record(m.engine, f);
}

static void one_write(struct flight *old)
{
	struct flight_nexus n = { .target = "san", .session = m.s1->name, .isid = m.s1->isid, .tpgt = 1 };

	flight_put(old, flight_nexus(old, &n), flight_lun(old, NEW), 10, 20);
}

static void another_initiator(struct flight *old)
{
	struct flight_nexus n = { .target = "san", .session = m.s1->name, .isid = m.s1->isid ^ 1, .tpgt = 1 };

	flight_put(old, flight_nexus(old, &n), flight_lun(old, NEW), 10, 20);
}

static void any_block(struct flight *old)
{
	flight_put_all(old, flight_lun(old, NEW));
}

static void lost_write(struct flight *old)
{
	flight_set_lost(old, flight_lun(old, NEW), true);
}

static struct lun *recalled(uint8_t fence)
{
	struct lun *l = lun_new(m.engine, NEW);

	ck_assert_uint_eq(l->nfences, 0); /* not before its options are known */
	ck_assert(!fence_in_doubt(l));
	l->opts.fence = fence;
	fence_recall(m.engine, l);
	fence_recall(m.engine, l); /* only once */
	return l;
}

static void at(uint64_t seconds)
{
	engine_set_time(m.engine, seconds * US_PER_S);
	engine_tick(m.engine);
}

START_TEST(the_paths_return_ends_it)
{
	struct lun *l;
	struct doubt *d;

	left(one_write);
	at(100);
	l = recalled(CONF_FENCE_AUTO);
	ck_assert_uint_eq(l->nfences, 1);
	ck_assert(engine_in_doubt(m.engine));
	d = list_entry(l->doubts.next, struct doubt, in_lun);
	ck_assert_ptr_eq(d->target, m.s1->target);
	/* longer than a neighbour queue that nobody could empty */
	fence_path_back(m.engine, d);
	at(103);
	ck_assert_uint_eq(l->nfences, 1);
	at(104);
	ck_assert_uint_eq(l->nfences, 0);
	ck_assert(!engine_in_doubt(m.engine));
}
END_TEST

/* After a change of initiator_name or iqn the ISID is another: no login of ours ends that nexus. */
START_TEST(another_nexus_login_ends_nothing)
{
	struct lun *l;

	left(another_initiator);
	at(100);
	l = recalled(CONF_FENCE_AUTO);
	ck_assert_ptr_null(list_entry(l->doubts.next, struct doubt, in_lun)->target);
	fence_nexus_ended(m.engine, m.s1->target, m.s1->isid ^ 1, 1, true);
	fence_nexus_ended(m.engine, m.s1->target, m.s1->isid ^ 1, 1, false);
	ck_assert_uint_eq(l->nfences, 1);
	/* fence_timeout does, when there is a path to write through */
	l->state = LUN_OK;
	at(115);
	ck_assert_uint_eq(l->nfences, 0);
	l->state = LUN_NO_PATH;
}
END_TEST

START_TEST(fence_off_drops_it)
{
	struct flight_write w;

	left(one_write);
	recalled(CONF_FENCE_OFF);
	ck_assert(!engine_in_doubt(m.engine));
	flight_close(f);
	f = flight_open(path, why, sizeof(why));
	ck_assert_uint_eq(flight_take_old(f, NEW, &w), 0);
	engine_record(m.engine, f);
}
END_TEST

/* For fence_timeout, and that long an orderly stop waits; in the file, too. */
START_TEST(any_block_is_in_doubt)
{
	struct lun *l;

	left(any_block);
	at(100);
	l = recalled(CONF_FENCE_AUTO);
	ck_assert_uint_eq(l->fenced_until, 115 * US_PER_S);
	at(114);
	ck_assert(engine_in_doubt(m.engine));
	ck_assert_uint_ne(l->all_record, 0);
	at(115);
	ck_assert(!engine_in_doubt(m.engine));
	ck_assert_uint_eq(l->all_record, 0);
	flight_close(f);
	ck_assert_int_ne(access(path, F_OK), 0); /* nothing is left in it */
	f = NULL;
	engine_record(m.engine, NULL);
}
END_TEST

/* No memory for a fence: the next process is told, too. */
START_TEST(no_room_for_a_fence_is_kept)
{
	f = flight_open(path, why, sizeof(why));
	engine_record(m.engine, f);
	fence_everything(m.engine, m.db, "test");
	fence_everything(m.engine, m.db, "test");
	engine_shutdown(m.engine); /* from here on the file stays as it is */
	flight_close(f);
	f = flight_open(path, why, sizeof(why));
	ck_assert_uint_ne(flight_take_all(f, MODEL_DB), 0);
	engine_record(m.engine, f);
}
END_TEST

START_TEST(a_lost_write_is_told)
{
	left(lost_write);
	ck_assert(recalled(CONF_FENCE_OFF)->write_lost);
}
END_TEST

START_TEST(keys_start_anywhere)
{
	struct engine *e = engine_new(&model_ops, &m, m.pool, 2);

	ck_assert_uint_ne(e->next_key, m.engine->next_key);
	engine_free(e);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("recall");
	TCase *tc = tcase_create("recall");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_paths_return_ends_it);
	tcase_add_test(tc, another_nexus_login_ends_nothing);
	tcase_add_test(tc, fence_off_drops_it);
	tcase_add_test(tc, any_block_is_in_doubt);
	tcase_add_test(tc, no_room_for_a_fence_is_kept);
	tcase_add_test(tc, a_lost_write_is_told);
	tcase_add_test(tc, keys_start_anywhere);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
