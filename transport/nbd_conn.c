/* SPDX-License-Identifier: MIT */
/*
 * One connection: what comes in, when to stop reading, and its end.
 *
 * One recv() takes whatever there is into the input buffer; requests are parsed from there. A
 * payload that is longer than what has arrived is then received where it belongs. The buffer goes back
 * to the pool as soon as it is empty, so busy connections share one that is warm and idle ones have none.
 */
#include "nbd_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#define READ_BUDGET (1U << 20) /* bytes a connection may bring before the others have their turn */
#define HEADS_ONLY 256U        /* bytes to read where a large payload is expected to follow */
#define HANDSHAKE_GRACE_S 1.   /* a handshake is not older when all is well */
#define SOCKET_BYTES (1 << 20) /* on AF_UNIX 1 MiB replies move 1.7 times faster than by default */

void nbd_conn_hold(struct nbd_conn *c)
{
	c->held++;
}

void nbd_conn_release(struct nbd_conn *c)
{
	assert(c->held > 0);
	if (--c->held == 0 && c->state == NBD_ST_DEAD && c->nreqs == 0)
		free(c);
}

void nbd_conn_park(struct nbd_conn *c)
{
	assert(!c->parked && !list_linked(&c->in_waiting));
	list_add_tail(&c->in_waiting, &c->server->waiting);
	c->use->nwaiting++;
	c->parked = true;
}

void nbd_conn_unpark(struct nbd_conn *c)
{
	if (c->parked)
		c->use->nwaiting--;
	c->parked = false;
	list_del(&c->in_waiting);
}

static void drop_input(struct nbd_conn *c)
{
	if (c->take) {
		if (c->take_dst)
			c->server->taking -= nbd_admit_bytes(NBD_OP_WRITE, c->take->req.len);
		nbd_slot_put(c, c->take);
	}
	c->take = NULL;
	c->take_dst = NULL;
	c->take_left = 0;
	buf_put(c->in);
	c->in = NULL;
	c->in_pos = c->in_len = 0;
}

void nbd_conn_close(struct nbd_conn *c, int level, const char *fmt, ...)
{
	struct nbd_server *s = c->server;
	char why[256];
	va_list ap;

	if (c->state == NBD_ST_DEAD)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	nbd_log(s, level, "connection %llu (%s) closed: %s", (unsigned long long)c->id, c->peer,
		why);
	nbd_conn_hold(c);
	c->state = NBD_ST_DEAD;
	ev_io_stop(s->loop, &c->rd);
	ev_io_stop(s->loop, &c->wr);
	ev_timer_stop(s->loop, &c->deadline);
	close(c->fd);
	c->fd = -1;
	nbd_conn_unpark(c);
	list_del(&c->in_server);
	list_del(&c->in_ready);
	list_del(&c->in_dirty);
	s->nconns--;
	drop_input(c);
	nbd_reply_drop(c);
	nbd_meta_forget(c);
	free(c->orphan_of);
	c->orphan_of = NULL;
	if (c->use)
		nbd_use_put(s, c->use);
	c->use = NULL;
	nbd_admit_wake(s); /* not now: this may be inside of resume() */
	nbd_conn_release(c);
}

static bool reading(const struct nbd_conn *c)
{
	return c->state <= NBD_ST_TRANSMIT && !c->full &&
	       (!c->server->quiesced || (c->server->finishing && c->take_left)) &&
	       !list_linked(&c->in_waiting) && !list_linked(&c->in_ready);
}

void nbd_conn_check(struct nbd_conn *c)
{
	if (c->state == NBD_ST_DEAD)
		return;
	if (c->state == NBD_ST_DRAIN && c->nreqs == 0 && !nbd_reply_pending(c)) {
		nbd_conn_close(c, c->use ? LOG_INFO : LOG_DEBUG, "the client has left");
		return;
	}
	/* Both do nothing when that is how it is already. */
	if (reading(c))
		ev_io_start(c->server->loop, &c->rd);
	else
		ev_io_stop(c->server->loop, &c->rd);
}

void nbd_conn_drain(struct nbd_conn *c)
{
	drop_input(c);
	c->state = NBD_ST_DRAIN;
}

/* Moves what the input buffer has of the payload to its place. */
static void take_from_buffer(struct nbd_conn *c)
{
	size_t n = nbd_conn_avail(c);

	if (n > c->take_left)
		n = c->take_left;
	if (n && c->take_dst) {
		memcpy(c->take_dst, nbd_conn_bytes(c), n);
		c->take_dst += n;
	}
	c->in_pos += n;
	c->take_left -= n;
}

