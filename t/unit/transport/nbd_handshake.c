/* SPDX-License-Identifier: MIT */
/* transport/nbd_handshake.c: what each option is answered, and that the stream stays in step. */
#include "nbd_world.h"

#define ALL_FLAGS                                                                                  \
	(NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |       \
	 NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_CACHE |               \
	 NBD_FLAG_SEND_FAST_ZERO)

START_TEST(export_name_with_and_without_zeroes)
{
	for (uint32_t flags = 0; flags < 4; flags++) {
		uint8_t b[134], zero[124] = { 0 };
		size_t len = flags & NBD_FLAG_NO_ZEROES ? 10 : 134;
		int fd = client();

		greet(fd, flags);
		option(fd, NBD_OPT_EXPORT_NAME, "disk", 4);
		take(fd, b, len);
		ck_assert_uint_eq(get_be64(b), DISK_BYTES);
		ck_assert_uint_eq(get_be16(b + 8), ALL_FLAGS);
		if (len > 10)
			ck_assert_mem_eq(b + 10, zero, 124);
		ck_assert_int_eq(w.users[0], 1);
		expect_works(fd, false);
		request(fd, 0, NBD_CMD_DISC, 1, 0, 0);
		expect_end(fd);
		ck_assert_int_eq(w.users[0], 0);
	}
}
END_TEST

/* It has no error reply: all that is left is to close. */
START_TEST(export_name_that_fails)
{
	static const struct {
		const char *name;
		uint32_t len;
	} bad[] = { { "nothing", 7 }, { "disk\0x", 6 }, { "disk", 3 }, { NULL, 4096 }, { NULL, 4097 },
		    { NULL, 16385 } };
	char longest[16385];

	memset(longest, 'n', sizeof(longest));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = client();

		greet(fd, 3);
		option(fd, NBD_OPT_EXPORT_NAME, bad[i].name ? bad[i].name : longest, bad[i].len);
		expect_end(fd);
	}
	ck_assert_int_eq(w.users[0], 0);
}
END_TEST

START_TEST(go_and_its_items)
{
	static const uint16_t items[] = { NBD_INFO_BLOCK_SIZE, NBD_INFO_NAME, 0x1234, NBD_INFO_DESCRIPTION };
	uint8_t b[4200];
	uint32_t len;
	int fd = client();

	greet(fd, 3);
	for (int i = 0; i < 2; i++) {
		uint32_t code = i ? NBD_OPT_GO : NBD_OPT_INFO;

		option(fd, code, b, (uint32_t)info_bytes(b, "", items, 4));
		ck_assert_uint_eq(reply_to(fd, code, NBD_REP_INFO, b, sizeof(b)), 12);
		ck_assert_uint_eq(get_be16(b), NBD_INFO_EXPORT);
		ck_assert_uint_eq(get_be64(b + 2), DISK_BYTES);
		ck_assert_uint_eq(get_be16(b + 10), ALL_FLAGS);
		len = reply_to(fd, code, NBD_REP_INFO, b, sizeof(b));
		ck_assert_uint_eq(get_be16(b), NBD_INFO_NAME);
		ck_assert_uint_eq(len, 2 + 4);
		ck_assert_mem_eq(b + 2, "disk", 4); /* what "" stands for */
		len = reply_to(fd, code, NBD_REP_INFO, b, sizeof(b));
		ck_assert_uint_eq(get_be16(b), NBD_INFO_DESCRIPTION);
		ck_assert_uint_eq(len, 2 + 10);
		ck_assert_mem_eq(b + 2, "first disk", 10);
		ck_assert_uint_eq(reply_to(fd, code, NBD_REP_INFO, b, sizeof(b)), 14);
		ck_assert_uint_eq(get_be16(b), NBD_INFO_BLOCK_SIZE);
		ck_assert_uint_eq(get_be32(b + 2), 1);
		ck_assert_uint_eq(get_be32(b + 6), 4096);
		ck_assert_uint_eq(get_be32(b + 10), 32 << 20);
		expect_reply(fd, code, NBD_REP_ACK);
		ck_assert_int_eq(w.users[0], i);
	}
	expect_works(fd, false);
	close(fd);
}
END_TEST

