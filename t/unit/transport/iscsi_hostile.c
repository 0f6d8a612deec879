/* SPDX-License-Identifier: MIT */
/* A target that lies or breaks off costs its own session: lost() once, and no memory error. */
#include "fake_target.h"
#include <netinet/tcp.h>

/* Plays script and expects the session to end as why with word in the text. */
static struct ini I;

#define ANY ((enum iscsi_loss)-1)

static void expect_lost(void (*script)(struct fake *f), const void *with, size_t n,
			void (*on_up)(struct ini *i), enum iscsi_loss why, const char *word)
{
	struct fake *f = calloc(1, sizeof(*f));

	f->with = with;
	f->with_n = n;
	fake_start(f, script);
	I.p.portal = f->portal;
	I.on_up = on_up;
	ini_start(&I);
	do /* the answer to a probe ends a run, too */
		ini_run(&I);
	while (!I.lost && !I.timed_out);
	ini_idle(&I, 0.02);
	ck_assert_int_eq(I.lost, 1);
	ck_assert_msg(why == ANY || I.why == why, "lost as %d: %s", I.why, I.text);
	ck_assert_msg(strstr(I.text, word) != NULL, "'%s' does not say '%s'", I.text, word);
	ck_assert_int_eq(iscsi_session_submit(I.s, &I.cmd[0]), -ENOTCONN);
	ck_assert_int_eq(iscsi_session_probe(I.s), -ENOTCONN);
	iscsi_session_kill(I.s);
	I.s = NULL;
	fake_stop(f);
	free(f);
}

static void setup(void)
{
	ini_new(&I, "127.0.0.1:1");
}

static void teardown(void)
{
	ini_free(&I);
}

static void submit_all(struct ini *i)
{
	for (int n = 0; n < NCMD; n++)
		submit(i, n, n % 2);
}

static void submit_read(struct ini *i)
{
	submit(i, 0, false);
}

static void submit_write(struct ini *i)
{
	submit(i, 0, true);
}

/* ---- before and during login ---- */

static void play_close(struct fake *f)
{
}

static void play_raw(struct fake *f)
{
	read_pdu(f);
	send_raw(f, f->with, f->with_n);
}

static void play_raw_and_wait(struct fake *f)
{
	play_raw(f);
	drain(f);
}

START_TEST(closes_at_once)
{
	expect_lost(play_close, NULL, 0, NULL, ISCSI_LOSS_LOGIN, ""); /* FIN or RST */
}
END_TEST

START_TEST(nobody_listens)
{
	struct fake f = { 0 };
	int err;

	fake_start(&f, play_close);
	fake_stop(&f); /* the port is free again */
	I.p.portal = f.portal;
	ini_start(&I);
	ini_run(&I);
	ck_assert(I.lost == 1 && I.why == ISCSI_LOSS_CONNECT);
	ck_assert_str_eq(I.text, "Connection refused");
	iscsi_session_kill(I.s);
	I.p.interface = "nosuchif0";
	I.s = iscsi_session_start(I.loop, &I.p, &ini_cb, &I, &err);
	ck_assert_ptr_nonnull(I.s);
	ck_assert_int_eq(I.lost, 1); /* not from inside the call */
	ini_run(&I);
	ck_assert(I.lost == 2 && I.why == ISCSI_LOSS_CONNECT);
	ck_assert_ptr_nonnull(strstr(I.text, "nosuchif0"));
}
END_TEST

START_TEST(garbage_for_a_login_answer)
{
	char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nServer: nginx\r\n\r\n";
	uint8_t noise[512];

	expect_lost(play_raw_and_wait, http, sizeof(http), NULL, ISCSI_LOSS_LOGIN, "iSCSI");
	srandom(1);
	for (int round = 0; round < 50; round++) {
		for (size_t n = 0; n < sizeof(noise); n++)
			noise[n] = (uint8_t)random();
		I.lost = 0;
		expect_lost(play_raw, noise, sizeof(noise), NULL, ISCSI_LOSS_LOGIN, "");
	}
}
END_TEST

START_TEST(half_a_login_answer)
{
	uint8_t h[48 + 32] = { 0x23, 0x87, 0, 0, 0, 0, 0, 64 };

	expect_lost(play_raw, h, 1, NULL, ISCSI_LOSS_LOGIN, "closed");
	I.lost = 0;
	expect_lost(play_raw, h, 47, NULL, ISCSI_LOSS_LOGIN, "closed");
	I.lost = 0;
	expect_lost(play_raw, h, sizeof(h), NULL, ISCSI_LOSS_LOGIN, "closed");
	I.p.login_timeout_ms = 150;
	I.lost = 0;
	expect_lost(play_raw_and_wait, h, sizeof(h), NULL, ISCSI_LOSS_LOGIN, "within 150 ms");
	h[5] = 0xff; /* 16 MiB of login text */
	I.lost = 0;
	expect_lost(play_raw_and_wait, h, sizeof(h), NULL, ISCSI_LOSS_LOGIN, "iSCSI");
}
END_TEST

