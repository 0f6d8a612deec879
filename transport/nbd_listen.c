/* SPDX-License-Identifier: MIT */
/* Listening sockets, and what is done with those who connect. */
#include "nbd_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define ACCEPTS_AT_ONCE 16
#define ACCEPT_PAUSE 0.1 /* seconds, when descriptors or memory ran out */

struct listener {
	struct list link;
	struct nbd_server *server;
	ev_io io;
	int fd;
	char *addr;
	const char *path; /* inside addr; NULL: tcp */
	bool foreign;     /* another made it and keeps it */
	dev_t dev;        /* of the socket file, to remove no other */
	ino_t ino;
};

void nbd_listen_watch(struct nbd_server *s, bool on)
{
	struct list *pos;

	list_for_each(pos, &s->listeners) {
		struct listener *l = list_entry(pos, struct listener, link);

		if (on)
			ev_io_start(s->loop, &l->io);
		else
			ev_io_stop(s->loop, &l->io);
	}
}

void nbd_accept_again(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	nbd_listen_watch(t->data, true);
}

/* The connection stays in the queue and the socket readable: without a pause this would spin. */
static void pause_accepting(struct nbd_server *s, int err)
{
	nbd_log(s, LOG_ERR, "accept: %s", strerror(err));
	nbd_listen_watch(s, false);
	ev_timer_set(&s->retry, ACCEPT_PAUSE, 0.);
	ev_timer_start(s->loop, &s->retry);
}

/* Before a byte is read or written. */
static void turn_away(struct nbd_server *s, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
	char host[INET6_ADDRSTRLEN + 20] = "?";

	getnameinfo((const struct sockaddr *)peer, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	nbd_log(s, LOG_WARNING, "connection from %s refused: this address is not allowed", host);
	close(fd);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct listener *l = w->data;
	struct nbd_server *s = l->server;

	(void)loop;
	(void)revents;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0 && !l->path && s->cb.allow && !s->cb.allow(s->arg, (struct sockaddr *)&peer)) {
			turn_away(s, fd, &peer, len);
			continue;
		}
		if (fd >= 0) {
			nbd_server_add_fd(s, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(s, errno);
			return;
		}
		if (errno == EAGAIN)
			return;
		/* anything else is about that one connection (accept(2), "Error handling") */
	}
}

static int unix_address(const char *path, struct sockaddr_un *sun)
{
	if (!path[0])
		return -EINVAL;
	if (strlen(path) >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	strcpy(sun->sun_path, path);
	return 0;
}

/* Makes way for a new socket file: 0, or why the one that is there has to stay. */
static int replace_stale(const struct sockaddr_un *sun)
{
	struct stat st;
	int fd, err;

	if (lstat(sun->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) ? errno : 0;
	close(fd);
	if (err == ENOENT)
		return 0;
	if (err == 0 || err == EAGAIN) /* EAGAIN: its queue is full */
		return -EADDRINUSE;
	if (err != ECONNREFUSED)
		return -err;
	return unlink(sun->sun_path) && errno != ENOENT ? -errno : 0;
}

static bool same_address(const struct sockaddr_storage *have, const struct sockaddr *want)
{
	if (have->ss_family != want->sa_family)
		return false;
	if (want->sa_family == AF_UNIX)
		return !strcmp(((const struct sockaddr_un *)(const void *)have)->sun_path,
			       ((const struct sockaddr_un *)(const void *)want)->sun_path);
	if (want->sa_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)have, *b = (const void *)want;

		return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
	}
	if (want->sa_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const void *)have, *b = (const void *)want;

		return a->sin6_port == b->sin6_port && !memcmp(&a->sin6_addr, &b->sin6_addr, 16);
	}
	return false;
}

/* A socket for l that is there already. */
static bool take_inherited(struct listener *l, const struct sockaddr *want)
{
	struct list *pos;

	list_for_each(pos, &l->server->inherited) {
		struct inherited *i = list_entry(pos, struct inherited, link);
		struct sockaddr_storage have;
		socklen_t len = sizeof(have) - 1; /* a path may come without its zero byte */

		memset(&have, 0, sizeof(have));
		if (i->addr[0] ? strcmp(i->addr, l->addr) != 0 :
				 getsockname(i->fd, (struct sockaddr *)&have, &len) || !same_address(&have, want))
			continue;
		l->fd = i->fd;
		l->foreign = i->foreign;
		list_del(&i->link);
		free(i);
		return true;
	}
	return false;
}

