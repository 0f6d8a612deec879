/* SPDX-License-Identifier: MIT */
#include "iscsi_purge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DISCARD_PORT 9
#define DATAGRAM 1200
#define QUEUE_BYTES (212992 * 4)  /* four times the default of unres_qlen_bytes */
#define SOCKETS 16                /* each may have only so much on its way */
#define LOOKS 10
#define LOOK_NS 200000

static void set_port(struct sockaddr_storage *ss, in_port_t port)
{
	if (ss->ss_family == AF_INET6)
		((struct sockaddr_in6 *)ss)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)ss)->sin_port = htons(port);
}

void iscsi_purge_prepare(struct iscsi_purge *p, int fd)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	memset(p, 0, sizeof(*p));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 || info.tcpi_unacked == 0)
		return;
	p->len = sizeof(p->local);
	if (getsockname(fd, (struct sockaddr *)&p->local, &p->len) != 0)
		return;
	p->len = sizeof(p->peer);
	if (getpeername(fd, (struct sockaddr *)&p->peer, &p->len) != 0)
		return;
	set_port(&p->local, 0);
	set_port(&p->peer, DISCARD_PORT);
	p->wanted = true;
}

/* A datagram socket on the same way as the connection was; -1: there is none. */
static int open_way(const struct iscsi_purge *p)
{
	int fd = socket(p->peer.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int hops = 1;

	if (fd < 0)
		return -1;
	if (p->peer.ss_family == AF_INET6)
		(void)!setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof(hops));
	else
		(void)!setsockopt(fd, IPPROTO_IP, IP_TTL, &hops, sizeof(hops));
	if (bind(fd, (const struct sockaddr *)&p->local, p->len) == 0 &&
	    connect(fd, (const struct sockaddr *)&p->peer, p->len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Does what was sent stay in the kernel? */
static bool stuck(int fd)
{
	const struct timespec moment = { .tv_nsec = LOOK_NS };
	int left = 0;

	for (int i = 0; i < LOOKS; i++) {
		if (ioctl(fd, SIOCOUTQ, &left) != 0 || left == 0)
			return false;
		nanosleep(&moment, NULL);
	}
	return true;
}

void iscsi_purge_run(const struct iscsi_purge *p)
{
	static const char nothing[DATAGRAM];
	size_t sent = 0;
	int fd;

	if (!p->wanted)
		return;
	fd = open_way(p);
	if (fd < 0) /* no route, no address: nothing can leave that way */
		return;
	(void)!send(fd, nothing, 1, MSG_NOSIGNAL);
	for (int i = 0; i < SOCKETS && sent < QUEUE_BYTES && (i || stuck(fd)); i++) {
		if (i) {
			close(fd);
			fd = open_way(p);
			if (fd < 0)
				return;
		}
		while (sent < QUEUE_BYTES && send(fd, nothing, sizeof(nothing), MSG_NOSIGNAL) > 0)
			sent += sizeof(nothing);
	}
	close(fd);
}