/* libiscsi would look for the buffer of a command that is none */
static void play_login_data_in(struct fake *f)
{
	uint8_t h[48] = { 0x25, 0x80 };

	read_pdu(f);
	memcpy(h + 16, f->in.h + 16, 4);
	send_pdu(f, h, "data", 4);
	drain(f);
}

START_TEST(data_in_for_a_login)
{
	expect_lost(play_login_data_in, NULL, 0, NULL, ISCSI_LOSS_LOGIN, "iSCSI");
}
END_TEST

static unsigned login_status;
static uint8_t login_flags;

static void play_login(struct fake *f)
{
	read_pdu(f);
	reply_login(f, login_flags, login_status, f->with, f->with_n);
	drain(f);
}

#define PLAY_LOGIN(flags, status, keys, why, word)                                                 \
	do {                                                                                       \
		I.lost = I.up = 0;                                                                 \
		login_flags = flags;                                                               \
		login_status = status;                                                             \
		expect_lost(play_login, keys, sizeof(keys) - 1, NULL, why, word);                  \
		ck_assert_int_eq(I.up, 0);                                                         \
	} while (0)

START_TEST(login_refused)
{
	PLAY_LOGIN(0, 0x0201, "", ISCSI_LOSS_LOGIN, "authentication failed (0201)");
	PLAY_LOGIN(0, 0x0203, "", ISCSI_LOSS_LOGIN, "target not found (0203)");
	PLAY_LOGIN(0, 0x0301, "", ISCSI_LOSS_LOGIN, "service unavailable (0301)");
	PLAY_LOGIN(0, 0x7777, "", ISCSI_LOSS_LOGIN, "login refused (7777)");
}
END_TEST

START_TEST(login_redirected)
{
	PLAY_LOGIN(0, 0x0101, "TargetAddress=10.1.2.3:3261,1\0", ISCSI_LOSS_REDIRECT,
		   "10.1.2.3:3261");
	ck_assert_str_eq(I.text, "10.1.2.3:3261");
	PLAY_LOGIN(0, 0x0102, "X=1\0TargetAddress=[fe80::1]:3260\0", ISCSI_LOSS_REDIRECT,
		   "[fe80::1]:3260");
	PLAY_LOGIN(0, 0x0101, "", ISCSI_LOSS_LOGIN, "where");
	PLAY_LOGIN(0, 0x0101, "TargetAddress=x\ny\0", ISCSI_LOSS_REDIRECT, "x?y");
}
END_TEST

/* Whoever logs it would have had no reason to tell. */
START_TEST(login_redirected_to_nowhere)
{
	PLAY_LOGIN(0, 0x0101, "TargetAddress=\0X=1\0", ISCSI_LOSS_LOGIN, "where");
	PLAY_LOGIN(0, 0x0101, "TargetAddress=,1\0", ISCSI_LOSS_LOGIN, "where");
}
END_TEST

START_TEST(absurd_parameters)
{
	PLAY_LOGIN(0x87, 0, "MaxRecvDataSegmentLength=0\0", ISCSI_LOSS_LOGIN, "MaxRecv");
	PLAY_LOGIN(0x87, 0, "MaxRecvDataSegmentLength=-1\0", ISCSI_LOSS_LOGIN, "MaxRecv");
	PLAY_LOGIN(0x87, 0, "MaxRecvDataSegmentLength=16777216\0", ISCSI_LOSS_LOGIN, "MaxRecv");
	PLAY_LOGIN(0x87, 0, "A=b\0FirstBurstLength=many\0", ISCSI_LOSS_LOGIN, "FirstBurst");
	PLAY_LOGIN(0x87, 0, "MaxBurstLength=\0", ISCSI_LOSS_LOGIN, "MaxBurst");
	/* iSER's, but libiscsi obeys: at the first R2T it would allocate without end */
	PLAY_LOGIN(0x87, 0, "TargetRecvDataSegmentLength=0\0", ISCSI_LOSS_LOGIN, "TargetRecv");
	PLAY_LOGIN(0x87, 0, "InitiatorRecvDataSegmentLength=0\0", ISCSI_LOSS_LOGIN, "InitiatorRecv");
	PLAY_LOGIN(0x87, 0, "NoNulAtTheEnd=16", ISCSI_LOSS_LOGIN, "NUL");
	PLAY_LOGIN(0x87, 0, "HeaderDigest=CRC32C\0", ISCSI_LOSS_LOGIN, "HeaderDigest=None");
	I.p.header_digest = true;
	PLAY_LOGIN(0x87, 0, "HeaderDigest=None\0", ISCSI_LOSS_LOGIN, "HeaderDigest=CRC32C");
	PLAY_LOGIN(0x87, 0, "MaxRecvDataSegmentLength=8192\0", ISCSI_LOSS_LOGIN, "ignored");
}
END_TEST

START_TEST(unsolicited_data_against_our_will)
{
	I.p.solicited = true;
	PLAY_LOGIN(0x87, 0, "InitialR2T=No\0", ISCSI_LOSS_LOGIN, "InitialR2T");
}
END_TEST

