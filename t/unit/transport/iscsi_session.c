/* SPDX-License-Identifier: MIT */
/* What the header promises about callbacks and lifetimes, against a scripted target. */
#include "fake_target.h"

static struct ini I;
static struct fake F;

static void begin(void (*script)(struct fake *f))
{
	fake_start(&F, script);
	ini_new(&I, F.portal);
}

static void end(void)
{
	ini_free(&I);
	fake_stop(&F);
}

/* Answers every READ with the LBA's low byte all over, every WRITE with GOOD, every NOP. */
static void answer(struct fake *f)
{
	uint8_t data[4096], h[48] = { 0x20, 0x80 };

	switch (f->in.h[0] & 0x3f) {
	case 0x00:
		memcpy(h + 16, f->in.h + 16, 4);
		be32(h + 20, 0xffffffff);
		send_pdu(f, h, NULL, 0);
		break;
	case 0x01:
		memset(data, f->in.h[32 + 9], sizeof(data));
		if (f->in.h[1] & 0x40)
			reply_scsi(f, 0x25, 0x81, 0, 0, data, sizeof(data));
		else
			reply_scsi(f, 0x21, 0x80, 0, 0, NULL, 0);
		break;
	case 0x06:
		h[0] = 0x26;
		memcpy(h + 16, f->in.h + 16, 4);
		send_pdu(f, h, NULL, 0);
		break;
	}
}

static void play_good(struct fake *f)
{
	do_login(f);
	while (read_pdu(f))
		answer(f);
}

static void play_stall(struct fake *f)
{
	do_login(f);
	drain(f);
}

static void submit_all(struct ini *i)
{
	for (int n = 0; n < NCMD; n++)
		submit(i, n, n % 2);
}

START_TEST(commands_come_back)
{
	begin(play_good);
	I.on_up = submit_all;
	I.want_done = NCMD;
	ck_assert(iscsi_session_silence_us(({ ini_start(&I); I.s; })) == UINT64_MAX);
	ini_run(&I);
	ck_assert_int_eq(I.done, NCMD);
	for (int n = 0; n < NCMD; n++) {
		ck_assert_int_eq(I.cmd[n].scsi.outcome, SCSI_OUT_STATUS);
		ck_assert_int_eq(I.cmd[n].scsi.status, SCSI_ST_GOOD);
		ck_assert_uint_eq(I.cmd[n].scsi.got, 4096);
		if (n % 2 == 0)
			ck_assert_uint_eq(I.data[n * 4096 + 4095], (unsigned)n);
	}
	ck_assert_uint_lt(iscsi_session_silence_us(I.s), 1000000);
	end();
}
END_TEST

static int again;

static void resubmit(struct ini *i, struct iscsi_cmd *cmd)
{
	if (again-- > 0)
		submit(i, (int)(cmd - i->cmd), again % 2);
}

START_TEST(a_command_is_reused_inside_done)
{
	begin(play_good);
	I.on_up = submit_all;
	I.on_done = resubmit;
	again = 1000;
	I.want_done = NCMD + 1000;
	ini_start(&I);
	ini_run(&I);
	ck_assert_int_eq(I.done, NCMD + 1000);
	end();
}
END_TEST

/* What is freed at the kill must not be touched any more: the sanitizer watches. */
static void forget(struct ini *i)
{
	iscsi_session_kill(i->s);
	i->s = NULL;
	free(i->cmd);
	free(i->data);
	i->cmd = NULL;
	i->data = NULL;
}

static void kill_on_third(struct ini *i, struct iscsi_cmd *cmd)
{
	if (i->done == 3) {
		forget(i);
		ev_break(i->ev, EVBREAK_ALL);
	}
}

START_TEST(kill_inside_done)
{
	begin(play_good);
	I.on_up = submit_all;
	I.on_done = kill_on_third;
	ini_start(&I);
	ini_run(&I);
	ini_idle(&I, 0.05);
	ck_assert_int_eq(I.done, 3);
	ck_assert_int_eq(I.lost, 0);
	end();
}
END_TEST

static void kill_it(struct ini *i)
{
	forget(i);
	ev_break(i->ev, EVBREAK_ALL);
}

START_TEST(kill_inside_up)
{
	begin(play_good);
	I.on_up = kill_it;
	ini_start(&I);
	ini_run(&I);
	ini_idle(&I, 0.05);
	ck_assert_int_eq(I.up, 1);
	ck_assert_int_eq(I.lost + I.done, 0);
	end();
}
END_TEST

static void on_lost_kill(void *arg, enum iscsi_loss why, const char *text)
{
	struct ini *i = arg;

	i->lost++;
	forget(i);
	ev_break(i->ev, EVBREAK_ALL);
}

static void play_take_and_close(struct fake *f)
{
	do_login(f);
	for (int n = 0; n < NCMD; n++)
		read_pdu(f);
}

