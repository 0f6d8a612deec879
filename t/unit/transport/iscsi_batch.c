/* SPDX-License-Identifier: MIT */
/* Bytes through the two buffers come out as they went in, whatever the sizes and whenever the socket is full. */
#include "transport/iscsi_batch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t mpio_iscsi_recv(int fd, void *buf, size_t n, int flags);
ssize_t mpio_iscsi_readv(int fd, const struct iovec *iov, int niov);
ssize_t mpio_iscsi_send(int fd, const void *buf, size_t n, int flags);
ssize_t mpio_iscsi_writev(int fd, const struct iovec *iov, int niov);

static int fd[2];
static struct iscsi_batch *b;

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	b = iscsi_batch_new(NULL);
	ck_assert_ptr_nonnull(b);
	iscsi_batch_enter(b);
}

static void teardown(void)
{
	iscsi_batch_leave();
	iscsi_batch_free(b);
	close(fd[0]);
	close(fd[1]);
}

/* The n-th byte of the stream. */
static uint8_t byte_at(size_t n)
{
	return (n * 2654435761u) >> 13;
}

static void fill(uint8_t *p, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		p[i] = byte_at(at + i);
}

static void check_bytes(const uint8_t *p, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != byte_at(at + i))
			ck_abort_msg("byte %zu of the stream is wrong", at + i);
}

START_TEST(small_sends_wait_for_the_flush)
{
	uint8_t in[48], out[256];

	for (int i = 0; i < 3; i++) {
		fill(in, sizeof(in), i * sizeof(in));
		ck_assert_int_eq(mpio_iscsi_send(fd[0], in, sizeof(in), 0), sizeof(in));
	}
	ck_assert_int_eq(recv(fd[1], out, sizeof(out), 0), -1);
	ck_assert_int_eq(iscsi_batch_flush(b, fd[0]), 0);
	ck_assert_int_eq(recv(fd[1], out, sizeof(out), 0), 3 * sizeof(in));
	check_bytes(out, 3 * sizeof(in), 0);
}
END_TEST

START_TEST(without_a_batch_the_kernel_is_asked)
{
	uint8_t in[10] = { 1 }, out[10];

	iscsi_batch_leave();
	ck_assert_int_eq(mpio_iscsi_send(fd[0], in, sizeof(in), 0), sizeof(in));
	ck_assert_int_eq(mpio_iscsi_recv(fd[1], out, sizeof(out), 0), sizeof(out));
	ck_assert_mem_eq(in, out, sizeof(in));
}
END_TEST

START_TEST(one_receive_for_many_and_then_dry)
{
	uint8_t in[480], out[48];

	fill(in, sizeof(in), 0);
	ck_assert_int_eq(send(fd[1], in, sizeof(in), 0), sizeof(in));
	for (size_t at = 0; at < sizeof(in); at += sizeof(out)) {
		ck_assert_int_eq(mpio_iscsi_recv(fd[0], out, sizeof(out), 0), sizeof(out));
		check_bytes(out, sizeof(out), at);
		ck_assert_uint_eq(iscsi_batch_unread(b), sizeof(in) - at - sizeof(out));
	}
	/* More came meanwhile: it is not asked for before the socket is readable again. */
	ck_assert_int_eq(send(fd[1], in, 48, 0), 48);
	ck_assert_int_eq(mpio_iscsi_recv(fd[0], out, sizeof(out), 0), -1);
	ck_assert_int_eq(errno, EAGAIN);
	iscsi_batch_readable(b);
	ck_assert_int_eq(mpio_iscsi_recv(fd[0], out, sizeof(out), 0), sizeof(out));
}
END_TEST

START_TEST(end_of_stream_is_told)
{
	uint8_t in[5] = "abcd", out[48];

	ck_assert_int_eq(send(fd[1], in, sizeof(in), 0), sizeof(in));
	shutdown(fd[1], SHUT_WR);
	ck_assert_int_eq(mpio_iscsi_recv(fd[0], out, sizeof(out), 0), sizeof(in));
	iscsi_batch_readable(b);
	ck_assert_int_eq(mpio_iscsi_recv(fd[0], out, sizeof(out), 0), 0);
}
END_TEST