/* The "o" is in the padding, which libiscsi reads as text too. */
static void play_padding(struct fake *f)
{
	uint8_t pdu[48 + 16] = { 0x23, 0x87, [7] = 14 };

	read_pdu(f);
	memcpy(pdu + 8, f->in.h + 8, 6);
	pdu[15] = 1;
	memcpy(pdu + 16, f->in.h + 16, 4);
	memcpy(pdu + 24, f->in.h + 28, 4);
	memcpy(pdu + 28, f->in.h + 24, 4);
	memcpy(pdu + 32, f->in.h + 24, 4);
	memcpy(pdu + 48, "A\0InitialR2T=No", 16);
	send_raw(f, pdu, sizeof(pdu));
	drain(f);
}

START_TEST(text_in_the_padding)
{
	I.p.solicited = true;
	expect_lost(play_padding, NULL, 0, NULL, ISCSI_LOSS_LOGIN, "InitialR2T");
}
END_TEST

START_TEST(mutual_chap_can_not_be_dodged)
{
	I.p.chap_user = "user";
	I.p.chap_secret = "secret-of-ours";
	I.p.mutual_chap_user = "target";
	I.p.mutual_chap_secret = "secret-of-theirs";
	/* straight to the end; out of the security stage; a response of zeroes to no challenge */
	PLAY_LOGIN(0x87, 0, "", ISCSI_LOSS_LOGIN, "did not prove");
	PLAY_LOGIN(0x81, 0, "AuthMethod=None\0", ISCSI_LOSS_LOGIN, "did not prove");
	PLAY_LOGIN(0x04, 0, "", ISCSI_LOSS_LOGIN, "did not prove");
	PLAY_LOGIN(0x87, 0, "CHAP_N=target\0CHAP_R=0x00000000000000000000000000000000\0",
		   ISCSI_LOSS_LOGIN, "did not prove");
	PLAY_LOGIN(0x81, 0, "CHAP_N=target\0CHAP_R=0x00000000000000000000000000000001\0",
		   ISCSI_LOSS_LOGIN, "CHAP_R");
	PLAY_LOGIN(0x00, 0, "CHAP_A=5\0CHAP_I=1\0CHAP_C=0x123\0", ISCSI_LOSS_LOGIN, "challenge");
	PLAY_LOGIN(0x00, 0, "CHAP_A=5\0CHAP_I=1\0CHAP_C=0bZZZZ\0", ISCSI_LOSS_LOGIN, "challenge");
}
END_TEST

START_TEST(bad_arguments)
{
	static const char *const portals[] = { "localhost:3260", "127.0.0.1", "127.0.0.1:", ":3260",
					       "::1:3260", "[::1", "127.0.0.1:x", "" };
	char longest[300];
	int err;

	for (size_t n = 0; n < sizeof(portals) / sizeof(portals[0]); n++) {
		I.p.portal = portals[n];
		ck_assert_ptr_null(iscsi_session_start(I.loop, &I.p, &ini_cb, &I, &err));
		ck_assert_int_eq(err, -EINVAL);
	}
	I.p.portal = "127.0.0.1:1";
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	I.p.chap_user = "u";
	I.p.chap_secret = longest;
	ck_assert_ptr_null(iscsi_session_start(I.loop, &I.p, &ini_cb, &I, &err));
	I.p.chap_secret = NULL;
	ck_assert_ptr_null(iscsi_session_start(I.loop, &I.p, &ini_cb, &I, &err));
	I.p.chap_user = NULL;
	I.p.mutual_chap_user = I.p.mutual_chap_secret = "m";
	ck_assert_ptr_null(iscsi_session_start(I.loop, &I.p, &ini_cb, &I, &err));
	I.p.mutual_chap_user = I.p.mutual_chap_secret = NULL;
	I.p.interface = "eth0,eth1";
	ck_assert_ptr_null(iscsi_session_start(I.loop, &I.p, &ini_cb, &I, &err));
}
END_TEST

/* ---- in full feature phase ---- */

static void play_up_close(struct fake *f)
{
	do_login(f);
}

static void play_up_read_close(struct fake *f)
{
	do_login(f);
	read_pdu(f);
}

static void play_up_raw(struct fake *f)
{
	do_login(f);
	read_pdu(f);
	send_raw(f, f->with, f->with_n);
}

START_TEST(closes_after_login)
{
	expect_lost(play_up_close, NULL, 0, NULL, ISCSI_LOSS_CLOSED, "");
	ck_assert_int_eq(I.up, 1);
	I.lost = 0;
	expect_lost(play_up_read_close, NULL, 0, submit_all, ISCSI_LOSS_CLOSED, "");
	ck_assert_int_eq(I.done, 0);
}
END_TEST

START_TEST(noise_after_login)
{
	uint8_t noise[4096], half[20] = { 0x21, 0x80 };

	expect_lost(play_up_raw, half, sizeof(half), submit_all, ISCSI_LOSS_CLOSED, "");
	srandom(2);
	for (int round = 0; round < 200; round++) {
		for (size_t n = 0; n < sizeof(noise); n++)
			noise[n] = (uint8_t)random();
		I.lost = 0;
		expect_lost(play_up_raw, noise, sizeof(noise), submit_all, ISCSI_LOSS_CLOSED, "");
	}
	ck_assert_int_eq(I.done, 0);
}
END_TEST