static bool step(struct nbd_conn *c)
{
	if (c->server->quiesced && !(c->server->finishing && c->take_left))
		return false;
	if (c->take_left) {
		take_from_buffer(c);
		if (c->take_left)
			return false;
		if (c->take)
			nbd_request_taken(c);
		return true;
	}
	if (!nbd_conn_avail(c))
		return false;
	switch (c->state) {
	case NBD_ST_FLAGS:
		return nbd_handshake_flags(c);
	case NBD_ST_OPTIONS:
		return nbd_handshake_option(c);
	case NBD_ST_TRANSMIT:
		return nbd_request_next(c);
	default:
		return false;
	}
}

bool nbd_conn_parse(struct nbd_conn *c)
{
	bool any = false;

	assert(c->held);
	if (c->take && c->take_left == 0 && (!c->server->quiesced || c->server->finishing)) {
		nbd_request_taken(c);
		any = true;
	}
	while (c->state < NBD_ST_DRAIN && step(c))
		any = true;
	if (c->state != NBD_ST_DEAD && c->in && !nbd_conn_avail(c)) {
		buf_put(c->in);
		c->in = NULL;
		c->in_pos = c->in_len = 0;
	}
	return any;
}

/* The room behind what is left in the input buffer, after moving that to the front. */
static int input_room(struct nbd_conn *c, struct iovec *iov)
{
	size_t left = nbd_conn_avail(c);

	if (!c->in) {
		c->in = buf_get(c->server->pool, NBD_IN_BYTES);
		if (!c->in)
			return -ENOMEM;
	}
	if (c->in_pos && left)
		memmove(c->in->data, c->in->data + c->in_pos, left);
	c->in_pos = 0;
	c->in_len = (uint32_t)left;
	iov->iov_base = c->in->data + left;
	iov->iov_len = c->big_writes ? HEADS_ONLY : NBD_IN_BYTES - left;
	return 0;
}

/* One system call. Bytes that came, 0 at the end, -errno; *all: there may be more. */
static ssize_t receive(struct nbd_conn *c, bool *all)
{
	struct iovec iov[2];
	size_t direct = 0, asked;
	ssize_t got;
	int n = 0;

	if (c->take_left) { /* then the input buffer is empty */
		size_t max = c->take_dst ? READ_BUDGET : NBD_SCRATCH_BYTES;

		direct = c->take_left < max ? c->take_left : max;
		iov[0].iov_base = c->take_dst ? c->take_dst : c->server->scratch;
		iov[0].iov_len = direct;
		n = 1;
	}
	if (direct == c->take_left) {
		if (input_room(c, &iov[n]))
			return -ENOMEM;
		n++;
	}
	asked = iov[0].iov_len + (n > 1 ? iov[1].iov_len : 0);
	got = n > 1 ? readv(c->fd, iov, n) : recv(c->fd, iov[0].iov_base, iov[0].iov_len, 0);
	if (got <= 0)
		return got < 0 ? -errno : 0;
	*all = (size_t)got < asked;
	if (direct > (size_t)got)
		direct = (size_t)got;
	c->take_left -= (uint32_t)direct;
	c->moved |= direct > 0;
	if (c->take_dst)
		c->take_dst += direct;
	c->in_len += (uint32_t)((size_t)got - direct);
	return got;
}

/* Has the peer closed both directions? A TCP peer's FIN alone does not tell. */
static bool peer_is_gone(const struct nbd_conn *c)
{
	struct pollfd p = { .fd = c->fd };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

static void end_of_input(struct nbd_conn *c)
{
	if (c->state != NBD_ST_TRANSMIT)
		nbd_conn_close(c, LOG_DEBUG, "the client left during the handshake");
	else if (c->take || c->take_left || nbd_conn_avail(c))
		nbd_conn_close(c, LOG_INFO, "the client vanished in the middle of a request");
	else if (peer_is_gone(c))
		nbd_conn_close(c, LOG_INFO, "the client vanished, %u requests in flight", c->nreqs);
	else
		nbd_conn_drain(c);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct nbd_conn *c = w->data;
	size_t budget = READ_BUDGET;
	bool all = false;

	(void)loop;
	(void)revents;
	nbd_conn_hold(c);
	while (!all && reading(c)) {
		ssize_t n = receive(c, &all);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			break;
		if (n < 0)
			nbd_conn_close(c, LOG_INFO, "receiving: %s", strerror((int)-n));
		else if (n == 0)
			end_of_input(c);
		if (n <= 0)
			goto out;
		nbd_conn_parse(c);
		if ((size_t)n >= budget)
			break;
		budget -= (size_t)n;
	}
	/* nothing came, nothing is to be kept for it */
	if (c->state != NBD_ST_DEAD && c->in && !nbd_conn_avail(c)) {
		buf_put(c->in);
		c->in = NULL;
		c->in_pos = c->in_len = 0;
	}
out:
	nbd_conn_check(c);
	nbd_conn_release(c);
}

static void on_deadline(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct nbd_conn *c = t->data;

	(void)loop;
	(void)revents;
	nbd_conn_close(c, LOG_INFO, "no end of the handshake within %u ms",
		       c->server->lim.handshake_ms);
}

static void describe_peer(struct nbd_conn *c, int family)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[48], port[8];
	struct ucred cred;

	snprintf(c->peer, sizeof(c->peer), "unknown");
	if (family == AF_UNIX) {
		len = sizeof(cred);
		if (!getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
			snprintf(c->peer, sizeof(c->peer), "pid %d, uid %u", (int)cred.pid,
				 (unsigned)cred.uid);
	} else if (!getpeername(c->fd, (struct sockaddr *)&ss, &len) &&
		   !getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port,
				sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV)) {
		snprintf(c->peer, sizeof(c->peer), "%s port %s", host, port);
	}
}

