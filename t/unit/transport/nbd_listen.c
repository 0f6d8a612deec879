/* SPDX-License-Identifier: MIT */
/* transport/nbd_listen.c: listening sockets, their files, and accepting when descriptors run out. */
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "nbd_world.h"

static char dir[64], path[128], addr[140], why[256];

static void setup(void)
{
	world_up();
	strcpy(dir, "/tmp/nbd-listen.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(addr, sizeof(addr), "unix:%s", path);
}

static void teardown(void)
{
	world_down();
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static bool is_there(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static int unix_socket(bool bound)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	if (bound)
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	else
		ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static const struct nbd_access plain = { 0600, (gid_t)-1 };

static int listen_there(unsigned mode)
{
	why[0] = '\0';
	return nbd_server_listen(w.server, addr, &(struct nbd_access){ mode, (gid_t)-1 }, why, sizeof(why));
}

static void expect_served(void)
{
	int fd = unix_socket(false);

	greet(fd, 3);
	go(fd, "disk");
	expect_works(fd, false);
	close(fd);
}

START_TEST(mode_of_the_socket)
{
	static const unsigned masks[] = { 0, 022, 077, 0777 }, modes[] = { 0600, 0660, 0666 };

	for (int i = 0; i < 4; i++) {
		mode_t old = umask(masks[i]);

		for (int k = 0; k < 3; k++) {
			struct stat st;

			ck_assert_int_eq(listen_there(modes[k]), 0);
			ck_assert_int_eq(lstat(path, &st), 0);
			ck_assert(S_ISSOCK(st.st_mode));
			ck_assert_uint_eq(st.st_mode & 0777, modes[k]);
			expect_served();
			nbd_server_unlisten(w.server, addr);
			ck_assert(!is_there());
		}
		umask(old);
	}
}
END_TEST

START_TEST(unlisten_keeps_connections)
{
	int fd;

	ck_assert_int_eq(listen_there(0600), 0);
	fd = unix_socket(false);
	greet(fd, 3);
	nbd_server_unlisten(w.server, "unix:/other");
	ck_assert(is_there());
	nbd_server_unlisten(w.server, addr);
	ck_assert(!is_there());
	go(fd, "disk");
	expect_works(fd, false);
	close(fd);
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
	close(unix_socket(true));
	ck_assert(is_there());
	ck_assert_int_eq(listen_there(0600), 0);
	expect_served();
}
END_TEST

START_TEST(live_socket_is_left_alone)
{
	int fd = unix_socket(true);

	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(listen_there(0600), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(why, path));
	ck_assert(is_there());
	/* also when its queue is full */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(listen_there(0600), -EADDRINUSE);
	ck_assert(is_there());
	close(fd);
	ck_assert_int_eq(listen_there(0600), 0);
	/* and our own */
	ck_assert_int_eq(listen_there(0600), -EADDRINUSE);
	expect_served();
}
END_TEST

START_TEST(other_files_are_left_alone)
{
	struct stat st;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_eq(write(fd, "precious", 8), 8);
	close(fd);
	ck_assert_int_eq(listen_there(0600), -EEXIST);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 8);
	unlink(path);
	ck_assert_int_eq(symlink("/nowhere", path), 0);
	ck_assert_int_eq(listen_there(0600), -EEXIST);
	unlink(path);
	ck_assert_int_eq(listen_there(0600), 0);
	/* somebody put another file in its place: not ours to remove */
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	nbd_server_unlisten(w.server, addr);
	ck_assert(is_there());
}
END_TEST

START_TEST(bad_addresses)
{
	static const char *const bad[] = {
		"", "unix", "unix:", "/path", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp::10809",
		"tcp:localhost:10809", "tcp:127.0.0.1:port", "tcp:::1:10809", "tcp:[::1]", "tcp:[]:1",
		"unix:/nonexistent/directory/sock",
		"unix:/tmp/0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = '\0';
		ck_assert_msg(nbd_server_listen(w.server, bad[i], &plain, why, sizeof(why)) < 0,
			      "%s was taken", bad[i]);
		ck_assert_msg(why[0], "%s: no reason", bad[i]);
	}
}
END_TEST

static int tcp_client(bool v6, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(v6 ? connect(fd, (struct sockaddr *)&in6, sizeof(in6)) :
			      connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

START_TEST(tcp)
{
	for (int v6 = 0; v6 < 2; v6++) {
		const char *host = v6 ? "[::1]" : "127.0.0.1";
		char tcp_addr[64];
		uint16_t port = 0;
		int fd, ret = -1;

		for (int i = 0; ret && i < 50; i++) { /* some port will be free */
			port = (uint16_t)(20000 + (getpid() * 7 + i * 101) % 10000);
			snprintf(tcp_addr, sizeof(tcp_addr), "tcp:%s:%u", host, port);
			ret = nbd_server_listen(w.server, tcp_addr, &plain, why, sizeof(why));
			if (v6 && ret == -EADDRNOTAVAIL)
				return; /* a machine without IPv6 */
		}
		ck_assert_msg(ret == 0, "%s", why);
		fd = tcp_client(v6, port);
		greet(fd, 3);
		go(fd, "disk");
		expect_works(fd, false);
		ck_assert_ptr_nonnull(strstr(w.log, v6 ? "::1 port" : "127.0.0.1 port"));
		/* leaves with a request in flight: a FIN is no proof, the answer's failure is */
		w.hold = true;
		request(fd, 0, NBD_CMD_READ, 1, 0, 4096);
		until(jobs() == 1);
		close(fd);
		turns(10);
		job_end(false, 0);
		w.hold = false;
		until(nbd_server_connections(w.server) == 0);
		nbd_server_unlisten(w.server, tcp_addr);
	}
}
END_TEST

/* Out of descriptors: it pauses, does not spin, and goes on. */
START_TEST(descriptors_run_out)
{
	struct rlimit old, low;
	int fd, spare, n = 0;

	ck_assert_int_eq(listen_there(0600), 0);
	turn();
	fd = unix_socket(false);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	spare = dup(0);
	low.rlim_cur = (rlim_t)spare; /* nothing below is free */
	close(spare);
	setrlimit(RLIMIT_NOFILE, &low);
	for (ev_tstamp end = ev_time() + 1.; ev_time() < end; n++)
		ev_run(w.loop, EVRUN_ONCE);
	ck_assert_int_lt(n, 60);
	ck_assert_int_ge(n, 3);
	ck_assert_ptr_nonnull(strstr(w.log, "accept"));
	setrlimit(RLIMIT_NOFILE, &old);
	greet(fd, 3);
	go(fd, "disk");
	expect_works(fd, false);
	close(fd);
}
END_TEST

START_TEST(nothing_is_inherited)
{
	int fd, flags;

	ck_assert_int_eq(listen_there(0600), 0);
	fd = unix_socket(false);
	greet(fd, 3);
	go(fd, "disk");
	for (int i = 3; i < 64; i++) {
		flags = fcntl(i, F_GETFD);
		if (flags >= 0 && fcntl(i, F_GETFL) & O_NONBLOCK)
			ck_assert_msg(flags & FD_CLOEXEC, "descriptor %d", i);
	}
	close(fd);
}
END_TEST

START_TEST(group_of_the_socket)
{
	struct nbd_access access = { 0640, 4242 };
	struct stat st;

	if (geteuid())
		return;
	ck_assert_int_eq(nbd_server_listen(w.server, addr, &access, why, sizeof(why)), 0);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(st.st_gid == 4242 && (st.st_mode & 0777) == 0640);
	expect_served();
}
END_TEST

static uint16_t port_of(const char *tcp_addr)
{
	return (uint16_t)atoi(strrchr(tcp_addr, ':') + 1);
}

/* A TCP socket on a free port of 127.0.0.1; its address to tcp_addr. */
static int tcp_socket(char *tcp_addr, size_t cap)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(tcp_addr, cap, "tcp:127.0.0.1:%u", ntohs(sin.sin_port));
	return fd;
}

/* Sockets that somebody else made are known by what they are bound to; their files are not ours. */
START_TEST(sockets_of_others)
{
	char tcp_addr[64], other[64];
	int unix_fd = unix_socket(true), tcp_fd = tcp_socket(tcp_addr, sizeof(tcp_addr)), fd;
	int unused = tcp_socket(other, sizeof(other));

	ck_assert_int_eq(listen(unix_fd, 5), 0);
	ck_assert_int_eq(nbd_server_inherit(w.server, NULL, unused, true), 0);
	ck_assert_int_eq(nbd_server_inherit(w.server, NULL, tcp_fd, true), 0);
	ck_assert_int_eq(nbd_server_inherit(w.server, NULL, unix_fd, true), 0);
	ck_assert_int_eq(listen_there(0600), 0);
	ck_assert_int_eq(nbd_server_listen(w.server, tcp_addr, &plain, why, sizeof(why)), 0);
	ck_assert_int_eq(nbd_server_inherit_end(w.server), 1);
	ck_assert_int_eq(nbd_server_inherit_end(w.server), 0);
	ck_assert_int_eq(fcntl(unused, F_GETFD), -1);
	expect_served();
	fd = tcp_client(false, port_of(tcp_addr));
	greet(fd, 3);
	go(fd, "disk");
	expect_works(fd, false);
	close(fd);
	nbd_server_unlisten(w.server, addr);
	ck_assert(is_there());
}
END_TEST

/* What a process before it listened on by itself is its own again, by name. */
START_TEST(sockets_of_its_own)
{
	int fd = unix_socket(true);

	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(nbd_server_inherit(w.server, addr, fd, false), 0);
	ck_assert_int_eq(listen_there(0600), 0);
	ck_assert_int_eq(nbd_server_inherit_end(w.server), 0);
	expect_served();
	nbd_server_unlisten(w.server, addr);
	ck_assert(!is_there());
}
END_TEST

/* One who may not come in gets no byte, and the others are served. */
START_TEST(who_is_allowed)
{
	char tcp_addr[64];
	int fd = tcp_socket(tcp_addr, sizeof(tcp_addr));

	ck_assert_int_eq(nbd_server_inherit(w.server, NULL, fd, true), 0);
	ck_assert_int_eq(nbd_server_listen(w.server, tcp_addr, &plain, why, sizeof(why)), 0);
	ck_assert_int_eq(listen_there(0600), 0);
	w.strangers = true;
	for (int i = 0; i < 3; i++) {
		uint8_t b;
		ssize_t n = -1;

		fd = tcp_client(false, port_of(tcp_addr));
		until((n = recv(fd, &b, 1, 0)) >= 0 || errno != EAGAIN);
		ck_assert_int_le(n, 0);
		ck_assert_int_eq(w.turned_away, i + 1);
		ck_assert_ptr_nonnull(strstr(w.log, "127.0.0.1"));
		close(fd);
	}
	ck_assert_int_eq(nbd_server_connections(w.server), 0);
	expect_served(); /* by the unix socket: nobody is asked */
	w.strangers = false;
	fd = tcp_client(false, port_of(tcp_addr));
	greet(fd, 3);
	go(fd, "disk");
	expect_works(fd, false);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_listen");
	TCase *tc = tcase_create("nbd_listen");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, mode_of_the_socket);
	tcase_add_test(tc, unlisten_keeps_connections);
	tcase_add_test(tc, stale_socket_is_replaced);
	tcase_add_test(tc, live_socket_is_left_alone);
	tcase_add_test(tc, other_files_are_left_alone);
	tcase_add_test(tc, bad_addresses);
	tcase_add_test(tc, tcp);
	tcase_add_test(tc, descriptors_run_out);
	tcase_add_test(tc, nothing_is_inherited);
	tcase_add_test(tc, group_of_the_socket);
	tcase_add_test(tc, sockets_of_others);
	tcase_add_test(tc, sockets_of_its_own);
	tcase_add_test(tc, who_is_allowed);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