static void play_huge_segment(struct fake *f)
{
	uint8_t h[48] = { 0x25, 0x80, 0, 0, 0, 0xff, 0xff, 0xff };

	do_login(f);
	read_pdu(f);
	memcpy(h + 16, f->in.h + 16, 4);
	send_raw(f, h, 48);
	drain(f);
}

/* Data-In with an offset and a length that do not fit the command. */
static uint32_t in_offset;
static size_t in_len;

static void play_data_in(struct fake *f)
{
	static const uint8_t data[8192];
	uint8_t h[48] = { 0x25, 0x81 };

	do_login(f);
	read_pdu(f);
	memcpy(h + 16, f->in.h + 16, 4);
	be32(h + 40, in_offset);
	send_pdu(f, h, data, in_len);
	drain(f);
}

START_TEST(data_that_does_not_fit)
{
	static const struct {
		uint32_t offset;
		size_t len;
	} bad[] = { { 0, 8192 }, { 4096, 512 }, { 4000, 512 }, { 0xffffffff, 512 },
		    { 0xfffffe00, 1024 }, { 0x80000000, 4 } };

	expect_lost(play_huge_segment, NULL, 0, submit_read, ISCSI_LOSS_CLOSED, "data size");
	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		in_offset = bad[n].offset;
		in_len = bad[n].len;
		I.lost = 0;
		expect_lost(play_data_in, NULL, 0, submit_read, ISCSI_LOSS_CLOSED, "protocol error: Data-In");
	}
	/* nobody asked: libiscsi must not collect it */
	in_offset = 0;
	in_len = 512;
	I.lost = 0;
	expect_lost(play_data_in, NULL, 0, submit_write, ISCSI_LOSS_CLOSED, "reads nothing");
	ck_assert_int_eq(I.done, 0);
}
END_TEST

static void play_r2t(struct fake *f)
{
	uint8_t h[48] = { 0x31, 0x80 };

	do_login(f);
	read_pdu(f);
	memcpy(h + 16, f->in.h + 16, 4);
	be32(h + 20, 1);
	be32(h + 40, in_offset);
	be32(h + 44, (uint32_t)in_len);
	send_pdu(f, h, NULL, 0);
	drain(f);
}

START_TEST(r2t_that_does_not_fit)
{
	in_offset = 4096;
	in_len = 512;
	expect_lost(play_r2t, NULL, 0, submit_write, ISCSI_LOSS_CLOSED, "");
	in_offset = 0;
	I.lost = 0;
	expect_lost(play_r2t, NULL, 0, submit_read, ISCSI_LOSS_CLOSED, "");
}
END_TEST

static uint8_t event;

static void play_async(struct fake *f)
{
	uint8_t h[48] = { 0x32, 0x80 };

	do_login(f);
	for (int n = 0; n < NCMD; n++) /* all: a close with unread bytes would be an RST */
		read_pdu(f);
	be32(h + 16, 0xffffffff);
	h[36] = event;
	send_pdu(f, h, NULL, 0);
	if (f->with)
		drain(f);
}

START_TEST(async_messages)
{
	/* with and without closing right behind it */
	for (int wait = 0; wait < 2; wait++) {
		const void *with = wait ? "" : NULL;

		event = 1;
		I.lost = 0;
		expect_lost(play_async, with, 0, submit_all, ISCSI_LOSS_LOGOUT, "logout");
		event = 2;
		I.lost = 0;
		expect_lost(play_async, with, 0, submit_all, ISCSI_LOSS_CLOSED, "dropping");
		event = 4;
		I.lost = 0;
		expect_lost(play_async, with, 0, submit_all, ISCSI_LOSS_LOGOUT, "logout");
		event = 77;
		I.lost = 0;
		expect_lost(play_async, with, 0, submit_all, ISCSI_LOSS_CLOSED, "");
	}
	ck_assert_int_eq(I.done, 0);
}
END_TEST

static uint8_t reason;

static void play_reject(struct fake *f)
{
	uint8_t h[48] = { 0x3f, 0x80 };

	do_login(f);
	read_pdu(f);
	h[2] = reason;
	be32(h + 16, 0xffffffff);
	send_pdu(f, h, f->in.h, 48);
	drain(f);
}

START_TEST(rejects)
{
	reason = 0x04;
	expect_lost(play_reject, NULL, 0, submit_all, ISCSI_LOSS_CLOSED,
		    "the target rejected READ(16): Protocol Error (04h)");
	reason = 0x0c;
	I.lost = 0;
	expect_lost(play_reject, NULL, 0, submit_all, ISCSI_LOSS_LOGOUT, "logout");
	ck_assert_int_eq(I.done, 0);
}
END_TEST

/* ---- answers that can't be: each as one PDU for the first request after the login ---- */

static struct {
	uint8_t h[48];
	size_t n;      /* bytes of data */
	int skip;      /* requests to read before the one that is meant */
	bool twice;
	const char *keys;
	size_t keys_n;
} lie;