/* Beyond net.core.{w,r}mem_max for those who may, else as far as that. */
static void set_buffer(int fd, int force, int plain)
{
	static const int bytes = SOCKET_BYTES;

	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

/* Options that fail cost speed or a late notice, not the connection: their results are not asked. */
static int set_up_socket(struct nbd_conn *c)
{
	static const int one = 1, idle = 60, every = 10, times = 6;
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	int fl = fcntl(c->fd, F_GETFL), fdfl = fcntl(c->fd, F_GETFD);

	if (fl < 0 || fdfl < 0 || getsockname(c->fd, (struct sockaddr *)&ss, &len))
		return -errno;
	if (fcntl(c->fd, F_SETFL, fl | O_NONBLOCK) || fcntl(c->fd, F_SETFD, fdfl | FD_CLOEXEC))
		return -errno;
	if (ss.ss_family == AF_UNIX) {
		set_buffer(c->fd, SO_SNDBUFFORCE, SO_SNDBUF);
		set_buffer(c->fd, SO_RCVBUFFORCE, SO_RCVBUF);
	} else {
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
		setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
		setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
	}
	describe_peer(c, ss.ss_family);
	return 0;
}

/* A connection that does not read is not told that its peer has closed. */
int nbd_conn_reap(struct nbd_server *s)
{
	struct list *pos, *tmp;
	int n = 0;

	list_for_each_safe(pos, tmp, &s->conns) {
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_server);

		if (!ev_is_active(&c->rd) && peer_is_gone(c)) {
			nbd_conn_close(c, LOG_INFO, "the client vanished");
			n++;
		}
	}
	return n;
}

/* The one that has had the longest time for its handshake, and more than a client needs. */
static bool evict_idle(struct nbd_server *s)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &s->conns) { /* oldest first */
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_server);
		ev_tstamp age = s->lim.handshake_ms / 1e3 - ev_timer_remaining(s->loop, &c->deadline);

		if (c->state >= NBD_ST_TRANSMIT || age < HANDSHAKE_GRACE_S)
			continue;
		nbd_conn_close(c, LOG_INFO, "no end of the handshake, and its place is wanted");
		return true;
	}
	return false;
}

struct nbd_conn *nbd_conn_alloc(struct nbd_server *s, int fd, int *err)
{
	struct nbd_conn *c = calloc(1, sizeof(*c));

	*err = -ENOMEM;
	if (!c)
		goto err;
	c->server = s;
	c->fd = fd;
	*err = set_up_socket(c);
	if (*err)
		goto err;
	list_init(&c->in_waiting);
	list_init(&c->in_ready);
	list_init(&c->in_dirty);
	list_init(&c->out);
	ev_io_init(&c->rd, on_readable, fd, EV_READ);
	ev_io_init(&c->wr, nbd_reply_writable, fd, EV_WRITE);
	ev_timer_init(&c->deadline, on_deadline, s->lim.handshake_ms / 1e3, 0.);
	c->rd.data = c->wr.data = c->deadline.data = c;
	c->id = ++s->next_id;
	list_add_tail(&c->in_server, &s->conns);
	s->nconns++;
	/* ev_timer counts from ev_now(), which may be long ago outside of callbacks. */
	ev_now_update(s->loop);
	ev_timer_start(s->loop, &c->deadline);
	return c;
err:
	close(fd);
	free(c);
	return NULL;
}

int nbd_conn_new(struct nbd_server *s, int fd)
{
	struct nbd_conn *c;
	int ret = -ECONNABORTED;

	if (s->quiesced)
		goto err;
	ret = -EUSERS;
	if (s->nconns >= s->lim.max_connections && nbd_conn_reap(s) == 0) {
		ev_now_update(s->loop);
		if (!evict_idle(s))
			goto err;
	}
	c = nbd_conn_alloc(s, fd, &ret);
	if (!c)
		return ret;
	nbd_handshake_greet(c);
	nbd_conn_check(c);
	return 0;
err:
	close(fd);
	return ret;
}
