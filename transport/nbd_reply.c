/* SPDX-License-Identifier: MIT */
/*
 * Answers: built when a request comes back, sent all at once by nbd_reply_flush(). Handshake answers
 * are plain text before them. A socket that is full has a watcher; until it can be written
 * again nothing is tried.
 */
#include "nbd_internal.h"
#include "nbd_proto.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>

#define IOVS 1024          /* IOV_MAX */
#define SENDS_AT_ONCE 4    /* then the others have their turn */
#define REQS_LOW (NBD_REQS_MAX / 2)
#define OUT_LOW (NBD_OUT_MAX / 2)

static bool below(const struct nbd_conn *c)
{
	return c->nreqs <= REQS_LOW && c->out_bytes <= OUT_LOW && c->text_len == c->text_sent;
}

static uint32_t error_on_wire(int err)
{
	switch (err) {
	case 0:
	case EPERM: /* 1 */
	case EIO: /* 5 */
	case EINVAL: /* 22 */
	case ENOSPC: /* 28 */
	case EOVERFLOW: /* 75 */
	case ENOTSUP: /* 95 */
		return (uint32_t)err; /* proto.md took Linux's numbers */
	default:
		return EIO;
	}
}

static void simple_head(struct slot *slot, uint32_t err)
{
	put_be32(slot->head, NBD_SIMPLE_REPLY_MAGIC);
	put_be32(slot->head + 4, err);
	memcpy(slot->head + 8, &slot->req.cookie, 8);
	slot->head_len = NBD_SIMPLE_HEAD;
}

static void chunk_head(struct slot *slot, uint16_t type, uint32_t len)
{
	put_be32(slot->head, NBD_STRUCTURED_REPLY_MAGIC);
	put_be16(slot->head + 4, NBD_REPLY_FLAG_DONE);
	put_be16(slot->head + 6, type);
	memcpy(slot->head + 8, &slot->req.cookie, 8);
	put_be32(slot->head + 16, len);
	slot->head_len = NBD_CHUNK_HEAD;
}

/* proto.md, "Structured reply message": READ and BLOCK_STATUS must have one, other commands need not. */
static void data_head(struct slot *slot, uint32_t err)
{
	const struct nbd_req *req = &slot->req;

	if (err) {
		chunk_head(slot, NBD_REPLY_TYPE_ERROR, 6);
		put_be32(slot->head + 20, err);
		put_be16(slot->head + 24, 0); /* no message */
		slot->head_len += 6;
	} else if (req->op == NBD_OP_STATUS) {
		chunk_head(slot, NBD_REPLY_TYPE_BLOCK_STATUS, 4 + slot->payload);
		put_be32(slot->head + 20, NBD_CONTEXT_ID);
		slot->head_len += 4;
	} else if (!req->len) {
		chunk_head(slot, NBD_REPLY_TYPE_NONE, 0); /* a data chunk can't be empty */
	} else {
		chunk_head(slot, NBD_REPLY_TYPE_OFFSET_DATA, 8 + req->len);
		put_be64(slot->head + 20, req->offset);
		slot->head_len += 8;
	}
}

static void mark_dirty(struct nbd_conn *c)
{
	struct nbd_server *s = c->server;

	if (list_linked(&c->in_dirty) || ev_is_active(&c->wr))
		return;
	if (list_empty(&s->dirty))
		ev_feed_event(s->loop, &s->flush, EV_PREPARE);
	list_add_tail(&c->in_dirty, &s->dirty);
}

void nbd_reply(struct slot *slot, int err)
{
	struct nbd_conn *c = slot->req.conn;
	uint32_t code = error_on_wire(err);
	bool status = slot->req.op == NBD_OP_STATUS, data = status || slot->req.op == NBD_OP_READ;

	slot->state = SLOT_REPLY;
	slot->sent = 0;
	slot->payload = 0;
	if (data && !code)
		slot->payload = status ? nbd_meta_extents(&slot->req) : slot->req.len;
	if (c->structured && data)
		data_head(slot, code);
	else
		simple_head(slot, code);
	if (slot->payload) {
		c->unsent += nbd_admit_bytes(slot->req.op, slot->req.len);
		c->server->unsent += nbd_admit_bytes(slot->req.op, slot->req.len);
	} else {
		buf_put(slot->req.buf);
		slot->req.buf = NULL;
	}
	c->out_bytes += slot->head_len + slot->payload;
	list_add_tail(&slot->req.link, &c->out);
	mark_dirty(c);
}

/*
 * What is no fault of the storage must not become an error of a file system: the client is cut off, and asks again when it
 * comes back.
 */
static bool passes(int err)
{
	return err == ENOMEM || err == ESHUTDOWN;
}

void nbd_req_done(struct nbd_req *req, int err)
{
	struct slot *slot = list_entry(req, struct slot, req);
	struct nbd_conn *c = req->conn;

	assert(slot->state == SLOT_OWNER);
	c->server->nout--;
	if (req->op == NBD_OP_READ)
		c->owed -= req->len;
	if (c->state != NBD_ST_DEAD && !passes(err)) {
		nbd_reply(slot, err);
		return;
	}
	nbd_conn_hold(c);
	nbd_slot_put(c, slot);
	nbd_conn_close(c, LOG_ERR, "a request can't be answered now: %s", strerror(err));
	nbd_conn_release(c);
}