static void play_lie(struct fake *f)
{
	static const uint8_t data[8192];

	if (lie.keys)
		use_keys(f, lie.keys, lie.keys_n);
	do_login(f);
	for (int n = 0; n <= lie.skip; n++)
		read_pdu(f);
	for (int n = 0; n <= lie.twice; n++) {
		if (from32(lie.h + 16) == 0)
			memcpy(lie.h + 16, f->in.h + 16, 4);
		send_pdu(f, lie.h, data, lie.n);
	}
	drain(f);
}

static void probe(struct ini *i)
{
	ck_assert_int_eq(iscsi_session_probe(i->s), 0);
}

static void expect_lie(void (*on_up)(struct ini *i), const char *word)
{
	I.lost = I.done = 0;
	expect_lost(play_lie, NULL, 0, on_up, ISCSI_LOSS_CLOSED, word);
	memset(&lie, 0, sizeof(lie));
}

#define LIE(...) memcpy(lie.h, (uint8_t[48]){ __VA_ARGS__ }, 48)

START_TEST(an_opcode_there_is_not)
{
	LIE(0x2a, 0x80);
	expect_lie(submit_read, "protocol error: opcode 2ah");
	LIE(0x01, 0x80); /* an initiator's */
	expect_lie(submit_read, "protocol error: opcode 01h");
	ck_assert_int_eq(I.done, 0);
}
END_TEST

START_TEST(a_login_response_after_the_login)
{
	LIE(0x23, 0x87);
	expect_lie(submit_read, "Login Response");
}
END_TEST

START_TEST(a_text_response_nobody_asked_for)
{
	LIE(0x24, 0x80);
	expect_lie(submit_read, "Text Response for a task that is of another kind");
}
END_TEST

START_TEST(a_task_management_response_nobody_asked_for)
{
	LIE(0x22, 0x80);
	expect_lie(submit_read, "Task Management");
}
END_TEST

/* libiscsi looks for the command of the NOP, which has none */
START_TEST(data_in_for_a_nop)
{
	LIE(0x25, 0x81);
	lie.n = 512;
	expect_lie(probe, "Data-In for a task that is of another kind");
	ck_assert_int_eq(I.pong, 0);
}
END_TEST

START_TEST(r2t_for_a_nop)
{
	LIE(0x31, 0x80, [23] = 1, [46] = 2);
	expect_lie(probe, "R2T for a task that is of another kind");
}
END_TEST

START_TEST(scsi_response_for_a_nop)
{
	LIE(0x21, 0x80);
	expect_lie(probe, "SCSI Response for a task that is of another kind");
	ck_assert_int_eq(I.pong, 0);
}
END_TEST

START_TEST(nop_in_for_a_command)
{
	LIE(0x20, 0x80);
	expect_lie(submit_read, "NOP-In for a task that is of another kind");
	ck_assert_int_eq(I.pong + I.done, 0);
}
END_TEST

START_TEST(an_answer_to_nothing)
{
	LIE(0x21, 0x80, [16] = 0xde, [17] = 0xad);
	expect_lie(submit_read, "not outstanding (dead0000)");
	ck_assert_int_eq(I.done, 0);
}
END_TEST

START_TEST(two_answers_to_one_command)
{
	LIE(0x21, 0x80);
	lie.twice = true;
	expect_lie(submit_read, "not outstanding");
	ck_assert_int_eq(I.done, 1);
}
END_TEST

START_TEST(two_pongs_to_one_ping)
{
	LIE(0x20, 0x80);
	lie.twice = true;
	expect_lie(probe, "not outstanding");
}
END_TEST

START_TEST(data_in_for_a_write)
{
	LIE(0x25, 0x80);
	lie.n = 512;
	expect_lie(submit_write, "Data-In for WRITE(16)");
}
END_TEST

START_TEST(data_in_that_overlaps)
{
	LIE(0x25, 0x80);
	lie.n = 512;
	lie.twice = true;
	expect_lie(submit_read, "offset 0 where 512 is next");
}
END_TEST

START_TEST(data_in_that_skips)
{
	LIE(0x25, 0x80, [42] = 2);
	lie.n = 512;
	expect_lie(submit_read, "offset 512 where 0 is next");
}
END_TEST

START_TEST(status_without_the_final_bit)
{
	LIE(0x25, 0x01);
	lie.n = 4096;
	expect_lie(submit_read, "without the F bit");
	LIE(0x21, 0x00);
	expect_lie(submit_read, "without the F bit");
	ck_assert_int_eq(I.done, 0);
}
END_TEST

START_TEST(data_in_that_wants_an_acknowledgement)
{
	LIE(0x25, 0xc0);
	lie.n = 512;
	expect_lie(submit_read, "SNACK");
}
END_TEST

START_TEST(additional_header_segments)
{
	LIE(0x21, 0x80, 0, 0, 1);
	expect_lie(submit_read, "additional header");
}
END_TEST

START_TEST(a_residual_larger_than_the_transfer)
{
	LIE(0x21, 0x82, [46] = 0x10, [47] = 1);
	expect_lie(submit_read, "residual of 4097 bytes, but the command moves 4096");
	LIE(0x21, 0x82, [44] = 0xff, 0xff, 0xff, 0xff);
	expect_lie(submit_write, "residual");
	LIE(0x21, 0x86);
	expect_lie(submit_write, "overflow and underflow");
	ck_assert_int_eq(I.done, 0);
}
END_TEST

