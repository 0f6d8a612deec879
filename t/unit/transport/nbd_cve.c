/* SPDX-License-Identifier: MIT */
/* Holes that other NBD servers, and programs that ask an iSCSI target, had: each is looked for here (SECURITY.md). */
#include "nbd_world.h"
#include "transport/nbd_internal.h"
#include "transport/scsi.h"

static void other_world(int max_connections, unsigned handshake_ms)
{
	world_down();
	world_up_with(max_connections, handshake_ms);
}

/* The stream is in step: the next option is answered. */
static void expect_in_step(int fd)
{
	option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_reply(fd, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	go(fd, "disk");
	expect_works(fd, true);
	close(fd);
}

/* nbd-server added to a length of the client's, and allocated what was left of the sum after 2^32. */
START_TEST(cve_2022_26495_name_length_overflow)
{
	static const uint32_t lengths[] = { 0xffffffff, 0xfffffffe, 0xfffffffc, 0xfffffffa, 0x80000000, 7, 4 };
	uint8_t b[16] = { 0 };
	int fd = client();

	greet(fd, 3);
	for (int i = 0; i < 7; i++) {
		put_be32(b, lengths[i]);
		memcpy(b + 4, "disk", 4);
		for (uint32_t code = NBD_OPT_INFO; code <= NBD_OPT_GO; code++) {
			option(fd, code, b, lengths[i] == 4 ? 9 : 10);
			expect_reply(fd, code, NBD_REP_ERR_INVALID);
		}
	}
	ck_assert_int_eq(w.opens, 0);
	expect_in_step(fd);
	/* the length of the option itself */
	for (int i = 0; i < 5; i++) {
		for (uint32_t code = 1; code <= 10; code++) {
			fd = client();
			greet(fd, 3);
			option_bytes(b, code, NULL, 0);
			put_be32(b + 12, lengths[i]);
			put(fd, b, 16);
			expect_end(fd);
		}
	}
}
END_TEST

/* A name, and the data of an option, that fit no buffer on the stack. */
static void long_name(size_t len, bool fits)
{
	uint8_t *b = calloc(1, len + 6);
	int fd = client();

	greet(fd, 3);
	put_be32(b, (uint32_t)len);
	memset(b + 4, 'x', len);
	for (uint32_t code = NBD_OPT_INFO; code <= NBD_OPT_GO; code++) {
		option(fd, code, b, (uint32_t)len + 6);
		expect_reply(fd, code, fits ? NBD_REP_ERR_UNKNOWN : NBD_REP_ERR_TOO_BIG);
	}
	expect_in_step(fd);
	fd = client();
	greet(fd, 3);
	option(fd, NBD_OPT_EXPORT_NAME, b + 4, (uint32_t)len);
	expect_end(fd);
	free(b);
}

START_TEST(cve_2022_26496_and_2017_15118_long_names)
{
	long_name(4095, true);
	long_name(4096, true);
	long_name(4097, false);
	long_name(8192, false);
	long_name(65536, false);
}
END_TEST

/* qemu read what a client announced, to throw it away, for as long as it was announced. */
START_TEST(cve_2017_15119_options_of_gigabytes)
{
	uint8_t b[16];
	int fd = client();

	greet(fd, 3);
	option_bytes(b, 12345, NULL, 0);
	put_be32(b + 12, 0x7fffffff);
	put(fd, b, sizeof(b));
	expect_end(fd);
}
END_TEST

/* Clients that connect and say nothing: they are few, and not for long, and the others do not notice. */
START_TEST(cve_2024_7409_idle_handshakes)
{
	int idle[3], fd, working;

	other_world(4, 300);
	working = opened("disk", false);
	for (int i = 0; i < 3; i++)
		idle[i] = client();
	turns(3);
	ck_assert_int_eq(nbd_server_connections(w.server), 4);
	fd = client();
	expect_end(fd);
	expect_works(working, false);
	for (int i = 0; i < 3; i++)
		expect_end(idle[i]);
	fd = opened("disk", true);
	expect_works(fd, true);
	expect_works(working, false);
	close(fd);
	close(working);
}
END_TEST

/* They do not keep others out: who has had its time and said nothing goes first. */
START_TEST(cve_2024_7409_idle_handshakes_make_way)
{
	int idle[3], fd, working;

	other_world(4, 60000);
	working = opened("disk", false);
	for (int i = 0; i < 3; i++) {
		idle[i] = client();
		turns(3);
	}
	usleep(1100000);
	for (int i = 0; i < 3; i++) {
		fd = opened("disk", false);
		expect_works(fd, false);
		expect_end(idle[i]);
		close(fd);
		turns(3);
		idle[i] = client();
	}
	for (int i = 0; i < 3; i++)
		close(idle[i]);
	expect_works(working, false);
	close(working);
}
END_TEST

/* The crash itself: the server ends while handshakes are under way. */
START_TEST(cve_2024_7409_stop_during_a_handshake)
{
	int fd[3];

	for (int i = 0; i < 3; i++) {
		fd[i] = client();
		if (i)
			greet(fd[i], 3);
	}
	put(fd[2], "IHAVEOPT\0\0\0\7", 12);
	turns(3);
	nbd_server_stop(w.server);
	turns(3);
	for (int i = 0; i < 3; i++)
		expect_end(fd[i]);
}
END_TEST

/* nbdkit opened the plugin for whoever connected. Here nothing behind the server hears of a client before its GO. */
START_TEST(cve_2019_14850_open_before_the_handshake)
{
	int fd[20];

	for (int i = 0; i < 20; i++)
		fd[i] = client();
	for (int i = 10; i < 20; i++)
		greet(fd[i], 3);
	turns(3);
	ck_assert_int_eq(w.opens, 0);
	go(fd[19], "disk");
	ck_assert_int_eq(w.opens, 1);
	for (int i = 0; i < 20; i++)
		close(fd[i]);
	until(nbd_server_connections(w.server) == 0);
	ck_assert_int_eq(w.submits, 0);
}
END_TEST

/* nbdkit took the first INFO for a promise that no other export would follow. */
START_TEST(cve_2019_14851_info_of_several_exports)
{
	uint8_t b[600];
	int fd = client();

	greet(fd, 3);
	for (int i = 0; i < EXPORTS; i++) {
		option(fd, NBD_OPT_INFO, b, (uint32_t)info_bytes(b, export_names[i], NULL, 0));
		ck_assert_uint_eq(reply_to(fd, NBD_OPT_INFO, NBD_REP_INFO, b, sizeof(b)), 12);
		expect_reply(fd, NBD_OPT_INFO, NBD_REP_ACK);
		option(fd, NBD_OPT_INFO, b, (uint32_t)info_bytes(b, "nobody", NULL, 0));
		expect_reply(fd, NBD_OPT_INFO, NBD_REP_ERR_UNKNOWN);
	}
	expect_in_step(fd);
}
END_TEST

/* An early nbd-server had room for a request of some size and took the client's word for its length. */
START_TEST(cve_2005_3534_and_2011_0530_long_requests)
{
	static const uint32_t lengths[] = { NBD_PAYLOAD_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffff };
	int fd = opened("disk", true);

	for (int i = 0; i < 4; i++) {
		request(fd, 0, NBD_CMD_READ, 7, 0, lengths[i]);
		expect_chunk(fd, 7, EINVAL, 0, 0);
	}
	ck_assert_int_eq(w.submits, 0);
	expect_works(fd, true);
	for (int i = 1; i < 4; i++) { /* too much to skip it all */
		request(fd, 0, NBD_CMD_WRITE, 8, 0, lengths[i]);
		expect_end(fd);
		fd = opened("disk", true);
	}
	ck_assert_uint_lt(buf_pool_used(w.pool), NBD_PAYLOAD_MAX);
	close(fd);
}
END_TEST

/* Lengths near 2^32, where a sum or something rounded up is small again, and ranges that end past 2^64. */
START_TEST(cve_2025_47712_lengths_that_wrap)
{
	static const uint32_t lengths[] = { 0xffffffff, 0xfffffe01, 0xfffff001, 0xfffff000, 0x80000001 };
	static const uint64_t offsets[] = { 0, 1, 511, DISK_BYTES - 1, DISK_BYTES, UINT64_MAX, UINT64_MAX - 0xffff };
	static const uint16_t types[] = { NBD_CMD_READ, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES, 7 };
	int fd = opened("disk", false);

	for (int t = 0; t < 4; t++)
		for (int o = 0; o < 7; o++)
			for (int l = 0; l < 5; l++) {
				request(fd, 0, types[t], 9, offsets[o], lengths[l]);
				expect_simple(fd, 9, types[t] == NBD_CMD_WRITE_ZEROES ? ENOSPC : EINVAL);
			}
	ck_assert_int_eq(w.submits, 0);
	expect_works(fd, false);
	close(fd);
}
END_TEST

/* nbdcopy took the bytes of a READ that had failed. So a failure is told with no bytes to take, in both forms. */
START_TEST(cve_2022_0485_a_failed_read_has_no_data)
{
	for (int structured = 0; structured < 2; structured++) {
		int fd = opened("disk", structured);

		w.hold = true;
		for (uint64_t i = 0; i < 3; i++)
			request(fd, 0, NBD_CMD_READ, i, i * 8192, 8192);
		until(jobs() == 3);
		job_end(false, 0);
		job_end(false, EIO);
		job_end(false, 0);
		w.hold = false;
		for (uint64_t i = 0; i < 3; i++) {
			if (structured) {
				expect_chunk(fd, i, i == 1 ? EIO : 0, i * 8192, 8192);
			} else {
				expect_simple(fd, i, i == 1 ? EIO : 0);
				if (i != 1)
					expect_bytes(fd, i * 8192, 8192);
			}
		}
		expect_works(fd, structured);
		close(fd);
	}
}
END_TEST

/*
 * nbdkit 2025-47711 and qemu 2020-1711: an extent longer than what was asked for, from behind. qemu's came from a
 * target's GET LBA STATUS, which is ours, too.
 */
START_TEST(cve_2025_47711_and_2020_1711_extents_beyond_the_request)
{
	uint8_t b[8 + 2 * 16] = { 0 };
	struct scsi_lba_extent e[4];

	put_be32(b, sizeof(b) - 4);
	put_be64(b + 8, 0);
	put_be32(b + 16, 0xffffffff);
	put_be64(b + 24, 0xffffffff);
	put_be32(b + 32, 0xffffffff);
	b[36] = 1;
	for (uint64_t lba = 0; lba < 200000; lba += 9973) {
		int n = scsi_parse_lba_status(b, sizeof(b), lba, 8, e, 4);

		ck_assert_int_eq(n, 1);
		ck_assert_uint_eq(e[0].lba, lba);
		ck_assert_uint_eq(e[0].blocks, 8);
	}
	/* across the seam of the two */
	ck_assert_int_eq(scsi_parse_lba_status(b, sizeof(b), 0xfffffffe, 3, e, 4), 2);
	ck_assert(e[0].blocks == 1 && e[1].lba == 0xffffffff && e[1].blocks == 2);
	/* an answer about something else, and one about nothing */
	put_be64(b + 8, 100);
	ck_assert_int_eq(scsi_parse_lba_status(b, 24, 0, 8, e, 4), -EPROTO);
	put_be64(b + 8, 0);
	put_be32(b + 16, 0);
	ck_assert_int_eq(scsi_parse_lba_status(b, 24, 0, 8, e, 4), -EPROTO);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_cve");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, world_up, world_down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, cve_2022_26495_name_length_overflow);
	tcase_add_test(tc, cve_2022_26496_and_2017_15118_long_names);
	tcase_add_test(tc, cve_2017_15119_options_of_gigabytes);
	tcase_add_test(tc, cve_2024_7409_idle_handshakes);
	tcase_add_test(tc, cve_2024_7409_idle_handshakes_make_way);
	tcase_add_test(tc, cve_2024_7409_stop_during_a_handshake);
	tcase_add_test(tc, cve_2019_14850_open_before_the_handshake);
	tcase_add_test(tc, cve_2019_14851_info_of_several_exports);
	tcase_add_test(tc, cve_2005_3534_and_2011_0530_long_requests);
	tcase_add_test(tc, cve_2025_47712_lengths_that_wrap);
	tcase_add_test(tc, cve_2022_0485_a_failed_read_has_no_data);
	tcase_add_test(tc, cve_2025_47711_and_2020_1711_extents_beyond_the_request);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
