/* SPDX-License-Identifier: MIT */
/* The handshake against bytes that were written down before, right and wrong ones. */
#include "../../../attach/hello.h"
#include "../../../transport/nbd_proto.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SIZE (64ULL << 20)
#define FLAGS (NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_CAN_MULTI_CONN)

static uint8_t script[70000];
static size_t script_len;
static char why[256];

static void say(const void *p, size_t n)
{
	memcpy(script + script_len, p, n);
	script_len += n;
}

static void say_greeting(uint64_t magic, uint64_t opt, uint16_t flags)
{
	uint8_t b[18];

	script_len = 0;
	put_be64(b, magic);
	put_be64(b + 8, opt);
	put_be16(b + 16, flags);
	say(b, sizeof(b));
}

static void say_head(uint32_t option, uint32_t type, uint32_t len)
{
	uint8_t b[NBD_REP_HEAD];

	put_be64(b, NBD_REP_MAGIC);
	put_be32(b + 8, option);
	put_be32(b + 12, type);
	put_be32(b + 16, len);
	say(b, sizeof(b));
}

static void say_reply(uint32_t type, const void *p, uint32_t len)
{
	say_head(NBD_OPT_GO, type, len);
	say(p, len);
}

static void say_export(uint64_t size, uint16_t flags, uint32_t len)
{
	uint8_t b[16] = { 0 };

	put_be16(b, NBD_INFO_EXPORT);
	put_be64(b + 2, size);
	put_be16(b + 10, flags);
	say_reply(NBD_REP_INFO, b, len);
}

static void say_blocks(uint32_t min, uint32_t pref, uint32_t max, uint32_t len)
{
	uint8_t b[16] = { 0 };

	put_be16(b, NBD_INFO_BLOCK_SIZE);
	put_be32(b + 2, min);
	put_be32(b + 6, pref);
	put_be32(b + 10, max);
	say_reply(NBD_REP_INFO, b, len);
}

static void say_description(const char *text)
{
	uint8_t b[5000];

	put_be16(b, NBD_INFO_DESCRIPTION);
	memcpy(b + 2, text, strlen(text));
	say_reply(NBD_REP_INFO, b, 2 + (uint32_t)strlen(text));
}

