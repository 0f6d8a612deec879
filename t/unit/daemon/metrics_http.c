/* SPDX-License-Identifier: MIT */
/* HTTP on our own loop: what is answered, what is refused, and clients that mean it no good. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "daemon/metrics.h"

static struct ev_loop *loop;
static struct metrics_http *http;
static char addr[64], why[256], got[1 << 21];
static int scrapes, port;
static size_t size;

static char *text(void *arg, size_t *len)
{
	char *s = malloc(size + 1);

	ck_assert_ptr_eq(arg, &scrapes);
	scrapes++;
	memset(s, 'x', size);
	s[size] = '\0';
	*len = size;
	return s;
}

static int listen_at(struct metrics_http **h, const char *where)
{
	return metrics_http_start(h, loop, where, text, &scrapes, why, sizeof(why));
}

static struct sockaddr_in local(int at)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)at),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void start(void)
{
	struct sockaddr_in sin = local(0);
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	loop = ev_loop_new(0);
	scrapes = 0;
	size = 100;
	/* a port that is free now */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	getsockname(fd, (struct sockaddr *)&sin, &len);
	close(fd);
	port = ntohs(sin.sin_port);
	snprintf(addr, sizeof(addr), "tcp:127.0.0.1:%d", port);
	ck_assert_msg(listen_at(&http, addr) == 0, "%s", why);
}

static void stop(void)
{
	metrics_http_stop(http);
	ev_loop_destroy(loop);
}

