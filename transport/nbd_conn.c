/* SPDX-License-Identifier: MIT */
/*
 * One connection: bytes in, requests out. Many requests come with one recv(); a payload's rest is
 * received straight into its buffer, together with what follows it.
 */
#include "nbd_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#define REQUEST_MAGIC 0x25609513U
#define REQUEST_BYTES 28
#define ROUND_BYTES (4u << 20) /* of one connection in one loop iteration */

enum { CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_CACHE, CMD_ZERO };
enum { F_FUA = 1, F_NO_HOLE = 2, F_DF = 4 };

static bool stopped(const struct nbd_conn *c)
{
	return list_linked(&c->parked) || c->full || c->out_bytes > NBD_UNSENT_MAX ||
	       c->state >= NBD_DRAIN || (c->s->quiet && c->state == NBD_REQUESTS);
}

void nbd_conn_watch(struct nbd_conn *c)
{
	int ev = (stopped(c) ? 0 : EV_READ) | (c->full ? EV_WRITE : 0);

	if ((ev_is_active(&c->io) ? c->io.events & (EV_READ | EV_WRITE) : 0) == ev)
		return;
	ev_io_stop(c->s->loop, &c->io);
	ev_io_set(&c->io, c->fd, ev);
	if (ev)
		ev_io_start(c->s->loop, &c->io);
}

void nbd_mark_dirty(struct nbd_conn *c)
{
	if (!list_linked(&c->dirty))
		list_add_tail(&c->dirty, &c->s->dirty);
}

static void conn_free(struct nbd_conn *c)
{
	list_del(&c->link);
	free(c->hs_out);
	free(c);
}

void nbd_conn_close(struct nbd_conn *c, const char *why)
{
	struct nbd_server *s = c->s;
	struct list *l;

	if (c->state == NBD_DEAD)
		return;
	if (why)
		nbd_log(s, LOG_INFO, "connection closed: %s", why);
	ev_io_stop(s->loop, &c->io);
	ev_timer_stop(s->loop, &c->deadline);
	list_del(&c->dirty);
	list_del(&c->parked);
	close(c->fd);
	c->fd = -1;
	c->state = NBD_DEAD;
	s->nconns--;
	while ((l = list_pop(&c->out)))
		nbd_req_free(s, list_entry(l, struct nbd_req, link));
	if (c->cur)
		nbd_req_free(s, c->cur);
	c->cur = NULL;
	if (c->export && s->cb.users)
		s->cb.users(s->arg, c->export, -1);
	c->export = NULL;
	/* Freed from the loop (nbd_server.c), for the caller may be in the middle of it. */
	nbd_mark_dirty(c);
}

/* What is wrong with the request; 0: nothing. */
static int check(const struct nbd_conn *c, const struct nbd_req *r, uint16_t cmd, uint16_t flags)
{
	const struct nbd_export *x = &c->info;
	uint16_t known = F_FUA;
	bool outside = r->offset > x->size || r->len > x->size - r->offset;

	switch (cmd) {
	case CMD_READ:
		known |= F_DF;
		break;
	case CMD_ZERO:
		known |= F_NO_HOLE;
		break;
	case CMD_WRITE:
	case CMD_FLUSH:
	case CMD_TRIM:
		break;
	default:
		return EINVAL;
	}
	if (flags & ~known || (flags & F_DF && !c->structured))
		return EINVAL;
	if (cmd == CMD_FLUSH)
		return r->len || r->offset ? EINVAL : 0;
	if (cmd != CMD_READ && x->read_only)
		return EPERM;
	if (cmd == CMD_TRIM && !x->can_trim)
		return EINVAL;
	if (cmd == CMD_ZERO && !x->can_zero)
		return EINVAL;
	if (outside)
		return cmd == CMD_WRITE || cmd == CMD_ZERO ? ENOSPC : EINVAL;
	if ((cmd == CMD_READ || cmd == CMD_WRITE) && r->len > NBD_MAX_PAYLOAD)
		return EINVAL;
	return 0;
}

static uint8_t op_of(uint16_t cmd)
{
	static const uint8_t ops[] = {
		[CMD_READ] = NBD_OP_READ, [CMD_WRITE] = NBD_OP_WRITE, [CMD_FLUSH] = NBD_OP_FLUSH,
		[CMD_TRIM] = NBD_OP_TRIM, [CMD_ZERO] = NBD_OP_ZERO,
	};

	return cmd <= CMD_ZERO ? ops[cmd] : NBD_OP_FLUSH;
}

