/* SPDX-License-Identifier: MIT */
/* Listeners, the cap on connections, requests from a free list, and the flush of each loop iteration. */
#include "nbd_internal.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define ACCEPT_PAUSE 0.1 /* seconds, when there are no descriptors left */
#define BACKLOG 64
#define SOCKBUF (1 << 20)

struct listener {
	struct nbd_server *s;
	struct list link;
	char *addr;
	int fd;
	ev_io io;
	ev_timer again;
	ino_t ino; /* of the unix socket's file, so that only our own is removed */
};

void nbd_log(struct nbd_server *s, int level, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (s->cb.log)
		s->cb.log(s->arg, level, text);
}

struct nbd_req *nbd_req_new(struct nbd_conn *c)
{
	struct list *l = list_pop(&c->s->free_reqs);
	size_t size = sizeof(struct nbd_req) + c->s->lim.req_priv;
	struct nbd_req *r = l ? list_entry(l, struct nbd_req, link) :
				aligned_alloc(16, (size + 15) & ~(size_t)15);

	if (!r)
		return NULL;
	memset(r, 0, size);
	list_init(&r->link);
	r->conn = c;
	return r;
}

void nbd_req_free(struct nbd_server *s, struct nbd_req *r)
{
	buf_put(r->buf);
	r->buf = NULL;
	list_del(&r->link);
	list_add_head(&r->link, &s->free_reqs);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct nbd_server *s = w->data;
	struct list *l;

	(void)loop;
	(void)revents;
	while ((l = list_pop(&s->dirty)))
		nbd_conn_settle(list_entry(l, struct nbd_conn, dirty));
}

struct nbd_server *nbd_server_new(struct ev_loop *loop, struct buf_pool *pool,
				  const struct nbd_limits *lim, const struct nbd_callbacks *cb,
				  void *arg)
{
	struct nbd_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->pool = pool;
	s->lim = *lim;
	s->cb = *cb;
	s->arg = arg;
	list_init(&s->listeners);
	list_init(&s->conns);
	list_init(&s->dirty);
	list_init(&s->parked);
	list_init(&s->free_reqs);
	ev_prepare_init(&s->prepare, on_prepare);
	ev_set_priority(&s->prepare, EV_MINPRI + 1);
	s->prepare.data = s;
	ev_prepare_start(loop, &s->prepare);
	ev_unref(loop);
	return s;
}

void nbd_server_add_fd(struct nbd_server *s, int fd)
{
	int size = SOCKBUF, on = 1;

	if (s->quiet || s->nconns >= s->lim.max_connections) {
		if (ev_now(s->loop) - s->refused_at >= 1.) {
			s->refused_at = ev_now(s->loop);
			nbd_log(s, LOG_WARNING, "connection refused: there are %d already, as many as "
				"max_connections allows", s->nconns);
		}
		close(fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on a unix socket */
	nbd_conn_new(s, fd);
}

static void accept_again(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct listener *l = t->data;

	(void)revents;
	ev_io_start(loop, &l->io);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct listener *l = w->data;
	int fd;

	(void)revents;
	while ((fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		nbd_server_add_fd(l->s, fd);
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		nbd_log(l->s, LOG_ERR, "accept: %s", strerror(errno));
		ev_io_stop(loop, w);
		ev_timer_set(&l->again, ACCEPT_PAUSE, 0.);
		ev_timer_start(loop, &l->again);
	}
}

/* Is the file a socket that nobody listens on? 0: it is gone now; else -errno. */
static int remove_stale(const struct sockaddr_un *sun, char *why, size_t cap)
{
	struct stat st;
	int fd, ret;

	if (lstat(sun->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, cap, "%s exists and is not a socket", sun->sun_path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0 ? -errno : 0;
	close(fd);
	if (ret == -ECONNREFUSED)
		return unlink(sun->sun_path) < 0 ? -errno : 0;
	snprintf(why, cap, ret ? "%s: can't tell whether it is in use: %s" :
				 "%s: another process listens there", sun->sun_path, strerror(-ret));
	return -EADDRINUSE;
}

static int open_unix(struct listener *l, const char *path, unsigned mode, char *why, size_t cap)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t old;
	int ret;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		snprintf(why, cap, "%s: too long for a unix socket", path);
		return -ENAMETOOLONG;
	}
	strcpy(sun.sun_path, path);
	ret = remove_stale(&sun, why, cap);
	if (ret)
		return ret;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	old = umask(0777 & ~mode);
	ret = bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno : 0;
	umask(old);
	if (ret)
		return ret;
	if (stat(path, &st) == 0)
		l->ino = st.st_ino;
	return 0;
}

static int open_tcp(struct listener *l, const char *addr)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE }, *ai;
	const char *colon = strrchr(addr, ':');
	char host[64];
	size_t n = colon ? (size_t)(colon - addr) : 0;
	int on = 1, ret = 0;

	if (n && addr[0] == '[' && addr[n - 1] == ']') {
		addr++;
		n -= 2;
	}
	if (!n || n >= sizeof(host))
		return -EINVAL;
	memcpy(host, addr, n);
	host[n] = 0;
	if (getaddrinfo(host, colon + 1, &hints, &ai))
		return -EINVAL;
	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(l->fd, ai->ai_addr, ai->ai_addrlen) < 0)
		ret = -errno;
	freeaddrinfo(ai);
	return ret;
}