static void begin(void)
{
	say_greeting(NBD_MAGIC, NBD_OPT_MAGIC, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
}

/*
 * Runs the handshake against the first n bytes of the script; with `open` the server waits instead of closing
 * then. Bytes behind the handshake must not have been read.
 */
static int run_as(size_t n, bool open, const char *export, bool go, struct hello_info *out)
{
	int fd[2], bytes = 1 << 18, ret;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	ck_assert_int_eq(send(fd[1], script, n, MSG_DONTWAIT), (ssize_t)n);
	if (!open)
		shutdown(fd[1], SHUT_WR);
	why[0] = '\0';
	ret = hello_talk(fd[0], export, go, 300, out, why, sizeof(why));
	ck_assert((ret != 0) == (why[0] != '\0'));
	close(fd[0]);
	close(fd[1]);
	return ret;
}

static int run(struct hello_info *out)
{
	return run_as(script_len, false, "disk", true, out);
}

static void say_good(void)
{
	begin();
	say_export(SIZE, FLAGS, 12);
	say_description("naa.6001405 block=4096");
	say_blocks(1, 4096, 32 << 20, 14);
	say_reply(NBD_REP_ACK, "", 0);
}

START_TEST(all_is_well)
{
	struct hello_info i;

	say_good();
	ck_assert_int_eq(run(&i), 0);
	ck_assert_uint_eq(i.size, SIZE);
	ck_assert_uint_eq(i.flags, FLAGS);
	ck_assert_uint_eq(i.logical_block, 4096);
	ck_assert_uint_eq(i.max_block, 32 << 20);
	ck_assert_str_eq(i.id, "naa.6001405");
}
END_TEST

/* Whatever the server said last, and however it goes silent. */
START_TEST(cut_anywhere)
{
	struct hello_info i;
	size_t all;

	say_good();
	all = script_len;
	for (size_t n = 0; n < all; n++)
		ck_assert_int_eq(run_as(n, false, "disk", true, &i), -EPIPE);
	ck_assert_int_eq(run_as(all - 1, true, "disk", true, &i), -ETIMEDOUT);
	ck_assert_int_eq(run_as(0, true, "disk", true, &i), -ETIMEDOUT);
}
END_TEST

START_TEST(the_kernels_bytes_stay)
{
	struct hello_info i;
	uint8_t left[8];
	int fd[2];

	say_good();
	say("reply", 5);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	ck_assert_int_eq(send(fd[1], script, script_len, 0), (ssize_t)script_len);
	ck_assert_int_eq(hello_talk(fd[0], "disk", true, 300, &i, why, sizeof(why)), 0);
	ck_assert_int_eq(recv(fd[0], left, sizeof(left), MSG_DONTWAIT), 5);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(no_nbd_server)
{
	struct hello_info i;

	say_greeting(NBD_MAGIC + 1, NBD_OPT_MAGIC, 3);
	ck_assert_int_eq(run(&i), -EPROTO);
	say_greeting(NBD_MAGIC, 0x00420281861253ULL, 3); /* oldstyle */
	ck_assert_int_eq(run(&i), -EPROTO);
	say_greeting(NBD_MAGIC, NBD_OPT_MAGIC, NBD_FLAG_NO_ZEROES);
	ck_assert_int_eq(run(&i), -EPROTO);
}
END_TEST

START_TEST(refusals)
{
	struct hello_info i;

	begin();
	say_reply(NBD_REP_ERR_UNKNOWN, "no \033[2J such", 11);
	ck_assert_int_eq(run(&i), -ENODEV);
	ck_assert_ptr_null(strchr(why, '\033'));
	begin();
	say_reply(NBD_REP_ERR_UNSUP, "", 0);
	ck_assert_int_eq(run(&i), -EACCES);
	begin();
	say_export(SIZE, FLAGS, 12);
	say_reply(0x80000002U, "policy", 6);
	ck_assert_int_eq(run(&i), -EACCES);
}
END_TEST

START_TEST(wrong_replies)
{
	struct hello_info i;

	begin();
	say_head(NBD_OPT_INFO, NBD_REP_ACK, 0); /* to another option */
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_export(SIZE, FLAGS, 12);
	script[18] ^= 1; /* the reply's magic */
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_reply(NBD_REP_ACK, "", 0); /* without an export */
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_export(SIZE, FLAGS, 12);
	say_reply(NBD_REP_ACK, "data", 4);
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_reply(NBD_REP_SERVER, "\0\0\0\0", 4);
	ck_assert_int_eq(run(&i), -EPROTO);
}
END_TEST

START_TEST(wrong_lengths)
{
	static const uint32_t lens[] = { 0, 1, 2, 11, 13 };
	struct hello_info i;

	for (size_t k = 0; k < sizeof(lens) / sizeof(lens[0]); k++) {
		begin();
		say_export(SIZE, FLAGS, lens[k]);
		ck_assert_int_eq(run(&i), -EPROTO);
		begin();
		say_blocks(1, 4096, 1 << 20, lens[k]);
		ck_assert_int_eq(run(&i), -EPROTO);
	}
	begin();
	say_head(NBD_OPT_GO, NBD_REP_INFO, 0xffffffffU);
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_head(NBD_OPT_GO, NBD_REP_ERR_UNSUP, 1U << 20);
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	memset(script + script_len + NBD_REP_HEAD, 'x', 5000);
	say_head(NBD_OPT_GO, NBD_REP_INFO, 2 + 4097);
	put_be16(script + script_len, NBD_INFO_DESCRIPTION);
	script_len += 2 + 4097;
	ck_assert_int_eq(run(&i), -EPROTO);
}
END_TEST

START_TEST(impossible_values)
{
	struct hello_info i;

	begin();
	say_export(0, FLAGS, 12);
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_export(1ULL << 63, FLAGS, 12);
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_export(SIZE, NBD_FLAG_SEND_FLUSH, 12);
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_blocks(3, 4096, 1 << 20, 14);
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_blocks(0, 4096, 1 << 20, 14);
	ck_assert_int_eq(run(&i), -EPROTO);
	begin();
	say_blocks(8192, 8192, 1 << 20, 14);
	ck_assert_int_eq(run(&i), -EPROTO);
}
END_TEST

START_TEST(without_end)
{
	struct hello_info i;

	begin();
	for (int k = 0; k < 1000; k++)
		say_reply(NBD_REP_INFO, "\1\0", 2); /* an unknown one: ignored */
	ck_assert_int_eq(run(&i), -EPROTO);
}
END_TEST

START_TEST(identifiers)
{
	static const struct {
		const char *text, *id;
		uint32_t block;
	} cases[] = {
		{ "naa.6 block=512", "naa.6", 512 },
		{ "t10.VENDOR  a/b block=4096", "t10.VENDOR__a_b", 4096 },
		{ "t10.x block=512 block=2048", "t10.x_block=512", 2048 },
		{ "naa.6 block=513", "naa.6", 512 },
		{ "naa.6 block=65536", "naa.6", 512 },
		{ "naa.6 block=", "naa.6", 512 },
		{ "some disk", "some_disk", 512 },
		{ "a\nb\033c", "a_b_c", 512 },
		{ "", "export=disk", 512 },
	};
	struct hello_info i;

	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		begin();
		say_description(cases[k].text);
		say_export(SIZE, FLAGS, 12);
		say_reply(NBD_REP_ACK, "", 0);
		ck_assert_int_eq(run(&i), 0);
		ck_assert_str_eq(i.id, cases[k].id);
		ck_assert_uint_eq(i.logical_block, cases[k].block);
	}
	begin(); /* its smallest block counts where nothing else is said */
	say_blocks(4096, 4096, 1 << 20, 14);
	say_export(SIZE, FLAGS, 12);
	say_reply(NBD_REP_ACK, "", 0);
	ck_assert_int_eq(run(&i), 0);
	ck_assert_uint_eq(i.logical_block, 4096);
}
END_TEST

/* A server that agrees to every name must not pass for the disk of that identifier. */
START_TEST(no_description)
{
	struct hello_info i;

	begin();
	say_export(SIZE, FLAGS, 12);
	say_reply(NBD_REP_ACK, "", 0);
	ck_assert_int_eq(run_as(script_len, false, "naa.6001405", true, &i), 0);
	ck_assert_str_eq(i.id, "export=naa.6001405");
}
END_TEST

START_TEST(long_names)
{
	static char name[NBD_NAME_MAX + 2];
	struct hello_info i;

	memset(name, 'n', NBD_NAME_MAX);
	say_good();
	ck_assert_int_eq(run_as(script_len, false, name, true, &i), 0);
	name[NBD_NAME_MAX] = 'n';
	ck_assert_int_eq(run_as(script_len, false, name, true, &i), -EINVAL);
}
END_TEST

START_TEST(addresses)
{
	static const char *const wrong[] = { "", "disk", "tcp:", "tcp:host", "tcp::10809", "tcp:host:",
					     "tcp:[::1:10809", "tcp:::1:10809", "tcp:[]x:1" };
	char path[200];

	for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
		int fd = hello_dial(wrong[k], 100, why, sizeof(why));

		ck_assert_msg(fd == -EINVAL || fd == -EHOSTUNREACH, "%s: %d", wrong[k], fd);
	}
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(hello_dial(path, 100, why, sizeof(why)), -EINVAL);
	ck_assert_int_eq(hello_dial("unix:/nonexistent/socket", 100, why, sizeof(why)), -ENOENT);
	ck_assert_int_eq(hello_dial("tcp:127.0.0.1:1", 1000, why, sizeof(why)), -ECONNREFUSED);
	ck_assert_int_eq(hello_dial("tcp:[::1]:1", 1000, why, sizeof(why)) < 0, 1);
}
END_TEST