static int dial(void)
{
	struct sockaddr_in sin = local(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* Sends and reads until the server closes; the loop never blocks. */
static const char *ask(const char *request)
{
	int fd = dial();
	size_t n = 0;

	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	for (int turns = 0; turns < 20000; turns++) {
		ssize_t more = recv(fd, got + n, sizeof(got) - 1 - n, MSG_DONTWAIT);

		if (more == 0 || (more < 0 && errno != EAGAIN))
			break;
		if (more > 0)
			n += (size_t)more;
		else
			usleep(100);
		ev_run(loop, EVRUN_NOWAIT);
		ck_assert_int_lt(turns, 19999);
	}
	got[n] = '\0';
	close(fd);
	return got;
}

#define CLOSE "Host: h\r\nConnection: close\r\n\r\n"

static void begins(const char *answer, const char *with)
{
	ck_assert_msg(!strncmp(answer, with, strlen(with)), "%.80s", answer);
}

START_TEST(a_scrape)
{
	const char *body;

	begins(ask("GET /metrics HTTP/1.1\r\n" CLOSE), "HTTP/1.1 200 ");
	ck_assert_ptr_nonnull(strstr(got, "text/plain; version=0.0.4; charset=utf-8"));
	body = strstr(got, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	ck_assert_uint_eq(strlen(body + 4), 100);
	ck_assert_int_eq(scrapes, 1);
	begins(ask("GET /metrics?x=1 HTTP/1.0\r\n\r\n"), "HTTP/1.");
	ck_assert_int_eq(scrapes, 2);
}
END_TEST

/* More than the socket takes at once. */
START_TEST(a_long_answer)
{
	size = 1 << 20;
	ask("GET /metrics HTTP/1.1\r\n" CLOSE);
	ck_assert_uint_eq(strlen(strstr(got, "\r\n\r\n") + 4), size);
}
END_TEST

START_TEST(anything_else_is_refused)
{
	begins(ask("GET / HTTP/1.1\r\n" CLOSE), "HTTP/1.1 404 ");
	begins(ask("GET /metrics/ HTTP/1.1\r\n" CLOSE), "HTTP/1.1 404 ");
	begins(ask("GET /../metrics HTTP/1.1\r\n" CLOSE), "HTTP/1.1 404 ");
	begins(ask("POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n" CLOSE "hello"), "HTTP/1.1 405 ");
	ck_assert_ptr_nonnull(strstr(got, "Allow: GET"));
	begins(ask("DELETE /metrics HTTP/1.1\r\n" CLOSE), "HTTP/1.1 405 ");
	begins(ask("BREW /pot HTTP/1.1\r\n" CLOSE), "HTTP/1.1 404 ");
	ck_assert_int_eq(scrapes, 0);
	begins(ask("GET /metrics HTTP/1.1\r\n" CLOSE), "HTTP/1.1 200 ");
}
END_TEST

START_TEST(nonsense_costs_a_connection)
{
	static char longer[200000];

	ask("\r\n\r\n\x01\x02\xff nonsense\r\n\r\n");
	memset(longer, 'a', sizeof(longer) - 1);
	memcpy(longer, "GET /", 5);
	ask(longer);
	ck_assert_int_eq(scrapes, 0);
	begins(ask("GET /metrics HTTP/1.1\r\n" CLOSE), "HTTP/1.1 200 ");
}
END_TEST

/* Those that say nothing take all places; when they go there is room again. */
START_TEST(silent_clients)
{
	int fd[40];

	for (int i = 0; i < 40; i++) {
		fd[i] = dial();
		ev_run(loop, EVRUN_NOWAIT);
	}
	for (int i = 0; i < 40; i++)
		close(fd[i]);
	for (int i = 0; i < 50; i++)
		ev_run(loop, EVRUN_NOWAIT);
	begins(ask("GET /metrics HTTP/1.1\r\n" CLOSE), "HTTP/1.1 200 ");
}
END_TEST

static void on_end(struct ev_loop *l, ev_timer *t, int revents)
{
	ev_break(l, EVBREAK_ALL);
}

START_TEST(idle_loop_sleeps)
{
	ev_timer end;
	unsigned before;

	ask("GET /metrics HTTP/1.1\r\n" CLOSE);
	for (int i = 0; i < 20; i++)
		ev_run(loop, EVRUN_NOWAIT);
	ev_timer_init(&end, on_end, .3, 0.);
	ev_timer_start(loop, &end);
	before = ev_iteration(loop);
	ev_run(loop, 0);
	ck_assert_uint_le(ev_iteration(loop) - before, 5);
}
END_TEST

START_TEST(addresses)
{
	struct metrics_http *h;
	char v6[64];

	ck_assert_int_eq(listen_at(&h, addr), -EADDRINUSE);
	ck_assert_ptr_null(h);
	ck_assert_ptr_nonnull(strstr(why, addr));
	ck_assert_int_eq(listen_at(&h, "unix:/tmp/x"), -EINVAL);
	ck_assert_int_eq(listen_at(&h, "tcp:localhost:1"), -EINVAL);
	ck_assert_int_eq(listen_at(&h, "tcp:127.0.0.1"), -EINVAL);
	ck_assert_int_eq(listen_at(&h, "tcp::80"), -EINVAL);
	snprintf(v6, sizeof(v6), "tcp:[::1]:%d", port);
	ck_assert_msg(listen_at(&h, v6) == 0, "%s", why);
	metrics_http_stop(h);
	metrics_http_stop(NULL);
}
END_TEST

START_TEST(stopped_with_a_client)
{
	char byte;
	int fd = dial();

	send(fd, "GET /met", 8, MSG_NOSIGNAL);
	for (int i = 0; i < 5; i++)
		ev_run(loop, EVRUN_NOWAIT);
	metrics_http_stop(http);
	ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
	close(fd);
	ck_assert_msg(listen_at(&http, addr) == 0, "%s", why);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics_http");
	TCase *t = tcase_create("metrics_http");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, a_scrape);
	tcase_add_test(t, a_long_answer);
	tcase_add_test(t, anything_else_is_refused);
	tcase_add_test(t, nonsense_costs_a_connection);
	tcase_add_test(t, silent_clients);
	tcase_add_test(t, idle_loop_sleeps);
	tcase_add_test(t, addresses);
	tcase_add_test(t, stopped_with_a_client);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
