/* SPDX-License-Identifier: MIT */
/* Connections to where mpiod listens. */
#include "hello.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A whole reply of 1 MiB in one go: 1.7 times as fast as the default on a unix socket. */
#define SOCKET_BYTES (1 << 20)

/* Beyond net.core.{w,r}mem_max for those who may, else as far as that. */
static void set_buffer(int fd, int force, int plain)
{
	static const int bytes = SOCKET_BYTES;

	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

/* Options that fail cost speed, not the connection. */
static void set_up(int fd, int family)
{
	static const int one = 1;

	if (family == AF_UNIX) {
		set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
		set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	} else {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	}
}

static int wait_connected(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int n, err = 0;

	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) ? -errno : -err;
}

static int dial(int family, const struct sockaddr *sa, socklen_t len, int ms)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret = 0;

	if (fd < 0)
		return -errno;
	set_up(fd, family);
	if (connect(fd, sa, len))
		ret = errno == EINPROGRESS ? wait_connected(fd, ms) : -errno;
	/* the kernel's NBD client wants a socket that blocks */
	if (!ret && fcntl(fd, F_SETFL, 0))
		ret = -errno;
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

static int dial_unix(const char *path, int ms, char *why, size_t cap)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		snprintf(why, cap, "%s: too long for a socket's path", path);
		return -EINVAL;
	}
	strcpy(sun.sun_path, path);
	fd = dial(AF_UNIX, (struct sockaddr *)&sun, sizeof(sun), ms);
	if (fd < 0)
		snprintf(why, cap, "%s: %s", path, strerror(-fd));
	return fd;
}

/* "HOST:PORT" or "[ADDR6]:PORT" into its two parts, in a copy. false: it is neither. */
static bool split(char *at, char **host, char **port)
{
	char *colon = strrchr(at, ':'), *end;

	if (!colon || colon == at || !colon[1])
		return false;
	*colon = '\0';
	*host = at;
	*port = colon + 1;
	if (at[0] != '[')
		return !strchr(at, ':');
	end = colon - 1;
	if (*end != ']')
		return false;
	*end = '\0';
	*host = at + 1;
	return true;
}

static int dial_tcp(const char *addr, int ms, char *why, size_t cap)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all = NULL;
	char copy[300], *host, *port;
	int ret, fd = -EINVAL;

	if (strlen(addr) >= sizeof(copy) || !split(strcpy(copy, addr), &host, &port)) {
		snprintf(why, cap, "tcp:%s: not tcp:HOST:PORT", addr);
		return -EINVAL;
	}
	ret = getaddrinfo(host, port, &hints, &all);
	if (ret) {
		snprintf(why, cap, "tcp:%s: %s", addr, gai_strerror(ret));
		return -EHOSTUNREACH;
	}
	for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
		fd = dial(a->ai_family, a->ai_addr, a->ai_addrlen, ms);
	if (fd < 0)
		snprintf(why, cap, "tcp:%s: %s", addr, strerror(-fd));
	freeaddrinfo(all);
	return fd;
}

int hello_dial(const char *addr, int ms, char *why, size_t cap)
{
	if (!strncmp(addr, "unix:", 5))
		return dial_unix(addr + 5, ms, why, cap);
	if (!strncmp(addr, "tcp:", 4))
		return dial_tcp(addr + 4, ms, why, cap);
	if (addr[0] == '/' || addr[0] == '.')
		return dial_unix(addr, ms, why, cap);
	snprintf(why, cap, "%s: neither unix:PATH nor tcp:HOST:PORT", addr);
	return -EINVAL;
}
