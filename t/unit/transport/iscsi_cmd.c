/* SPDX-License-Identifier: MIT */
/* What becomes of a command, whatever the target says of it. */
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
	memset(&F, 0, sizeof(F));
}

static void submit_read(struct ini *i)
{
	submit(i, 0, false);
}

static void submit_write(struct ini *i)
{
	submit(i, 0, true);
}

/* One command, one script, one outcome. */
static const struct scsi_cmd *play(void (*script)(struct fake *f), void (*on_up)(struct ini *i))
{
	static struct scsi_cmd last;

	begin(script);
	I.on_up = on_up;
	I.want_done = 1;
	ini_start(&I);
	ini_run(&I);
	ck_assert_msg(I.lost == 0, "lost: %s", I.text);
	ck_assert_int_eq(I.done, 1);
	last = I.cmd[0].scsi;
	end();
	return &last;
}

static const uint8_t *sense;
static size_t sense_n, data_n;
static uint8_t scsi_flags, scsi_status, scsi_response;
static uint32_t scsi_residual;

/* data_n bytes of Data-In without status, then a SCSI Response. */
static void play_response(struct fake *f)
{
	static const uint8_t data[4096];
	uint8_t h[48] = { 0x21, scsi_flags, scsi_response, scsi_status };

	do_login(f);
	read_pdu(f);
	if (data_n)
		reply_scsi(f, 0x25, 0x80, 0, 0, data, data_n);
	memcpy(h + 16, f->in.h + 16, 4);
	be32(h + 44, scsi_residual);
	send_pdu(f, h, sense, sense_n);
	drain(f);
}

/* data_n bytes of Data-In with the status. */
static void play_data_in(struct fake *f)
{
	static const uint8_t data[4096];
	uint8_t h[48] = { 0x25, scsi_flags, 0, scsi_status };

	do_login(f);
	read_pdu(f);
	memcpy(h + 16, f->in.h + 16, 4);
	be32(h + 44, scsi_residual);
	send_pdu(f, h, data, data_n);
	drain(f);
}

static void answer(uint8_t flags, uint8_t status, uint32_t residual, size_t data)
{
	scsi_flags = flags;
	scsi_status = status;
	scsi_residual = residual;
	scsi_response = 0;
	data_n = data;
	sense_n = 0;
}

static const struct scsi_cmd *read_with(uint8_t flags, uint32_t residual, size_t data)
{
	answer(flags, SCSI_ST_GOOD, residual, data);
	return play(play_response, submit_read);
}

START_TEST(statuses)
{
	static const uint8_t st[] = { SCSI_ST_BUSY, SCSI_ST_RESERVATION_CONFLICT, SCSI_ST_ACA_ACTIVE,
				      SCSI_ST_TASK_SET_FULL, SCSI_ST_TASK_ABORTED,
				      SCSI_ST_CONDITION_MET, 0x22, 0xff /* obsolete, reserved */ };

	for (size_t n = 0; n < sizeof(st); n++) {
		const struct scsi_cmd *c;

		answer(0x80, st[n], 0, 0);
		c = play(play_response, submit_read);
		ck_assert_int_eq(c->outcome, SCSI_OUT_STATUS);
		ck_assert_uint_eq(c->status, st[n]);
	}
}
END_TEST

/* RFC 7143 11.4.3: anything but 00h means that the status says nothing. */
START_TEST(target_failure_is_not_good)
{
	static const uint8_t codes[] = { 0x01, 0x02, 0x80, 0xff };

	for (size_t n = 0; n < sizeof(codes); n++) {
		const struct scsi_cmd *c;

		answer(n == 3 ? 0x82 : 0x80, SCSI_ST_GOOD, n == 3 ? 9999 : 0, n % 2 ? 4096 : 0);
		scsi_response = codes[n];
		c = play(play_response, submit_read);
		ck_assert_int_eq(c->outcome, SCSI_OUT_RESPONSE);
		ck_assert_uint_eq(c->response, codes[n]);
	}
	answer(0x80, SCSI_ST_GOOD, 0, 0);
	scsi_response = 1;
	ck_assert_int_eq(play(play_response, submit_write)->outcome, SCSI_OUT_RESPONSE);
}
END_TEST