static void hand_over(struct nbd_conn *c)
{
	struct nbd_req *r = c->cur;

	c->cur = NULL;
	c->state = NBD_REQUESTS;
	if (!r->len && r->op != NBD_OP_FLUSH) {
		nbd_reply_queue(c, r, 0);
		return;
	}
	c->in_flight++;
	r->with_owner = true;
	c->s->cb.submit(c->s->arg, r);
}

static void park(struct nbd_conn *c)
{
	list_add_tail(&c->parked, &c->s->parked);
}

/* The request is good; get it a buffer. True: go on. */
static bool admit(struct nbd_conn *c, struct nbd_req *r)
{
	if (!c->s->cb.admit(c->s->arg, c->export, r->len)) {
		park(c);
		return false;
	}
	return true;
}

/* Takes one request header; false: more bytes are needed, or it has to wait. */
static bool take_request(struct nbd_conn *c)
{
	const uint8_t *p = c->in + c->start;
	uint16_t flags, cmd;
	struct nbd_req *r;
	int err;

	if (c->end - c->start < REQUEST_BYTES)
		return false;
	if (nbd_get32(p) != REQUEST_MAGIC) {
		nbd_conn_close(c, "bad request magic");
		return false;
	}
	flags = nbd_get16(p + 4);
	cmd = nbd_get16(p + 6);
	if (cmd == CMD_DISC) {
		c->state = NBD_DRAIN;
		nbd_mark_dirty(c);
		return false;
	}
	r = nbd_req_new(c);
	if (!r) {
		nbd_conn_close(c, "out of memory");
		return false;
	}
	r->cookie = nbd_get64(p + 8);
	r->offset = nbd_get64(p + 16);
	r->len = nbd_get32(p + 24);
	r->op = op_of(cmd);
	r->fua = flags & F_FUA;
	r->no_hole = flags & F_NO_HOLE;
	r->export = c->export;
	err = check(c, r, cmd, flags);
	if (!err && !admit(c, r)) {
		nbd_req_free(c->s, r);
		return false; /* the header stays in the buffer */
	}
	if (!err && r->len && (cmd == CMD_READ || cmd == CMD_WRITE)) {
		r->buf = buf_get(c->s->pool, r->len);
		if (r->buf)
			r->data = r->buf->data;
		else
			err = ENOMEM;
	}
	c->start += REQUEST_BYTES;
	c->cur = r;
	c->got = 0;
	if (cmd == CMD_WRITE && r->len && err) {
		if (r->len > NBD_MAX_SKIP) {
			nbd_conn_close(c, "oversized write");
			return false;
		}
		c->state = NBD_SKIP;
		c->skip = r->len;
		c->skip_err = err;
	} else if (err) {
		c->cur = NULL;
		nbd_reply_queue(c, r, err);
	} else if (cmd == CMD_WRITE && r->len) {
		c->state = NBD_PAYLOAD;
	} else {
		hand_over(c);
	}
	return true;
}

static bool take_payload(struct nbd_conn *c)
{
	struct nbd_req *r = c->cur;
	size_t have = c->end - c->start, want = r->len - c->got;

	if (have > want)
		have = want;
	memcpy(r->data + c->got, c->in + c->start, have);
	c->start += have;
	c->got += have;
	if (c->got < r->len)
		return false;
	hand_over(c);
	return true;
}

static bool take_skip(struct nbd_conn *c)
{
	struct nbd_req *r = c->cur;
	size_t have = c->end - c->start;

	if (have > c->skip)
		have = c->skip;
	c->start += have;
	c->skip -= have;
	if (c->skip)
		return false;
	c->cur = NULL;
	c->state = NBD_REQUESTS;
	nbd_reply_queue(c, r, c->skip_err);
	return true;
}