START_TEST(flags_tell_what_the_export_can)
{
	int fd = client();

	greet(fd, 3);
	ck_assert_uint_eq(go(fd, "ro"), NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY | NBD_FLAG_SEND_FLUSH |
						NBD_FLAG_SEND_FUA | NBD_FLAG_CAN_MULTI_CONN |
						NBD_FLAG_SEND_CACHE);
	close(fd);
	fd = client();
	greet(fd, 3);
	option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_reply(fd, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	ck_assert_uint_eq(go(fd, "plain"),
			  NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_DF);
	close(fd);
}
END_TEST

START_TEST(list)
{
	uint8_t b[4200];
	int fd = client();

	greet(fd, 3);
	option(fd, NBD_OPT_LIST, NULL, 0);
	for (int i = 0; i < EXPORTS; i++) {
		size_t n = strlen(export_names[i]);
		uint32_t len = reply_to(fd, NBD_OPT_LIST, NBD_REP_SERVER, b, sizeof(b));

		ck_assert_uint_eq(get_be32(b), n);
		ck_assert_mem_eq(b + 4, export_names[i], n);
		ck_assert_uint_eq(len, 4 + n + (i ? 0 : 10));
	}
	expect_reply(fd, NBD_OPT_LIST, NBD_REP_ACK);
	go(fd, "disk");
	close(fd);
}
END_TEST

START_TEST(abort_is_acknowledged)
{
	int fd = client();
	uint8_t b;

	greet(fd, 3);
	option(fd, NBD_OPT_ABORT, NULL, 0);
	expect_reply(fd, NBD_OPT_ABORT, NBD_REP_ACK);
	until(nbd_server_connections(w.server) == 0);
	ck_assert_int_eq(recv(fd, &b, 1, 0), 0);
	close(fd);
	/* one that carries data, and more behind it */
	fd = client();
	greet(fd, 3);
	option(fd, NBD_OPT_ABORT, "bye", 3);
	expect_reply(fd, NBD_OPT_ABORT, NBD_REP_ACK);
	expect_end(fd);
}
END_TEST

/* Each is refused with its own error, and GO works behind it on the same connection. */
START_TEST(refusals)
{
	static const struct {
		uint32_t code, type, len;
		const char *data;
	} bad[] = {
		{ NBD_OPT_STARTTLS, NBD_REP_ERR_UNSUP, 0, "" },
		{ NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID, 1, "x" },
		{ NBD_OPT_LIST, NBD_REP_ERR_INVALID, 4, "\0\0\0\0" },
		{ NBD_OPT_STRUCTURED_REPLY, NBD_REP_ERR_INVALID, 2, "ab" },
		{ 4, NBD_REP_ERR_UNSUP, 3, "abc" },           /* PEEK_EXPORT, withdrawn */
		{ 9, NBD_REP_ERR_INVALID, 12, "\0\0\0\4disk\0\0\0\0" },  /* LIST_META_CONTEXT, without */
		{ 10, NBD_REP_ERR_INVALID, 12, "\0\0\0\4disk\0\0\0\0" }, /* structured replies */
		{ 11, NBD_REP_ERR_UNSUP, 0, "" },             /* EXTENDED_HEADERS */
		{ 0, NBD_REP_ERR_UNSUP, 5, "zero." },
		{ 0xffffffff, NBD_REP_ERR_UNSUP, 1, "x" },
		{ NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, 13, "\0\0\0\7nothing\0\0" },
		{ NBD_OPT_INFO, NBD_REP_ERR_UNKNOWN, 13, "\0\0\0\7nothing\0\0" },
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 0, "" },
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 5, "\0\0\0\0\0" },
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 10, "\0\0\0\5disk\0\0" },    /* name longer than the data */
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 10, "\xff\xff\xff\xff" "disk\0\0" },
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 10, "\xff\xff\xff\xfc" "disk\0\0" }, /* + 4 = 0 */
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 10, "\0\0\0\3disk\0\0" },    /* shorter: data is left */
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 10, "\0\0\0\4disk\0\1" },    /* an item that is not there */
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 11, "\0\0\0\4disk\0\0x" },
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 12, "\0\0\0\4disk\xff\xff\0\3" },
		{ NBD_OPT_GO, NBD_REP_ERR_INVALID, 10, "\0\0\0\4di\0k\0\0" },   /* NUL in the name */
	};
	int fd = client();

	greet(fd, 3);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		option(fd, bad[i].code, bad[i].data, bad[i].len);
		expect_reply(fd, bad[i].code, bad[i].type);
	}
	ck_assert_int_eq(w.users[0], 0);
	go(fd, "disk");
	expect_works(fd, false);
	close(fd);
}
END_TEST

