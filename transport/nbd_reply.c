/* SPDX-License-Identifier: MIT */
/* Answers: queued as they come, sent by one sendmsg() per connection and loop iteration. */
#include "nbd_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SIMPLE_MAGIC 0x67446698U
#define CHUNK_MAGIC 0x668e33efU
#define HEADER_MAX 28 /* structured: 20, and 8 of offset */
#define BATCH 128     /* replies in one sendmsg() */

enum { CHUNK_DONE = 1, TYPE_NONE = 0, TYPE_OFFSET_DATA = 1, TYPE_ERROR = 0x8001 };

/* The errors that proto.md knows; the rest is EIO. */
static uint32_t wire_errno(int err)
{
	switch (err) {
	case 0:
		return 0;
	case EPERM:
		return 1;
	case ENOMEM:
		return 12;
	case EINVAL:
		return 22;
	case ENOSPC:
		return 28;
	case EOVERFLOW:
		return 75;
	case ENOTSUP:
		return 95;
	case ESHUTDOWN:
		return 108;
	}
	return 5;
}

static bool with_data(const struct nbd_req *r)
{
	return r->op == NBD_OP_READ && !r->err && r->len;
}

/* Writes the header of r's reply; returns its length. */
static size_t header(const struct nbd_conn *c, const struct nbd_req *r, uint8_t *h)
{
	bool data = with_data(r);

	/* A structured answer is a must for reads only, and fine for all (proto.md). */
	if (!c->structured || r->op != NBD_OP_READ) {
		nbd_put32(h, SIMPLE_MAGIC);
		nbd_put32(h + 4, wire_errno(r->err));
		nbd_put64(h + 8, r->cookie);
		return 16;
	}
	nbd_put32(h, CHUNK_MAGIC);
	nbd_put16(h + 4, CHUNK_DONE);
	nbd_put16(h + 6, data ? TYPE_OFFSET_DATA : r->err ? TYPE_ERROR : TYPE_NONE);
	nbd_put64(h + 8, r->cookie);
	nbd_put32(h + 16, data ? 8 + r->len : r->err ? 6 : 0);
	if (data) {
		nbd_put64(h + 20, r->offset);
		return 28;
	}
	if (r->err) {
		nbd_put32(h + 20, wire_errno(r->err));
		nbd_put16(h + 24, 0);
		return 26;
	}
	return 20;
}

static size_t reply_size(const struct nbd_conn *c, const struct nbd_req *r)
{
	uint8_t h[HEADER_MAX];

	return header(c, r, h) + (with_data(r) ? r->len : 0);
}

void nbd_reply_queue(struct nbd_conn *c, struct nbd_req *r, int err)
{
	r->err = err;
	if (!with_data(r)) {
		buf_put(r->buf);
		r->buf = NULL;
	}
	list_add_tail(&r->link, &c->out);
	c->out_bytes += reply_size(c, r);
	nbd_mark_dirty(c);
}

/* The replies as an iovec, without the first c->out_done bytes. */
static int gather(struct nbd_conn *c, struct iovec *iov, uint8_t (*h)[HEADER_MAX], size_t *total)
{
	struct list *pos;
	size_t skip = c->out_done;
	int n = 0, i = 0;

	*total = 0;
	list_for_each(pos, &c->out) {
		struct nbd_req *r = list_entry(pos, struct nbd_req, link);
		struct iovec part[2];
		int parts = 1;

		if (i == BATCH)
			break;
		part[0] = (struct iovec){ h[i], header(c, r, h[i]) };
		i++;
		if (with_data(r))
			part[parts++] = (struct iovec){ r->data, r->len };
		for (int k = 0; k < parts; k++) {
			size_t cut = skip < part[k].iov_len ? skip : part[k].iov_len;

			skip -= cut;
			if (cut == part[k].iov_len)
				continue;
			iov[n].iov_base = (uint8_t *)part[k].iov_base + cut;
			iov[n].iov_len = part[k].iov_len - cut;
			*total += iov[n++].iov_len;
		}
	}
	return n;
}

/* Forgets what has been sent. */
static void sent(struct nbd_conn *c, size_t n)
{
	c->out_bytes -= n;
	c->out_done += n;
	while (!list_empty(&c->out)) {
		struct nbd_req *r = list_entry(c->out.next, struct nbd_req, link);
		size_t size = reply_size(c, r);

		if (c->out_done < size)
			break;
		c->out_done -= size;
		list_del(&r->link);
		nbd_req_free(c->s, r);
	}
}

static ssize_t send_some(struct nbd_conn *c, struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t k;

	do {
		k = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (k < 0 && errno == EINTR);
	return k;
}

/* The handshake's answers come before any reply. False: not all sent. */
static bool flush_handshake(struct nbd_conn *c)
{
	struct iovec iov = { c->hs_out, c->hs_len };
	ssize_t k;

	if (!c->hs_len)
		return true;
	k = send_some(c, &iov, 1);
	if (k < 0) {
		if (errno != EAGAIN)
			nbd_conn_close(c, NULL);
		return false;
	}
	memmove(c->hs_out, c->hs_out + k, c->hs_len - k);
	c->hs_len -= k;
	return c->hs_len == 0;
}

void nbd_flush(struct nbd_conn *c)
{
	struct iovec iov[2 * BATCH];
	uint8_t h[BATCH][HEADER_MAX];
	size_t total;

	c->full = !flush_handshake(c);
	while (c->state != NBD_DEAD && !c->full && !list_empty(&c->out)) {
		int n = gather(c, iov, h, &total);
		ssize_t k = send_some(c, iov, n);

		if (k < 0 && errno != EAGAIN) {
			nbd_conn_close(c, NULL);
			return;
		}
		if (k > 0)
			sent(c, k);
		c->full = k < (ssize_t)total;
	}
	if (c->state == NBD_DEAD)
		return;
	if (c->state == NBD_DRAIN && !c->in_flight && list_empty(&c->out) && !c->hs_len)
		nbd_conn_close(c, NULL);
	else if (c->start < c->end)
		nbd_conn_process(c); /* it may have waited for replies to be sent */
	else
		nbd_conn_watch(c);
}