START_TEST(kill_inside_lost)
{
	static const struct iscsi_callbacks cb = { .up = ini_up, .lost = on_lost_kill,
						   .done = ini_done };
	int err;

	begin(play_take_and_close);
	I.on_up = submit_all;
	I.s = iscsi_session_start(I.loop, &I.p, &cb, &I, &err);
	ini_run(&I);
	ini_idle(&I, 0.05);
	ck_assert_int_eq(I.lost, 1);
	ck_assert_int_eq(I.done, 0);
	end();
}
END_TEST

START_TEST(kill_with_commands_in_flight)
{
	begin(play_stall);
	I.on_up = submit_all;
	ini_start(&I);
	ini_idle(&I, 0.1);
	ck_assert_int_eq(I.up, 1);
	forget(&I);
	ini_idle(&I, 0.05);
	ck_assert_int_eq(I.done + I.lost, 0);
	end();
}
END_TEST

START_TEST(kill_at_once)
{
	begin(play_good);
	ini_start(&I);
	forget(&I);
	ini_idle(&I, 0.02);
	ck_assert_int_eq(I.up + I.done + I.lost, 0);
	end();
}
END_TEST

static struct iscsi_session *other;

static void kill_other(struct ini *i, struct iscsi_cmd *cmd)
{
	iscsi_session_kill(other);
	other = NULL;
}

/* The owner of a session that dies moves its commands to another one, and kills a third. */
START_TEST(kill_of_another_inside_done)
{
	struct fake g = { 0 };
	int err;

	fake_start(&g, play_stall);
	begin(play_good);
	I.p.portal = g.portal;
	other = iscsi_session_start(I.loop, &I.p, &ini_cb, &I, &err);
	ck_assert_ptr_nonnull(other);
	I.p.portal = F.portal;
	I.on_up = NULL;
	ini_start(&I);
	ini_idle(&I, 0.1);
	ck_assert_int_eq(I.up, 2);
	for (int n = 0; n < 4; n++) {
		cdb_test_unit_ready(&I.cmd[n].scsi);
		I.cmd[n].scsi.niov = 0;
		ck_assert_int_eq(iscsi_session_submit(other, &I.cmd[n]), 0);
	}
	submit(&I, 5, false);
	I.on_done = kill_other;
	I.want_done = 1;
	ini_run(&I);
	ini_idle(&I, 0.05);
	ck_assert_int_eq(I.done, 1);
	end();
	fake_stop(&g);
}
END_TEST

START_TEST(probe_is_answered)
{
	begin(play_good);
	ini_start(&I);
	ini_idle(&I, 0.1);
	ck_assert_int_eq(iscsi_session_probe(I.s), 0);
	ini_run(&I);
	ck_assert_int_eq(I.pong, 1);
	end();
}
END_TEST

START_TEST(logout_is_silent_and_ends)
{
	begin(play_good);
	ini_start(&I);
	ini_idle(&I, 0.1);
	ck_assert_int_eq(I.up, 1);
	iscsi_session_logout(I.s);
	I.s = NULL;
	ini_idle(&I, 0.1);
	fake_stop(&F); /* it has seen the end of the connection */
	ck_assert_int_eq(I.lost, 0);
	ini_free(&I);
}
END_TEST

/* A target that does not answer the logout is left after 2 s; the loop's end does not wait for it. */
START_TEST(logout_that_is_not_answered)
{
	begin(play_stall);
	ini_start(&I);
	ini_idle(&I, 0.1);
	iscsi_session_logout(I.s);
	I.s = NULL;
	ini_idle(&I, 0.05);
	end();
}
END_TEST

START_TEST(logout_with_commands_in_flight_is_a_kill)
{
	begin(play_stall);
	I.on_up = submit_all;
	ini_start(&I);
	ini_idle(&I, 0.1);
	iscsi_session_logout(I.s);
	I.s = NULL;
	free(I.cmd);
	I.cmd = NULL;
	ini_idle(&I, 0.05);
	ck_assert_int_eq(I.lost + I.done, 0);
	end();
}
END_TEST

START_TEST(local_address)
{
	struct sockaddr_storage ss;

	begin(play_good);
	ini_start(&I);
	ini_idle(&I, 0.05);
	ck_assert_int_eq(iscsi_session_local_addr(I.s, &ss), 0);
	ck_assert_int_eq(ss.ss_family, AF_INET);
	ck_assert_uint_eq(((struct sockaddr_in *)&ss)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("iscsi_session");
	TCase *t = tcase_create("iscsi_session");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, commands_come_back);
	tcase_add_test(t, a_command_is_reused_inside_done);
	tcase_add_test(t, kill_inside_done);
	tcase_add_test(t, kill_inside_up);
	tcase_add_test(t, kill_inside_lost);
	tcase_add_test(t, kill_with_commands_in_flight);
	tcase_add_test(t, kill_at_once);
	tcase_add_test(t, kill_of_another_inside_done);
	tcase_add_test(t, probe_is_answered);
	tcase_add_test(t, logout_is_silent_and_ends);
	tcase_add_test(t, logout_that_is_not_answered);
	tcase_add_test(t, logout_with_commands_in_flight_is_a_kill);
	tcase_add_test(t, local_address);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