/* Data that no option has: skipped, answered, in step. Names of 4096 bytes are legal, of 4097 not. */
START_TEST(long_data)
{
	uint8_t *b = calloc(1, 2 << 20);
	int fd = client();

	greet(fd, 3);
	option(fd, 77, b, 1 << 20);
	expect_reply(fd, 77, NBD_REP_ERR_UNSUP);
	option(fd, NBD_OPT_GO, b, 100000);
	expect_reply(fd, NBD_OPT_GO, NBD_REP_ERR_TOO_BIG);
	for (uint32_t len = 4095; len < 4098; len++) {
		memset(b, 'n', 5000);
		put_be32(b, len);
		put_be16(b + 4 + len, 0);
		option(fd, NBD_OPT_GO, b, 6 + len);
		expect_reply(fd, NBD_OPT_GO, len > 4096 ? NBD_REP_ERR_TOO_BIG : NBD_REP_ERR_UNKNOWN);
	}
	go(fd, "disk");
	expect_works(fd, false);
	close(fd);

	fd = client();
	greet(fd, 3);
	put(fd, b, option_bytes(b, 77, NULL, 0));
	expect_reply(fd, 77, NBD_REP_ERR_UNSUP);
	put_be64(b, NBD_OPT_MAGIC);
	put_be32(b + 8, 77);
	put_be32(b + 12, 0xffffffff);
	put(fd, b, 16);
	expect_end(fd);
	free(b);
}
END_TEST

START_TEST(breaches_close)
{
	uint8_t b[64];
	int fd = client();

	greet(fd, 4); /* an unknown client flag */
	expect_end(fd);
	fd = client();
	greet(fd, 0x80000003);
	expect_end(fd);
	fd = client();
	greet(fd, 3);
	put(fd, "IHAVEOPS\0\0\0\7\0\0\0\0", 16);
	expect_end(fd);
	fd = client();
	greet(fd, 2); /* no fixed newstyle: nothing but EXPORT_NAME can be said */
	option(fd, NBD_OPT_LIST, NULL, 0);
	expect_end(fd);
	fd = client();
	greet(fd, 3);
	memset(b, 0, sizeof(b));
	put(fd, b, sizeof(b));
	expect_end(fd);
	ck_assert_int_eq(nbd_server_connections(w.server), 0);
	fd = opened("disk", true);
	expect_works(fd, true);
	close(fd);
}
END_TEST

START_TEST(options_are_counted)
{
	int fd = client();
	uint8_t b[4096];
	int n;

	greet(fd, 3);
	for (n = 0; n < 100000; n++) {
		size_t len = option_bytes(b, NBD_OPT_STARTTLS, NULL, 0);

		if (send(fd, b, len, MSG_NOSIGNAL) != (ssize_t)len)
			break;
		turn();
		while (recv(fd, b, sizeof(b), 0) > 0)
			;
	}
	ck_assert_int_lt(n, 3000);
	ck_assert_int_ge(n, 1000);
	until(nbd_server_connections(w.server) == 0);
	close(fd);
}
END_TEST

/* LIST again and again, and no answer is read: the answers must not pile up. */
START_TEST(unread_lists_stop_the_client)
{
	int fd = client();
	uint8_t b[16 * 900];
	size_t len = 0;

	greet(fd, 3);
	narrow();
	for (int i = 0; i < 900; i++)
		len += option_bytes(b + len, NBD_OPT_LIST, NULL, 0);
	put(fd, b, len);
	turns(50);
	ck_assert_int_gt(w.lists, 0);
	ck_assert_int_lt(w.lists, 700 * EXPORTS);
	for (int i = 0; i < 900; i++) {
		for (int k = 0; k < EXPORTS; k++)
			expect_reply(fd, NBD_OPT_LIST, NBD_REP_SERVER);
		expect_reply(fd, NBD_OPT_LIST, NBD_REP_ACK);
	}
	go(fd, "disk");
	expect_works(fd, false);
	close(fd);
}
END_TEST