START_TEST(short_reads_are_visible)
{
	const struct scsi_cmd *c;

	ck_assert_uint_eq(read_with(0x80, 0, 4096)->got, 4096);
	ck_assert_uint_eq(read_with(0x82, 1096, 3000)->got, 3000);
	ck_assert_uint_eq(read_with(0x82, 4096, 0)->got, 0);
	/* the residual and the data disagree: the less of both */
	ck_assert_uint_eq(read_with(0x82, 1096, 4096)->got, 3000);
	ck_assert_uint_eq(read_with(0x82, 1000, 0)->got, 0);
	/* no residual at all */
	ck_assert_uint_eq(read_with(0x80, 0, 0)->got, 0);
	c = read_with(0x80, 0, 512);
	ck_assert(c->got == 512 && c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD);
}
END_TEST

START_TEST(status_with_the_data)
{
	const struct scsi_cmd *c;

	answer(0x81, SCSI_ST_GOOD, 0, 4096);
	c = play(play_data_in, submit_read);
	ck_assert(c->got == 4096 && c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD);
	answer(0x81, SCSI_ST_GOOD, 0, 2048);
	ck_assert_uint_eq(play(play_data_in, submit_read)->got, 2048);
	answer(0x83, SCSI_ST_GOOD, 96, 4000);
	ck_assert_uint_eq(play(play_data_in, submit_read)->got, 4000);
	answer(0x81, SCSI_ST_BUSY, 0, 4);
	ck_assert_uint_eq(play(play_data_in, submit_read)->status, SCSI_ST_BUSY);
	answer(0x81, SCSI_ST_CHECK_CONDITION, 0, 4);
	c = play(play_data_in, submit_read);
	ck_assert(c->status == SCSI_ST_CHECK_CONDITION && !c->sense.valid);
}
END_TEST

static void submit_inquiry(struct ini *i)
{
	struct iscsi_cmd *cmd = &i->cmd[0];

	cdb_inquiry(&cmd->scsi, false, 0, 96);
	cmd->scsi.niov = 1;
	cmd->scsi.iov[0] = (struct iovec){ i->data, 96 };
	ck_assert_int_eq(iscsi_session_submit(i->s, cmd), 0);
}

/* The target wanted to move more than the blocks we asked for: then its blocks are larger. */
START_TEST(overflow)
{
	const struct scsi_cmd *c = read_with(0x84, 512, 4096);

	ck_assert(c->outcome == SCSI_OUT_ERROR && c->got == 4096);
	answer(0x85, SCSI_ST_GOOD, 28672, 4096);
	ck_assert_int_eq(play(play_data_in, submit_read)->outcome, SCSI_OUT_ERROR);
	answer(0x84, SCSI_ST_GOOD, 28672, 0);
	ck_assert_int_eq(play(play_response, submit_write)->outcome, SCSI_OUT_ERROR);
	answer(0x84, SCSI_ST_CHECK_CONDITION, 512, 0);
	ck_assert_int_eq(play(play_response, submit_read)->outcome, SCSI_OUT_STATUS);
	/* a longer answer than there was room for is no error */
	answer(0x84, SCSI_ST_GOOD, 100, 96);
	c = play(play_response, submit_inquiry);
	ck_assert(c->outcome == SCSI_OUT_STATUS && c->got == 96);
}
END_TEST

static size_t fetch; /* bytes of a WRITE that the target asks for */

static void play_fetch(struct fake *f)
{
	uint8_t command[48];

	use_keys(f, LOGIN_R2T, sizeof(LOGIN_R2T) - 1);
	do_login(f);
	read_pdu(f);
	memcpy(command, f->in.h, 48);
	ck_assert_uint_eq(f->in.n, 0);
	if (fetch) {
		ask(f, command, 0, (uint32_t)fetch);
		for (size_t at = 0; at < fetch; at += f->in.n)
			read_pdu(f);
	}
	reply_scsi(f, 0x21, scsi_flags, 0, scsi_residual, NULL, 0);
	drain(f);
}