void nbd_reply_text(struct nbd_conn *c, const void *bytes, size_t len)
{
	if (c->state == NBD_ST_DEAD)
		return;
	if (c->text_cap - c->text_len < len) {
		size_t cap = (c->text_len + len) * 2;
		uint8_t *text = realloc(c->text, cap);

		if (!text) {
			nbd_conn_close(c, LOG_ERR, "out of memory");
			return;
		}
		c->text = text;
		c->text_cap = cap;
	}
	memcpy(c->text + c->text_len, bytes, len);
	c->text_len += len;
	mark_dirty(c);
}

static void drop_text(struct nbd_conn *c)
{
	free(c->text);
	c->text = NULL;
	c->text_len = c->text_cap = c->text_sent = 0;
}

void nbd_reply_drop(struct nbd_conn *c)
{
	while (!list_empty(&c->out))
		nbd_slot_put(c, list_entry(c->out.next, struct slot, req.link));
	c->out_bytes = 0;
	drop_text(c);
}

struct gather {
	struct iovec iov[IOVS];
	int n;
	size_t bytes, scratch;
};

/* Heads that follow each other are put side by side: one iovec for a batch of short answers. */
static void add_head(struct nbd_server *s, struct gather *g, const uint8_t *head, size_t len)
{
	uint8_t *to = s->scratch + g->scratch;
	struct iovec *last = g->n ? &g->iov[g->n - 1] : NULL;

	memcpy(to, head, len);
	g->scratch += len;
	g->bytes += len;
	if (last && (uint8_t *)last->iov_base + last->iov_len == to)
		last->iov_len += len;
	else
		g->iov[g->n++] = (struct iovec){ to, len };
}

static void gather(struct nbd_conn *c, struct gather *g)
{
	struct list *pos;

	g->n = 0;
	g->bytes = g->scratch = 0;
	if (c->text_len > c->text_sent) {
		g->bytes = c->text_len - c->text_sent;
		g->iov[g->n++] = (struct iovec){ c->text + c->text_sent, g->bytes };
	}
	list_for_each(pos, &c->out) {
		struct slot *slot = list_entry(pos, struct slot, req.link);
		uint32_t skip = slot->sent;

		if (g->n + 2 > IOVS || g->scratch + sizeof(slot->head) > NBD_SCRATCH_BYTES)
			break;
		if (skip < slot->head_len) {
			add_head(c->server, g, slot->head + skip, slot->head_len - skip);
			skip = 0;
		} else {
			skip -= slot->head_len;
		}
		if (slot->payload > skip) {
			g->iov[g->n++] = (struct iovec){ slot->req.data + skip,
							 slot->payload - skip };
			g->bytes += slot->payload - skip;
		}
	}
}

static void consume(struct nbd_conn *c, size_t n)
{
	size_t text = c->text_len - c->text_sent;

	if (text) {
		text = n < text ? n : text;
		c->text_sent += text;
		n -= text;
		if (c->text_sent == c->text_len)
			drop_text(c);
	}
	c->out_bytes -= n;
	c->moved |= n > 0;
	while (n) {
		struct slot *slot = list_entry(c->out.next, struct slot, req.link);
		size_t left = (size_t)slot->head_len + slot->payload - slot->sent;

		if (n < left) {
			slot->sent += (uint32_t)n;
			return;
		}
		n -= left;
		c->passed = true;
		nbd_slot_put(c, slot);
	}
}

/* 0: all has left; -EAGAIN: the rest has to wait for the socket; another -errno: the connection is over. */
static int send_all(struct nbd_conn *c)
{
	struct gather g;

	for (int i = 0; i < SENDS_AT_ONCE && nbd_reply_pending(c); i++) {
		struct msghdr msg = { .msg_iov = g.iov };
		ssize_t n;

		gather(c, &g);
		msg.msg_iovlen = (size_t)g.n;
		do
			n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return -errno;
		consume(c, (size_t)n);
		if ((size_t)n < g.bytes)
			return -EAGAIN;
	}
	return nbd_reply_pending(c) ? -EAGAIN : 0;
}

void nbd_reply_flush(struct nbd_conn *c)
{
	struct ev_loop *loop = c->server->loop;
	int ret;

	nbd_conn_hold(c);
	ret = send_all(c);
	if (ret && ret != -EAGAIN && ret != -ENOBUFS) {
		nbd_conn_close(c, LOG_INFO, "sending: %s", strerror(-ret));
	} else {
		if (ret)
			ev_io_start(loop, &c->wr);
		else
			ev_io_stop(loop, &c->wr);
		if (c->full && below(c)) {
			c->full = false;
			nbd_ready(c);
		}
		nbd_conn_check(c);
	}
	nbd_conn_release(c);
}

void nbd_reply_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	nbd_reply_flush(w->data);
}
