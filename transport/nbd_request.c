/* SPDX-License-Identifier: MIT */
/*
 * From the 28 bytes of a request to submit(). Everything that can be told from those bytes is
 * checked here; a request that is refused still has its payload read, so the stream stays in step.
 */
#include "nbd_internal.h"
#include "nbd_proto.h"

#include <assert.h>
#include <errno.h>
#include <syslog.h>

#define BIG_WRITE 32768U /* payloads from here on are worth a system call of their own */

struct head {
	uint16_t flags, type;
	uint32_t len;
	uint64_t offset;
};

/* What the client was told, or was not told and does all the same. 0 or the errno to answer. */
static int check_flags(const struct nbd_conn *c, const struct head *h, uint16_t allowed)
{
	if (c->flags & NBD_FLAG_SEND_FUA)
		allowed |= NBD_CMD_FLAG_FUA;
	return h->flags & ~allowed ? EINVAL : 0;
}

static bool in_range(const struct nbd_conn *c, const struct head *h)
{
	return h->offset <= c->size && h->len <= c->size - h->offset;
}

static int check_change(const struct nbd_conn *c, const struct head *h, uint16_t allowed, int range)
{
	if (c->flags & NBD_FLAG_READ_ONLY)
		return EPERM;
	if (check_flags(c, h, allowed))
		return EINVAL;
	return in_range(c, h) ? 0 : range;
}

/* 0 or the errno to answer (proto.md, "Error values"); *op for the owner. */
static int check(const struct nbd_conn *c, const struct head *h, uint8_t *op)
{
	uint16_t zeroes = NBD_CMD_FLAG_NO_HOLE;

	*op = NBD_OP_FLUSH; /* answered like one: the head only */
	switch (h->type) {
	case NBD_CMD_READ:
		*op = NBD_OP_READ;
		if (check_flags(c, h, c->flags & NBD_FLAG_SEND_DF ? NBD_CMD_FLAG_DF : 0))
			return EINVAL;
		return in_range(c, h) && h->len <= c->max_block ? 0 : EINVAL;
	case NBD_CMD_WRITE:
		*op = NBD_OP_WRITE;
		if (h->len > c->max_block)
			return EINVAL;
		return check_change(c, h, 0, ENOSPC);
	case NBD_CMD_FLUSH:
		if (!(c->flags & NBD_FLAG_SEND_FLUSH) || h->offset || h->len)
			return EINVAL;
		return check_flags(c, h, 0);
	case NBD_CMD_TRIM:
		*op = NBD_OP_TRIM;
		if (!(c->flags & (NBD_FLAG_SEND_TRIM | NBD_FLAG_READ_ONLY)))
			return EINVAL;
		return check_change(c, h, 0, EINVAL);
	case NBD_CMD_WRITE_ZEROES:
		*op = NBD_OP_ZERO;
		if (!(c->flags & (NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_READ_ONLY)))
			return EINVAL;
		if (c->flags & NBD_FLAG_SEND_FAST_ZERO)
			zeroes |= NBD_CMD_FLAG_FAST_ZERO;
		return check_change(c, h, zeroes, ENOSPC);
	case NBD_CMD_CACHE:
		*op = NBD_OP_CACHE;
		if (!(c->flags & NBD_FLAG_SEND_CACHE) || check_flags(c, h, 0))
			return EINVAL;
		return in_range(c, h) ? 0 : EINVAL;
	case NBD_CMD_BLOCK_STATUS:
		*op = NBD_OP_STATUS;
		if (!c->allocation || !h->len || check_flags(c, h, NBD_CMD_FLAG_REQ_ONE))
			return EINVAL;
		return in_range(c, h) ? 0 : EINVAL;
	default:
		return EINVAL;
	}
}

static void hand_over(struct nbd_conn *c, struct slot *slot)
{
	struct nbd_server *s = c->server;

	assert(slot->state == SLOT_TAKING);
	slot->state = SLOT_OWNER;
	s->nout++;
	if (slot->req.op == NBD_OP_READ)
		c->owed += slot->req.len;
	memset(slot->req.priv, 0, s->lim.req_priv);
	s->cb.submit(s->arg, &slot->req);
}