static int listen_unix(struct listener *l, const struct nbd_access *access, char *why, size_t cap)
{
	struct sockaddr_un sun;
	struct stat st;
	int ret = unix_address(l->path, &sun);

	if (!ret && take_inherited(l, (struct sockaddr *)&sun)) {
		if (!l->foreign && !lstat(l->path, &st)) {
			l->dev = st.st_dev;
			l->ino = st.st_ino;
		}
		return 0;
	}
	if (!ret)
		ret = replace_stale(&sun);
	if (ret) {
		snprintf(why, cap, "%s: %s", l->path,
			 ret == -EADDRINUSE ? "another server listens there" :
			 ret == -EEXIST     ? "is there and is not a socket" :
					      strerror(-ret));
		return ret;
	}
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		goto err;
	/*
	 * The file begins with the mode of its socket, less the umask; nobody can connect before
	 * listen(), and by then chmod() has given back what the umask took.
	 */
	if (fchmod(l->fd, access->mode) || bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)))
		goto err;
	if (lstat(l->path, &st))
		goto err;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (access->gid != (gid_t)-1 && lchown(l->path, (uid_t)-1, access->gid))
		goto err;
	if (chmod(l->path, access->mode) || listen(l->fd, SOMAXCONN))
		goto err;
	return 0;
err:
	ret = -errno;
	snprintf(why, cap, "%s: %s", l->path, strerror(-ret));
	return ret;
}

/* "ADDR:PORT" or "[ADDR6]:PORT", numeric: a name would have to be looked up. */
static int resolve(const char *text, struct addrinfo **ai)
{
	static const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
					       .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t n;

	if (!colon || colon == text || !colon[1])
		return -EINVAL;
	n = (size_t)(colon - text);
	if (text[0] == '[' && colon[-1] == ']') {
		text++;
		n -= 2;
	} else if (memchr(text, ':', n)) {
		return -EINVAL;
	}
	if (n == 0 || n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	return getaddrinfo(host, colon + 1, &hints, ai) ? -EINVAL : 0;
}

static int listen_tcp(struct listener *l, const char *text, char *why, size_t cap)
{
	struct addrinfo *ai;
	int one = 1, ret = resolve(text, &ai);

	if (ret) {
		snprintf(why, cap, "tcp:%s: not a numeric address with a port", text);
		return ret;
	}
	if (take_inherited(l, ai->ai_addr)) {
		freeaddrinfo(ai);
		return 0;
	}
	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		goto err;
	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		goto err;
	if (ai->ai_family == AF_INET6 &&
	    setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		goto err;
	if (bind(l->fd, ai->ai_addr, ai->ai_addrlen) || listen(l->fd, SOMAXCONN))
		goto err;
	freeaddrinfo(ai);
	return 0;
err:
	ret = -errno;
	freeaddrinfo(ai);
	snprintf(why, cap, "tcp:%s: %s", text, strerror(-ret));
	return ret;
}

static void close_listener(struct listener *l)
{
	struct stat st;

	list_del(&l->link);
	ev_io_stop(l->server->loop, &l->io);
	if (l->path && l->ino && !lstat(l->path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	if (l->fd >= 0)
		close(l->fd);
	free(l->addr);
	free(l);
}

int nbd_server_listen(struct nbd_server *s, const char *addr, const struct nbd_access *access, char *why,
		      size_t why_cap)
{
	struct listener *l = calloc(1, sizeof(*l));
	int ret;

	if (!l || !(l->addr = strdup(addr))) {
		free(l);
		snprintf(why, why_cap, "out of memory");
		return -ENOMEM;
	}
	l->server = s;
	l->fd = -1;
	list_init(&l->link);
	ev_init(&l->io, on_accept);
	l->io.data = l;
	if (!strncmp(addr, "unix:", 5)) {
		l->path = l->addr + 5;
		ret = listen_unix(l, access, why, why_cap);
	} else if (!strncmp(addr, "tcp:", 4)) {
		ret = listen_tcp(l, addr + 4, why, why_cap);
	} else {
		snprintf(why, why_cap, "%s: neither unix:PATH nor tcp:ADDR:PORT", addr);
		ret = -EINVAL;
	}
	if (ret) {
		close_listener(l);
		return ret;
	}
	list_add_tail(&l->link, &s->listeners);
	ev_io_set(&l->io, l->fd, EV_READ);
	if (!s->quiesced && !ev_is_active(&s->retry))
		ev_io_start(s->loop, &l->io);
	return 0;
}

void nbd_server_unlisten(struct nbd_server *s, const char *addr)
{
	struct list *pos;

	list_for_each(pos, &s->listeners) {
		struct listener *l = list_entry(pos, struct listener, link);

		if (!strcmp(l->addr, addr)) {
			close_listener(l);
			return;
		}
	}
}

void nbd_listen_tell(struct nbd_server *s, void (*fn)(void *to, const char *addr, int fd, bool foreign), void *to)
{
	struct list *pos;

	list_for_each(pos, &s->listeners) {
		const struct listener *l = list_entry(pos, struct listener, link);

		fn(to, l->addr, l->fd, l->foreign);
	}
}

void nbd_server_leave_files(struct nbd_server *s)
{
	struct list *pos;

	list_for_each(pos, &s->listeners)
		list_entry(pos, struct listener, link)->ino = 0;
}

void nbd_listen_close_all(struct nbd_server *s)
{
	while (!list_empty(&s->listeners))
		close_listener(list_entry(s->listeners.next, struct listener, link));
}