static bool is_unix(const char *addr)
{
	return !strncmp(addr, "unix:", 5);
}

static void listener_free(struct listener *l)
{
	struct stat st;

	ev_io_stop(l->s->loop, &l->io);
	ev_timer_stop(l->s->loop, &l->again);
	list_del(&l->link);
	if (l->fd >= 0)
		close(l->fd);
	if (l->ino && stat(l->addr + 5, &st) == 0 && st.st_ino == l->ino)
		unlink(l->addr + 5);
	free(l->addr);
	free(l);
}

int nbd_server_listen(struct nbd_server *s, const char *addr, unsigned mode, char *why, size_t cap)
{
	struct listener *l = calloc(1, sizeof(*l));
	int ret = -EINVAL;

	why[0] = 0;
	if (!l || !(l->addr = strdup(addr))) {
		free(l);
		snprintf(why, cap, "out of memory");
		return -ENOMEM;
	}
	l->s = s;
	l->fd = -1;
	list_init(&l->link);
	ev_init(&l->io, on_accept);
	ev_timer_init(&l->again, accept_again, 0., 0.);
	if (is_unix(addr))
		ret = open_unix(l, addr + 5, mode, why, cap);
	else if (!strncmp(addr, "tcp:", 4))
		ret = open_tcp(l, addr + 4);
	if (!ret && listen(l->fd, BACKLOG) < 0)
		ret = -errno;
	if (ret) {
		if (!why[0])
			snprintf(why, cap, "%s: %s", addr, strerror(-ret));
		listener_free(l);
		return ret;
	}
	ev_io_set(&l->io, l->fd, EV_READ);
	l->io.data = l->again.data = l;
	list_add_tail(&l->link, &s->listeners);
	ev_io_start(s->loop, &l->io);
	return 0;
}

void nbd_server_unlisten(struct nbd_server *s, const char *addr)
{
	struct list *pos;

	list_for_each(pos, &s->listeners) {
		struct listener *l = list_entry(pos, struct listener, link);

		if (strcmp(l->addr, addr))
			continue;
		listener_free(l);
		return;
	}
}

void nbd_server_resume(struct nbd_server *s)
{
	struct list waiting, *l;

	/* Those that are told to wait again join a new list, behind the ones not asked yet. */
	list_init(&waiting);
	while ((l = list_pop(&s->parked)))
		list_add_tail(l, &waiting);
	while ((l = list_pop(&waiting))) {
		struct nbd_conn *c = list_entry(l, struct nbd_conn, parked);

		nbd_conn_process(c);
		if (list_linked(&c->parked))
			break;
	}
	while (!list_empty(&waiting)) {
		l = list_pop(&waiting);
		list_add_tail(l, &s->parked);
	}
}

void nbd_server_close_export(struct nbd_server *s, void *handle)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &s->conns) {
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, link);

		if (c->state != NBD_DEAD && c->export == handle)
			nbd_conn_close(c, "the export is gone");
	}
}

int nbd_server_connections(const struct nbd_server *s)
{
	return s->nconns;
}

void nbd_server_quiesce(struct nbd_server *s)
{
	struct list *pos;

	s->quiet = true;
	while (!list_empty(&s->listeners))
		listener_free(list_entry(s->listeners.next, struct listener, link));
	list_for_each(pos, &s->conns) {
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, link);

		if (c->state != NBD_DEAD)
			nbd_conn_watch(c);
	}
}

void nbd_server_stop(struct nbd_server *s)
{
	struct list *pos, *tmp;

	nbd_server_quiesce(s);
	list_for_each_safe(pos, tmp, &s->conns)
		nbd_conn_close(list_entry(pos, struct nbd_conn, link), NULL);
}

void nbd_server_free(struct nbd_server *s)
{
	struct list *l;

	if (!list_empty(&s->conns) || !list_empty(&s->listeners))
		nbd_server_stop(s);
	on_prepare(s->loop, &s->prepare, 0);
	assert(list_empty(&s->conns));
	ev_ref(s->loop);
	ev_prepare_stop(s->loop, &s->prepare);
	while ((l = list_pop(&s->free_reqs)))
		free(list_entry(l, struct nbd_req, link));
	free(s);
}