START_TEST(a_write_that_was_not_fetched_is_not_written)
{
	answer(0x80, 0, 0, 0);
	fetch = 4096;
	ck_assert_uint_eq(play(play_fetch, submit_write)->got, 4096);
	fetch = 1024;
	ck_assert_uint_eq(play(play_fetch, submit_write)->got, 1024);
	fetch = 0;
	ck_assert_uint_eq(play(play_fetch, submit_write)->got, 0);
	fetch = 4096;
	answer(0x82, 0, 512, 0);
	ck_assert_uint_eq(play(play_fetch, submit_write)->got, 3584);
}
END_TEST

static const struct scsi_cmd *check(const void *data, size_t n)
{
	const struct scsi_cmd *c;

	answer(0x80, SCSI_ST_CHECK_CONDITION, 0, 0);
	sense = data;
	sense_n = n;
	c = play(play_response, submit_read);
	ck_assert_int_eq(c->outcome, SCSI_OUT_STATUS);
	ck_assert_uint_eq(c->status, SCSI_ST_CHECK_CONDITION);
	return c;
}

START_TEST(check_conditions)
{
	static const uint8_t full[20] = { 0, 18, 0x70, 0, 0x06, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0x01 };
	static const uint8_t desc[10] = { 0, 8, 0x72, 0x02, 0x04, 0x0b, 0, 0, 0, 0xff };
	const struct scsi_cmd *c = check(full, sizeof(full));

	ck_assert(c->sense.valid && c->sense.key == 6 && c->sense.asc == 0x29 && c->sense.ascq == 1);
	c = check(desc, sizeof(desc));
	ck_assert(c->sense.valid && c->sense.key == 2 && c->sense.asc == 4 && c->sense.ascq == 11);
}
END_TEST

START_TEST(check_condition_without_sense)
{
	ck_assert(!check(NULL, 0)->sense.valid);
	ck_assert(!check("\0", 1)->sense.valid);
	ck_assert(!check("\0\0", 2)->sense.valid);
	ck_assert(!check("\0\1\x70", 3)->sense.valid);
}
END_TEST

START_TEST(sense_length_that_lies)
{
	static const uint8_t more[8] = { 0xff, 0xff, 0x70, 0, 0x03 };
	static const uint8_t none[20] = { 0, 0, 0x70, 0, 0x03 };
	/* descriptors that say they go on for ever: libiscsi followed them */
	static const uint8_t chain[14] = { 0, 12, 0x72, 0x03, 0x11, 0, 0, 0, 0, 0xff, 2, 0xff, 0x80, 0x80 };
	const struct scsi_cmd *c = check(more, sizeof(more));

	ck_assert(c->sense.valid && c->sense.key == 3 && c->sense.asc == 0);
	ck_assert(!check(none, sizeof(none))->sense.valid);
	c = check(chain, sizeof(chain));
	ck_assert(c->sense.valid && c->sense.key == 3 && c->sense.asc == 0x11);
}
END_TEST

/* ---- data_out: may anything of it have left? ---- */

static bool seen_at_submit;

static void submit_and_look(struct ini *i)
{
	submit(i, 0, true);
	seen_at_submit = i->cmd[0].scsi.data_out;
}

static void play_ask_and_close(struct fake *f)
{
	use_keys(f, LOGIN_R2T, sizeof(LOGIN_R2T) - 1);
	do_login(f);
	read_pdu(f);
	if (fetch)
		ask(f, f->in.h, 0, (uint32_t)fetch);
}

static bool data_out_of_a_lost_write(bool solicited)
{
	bool seen;

	begin(play_ask_and_close);
	I.p.solicited = solicited;
	I.on_up = submit_and_look;
	ini_start(&I);
	ini_run(&I);
	ck_assert_int_eq(I.lost, 1);
	seen = I.cmd[0].scsi.data_out;
	end();
	return seen;
}

START_TEST(solicited_writes_tell_what_has_left)
{
	fetch = 0;
	ck_assert(!data_out_of_a_lost_write(true));
	ck_assert(!seen_at_submit);
	fetch = 512;
	ck_assert(data_out_of_a_lost_write(true));
	ck_assert(!seen_at_submit);
	fetch = 0;
	ck_assert(data_out_of_a_lost_write(false));
	ck_assert(seen_at_submit);
}
END_TEST