START_TEST(a_dead_socket_is_told)
{
	uint8_t in[48] = { 0 };

	close(fd[1]);
	ck_assert_int_eq(mpio_iscsi_send(fd[0], in, sizeof(in), 0), sizeof(in));
	ck_assert_int_eq(iscsi_batch_flush(b, fd[0]), -EPIPE);
	fd[1] = dup(fd[0]);
}
END_TEST

#define STREAM (8u << 20)

static size_t random_size(void)
{
	switch (rand() % 4) {
	case 0:
		return 48;
	case 1:
		return 1 + rand() % 9000;
	case 2:
		return (16u << 10) - 2 + rand() % 4;
	}
	return 1 + rand() % (300u << 10);
}

/* The reader at the far end takes a random amount. */
static size_t drain(int from, size_t at)
{
	static uint8_t out[256u << 10];
	ssize_t k = recv(from, out, 1 + rand() % sizeof(out), 0);

	if (k <= 0)
		return at;
	check_bytes(out, k, at);
	return at + k;
}

START_TEST(any_sizes_out)
{
	static uint8_t in[600u << 10];
	size_t given = 0, taken = 0;

	srand(_i);
	while (given < STREAM) {
		size_t n = random_size(), m = random_size();
		struct iovec iov[2] = { { in, n }, { in + n, m } };
		ssize_t k;

		fill(in, n + m, given);
		k = rand() % 2 ? mpio_iscsi_send(fd[0], in, n, 0) : mpio_iscsi_writev(fd[0], iov, 2);
		if (k < 0)
			ck_assert_int_eq(errno, EAGAIN);
		else
			given += k;
		if (rand() % 3 == 0)
			ck_assert_int_ge(iscsi_batch_flush(b, fd[0]), 0);
		if (k < 0 || rand() % 2)
			taken = drain(fd[1], taken);
	}
	for (int i = 0; i < 100000 && taken < given; i++) {
		ck_assert_int_ge(iscsi_batch_flush(b, fd[0]), 0);
		taken = drain(fd[1], taken);
	}
	ck_assert_uint_eq(taken, given);
}
END_TEST

START_TEST(any_sizes_in)
{
	static uint8_t in[256u << 10], out[600u << 10];
	size_t given = 0, taken = 0;

	srand(_i + 100);
	while (taken < STREAM) {
		size_t n = random_size(), m = random_size();
		struct iovec iov[2] = { { out, n }, { out + n, m } };
		ssize_t k;

		if (given < STREAM + (1u << 20)) {
			size_t w = 1 + rand() % sizeof(in);

			fill(in, w, given);
			k = send(fd[1], in, w, 0);
			given += k > 0 ? k : 0;
		}
		if (rand() % 2)
			iscsi_batch_readable(b);
		k = rand() % 2 ? mpio_iscsi_recv(fd[0], out, n, 0) : mpio_iscsi_readv(fd[0], iov, 2);
		if (k < 0)
			ck_assert_int_eq(errno, EAGAIN);
		ck_assert_int_ne(k, 0);
		if (k > 0) {
			check_bytes(out, k, taken);
			taken += k;
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("iscsi_batch");
	TCase *tc = tcase_create("iscsi_batch");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, small_sends_wait_for_the_flush);
	tcase_add_test(tc, without_a_batch_the_kernel_is_asked);
	tcase_add_test(tc, one_receive_for_many_and_then_dry);
	tcase_add_test(tc, end_of_stream_is_told);
	tcase_add_test(tc, a_dead_socket_is_told);
	tcase_add_loop_test(tc, any_sizes_out, 0, 5);
	tcase_add_loop_test(tc, any_sizes_in, 0, 5);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