/* A large answer leaves in few pieces. The kernel doubles what it is asked for. */
START_TEST(buffers_of_the_socket)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd, bytes = 0, most = 0;
	socklen_t len = sizeof(bytes);
	FILE *f = fopen("/proc/sys/net/core/wmem_max", "r");

	snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/mpio-hello.%d", (int)getpid());
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	fd = hello_dial(sun.sun_path, 1000, why, sizeof(why));
	unlink(sun.sun_path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len), 0);
	ck_assert_int_eq(f ? fscanf(f, "%d", &most) : 0, 1);
	fclose(f);
	ck_assert_int_ge(bytes, 2 * (most < 1 << 20 && geteuid() ? most : 1 << 20));
	close(fd);
	close(listener);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hello");
	TCase *t = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, all_is_well);
	tcase_add_test(t, cut_anywhere);
	tcase_add_test(t, the_kernels_bytes_stay);
	tcase_add_test(t, no_nbd_server);
	tcase_add_test(t, refusals);
	tcase_add_test(t, wrong_replies);
	tcase_add_test(t, wrong_lengths);
	tcase_add_test(t, impossible_values);
	tcase_add_test(t, without_end);
	tcase_add_test(t, identifiers);
	tcase_add_test(t, no_description);
	tcase_add_test(t, long_names);
	tcase_add_test(t, addresses);
	tcase_add_test(t, buffers_of_the_socket);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