#define R2T_LOGIN(k) (lie.keys = LOGIN_R2T k, lie.keys_n = sizeof(LOGIN_R2T k) - 1)

START_TEST(r2t_for_a_read)
{
	LIE(0x31, 0x80, [23] = 1, [46] = 2);
	expect_lie(submit_read, "R2T for READ(16)");
}
END_TEST

START_TEST(r2t_beyond_the_command)
{
	R2T_LOGIN();
	LIE(0x31, 0x80, [23] = 1, [46] = 0x10, [47] = 1);
	expect_lie(submit_write, "beyond the command's 4096");
	R2T_LOGIN();
	LIE(0x31, 0x80, [23] = 1, [40] = 0xff, 0xff, 0xff, 0xff, [46] = 2);
	expect_lie(submit_write, "beyond the command's 4096");
}
END_TEST

START_TEST(r2t_for_nothing)
{
	R2T_LOGIN();
	LIE(0x31, 0x80, [23] = 1);
	expect_lie(submit_write, "R2T for 0 bytes");
}
END_TEST

START_TEST(r2t_for_more_than_a_burst)
{
	R2T_LOGIN("MaxBurstLength=1024\0");
	LIE(0x31, 0x80, [23] = 1, [46] = 8);
	expect_lie(submit_write, "MaxBurstLength is 1024");
}
END_TEST

START_TEST(r2t_without_a_tag)
{
	R2T_LOGIN();
	LIE(0x31, 0x80, [20] = 0xff, 0xff, 0xff, 0xff, [46] = 2);
	expect_lie(submit_write, "target transfer tag");
}
END_TEST

START_TEST(two_r2ts_at_once)
{
	R2T_LOGIN();
	LIE(0x31, 0x80, [23] = 1, [46] = 2);
	lie.twice = true;
	expect_lie(submit_write, "R2T");
}
END_TEST

/* It answers each R2T's data with the same R2T again. */
static void play_greedy(struct fake *f)
{
	uint8_t command[48];

	use_keys(f, LOGIN_R2T, sizeof(LOGIN_R2T) - 1);
	do_login(f);
	read_pdu(f);
	memcpy(command, f->in.h, 48);
	do
		ask(f, command, 0, 512);
	while (read_pdu(f));
}

START_TEST(r2t_for_the_same_again)
{
	expect_lost(play_greedy, NULL, 0, submit_write, ISCSI_LOSS_CLOSED, "was asked for before");
}
END_TEST

/* libiscsi would queue an answer to each, when neither the target nor the kernel takes any more. */
static void play_pings(struct fake *f)
{
	uint8_t h[48] = { 0x20, 0x80 }, many[100 * 48];

	do_login(f);
	read_pdu(f);
	be32(h + 16, 0xffffffff);
	be32(h + 20, 5);
	be32(h + 24, f->statsn);
	be32(h + 28, from32(f->in.h + 24) + 1);
	be32(h + 32, from32(f->in.h + 24) + 64);
	for (size_t n = 0; n < sizeof(many); n += 48)
		memcpy(many + n, h, 48);
	for (int n = 0; n < 10000; n++)
		if (send(f->fd, many, sizeof(many), MSG_NOSIGNAL) < 0)
			break;
}

START_TEST(pings_without_end)
{
	expect_lost(play_pings, NULL, 0, submit_read, ISCSI_LOSS_CLOSED, "pings");
}
END_TEST

/* ---- what a target may do, and libiscsi can't bear ---- */

static void expect_done(void (*script)(struct fake *f), void (*on_up)(struct ini *i), int done)
{
	struct fake *f = calloc(1, sizeof(*f));

	I.lost = I.done = 0;
	fake_start(f, script);
	I.p.portal = f->portal;
	I.on_up = on_up;
	I.want_done = done;
	ini_start(&I);
	ini_run(&I);
	ck_assert_msg(I.lost == 0, "lost: %s", I.text);
	ck_assert_int_eq(I.done, done);
	iscsi_session_kill(I.s);
	I.s = NULL;
	fake_stop(f);
	free(f);
}

/*
 * A ping and an R2T in one segment: libiscsi gives the pong the CmdSN of the Data-Out behind it, and
 * then finds that too old to send.
 */
