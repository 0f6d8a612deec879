/* SPDX-License-Identifier: MIT */
/* Memory that clients hold: payloads and answers under way count, what becomes free is given on, and who keeps it is closed. */
#define STALL_MS 500
#include "nbd_world.h"

#define M (1 << 20)

/* A head of a WRITE of 32 MiB, and some of it. */
static int half_a_payload(void)
{
	static uint8_t part[100000];
	int fd = opened("disk", false);

	request(fd, 0, NBD_CMD_WRITE, 1, 0, 32 * M);
	put(fd, part, sizeof(part));
	turns(5);
	return fd;
}

static uint64_t asked(void)
{
	int fd = opened("disk", false);
	uint64_t bytes;

	request(fd, 0, NBD_CMD_READ, 1, 0, 512);
	expect_simple(fd, 1, 0);
	bytes = w.admit_len;
	close(fd);
	return bytes;
}

/* Nothing is with the owner: only the end of that payload can let the other one in. */
START_TEST(the_end_of_a_payload_lets_others_in)
{
	int a, b;

	w.room = 32 * M;
	a = half_a_payload();
	b = opened("disk", false);
	request(b, 0, NBD_CMD_READ, 2, 0, 512);
	expect_quiet(b);
	close(a);
	expect_simple(b, 2, 0);
	ck_assert_uint_eq(asked(), 4096);
	close(b);
}
END_TEST

START_TEST(a_payload_that_stalls_is_closed_when_others_wait)
{
	int a, b;

	w.room = 32 * M;
	a = half_a_payload();
	usleep(STALL_MS * 2000);
	turns(5);
	expect_quiet(a); /* nobody waits: it may take its time */
	b = opened("disk", false);
	request(b, 0, NBD_CMD_READ, 2, 0, 512);
	expect_end(a);
	expect_simple(b, 2, 0);
	close(b);
}
END_TEST

/* It moves: it is not closed, and the other one's turn comes. */
START_TEST(a_slow_payload_is_waited_for)
{
	static uint8_t part[64 * 1024];
	int a, b;

	w.room = 8 * M;
	a = opened("disk", false);
	b = opened("disk", false);
	request(a, 0, NBD_CMD_WRITE, 1, 0, 8 * M);
	turns(3);
	request(b, 0, NBD_CMD_READ, 2, 0, 512);
	expect_quiet(b);
	for (int i = 0; i < 8 * M / (int)sizeof(part); i++) {
		put(a, part, sizeof(part));
		if (i % 10 == 0)
			usleep(STALL_MS * 1000 / 4);
		turns(2);
	}
	expect_simple(a, 1, 0);
	nbd_server_resume(w.server); /* as the owner does when a request of its own has ended */
	expect_simple(b, 2, 0);
	close(a);
	close(b);
}
END_TEST

/* What is answered and not read is memory like any other, whoever asks next. */
START_TEST(unread_answers_count)
{
	int a = client(), b;

	narrow();
	greet(a, 3);
	go(a, "disk");
	for (int i = 0; i < 3; i++)
		request(a, 0, NBD_CMD_READ, 1, 0, M);
	turns(20);
	ck_assert_uint_ge(asked(), 2 * M + 4096);
	ck_assert_uint_le(asked(), 3 * M + 4096);
	w.room = 3 * M;
	b = opened("disk", false);
	request(b, 0, NBD_CMD_READ, 2, 0, M);
	expect_quiet(b);
	until(strstr(w.log, "moves nothing")); /* it reads nothing, and b waits */
	close(a);
	take(b, (uint8_t[16]){ 0 }, 16);
	w.room = 0;
	close(b);
	turns(5);
	ck_assert_uint_eq(asked(), 4096);
}
END_TEST

/* READs that the owner still has are limited, too, but a single one may be of any size. */
START_TEST(reads_of_one_client_are_limited)
{
	int fd = opened("disk", false);

	w.hold = true;
	for (int i = 0; i < 8; i++)
		request(fd, 0, NBD_CMD_READ, 1, 0, 32 * M);
	turns(10);
	ck_assert_int_eq(jobs(), 2);
	close(fd);
	turns(3);
	while (jobs())
		job_end(false, 0);
	w.hold = false;
	ck_assert_uint_eq(asked(), 4096);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_admit");
	TCase *tc = tcase_create("nbd_admit");

	tcase_add_checked_fixture(tc, world_up, world_down);
	tcase_add_test(tc, the_end_of_a_payload_lets_others_in);
	tcase_add_test(tc, a_payload_that_stalls_is_closed_when_others_wait);
	tcase_add_test(tc, a_slow_payload_is_waited_for);
	tcase_add_test(tc, unread_answers_count);
	tcase_add_test(tc, reads_of_one_client_are_limited);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
