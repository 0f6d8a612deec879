/* SPDX-License-Identifier: MIT */
/* transport/nbd_conn.c and nbd_server.c: flow control, clients that vanish, ends of every kind. */
#include "nbd_world.h"

#define M (1U << 20)

/* What was asked before it left is answered; then the server closes. */
START_TEST(disconnect_waits_for_answers)
{
	int fd = opened("disk", true);

	w.hold = true;
	for (uint64_t i = 0; i < 5; i++)
		request(fd, 0, NBD_CMD_READ, i, 0, 4096);
	request(fd, 0, NBD_CMD_DISC, 9, 0, 0);
	request(fd, 0, NBD_CMD_READ, 10, 0, 4096); /* nobody hears it */
	until(jobs() == 5);
	expect_quiet(fd);
	while (jobs())
		job_end(false, 0);
	for (uint64_t i = 0; i < 5; i++)
		expect_chunk(fd, i, 0, 0, 4096);
	expect_end(fd);
	ck_assert_int_eq(w.submits, 5);
	ck_assert_int_eq(nbd_server_connections(w.server), 0);
}
END_TEST

/* It is gone at once, its requests come back later, nobody else notices. */
START_TEST(vanish_with_requests_in_flight)
{
	int other = opened("disk", false);

	for (int answered = 0; answered < 10; answered += 5) {
		int fd = opened("disk", true);

		w.hold = true;
		for (uint64_t i = 0; i < 20; i++)
			request(fd, 0, i % 2 ? NBD_CMD_READ : NBD_CMD_FLUSH, i, 0, i % 2 ? 4096 : 0);
		until(jobs() == 20);
		for (int i = 0; i < answered; i++)
			job_end(false, 0); /* these wait to be sent */
		close(fd);
		until(nbd_server_connections(w.server) == 1);
		ck_assert_int_eq(w.users[0], 1);
		ck_assert_int_eq(jobs(), 20 - answered);
		while (jobs())
			job_end(true, 0);
		w.hold = false;
	}
	expect_works(other, false);
	close(other);
}
END_TEST