static void play_ping_beside_r2t(struct fake *f)
{
	uint8_t ping[48] = { 0x20, 0x80 }, r2t[48] = { 0x31, 0x80 }, both[96], command[48];
	bool data = false, pong = false;

	use_keys(f, LOGIN_R2T, sizeof(LOGIN_R2T) - 1);
	do_login(f);
	read_pdu(f);
	memcpy(command, f->in.h, 48);
	memcpy(r2t + 16, command + 16, 4);
	be32(r2t + 20, 7);
	be32(r2t + 44, 4096);
	be32(ping + 16, 0xffffffff);
	be32(ping + 20, 8);
	for (int i = 0; i < 2; i++) {
		uint8_t *h = i ? ping : r2t;

		be32(h + 24, f->statsn);
		be32(h + 28, from32(command + 24) + 1);
		be32(h + 32, from32(command + 24) + 64);
		memcpy(both + 48 * i, h, 48);
	}
	send_raw(f, both, 96);
	while (!(data && pong) && read_pdu(f)) {
		data |= (f->in.h[0] & 0x3f) == 5 && f->in.h[1] & 0x80;
		pong |= (f->in.h[0] & 0x3f) == 0 && from32(f->in.h + 20) == 8;
	}
	memcpy(f->in.h, command, 48);
	if (data && pong)
		reply_scsi(f, 0x21, 0x80, 0, 0, NULL, 0);
	drain(f);
}

START_TEST(a_ping_beside_an_r2t)
{
	expect_done(play_ping_beside_r2t, submit_write, 1);
}
END_TEST

/* RFC 7143 11.4.10: this MaxCmdSN makes ExpCmdSN invalid as well. */
static void play_bad_window(struct fake *f)
{
	uint8_t h[48] = { 0x21, 0x80 };

	do_login(f);
	for (int n = 0; n < 2; n++) {
		read_pdu(f);
		memcpy(h + 16, f->in.h + 16, 4);
		be32(h + 24, f->statsn++);
		be32(h + 28, from32(f->in.h + 24) + 100);
		be32(h + 32, from32(f->in.h + 24) + 98);
		send_raw(f, h, 48);
	}
	drain(f);
}

static void submit_next(struct ini *i, struct iscsi_cmd *cmd)
{
	if (i->done == 1)
		submit(i, 1, true);
}

START_TEST(a_window_that_is_none)
{
	I.on_done = submit_next;
	expect_done(play_bad_window, submit_read, 2);
}
END_TEST

static void play_byte_by_byte(struct fake *f)
{
	uint8_t data[4096], h[48] = { 0x25, 0x80 }, pdu[48 + 4096];
	static const uint8_t sense[20] = { 0, 18, 0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29 };
	int one = 1;

	setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	do_login(f);
	read_pdu(f);
	for (size_t n = 0; n < sizeof(data); n++)
		data[n] = (uint8_t)(n * 7);
	memcpy(h + 16, f->in.h + 16, 4);
	be32(h + 4, 4096);
	be32(h + 28, from32(f->in.h + 24) + 1);
	be32(h + 32, from32(f->in.h + 24) + 64);
	memcpy(pdu, h, 48);
	memcpy(pdu + 48, data, 4096);
	for (size_t n = 0; n < sizeof(pdu); n++)
		send_raw(f, pdu + n, 1);
	h[0] = 0x21;
	h[3] = 2;
	be32(h + 4, sizeof(sense));
	memcpy(pdu, h, 48);
	memcpy(pdu + 48, sense, sizeof(sense));
	for (size_t n = 0; n < 48 + sizeof(sense); n++)
		send_raw(f, pdu + n, 1);
	drain(f);
}

START_TEST(answers_byte_by_byte)
{
	const struct scsi_cmd *c = &I.cmd[0].scsi;

	expect_done(play_byte_by_byte, submit_read, 1);
	ck_assert(c->status == SCSI_ST_CHECK_CONDITION && c->sense.valid && c->sense.asc == 0x29);
	ck_assert_uint_eq(c->got, 4096);
	for (size_t n = 0; n < 4096; n++)
		ck_assert_uint_eq(I.data[n], (uint8_t)(n * 7));
}
END_TEST

/*
 * It answers a long WRITE before it has taken the data of it, of which much has not even been sent;
 * then it takes all that comes, which must still be PDUs, and answers the next command.
 */
#define LONG (8u << 20)

static uint8_t *long_data;

static void submit_long(struct ini *i)
{
	struct scsi_cmd *c = &i->cmd[0].scsi;

	long_data = malloc(LONG);
	memset(long_data, 0xaa, LONG);
	cdb_write16(c, 0, LONG / 4096, 4096, false);
	c->lun = 1;
	c->niov = 1;
	c->iov[0] = (struct iovec){ long_data, LONG };
	ck_assert_int_eq(iscsi_session_submit(i->s, &i->cmd[0]), 0);
}

static void free_long(struct ini *i, struct iscsi_cmd *cmd)
{
	if (cmd != &i->cmd[0])
		return;
	ck_assert_uint_eq(cmd->scsi.status, SCSI_ST_BUSY);
	free(long_data);
	long_data = NULL;
	memset(cmd, 0x55, sizeof(*cmd));
	submit(i, 1, false);
}

#define LOGIN_EARLY                                                                                \
	"HeaderDigest=None\0MaxRecvDataSegmentLength=65536\0InitialR2T=No\0ImmediateData=Yes\0"    \
	"FirstBurstLength=8388608\0"