void nbd_request_taken(struct nbd_conn *c)
{
	struct slot *slot = c->take;

	assert(slot && c->take_left == 0);
	if (c->take_dst)
		c->server->taking -= nbd_admit_bytes(NBD_OP_WRITE, slot->req.len);
	c->passed = true;
	c->take = NULL;
	c->take_dst = NULL;
	if (slot->err)
		nbd_reply(slot, slot->err);
	else
		hand_over(c, slot);
}

static void take_payload(struct nbd_conn *c, struct slot *slot)
{
	c->take = slot;
	c->take_left = slot->req.len;
	if (!slot->err) {
		c->take_dst = slot->req.data;
		c->server->taking += nbd_admit_bytes(NBD_OP_WRITE, slot->req.len);
	}
}

static void begin(struct nbd_conn *c, struct slot *slot, const struct head *h)
{
	struct nbd_req *req = &slot->req;
	bool data = req->op == NBD_OP_READ || req->op == NBD_OP_WRITE;

	if (!slot->err && data && h->len) {
		req->buf = buf_get(c->server->pool, h->len);
		if (!req->buf) {
			nbd_slot_put(c, slot);
			nbd_conn_close(c, LOG_ERR, "out of memory");
			return;
		}
		req->data = req->buf->data;
	}
	c->big_writes = h->type == NBD_CMD_WRITE && h->len >= BIG_WRITE;
	if (h->type == NBD_CMD_WRITE && h->len)
		take_payload(c, slot);
	else if (slot->err || (!h->len && h->type != NBD_CMD_FLUSH))
		nbd_reply(slot, slot->err);
	else
		hand_over(c, slot);
}

bool nbd_request_next(struct nbd_conn *c)
{
	const uint8_t *p = nbd_conn_bytes(c);
	struct slot *slot;
	struct head h;
	uint8_t op;
	int err;

	if (c->nreqs >= NBD_REQS_MAX || c->out_bytes >= NBD_OUT_MAX) {
		c->full = true;
		return false;
	}
	if (nbd_conn_avail(c) < NBD_REQUEST_HEAD)
		return false;
	if (get_be32(p) != NBD_REQUEST_MAGIC) {
		nbd_conn_close(c, LOG_WARNING, "no request where one belongs");
		return false;
	}
	h.flags = get_be16(p + 4);
	h.type = get_be16(p + 6);
	h.offset = get_be64(p + 16);
	h.len = get_be32(p + 24);
	if (h.type == NBD_CMD_DISC) {
		nbd_conn_drain(c);
		return false;
	}
	if (h.type == NBD_CMD_WRITE && h.len > NBD_SKIP_MAX) {
		nbd_conn_close(c, LOG_WARNING, "a write of %u bytes", h.len);
		return false;
	}
	err = check(c, &h, &op);
	if (!err && nbd_admit_owes(c, op, h.len)) {
		c->full = true;
		return false;
	}
	if (!err && !nbd_admit(c, op, h.len))
		return false;
	slot = nbd_slot_get(c);
	if (!slot) {
		nbd_conn_close(c, LOG_ERR, "out of memory");
		return false;
	}
	memcpy(&slot->req.cookie, p + 8, 8);
	c->in_pos += NBD_REQUEST_HEAD;
	slot->err = (uint8_t)err;
	slot->req.export = c->use->handle;
	slot->req.op = op;
	slot->req.fua = h.flags & NBD_CMD_FLAG_FUA;
	slot->req.fast = op == NBD_OP_ZERO && (h.flags & NBD_CMD_FLAG_FAST_ZERO);
	slot->req.one = h.flags & NBD_CMD_FLAG_REQ_ONE;
	slot->req.nextents = 0;
	slot->req.no_hole = op == NBD_OP_ZERO && (h.flags & NBD_CMD_FLAG_NO_HOLE);
	slot->req.offset = h.offset;
	slot->req.len = h.len;
	begin(c, slot, &h);
	return true;
}