/* At every byte of a conversation. */
START_TEST(vanish_anywhere)
{
	uint8_t b[600], data[64];
	size_t len;

	put_be32(b, 3);
	len = 4;
	len += option_bytes(b + len, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	len += option_bytes(b + len, NBD_OPT_GO, data, (uint32_t)info_bytes(data, "disk", NULL, 0));
	request_bytes(b + len, 0, NBD_CMD_WRITE, 1, 0, 100);
	len += NBD_REQUEST_HEAD + 100;
	request_bytes(b + len, 0, NBD_CMD_READ, 2, 0, 100);
	len += NBD_REQUEST_HEAD;
	for (size_t n = 0; n <= len; n++) {
		for (int reset = 0; reset < 2; reset++) {
			int fd = client();

			put(fd, b, n);
			if (!reset)
				turns(3);
			close(fd); /* with answers unread: the server's send fails */
			until(nbd_server_connections(w.server) == 0);
			ck_assert_int_eq(w.users[0], 0);
		}
	}
}
END_TEST

START_TEST(vanish_in_a_large_payload)
{
	uint8_t *b = calloc(1, 8 * M);
	int fd = opened("disk", false);

	request(fd, 0, NBD_CMD_WRITE, 1, 0, 16 * M);
	put(fd, b, 8 * M);
	close(fd);
	until(nbd_server_connections(w.server) == 0);
	ck_assert_int_eq(w.submits, 0);
	ck_assert_uint_eq(buf_pool_used(w.pool), 0);
	free(b);
	/* what it had announced no longer counts */
	fd = opened("disk", false);
	expect_works(fd, false);
	ck_assert_uint_eq(w.admit_len, 4096);
	close(fd);
}
END_TEST

/* Half a close: what is in flight is still wanted. */
START_TEST(shutdown_of_one_direction)
{
	int fd = opened("disk", true);

	w.hold = true;
	request(fd, 0, NBD_CMD_READ, 1, 0, 4096);
	until(jobs() == 1);
	shutdown(fd, SHUT_WR);
	turns(5);
	ck_assert_int_eq(nbd_server_connections(w.server), 1);
	job_end(false, 0);
	expect_chunk(fd, 1, 0, 0, 4096);
	expect_end(fd);
}
END_TEST

/* A refusal stops the reading, payload and all; resume() goes on where it was. */
START_TEST(admit_says_no)
{
	int fd = opened("disk", true);
	uint8_t b[3000];

	memset(b, 7, sizeof(b));
	w.refuse[0] = true;
	request(fd, 0, NBD_CMD_WRITE, 1, 0, 3000);
	put(fd, b, 3000);
	request(fd, 0, NBD_CMD_READ, 2, 0, 3000);
	expect_quiet(fd);
	ck_assert_int_eq(w.refusals, 1);
	ck_assert_int_eq(w.submits, 0);
	for (int i = 0; i < 3; i++) {
		nbd_server_resume(w.server);
		expect_quiet(fd);
	}
	ck_assert_int_eq(w.refusals, 4);
	w.refuse[0] = false;
	nbd_server_resume(w.server);
	expect_simple(fd, 1, 0);
	expect_chunk(fd, 2, 0, 0, 3000);
	ck_assert_mem_eq(w.disk, b, 3000);
	expect_works(fd, true);
	nbd_server_resume(w.server);
	close(fd);
}
END_TEST

static uint64_t served[64];
static int nserved, budget;

static void count_served(struct nbd_req *req)
{
	served[nserved++] = req->offset;
	if (--budget == 0)
		w.refuse[0] = true;
	serve(req, 0);
}

/* Who waits longest is first; who had its turn goes behind the others; a newcomer too. */
START_TEST(waiting_is_fair)
{
	static const uint64_t order[] = { 10, 20, 30, 11, 21, 40, 12, 22 };
	int a = opened("disk", false), b = opened("disk", false), c = opened("disk", false), d = -1;

	w.refuse[0] = true;
	w.on_submit = count_served;
	for (uint64_t i = 0; i < 3; i++)
		request(a, 0, NBD_CMD_TRIM, 1, 10 + i, 1);
	turns(3);
	for (uint64_t i = 0; i < 3; i++)
		request(b, 0, NBD_CMD_TRIM, 1, 20 + i, 1);
	turns(3);
	request(c, 0, NBD_CMD_TRIM, 1, 30, 1);
	turns(3);
	ck_assert_int_eq(nserved, 0);
	ck_assert_int_eq(w.refusals, 1); /* b and c were not asked about: a waits */
	for (int i = 0; i < 8; i++) {
		if (i == 3) {
			d = opened("disk", false);
			request(d, 0, NBD_CMD_TRIM, 1, 40, 1);
			turns(3);
		}
		budget = 1;
		w.refuse[0] = false;
		nbd_server_resume(w.server);
		turns(3);
		ck_assert_int_eq(nserved, i + 1);
		ck_assert_uint_eq(served[i], order[i]);
	}
	close(a);
	close(b);
	close(c);
	close(d);
}
END_TEST

/* An export that is full does not stop another. */
START_TEST(exports_wait_apart)
{
	int full = opened("disk", false), full2 = opened("disk", false), fd = opened("plain", false);

	w.refuse[0] = true;
	request(full, 0, NBD_CMD_FLUSH, 1, 0, 0);
	request(full2, 0, NBD_CMD_FLUSH, 1, 0, 0);
	turns(3);
	expect_works(fd, false);
	w.refuse[2] = true;
	request(fd, 0, NBD_CMD_TRIM, 1, 0, 1); /* an error needs no room */
	expect_simple(fd, 1, EINVAL);
	request(fd, 0, NBD_CMD_READ, 2, 0, 1);
	expect_quiet(fd);
	w.refuse[2] = false;
	nbd_server_resume(w.server);
	expect_simple(fd, 2, 0);
	close(full);
	close(fd);
	close(full2);
}
END_TEST

/* Payloads on their way in count for the next admit(). */
START_TEST(payloads_on_their_way_count)
{
	int a = opened("disk", false), b = opened("disk", false);
	uint8_t *bytes = calloc(1, M);

	request(a, 0, NBD_CMD_WRITE, 1, 0, M);
	turns(3);
	ck_assert_uint_eq(w.admit_len, M);
	request(b, 0, NBD_CMD_READ, 1, 0, 512);
	expect_simple(b, 1, 0);
	ck_assert_uint_eq(w.admit_len, M + 4096);
	put(a, bytes, M);
	expect_simple(a, 1, 0);
	request(a, 0, NBD_CMD_READ, 1, 0, 512);
	expect_simple(a, 1, 0);
	ck_assert_uint_eq(w.admit_len, 4096);
	free(bytes);
	close(a);
	close(b);
}
END_TEST

/* Asks for ever more and reads nothing: it is stopped, memory stays bounded; then all of it comes. */
START_TEST(unread_answers_stop_the_client)
{
	enum { LEN = 65536, N = 800 };
	uint8_t *b = malloc((size_t)N * NBD_REQUEST_HEAD);
	int fd = client();
	size_t most = 0;

	narrow();
	greet(fd, 3);
	option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_reply(fd, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	go(fd, "disk");
	for (uint64_t i = 0; i < N; i++)
		request_bytes(b + i * NBD_REQUEST_HEAD, 0, NBD_CMD_READ, i, i * 16, LEN);
	put(fd, b, (size_t)N * NBD_REQUEST_HEAD);
	for (int i = 0; i < 100; i++) {
		turn();
		if (buf_pool_used(w.pool) > most)
			most = buf_pool_used(w.pool);
	}
	ck_assert_uint_lt(most, 6 * M);
	ck_assert_int_lt(w.submits, 100);
	for (uint64_t i = 0; i < N; i++)
		expect_chunk(fd, i, 0, i * 16, LEN);
	expect_works(fd, true);
	free(b);
	close(fd);
}
END_TEST

/* Requests without data can't pile up either, neither with the owner nor as answers. */
START_TEST(requests_are_bounded)
{
	enum { N = 20000 };
	uint8_t *b = malloc((size_t)N * NBD_REQUEST_HEAD);
	int fd = opened("disk", false);

	for (uint64_t i = 0; i < N; i++)
		request_bytes(b + i * NBD_REQUEST_HEAD, 0, NBD_CMD_FLUSH, i, 0, 0);
	w.hold = true;
	put(fd, b, (size_t)N * NBD_REQUEST_HEAD / 10);
	turns(20);
	ck_assert_int_eq(w.submits, 1024);
	while (jobs())
		job_end(false, 0);
	w.hold = false;
	put(fd, b + (size_t)N * NBD_REQUEST_HEAD / 10, (size_t)N * NBD_REQUEST_HEAD / 10 * 9);
	for (uint64_t i = 0; i < N; i++)
		expect_simple(fd, i, 0);
	expect_works(fd, false);
	free(b);
	close(fd);
}
END_TEST

/* A client that can send without end does not keep another from its answers. */
START_TEST(a_flood_starves_nobody)
{
	int flood = opened("disk", false), fd = opened("disk", false);
	uint8_t b[28 * 2000], sink[65536];
	size_t at = 0;

	for (uint64_t i = 0; i < 2000; i++)
		request_bytes(b + 28 * i, 0, NBD_CMD_FLUSH, i, 0, 0);
	for (int round = 0; round < 50; round++) {
		ssize_t n;

		while ((n = send(flood, b + at, sizeof(b) - at, MSG_NOSIGNAL)) > 0)
			at = (at + (size_t)n) % sizeof(b);
		request(fd, 0, NBD_CMD_FLUSH, (uint64_t)round, 0, 0);
		for (int i = 0; i < 3; i++) {
			turn();
			while (recv(flood, sink, sizeof(sink), 0) > 0)
				;
		}
		ck_assert_int_eq(recv(fd, sink, 16, MSG_PEEK), 16);
		expect_simple(fd, (uint64_t)round, 0);
	}
	close(flood);
	close(fd);
}
END_TEST

START_TEST(close_export_ends_its_connections_only)
{
	int a = opened("disk", false), b = opened("disk", false), other = opened("plain", false),
	    young = client();

	w.hold = true;
	request(a, 0, NBD_CMD_FLUSH, 1, 0, 0);
	until(jobs() == 1);
	w.refuse[0] = true;
	request(b, 0, NBD_CMD_FLUSH, 1, 0, 0); /* waits in line */
	turns(3);
	nbd_server_close_export(w.server, &w.users[0]);
	ck_assert_int_eq(w.users[0], 0);
	ck_assert_int_eq(nbd_server_connections(w.server), 2);
	job_end(false, 0);
	w.hold = w.refuse[0] = false;
	nbd_server_resume(w.server);
	expect_end(a);
	expect_end(b);
	expect_works(other, false);
	greet(young, 3);
	go(young, "disk");
	expect_works(young, false);
	close(young);
	close(other);
}
END_TEST

static void close_it(struct nbd_req *req)
{
	nbd_server_close_export(w.server, req->export);
	serve(req, 0);
}

START_TEST(close_export_inside_submit)
{
	int fd = opened("disk", false);

	w.on_submit = close_it;
	for (uint64_t i = 0; i < 10; i++)
		request(fd, 0, NBD_CMD_FLUSH, i, 0, 0);
	expect_end(fd);
	ck_assert_int_eq(w.submits, 1);
}
END_TEST

/* Quiet: nothing new comes in, what is out is answered. */
START_TEST(quiesce)
{
	int fd = opened("disk", true), half = opened("disk", true), late;

	w.hold = true;
	request(half, 0, NBD_CMD_WRITE, 3, 0, 4096);
	request(fd, 0, NBD_CMD_READ, 1, 0, 4096);
	until(jobs() == 1);
	nbd_server_quiesce(w.server);
	request(fd, 0, NBD_CMD_READ, 2, 0, 4096);
	late = client();
	expect_end(late);
	job_end(false, 0);
	expect_chunk(fd, 1, 0, 0, 4096);
	expect_quiet(fd);
	nbd_server_resume(w.server);
	expect_quiet(fd);
	ck_assert_int_eq(w.submits, 1);
	nbd_server_stop(w.server);
	expect_end(fd);
	expect_end(half);
}
END_TEST

/* An answer that came in the last moment still leaves. */
START_TEST(stop_sends_what_is_answered)
{
	int fd = opened("disk", true);

	w.hold = true;
	request(fd, 0, NBD_CMD_READ, 1, 0, 4096);
	request(fd, 0, NBD_CMD_READ, 2, 0, 4096);
	until(jobs() == 2);
	job_end(false, 0);
	nbd_server_stop(w.server);
	job_end(false, 0);
	expect_chunk(fd, 1, 0, 0, 4096);
	expect_end(fd);
}
END_TEST

START_TEST(too_many_connections)
{
	int fd[102], gone;

	for (int i = 0; i < 100; i++)
		fd[i] = client();
	ck_assert_int_eq(nbd_server_connections(w.server), 100);
	gone = client();
	expect_end(gone);
	ck_assert_ptr_nonnull(strstr(w.log, "100"));
	/* a flood of them does not fill the log */
	for (int i = 0; i < 500; i++)
		close(client());
	ck_assert_int_lt(w.logs, 200);
	close(fd[7]);
	until(nbd_server_connections(w.server) == 99);
	fd[7] = opened("disk", false);
	expect_works(fd[7], false);
	for (int i = 0; i < 100; i++)
		close(fd[i]);
}
END_TEST

/* Connections that wait and whose clients have left make way when there are too many. */
START_TEST(dead_ones_make_way)
{
	int fd[100], one;

	for (int i = 0; i < 100; i++)
		fd[i] = opened("disk", false);
	w.refuse[0] = true;
	for (int i = 0; i < 100; i++)
		request(fd[i], 0, NBD_CMD_FLUSH, 1, 0, 0);
	turns(10);
	for (int i = 0; i < 40; i++)
		close(fd[i]);
	turns(10);
	one = opened("plain", false);
	expect_works(one, false);
	ck_assert_int_eq(nbd_server_connections(w.server), 61);
	close(one);
	w.refuse[0] = false;
	nbd_server_resume(w.server);
	for (int i = 40; i < 100; i++) {
		expect_simple(fd[i], 1, 0);
		close(fd[i]);
	}
}
END_TEST

/* Held requests come back in any order over many lives of connections. */
START_TEST(random_lives)
{
	int fd[8] = { 0 };

	srand(21);
	w.hold = true;
	for (int n = 0; n < 6000; n++) {
		int i = rand() % 8;

		if (!fd[i]) {
			fd[i] = opened("disk", rand() % 2);
		} else if (rand() % 20 == 0) {
			close(fd[i]);
			fd[i] = 0;
		} else if (rand() % 3) {
			request(fd[i], 0, rand() % 2 ? NBD_CMD_READ : NBD_CMD_TRIM, 1, 0,
				(uint32_t)(rand() % 60000));
		}
		w.refuse[0] = w.job_bytes > 400000;
		while (jobs() && rand() % 2)
			job_end(rand() % 2, rand() % 8 ? 0 : EIO);
		if (rand() % 4 == 0) {
			w.refuse[0] = false;
			nbd_server_resume(w.server);
		}
		if (rand() % 2)
			turn();
		for (int k = 0; k < 8; k++) {
			uint8_t b[4096];

			if (fd[k] && rand() % 2)
				ck_assert(recv(fd[k], b, sizeof(b), 0) != 0);
		}
	}
	for (int i = 0; i < 8; i++)
		if (fd[i])
			close(fd[i]);
}
END_TEST

/* A large answer leaves in few pieces. The kernel doubles what it is asked for. */
START_TEST(buffers_of_the_socket)
{
	int fd = client(), bytes = 0, most = 0;
	socklen_t len = sizeof(bytes);
	FILE *f = fopen("/proc/sys/net/core/wmem_max", "r");

	ck_assert_int_eq(getsockopt(w.served_fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len), 0);
	ck_assert_int_eq(f ? fscanf(f, "%d", &most) : 0, 1);
	fclose(f);
	ck_assert_int_ge(bytes, 2 * (most < (int)M && geteuid() ? most : (int)M));
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_conn");
	TCase *tc = tcase_create("nbd_conn");

	tcase_add_checked_fixture(tc, world_up, world_down);
	tcase_add_test(tc, disconnect_waits_for_answers);
	tcase_add_test(tc, vanish_with_requests_in_flight);
	tcase_add_test(tc, vanish_anywhere);
	tcase_add_test(tc, vanish_in_a_large_payload);
	tcase_add_test(tc, shutdown_of_one_direction);
	tcase_add_test(tc, admit_says_no);
	tcase_add_test(tc, waiting_is_fair);
	tcase_add_test(tc, exports_wait_apart);
	tcase_add_test(tc, payloads_on_their_way_count);
	tcase_add_test(tc, unread_answers_stop_the_client);
	tcase_add_test(tc, requests_are_bounded);
	tcase_add_test(tc, a_flood_starves_nobody);
	tcase_add_test(tc, close_export_ends_its_connections_only);
	tcase_add_test(tc, close_export_inside_submit);
	tcase_add_test(tc, quiesce);
	tcase_add_test(tc, stop_sends_what_is_answered);
	tcase_add_test(tc, too_many_connections);
	tcase_add_test(tc, dead_ones_make_way);
	tcase_add_test(tc, buffers_of_the_socket);
	tcase_add_test(tc, random_lives);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