/* Takes what there is in the buffer, one thing after the other. */
void nbd_conn_process(struct nbd_conn *c)
{
	bool more = true;

	while (more && c->state != NBD_DEAD && !list_linked(&c->parked)) {
		switch (c->state) {
		case NBD_FLAGS:
		case NBD_OPTIONS:
			more = nbd_handshake(c);
			break;
		case NBD_REQUESTS:
			more = c->out_bytes <= NBD_UNSENT_MAX && !c->s->quiet && take_request(c);
			break;
		case NBD_PAYLOAD:
			more = take_payload(c);
			break;
		case NBD_SKIP:
			more = take_skip(c);
			break;
		case NBD_DRAIN:
		case NBD_DEAD:
			more = false;
			break;
		}
	}
	if (c->state == NBD_DEAD)
		return;
	if (c->start == c->end)
		c->start = c->end = 0;
	nbd_conn_watch(c);
}

/* One readv(): the rest of a payload into its place, what follows into the buffer. */
static ssize_t receive(struct nbd_conn *c)
{
	struct iovec iov[2];
	size_t direct = 0;
	int n = 0;
	ssize_t k;

	if (c->start && (c->end == NBD_INBUF || c->start == c->end)) {
		memmove(c->in, c->in + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	if (c->state == NBD_PAYLOAD && c->start == c->end) {
		direct = c->cur->len - c->got;
		iov[n++] = (struct iovec){ c->cur->data + c->got, direct };
	}
	iov[n++] = (struct iovec){ c->in + c->end, NBD_INBUF - c->end };
	do {
		k = n == 1 ? recv(c->fd, iov[0].iov_base, iov[0].iov_len, 0) : readv(c->fd, iov, n);
	} while (k < 0 && errno == EINTR);
	if (k <= 0)
		return k;
	if (direct) {
		size_t d = (size_t)k < direct ? (size_t)k : direct;

		c->got += d;
		c->end += k - d;
	} else {
		c->end += k;
	}
	return k;
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct nbd_conn *c = w->data;
	size_t sum = 0;

	(void)loop;
	if (revents & EV_WRITE) {
		c->full = false;
		nbd_mark_dirty(c);
	}
	while (revents & EV_READ && c->state != NBD_DEAD && !stopped(c) && sum < ROUND_BYTES) {
		size_t room = NBD_INBUF - (c->end - c->start);
		ssize_t k = receive(c);

		if (k == 0 || (k < 0 && errno != EAGAIN)) {
			nbd_conn_close(c, c->state == NBD_PAYLOAD || c->state == NBD_SKIP ?
						  "the client went away in the middle of a write" : NULL);
			return;
		}
		if (k < 0)
			break;
		sum += k;
		nbd_conn_process(c);
		/* A short read emptied the socket. */
		if ((size_t)k < room)
			break;
	}
}

static void on_deadline(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	nbd_conn_close(t->data, "handshake took too long");
}

void nbd_conn_new(struct nbd_server *s, int fd)
{
	struct nbd_conn *c = malloc(sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	memset(c, 0, offsetof(struct nbd_conn, in));
	c->s = s;
	c->fd = fd;
	c->state = NBD_FLAGS;
	list_init(&c->dirty);
	list_init(&c->parked);
	list_init(&c->out);
	list_add_tail(&c->link, &s->conns);
	s->nconns++;
	ev_io_init(&c->io, on_io, fd, EV_READ);
	c->io.data = c;
	ev_now_update(s->loop);
	ev_timer_init(&c->deadline, on_deadline, s->lim.handshake_ms / 1000., 0.);
	c->deadline.data = c;
	ev_timer_start(s->loop, &c->deadline);
	ev_io_start(s->loop, &c->io);
	if (nbd_greet(c))
		nbd_conn_close(c, "out of memory");
}

void nbd_req_done(struct nbd_req *r, int err)
{
	struct nbd_conn *c = r->conn;

	assert(r->with_owner);
	r->with_owner = false;
	c->in_flight--;
	if (c->state != NBD_DEAD) {
		nbd_reply_queue(c, r, err);
		return;
	}
	nbd_req_free(c->s, r);
	if (!c->in_flight)
		nbd_mark_dirty(c);
}

/* Called by the server's flush: a dead one whose requests are all back goes. */
void nbd_conn_settle(struct nbd_conn *c)
{
	if (c->state != NBD_DEAD)
		nbd_flush(c);
	if (c->state == NBD_DEAD) {
		list_del(&c->dirty);
		if (!c->in_flight)
			conn_free(c);
	}
}