static void play_early(struct fake *f)
{
	static const uint8_t data[4096];
	size_t bytes = 0;

	use_keys(f, LOGIN_EARLY, sizeof(LOGIN_EARLY) - 1);
	do_login(f);
	read_pdu(f);
	bytes = f->in.n;
	reply_scsi(f, 0x21, 0x80, SCSI_ST_BUSY, 0, NULL, 0);
	usleep(50000);
	while (read_pdu(f)) {
		if ((f->in.h[0] & 0x3f) == 1)
			break;
		ck_assert_uint_eq(f->in.h[0], 0x05);
		ck_assert_uint_eq(from32(f->in.h + 40), bytes);
		ck_assert(!f->in.n || f->in.data[f->in.n - 1] == 0xaa);
		bytes += f->in.n;
	}
	ck_assert_uint_eq(bytes, LONG);
	reply_scsi(f, 0x25, 0x81, 0, 0, data, sizeof(data));
	drain(f);
}

START_TEST(an_early_answer_waits_for_the_data)
{
	I.on_done = free_long;
	expect_done(play_early, submit_long, 2);
}
END_TEST

/* Answers one command after the other as `with` says: a valid PDU with random bytes in its header. */
static void play_fuzz(struct fake *f)
{
	static const uint8_t opcodes[] = { 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x32, 0x3f };
	unsigned seed = (unsigned)f->with_n;
	uint8_t data[256];

	do_login(f);
	for (int n = 0; n < 20 && read_pdu(f); n++) {
		uint8_t h[48] = { opcodes[(size_t)rand_r(&seed) % sizeof(opcodes)], 0x80 };

		for (size_t b = 0; b < sizeof(data); b++)
			data[b] = (uint8_t)rand_r(&seed);
		memcpy(h + 16, f->in.h + 16, 4);
		for (int k = rand_r(&seed) % 4; k > 0; k--)
			h[1 + rand_r(&seed) % 3] = (uint8_t)rand_r(&seed);
		if (rand_r(&seed) % 2)
			h[36 + rand_r(&seed) % 12] = (uint8_t)rand_r(&seed);
		send_pdu(f, h, data, (size_t)rand_r(&seed) % sizeof(data));
	}
}

START_TEST(fuzzed_answers)
{
	for (size_t seed = 1; seed <= 300; seed++) {
		I.lost = I.done = 0;
		expect_lost(play_fuzz, NULL, seed, submit_all, ANY, "");
		ck_assert_int_le(I.done, NCMD);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("iscsi_hostile");
	TCase *t = tcase_create("iscsi_hostile");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, closes_at_once);
	tcase_add_test(t, nobody_listens);
	tcase_add_test(t, garbage_for_a_login_answer);
	tcase_add_test(t, half_a_login_answer);
	tcase_add_test(t, data_in_for_a_login);
	tcase_add_test(t, login_refused);
	tcase_add_test(t, login_redirected);
	tcase_add_test(t, login_redirected_to_nowhere);
	tcase_add_test(t, absurd_parameters);
	tcase_add_test(t, unsolicited_data_against_our_will);
	tcase_add_test(t, text_in_the_padding);
	tcase_add_test(t, mutual_chap_can_not_be_dodged);
	tcase_add_test(t, bad_arguments);
	tcase_add_test(t, closes_after_login);
	tcase_add_test(t, noise_after_login);
	tcase_add_test(t, data_that_does_not_fit);
	tcase_add_test(t, r2t_that_does_not_fit);
	tcase_add_test(t, async_messages);
	tcase_add_test(t, rejects);
	tcase_add_test(t, an_opcode_there_is_not);
	tcase_add_test(t, a_login_response_after_the_login);
	tcase_add_test(t, a_text_response_nobody_asked_for);
	tcase_add_test(t, a_task_management_response_nobody_asked_for);
	tcase_add_test(t, data_in_for_a_nop);
	tcase_add_test(t, r2t_for_a_nop);
	tcase_add_test(t, scsi_response_for_a_nop);
	tcase_add_test(t, nop_in_for_a_command);
	tcase_add_test(t, an_answer_to_nothing);
	tcase_add_test(t, two_answers_to_one_command);
	tcase_add_test(t, two_pongs_to_one_ping);
	tcase_add_test(t, data_in_for_a_write);
	tcase_add_test(t, data_in_that_overlaps);
	tcase_add_test(t, data_in_that_skips);
	tcase_add_test(t, status_without_the_final_bit);
	tcase_add_test(t, data_in_that_wants_an_acknowledgement);
	tcase_add_test(t, additional_header_segments);
	tcase_add_test(t, a_residual_larger_than_the_transfer);
	tcase_add_test(t, r2t_for_a_read);
	tcase_add_test(t, r2t_beyond_the_command);
	tcase_add_test(t, r2t_for_nothing);
	tcase_add_test(t, r2t_for_more_than_a_burst);
	tcase_add_test(t, r2t_without_a_tag);
	tcase_add_test(t, two_r2ts_at_once);
	tcase_add_test(t, r2t_for_the_same_again);
	tcase_add_test(t, pings_without_end);
	tcase_add_test(t, a_ping_beside_an_r2t);
	tcase_add_test(t, a_window_that_is_none);
	tcase_add_test(t, answers_byte_by_byte);
	tcase_add_test(t, an_early_answer_waits_for_the_data);
	tcase_add_test(t, fuzzed_answers);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