/* One byte at a time, and all at once with requests behind it: the answers are the same. */
START_TEST(any_delivery)
{
	for (int all = 0; all < 2; all++) {
		uint8_t b[2000], data[64];
		size_t len = 0;
		int fd = client();

		put_be32(b, 3);
		len = 4;
		len += option_bytes(b + len, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
		len += option_bytes(b + len, 99, "data", 4);
		len += option_bytes(b + len, NBD_OPT_GO, data,
				    (uint32_t)info_bytes(data, "disk", NULL, 0));
		request_bytes(b + len, 0, NBD_CMD_WRITE, 1, 77, 5);
		len += NBD_REQUEST_HEAD;
		memcpy(b + len, "hello", 5);
		len += 5;
		request_bytes(b + len, 0, NBD_CMD_READ, 2, 76, 7);
		len += NBD_REQUEST_HEAD;
		for (size_t i = 0; !all && i < len; i++) {
			put(fd, b + i, 1);
			turn();
		}
		if (all)
			put(fd, b, len);
		take(fd, b, 18);
		expect_reply(fd, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
		expect_reply(fd, 99, NBD_REP_ERR_UNSUP);
		expect_reply(fd, NBD_OPT_GO, NBD_REP_INFO);
		expect_reply(fd, NBD_OPT_GO, NBD_REP_ACK);
		expect_simple(fd, 1, 0);
		expect_chunk(fd, 2, 0, 76, 7);
		ck_assert_mem_eq(w.disk + 77, "hello", 5);
		memset(w.disk + 77, 0, 5);
		close(fd);
	}
}
END_TEST

START_TEST(deadline)
{
	int idle, slow, fine;
	ev_tstamp end = ev_time() + 1.;

	nbd_server_stop(w.server);
	nbd_server_free(w.server);
	free(w.disk);
	buf_pool_free(w.pool);
	ev_loop_destroy(w.loop);
	world_up_with(100, 150);
	idle = client();
	fine = opened("disk", false);
	slow = client();
	greet(slow, 3);
	for (int i = 0; ev_time() < end && nbd_server_connections(w.server) > 1; i++) {
		send(slow, "IHAVEOPT" + i % 8, 1, MSG_NOSIGNAL);
		turn();
		usleep(20000);
	}
	expect_end(idle);
	expect_end(slow);
	ck_assert_ptr_nonnull(strstr(w.log, "150 ms"));
	/* in transmission nothing has to happen, ever */
	expect_works(fine, false);
	close(fine);
}
END_TEST

/* Bytes that mean nothing, in every place: the connection goes, the next one works. */
START_TEST(garbage)
{
	srand(11);
	for (int n = 0; n < 300; n++) {
		uint8_t b[3000];
		int fd = client(), kind = n % 4;

		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = (uint8_t)(rand() >> 7);
		if (kind)
			greet(fd, 3);
		if (kind == 2) { /* an option with garbage inside */
			option(fd, (uint32_t)(rand() % 12), b, (uint32_t)(rand() % 40));
			option(fd, NBD_OPT_GO, b, (uint32_t)(rand() % 2000));
		}
		if (kind == 3) {
			go(fd, "disk");
			put_be32(b, NBD_REQUEST_MAGIC);
			put_be16(b + 6, (uint16_t)(rand() % 9));
			put_be32(b + 24, (uint32_t)rand() % 2000);
		}
		for (size_t i = 0; i < sizeof(b);) {
			size_t k = (size_t)(rand() % 700) + 1;

			k = k < sizeof(b) - i ? k : sizeof(b) - i;
			send(fd, b + i, k, MSG_NOSIGNAL);
			turn();
			i += k;
		}
		shutdown(fd, SHUT_WR);
		expect_end(fd);
	}
	ck_assert_int_eq(nbd_server_connections(w.server), 0);
	int fd = opened("disk", true);

	expect_works(fd, true);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_handshake");
	TCase *tc = tcase_create("nbd_handshake");

	tcase_add_checked_fixture(tc, world_up, world_down);
	tcase_add_test(tc, export_name_with_and_without_zeroes);
	tcase_add_test(tc, export_name_that_fails);
	tcase_add_test(tc, go_and_its_items);
	tcase_add_test(tc, flags_tell_what_the_export_can);
	tcase_add_test(tc, list);
	tcase_add_test(tc, abort_is_acknowledged);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, long_data);
	tcase_add_test(tc, breaches_close);
	tcase_add_test(tc, options_are_counted);
	tcase_add_test(tc, unread_lists_stop_the_client);
	tcase_add_test(tc, any_delivery);
	tcase_add_test(tc, deadline);
	tcase_add_test(tc, garbage);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
