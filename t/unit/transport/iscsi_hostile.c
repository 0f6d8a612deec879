/* SPDX-License-Identifier: MIT */
/* A target that lies or breaks off costs its own session: lost() once, and no memory error. */
#include "fake_target.h"

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
	ini_run(&I);
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

START_TEST(absurd_parameters)
{
	PLAY_LOGIN(0x87, 0, "MaxRecvDataSegmentLength=0\0", ISCSI_LOSS_LOGIN, "MaxRecv");
	PLAY_LOGIN(0x87, 0, "MaxRecvDataSegmentLength=-1\0", ISCSI_LOSS_LOGIN, "MaxRecv");
	PLAY_LOGIN(0x87, 0, "MaxRecvDataSegmentLength=16777216\0", ISCSI_LOSS_LOGIN, "MaxRecv");
	PLAY_LOGIN(0x87, 0, "A=b\0FirstBurstLength=many\0", ISCSI_LOSS_LOGIN, "FirstBurst");
	PLAY_LOGIN(0x87, 0, "MaxBurstLength=\0", ISCSI_LOSS_LOGIN, "MaxBurst");
	PLAY_LOGIN(0x87, 0, "NoNulAtTheEnd=16", ISCSI_LOSS_LOGIN, "NUL");
	PLAY_LOGIN(0x87, 0, "HeaderDigest=CRC32C\0", ISCSI_LOSS_LOGIN, "HeaderDigest=None");
	I.p.header_digest = true;
	PLAY_LOGIN(0x87, 0, "HeaderDigest=None\0", ISCSI_LOSS_LOGIN, "HeaderDigest=CRC32C");
	PLAY_LOGIN(0x87, 0, "MaxRecvDataSegmentLength=8192\0", ISCSI_LOSS_LOGIN, "ignored");
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
		expect_lost(play_data_in, NULL, 0, submit_read, ISCSI_LOSS_CLOSED, "buffer");
	}
	/* nobody asked: libiscsi must not collect it */
	in_offset = 0;
	in_len = 512;
	I.lost = 0;
	expect_lost(play_data_in, NULL, 0, submit_write, ISCSI_LOSS_CLOSED, "buffer");
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
	expect_lost(play_reject, NULL, 0, submit_all, ISCSI_LOSS_CLOSED, "Protocol Error");
	reason = 0x0c;
	I.lost = 0;
	expect_lost(play_reject, NULL, 0, submit_all, ISCSI_LOSS_LOGOUT, "logout");
	ck_assert_int_eq(I.done, 0);
}
END_TEST

static void play_odd_status(struct fake *f)
{
	do_login(f);
	read_pdu(f);
	reply_scsi(f, 0x21, 0x80, 0x77, 0, NULL, 0);
	drain(f);
}

START_TEST(a_status_there_is_not)
{
	expect_lost(play_odd_status, NULL, 0, submit_read, ISCSI_LOSS_CLOSED, "status");
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
	tcase_add_test(t, absurd_parameters);
	tcase_add_test(t, mutual_chap_can_not_be_dodged);
	tcase_add_test(t, bad_arguments);
	tcase_add_test(t, closes_after_login);
	tcase_add_test(t, noise_after_login);
	tcase_add_test(t, data_that_does_not_fit);
	tcase_add_test(t, r2t_that_does_not_fit);
	tcase_add_test(t, async_messages);
	tcase_add_test(t, rejects);
	tcase_add_test(t, a_status_there_is_not);
	tcase_add_test(t, fuzzed_answers);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