/* A target that negotiates immediate data against our No gets none. */
static void play_yes(struct fake *f)
{
	do_login(f); /* InitialR2T=Yes, ImmediateData=Yes */
	read_pdu(f);
	ck_assert_uint_eq(f->in.n, 0);
	ck_assert_uint_eq(f->in.h[1], 0xa1);
	reply_scsi(f, 0x21, 0x80, 0x08, 0, NULL, 0);
	drain(f);
}

static void play_offer(struct fake *f)
{
	char text[sizeof(f->in.data) + 1];
	bool r2t = false, immediate = false;
	size_t n;

	read_pdu(f);
	n = f->in.n;
	memcpy(text, f->in.data, n);
	text[n] = '\0';
	for (size_t at = 0; at < n; at += strlen(text + at) + 1) {
		r2t |= !strcmp(text + at, "InitialR2T=Yes");
		immediate |= !strcmp(text + at, "ImmediateData=No");
	}
	ck_assert(r2t && immediate);
	reply_login(f, 0x87, 0, LOGIN_R2T, sizeof(LOGIN_R2T) - 1);
	read_pdu(f);
	reply_scsi(f, 0x21, 0x80, 0, 0, NULL, 0);
	drain(f);
}

START_TEST(a_solicited_session_sends_nothing_unasked)
{
	static void (*const scripts[])(struct fake *f) = { play_yes, play_offer };

	for (int n = 0; n < 2; n++) {
		begin(scripts[n]);
		I.p.solicited = true;
		I.on_up = submit_and_look;
		I.want_done = 1;
		ini_start(&I);
		ini_run(&I);
		ck_assert_msg(I.done == 1, "lost: %s", I.text);
		ck_assert(!I.cmd[0].scsi.data_out);
		ck_assert_uint_eq(I.cmd[0].scsi.got, 0);
		end();
	}
}
END_TEST

START_TEST(without_data_to_send_data_out_does_not_matter)
{
	answer(0x80, 0, 0, 0);
	begin(play_response);
	I.p.solicited = true;
	I.on_up = submit_read;
	I.want_done = 1;
	ini_start(&I);
	ini_run(&I);
	ck_assert(I.cmd[0].scsi.data_out);
	end();
}
END_TEST

/* ---- what goes in ---- */

static void play_stall(struct fake *f)
{
	do_login(f);
	drain(f);
}

START_TEST(submit_refuses_nonsense)
{
	struct scsi_cmd *c;

	begin(play_stall);
	ini_start(&I);
	ck_assert_int_eq(iscsi_session_submit(I.s, &I.cmd[0]), -ENOTCONN);
	ck_assert_int_eq(iscsi_session_probe(I.s), -ENOTCONN);
	ini_idle(&I, 0.1);
	c = &I.cmd[0].scsi;
	cdb_read16(c, 0, 1, 4096);
	c->niov = 1;
	c->iov[0] = (struct iovec){ I.data, 4095 };
	ck_assert_int_eq(iscsi_session_submit(I.s, &I.cmd[0]), -EINVAL);
	c->niov = 3;
	ck_assert_int_eq(iscsi_session_submit(I.s, &I.cmd[0]), -EINVAL);
	cdb_test_unit_ready(c);
	c->niov = 0;
	c->cdb_len = 17;
	ck_assert_int_eq(iscsi_session_submit(I.s, &I.cmd[0]), -EINVAL);
	c->cdb_len = 0;
	ck_assert_int_eq(iscsi_session_submit(I.s, &I.cmd[0]), -EINVAL);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("iscsi_cmd");
	TCase *t = tcase_create("iscsi_cmd");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, statuses);
	tcase_add_test(t, target_failure_is_not_good);
	tcase_add_test(t, short_reads_are_visible);
	tcase_add_test(t, status_with_the_data);
	tcase_add_test(t, overflow);
	tcase_add_test(t, a_write_that_was_not_fetched_is_not_written);
	tcase_add_test(t, check_conditions);
	tcase_add_test(t, check_condition_without_sense);
	tcase_add_test(t, sense_length_that_lies);
	tcase_add_test(t, solicited_writes_tell_what_has_left);
	tcase_add_test(t, a_solicited_session_sends_nothing_unasked);
	tcase_add_test(t, without_data_to_send_data_out_does_not_matter);
	tcase_add_test(t, submit_refuses_nonsense);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
