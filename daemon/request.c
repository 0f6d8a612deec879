/* SPDX-License-Identifier: MIT */
/*
 * The life of a request: turned into ios (pieces that one SCSI command can do) phase by phase,
 * and given back exactly once. Partial blocks are read, modified and written under the range lock
 * (lock.c). FUA the target can't do is a SYNCHRONIZE CACHE behind the body.
 */
#include "fence.h"
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum phase { PHASE_LOCK, PHASE_EDGES, PHASE_BODY, PHASE_SYNC, PHASE_OVER };

#define MAX_IO_BYTES (1U << 20)        /* of one READ or WRITE */
#define MAX_RANGE_BYTES (32ULL << 20)  /* of one WRITE SAME: it must end within command_timeout */
#define MAX_UNMAP_BYTES (1ULL << 30)
#define MAX_IOS_OUT 16                 /* of one request at a time */

static bool changes_blocks(const struct request *r)
{
	return r->op == REQUEST_WRITE || r->op == REQUEST_TRIM || r->op == REQUEST_ZERO;
}

static bool head_partial(const struct request *r)
{
	return r->offset % r->lun->block_size;
}

static bool tail_partial(const struct request *r)
{
	return (r->offset + r->len) % r->lun->block_size;
}

struct io *io_new(struct engine *e, struct request *r, enum io_op op, uint64_t lba, uint32_t blocks)
{
	struct list *l = list_pop(&e->free_ios);
	struct io *io = l ? list_entry(l, struct io, link) : malloc(sizeof(*io));

	if (!io)
		return NULL;
	memset(io, 0, sizeof(*io));
	list_init(&io->link);
	list_init(&io->attempts);
	io->req = r;
	io->op = op;
	io->lba = lba;
	io->blocks = blocks;
	r->ios_out++;
	return io;
}

static void io_free(struct engine *e, struct io *io)
{
	assert(list_empty(&io->attempts) && !io->waiting && !list_linked(&io->link));
	engine_disarm(e, &io->timer);
	failover_leave(e, io);
	if (io->won)
		list_add_tail(&io->link, &io->req->won);
	else
		list_add_head(&io->link, &e->free_ios);
}

/* to: the buffer that gets the bytes that hedges brought for another one, from; NULL: nobody wants them. */
static void take_won(struct engine *e, struct request *r, uint8_t *to, const uint8_t *from)
{
	struct list *pos;

	while ((pos = list_pop(&r->won))) {
		struct io *io = list_entry(pos, struct io, link);

		if (to)
			memcpy(to + (io->data - from), io->won->data, (size_t)io->blocks * r->lun->block_size);
		buf_put(io->won);
		io->won = NULL;
		list_add_head(&io->link, &e->free_ios);
	}
}

/* What it holds in memory: a trim of gigabytes holds nothing. */
static uint32_t data_bytes(const struct request *r)
{
	if (r->op == REQUEST_STATUS)
		return EXTENTS_BYTES;
	return r->op == REQUEST_READ || r->op == REQUEST_WRITE ? r->len : 0;
}

/* Its blocks are its own: goes on, unless an older write to them is in doubt. */
static void request_start(struct engine *e, struct request *r)
{
	if (!r->err && changes_blocks(r) && fence_holds(e, r))
		return; /* the end of the doubt starts it */
	request_go(e, r);
}

/* The request is over: its owner gets it back. */
static void request_end(struct engine *e, struct request *r)
{
	struct lun *l = r->lun;
	bool locked = r->range.linked;

	assert(r->ios_out == 0 && list_linked(&r->link));
	list_del(&r->link);
	writer_leave(r);
	take_won(e, r, NULL, NULL);
	buf_put(r->bounce);
	r->bounce = NULL;
	r->phase = PHASE_OVER;
	l->queued--;
	l->queued_bytes -= data_bytes(r);
	e->inflight_bytes -= data_bytes(r);
	e->ops->request_done(e->arg, r);
	if (e->mutate == ENGINE_COMPLETE_TWICE && l->queued % 4 == 3)
		e->ops->request_done(e->arg, r);
	if (locked)
		for (r = writer_next(l); r; r = writer_next(l))
			request_start(e, r);
	if (e->starved) {
		e->starved = false;
		e->ops->room(e->arg);
	}
}

/* A READ's bytes, in memory that no late answer of a lost hedge can reach any more. */
static int settle_buf(struct engine *e, struct request *r, struct buf **b, size_t len)
{
	struct buf *fresh;

	if (!r->tainted)
		return 0;
	fresh = buf_get(e->pool, len);
	if (!fresh)
		return ENOMEM;
	memcpy(fresh->data, (*b)->data, len);
	take_won(e, r, fresh->data, (*b)->data);
	buf_put(*b);
	*b = fresh;
	r->tainted = false;
	return 0;
}

/* Hands the bytes that were read over to the client. */
static int deliver_read(struct engine *e, struct request *r)
{
	uint32_t bs = r->lun->block_size;
	int err;

	if (r->bounce) {
		buf_put(r->buf);
		r->buf = r->bounce;
		r->bounce = NULL;
	}
	err = settle_buf(e, r, &r->buf, r->blocks * bs);
	r->data = r->buf->data + (r->offset - r->lba * bs);
	return err;
}

/* Largest piece of the body, in blocks. */
static uint64_t piece_limit(const struct request *r)
{
	const struct lun *l = r->lun;
	uint64_t max = MAX_IO_BYTES / l->block_size;

	switch (r->op) {
	case REQUEST_TRIM:
		max = MAX_UNMAP_BYTES / l->block_size;
		if (l->limits.max_unmap_blocks && l->limits.max_unmap_blocks < max)
			max = l->limits.max_unmap_blocks;
		return max;
	case REQUEST_CACHE:
		max = MAX_RANGE_BYTES / l->block_size;
		if (l->limits.max_prefetch && l->limits.max_prefetch < max)
			max = l->limits.max_prefetch;
		return max;
	case REQUEST_ZERO:
		if (l->no_write_same)
			break;
		max = MAX_RANGE_BYTES / l->block_size;
		if (l->limits.max_write_same && l->limits.max_write_same < max)
			max = l->limits.max_write_same;
		return max;
	}
	if (l->limits.max_transfer && l->limits.max_transfer < max)
		max = l->limits.max_transfer;
	return max;
}

/* What can't be written through is written back afterwards, by a SYNCHRONIZE CACHE. */
static void set_fua(struct io *io)
{
	struct request *r = io->req;

	io->fua = r->fua && io->op == IO_WRITE && r->lun->dpofua;
	if (r->fua && !io->fua && io->op != IO_READ)
		r->volatile_part = true;
}

static struct io *body_io(struct engine *e, struct request *r, uint64_t lba, uint32_t blocks)
{
	struct lun *l = r->lun;
	struct buf *b = r->bounce ? r->bounce : r->buf; /* none: no data */
	enum io_op op;
	struct io *io;

	switch (r->op) {
	case REQUEST_READ:
		op = IO_READ;
		break;
	case REQUEST_TRIM:
		op = IO_UNMAP;
		break;
	case REQUEST_CACHE:
		op = IO_PREFETCH;
		break;
	case REQUEST_ZERO:
		op = l->no_write_same ? IO_WRITE : IO_WRITE_SAME;
		break;
	default:
		op = IO_WRITE;
	}
	io = io_new(e, r, op, lba, blocks);
	if (!io)
		return NULL;
	set_fua(io);
	if (r->op == REQUEST_ZERO) {
		io->buf = e->zeroes;
		io->data = e->zeroes->data;
	} else if (r->op == REQUEST_WRITE && !r->bounce) {
		io->buf = b;
		io->data = r->data + (lba - r->body_lba) * l->block_size;
	} else if (b) {
		io->buf = b;
		io->data = b->data + (lba - r->body_lba) * l->block_size;
	}
	return io;
}

/* Starts as many pieces of the body as may be out at once. */
static void pump_body(struct engine *e, struct request *r)
{
	uint64_t limit = piece_limit(r);

	if (r->op == REQUEST_STATUS) {
		extents_ask(e, r);
		return;
	}
	while (r->cursor < r->body_end && r->ios_out < MAX_IOS_OUT && !r->err && !r->redo) {
		uint64_t n = r->body_end - r->cursor;
		struct io *io;

		if (n > limit)
			n = limit;
		io = body_io(e, r, r->cursor, n);
		if (!io) {
			r->err = ENOMEM;
			break;
		}
		r->cursor += n;
		r->ios_out++; /* so that an end inside io_dispatch() does not end the request here */
		io_dispatch(e, io);
		r->ios_out--;
	}
}

/* One io for a block at the edge; data: where its bytes are in the bounce buffer. */
static void edge_io(struct engine *e, struct request *r, enum io_op op, uint64_t lba, uint8_t *data)
{
	struct io *io = io_new(e, r, op, lba, 1);

	if (!io) {
		r->err = ENOMEM;
		return;
	}
	io->buf = r->bounce;
	io->data = data;
	set_fua(io);
	io_dispatch(e, io);
}

/* Both partial blocks, read or written. In a WRITE's bounce buffer they lie in place, in a ZERO's side by side. */
static void edge_ios(struct engine *e, struct request *r, enum io_op op)
{
	uint32_t bs = r->lun->block_size;
	uint64_t last = r->lba + r->blocks - 1;
	uint8_t *head = r->bounce->data, *tail;

	tail = r->op == REQUEST_ZERO ? head + bs : head + (r->blocks - 1) * bs;
	if (last == r->lba)
		tail = head;
	if (head_partial(r) || last == r->lba)
		edge_io(e, r, op, r->lba, head);
	if (tail_partial(r) && last != r->lba)
		edge_io(e, r, op, last, tail);
}

/* The partial blocks have been read: put the client's bytes into them. */
static void merge_edges(struct request *r)
{
	uint32_t bs = r->lun->block_size;
	uint32_t skip = r->offset - r->lba * bs;
	uint32_t tail_len = (r->offset + r->len) % bs;

	if (r->op == REQUEST_WRITE) {
		memcpy(r->bounce->data + skip, r->data, r->len);
	} else if (r->blocks == 1) {
		memset(r->bounce->data + skip, 0, r->len);
	} else {
		if (skip)
			memset(r->bounce->data + skip, 0, bs - skip);
		memset(r->bounce->data + bs, 0, tail_len);
	}
}

/* The blocks of the body: all that are touched, or only the whole ones. */
static void body_range(struct request *r)
{
	r->body_lba = r->lba;
	r->body_end = r->lba + r->blocks;
	if (r->op == REQUEST_TRIM || r->op == REQUEST_ZERO) {
		r->body_lba += head_partial(r);
		if (r->body_end > r->body_lba)
			r->body_end -= tail_partial(r);
		if (r->body_end < r->body_lba)
			r->body_end = r->body_lba;
	}
	r->cursor = r->body_lba;
}

static bool needs_sync(const struct request *r)
{
	return r->op == REQUEST_FLUSH || r->volatile_part;
}

static void begin_phase(struct engine *e, struct request *r)
{
	struct io *io;

	switch ((enum phase)r->phase) {
	case PHASE_EDGES:
		edge_ios(e, r, IO_READ);
		break;
	case PHASE_BODY:
		r->epoch = r->lun->epoch;
		if (r->exclusive) {
			r->err = settle_buf(e, r, &r->bounce, r->bounce->cap);
			if (r->err)
				break;
			merge_edges(r);
			if (r->op == REQUEST_ZERO)
				edge_ios(e, r, IO_WRITE);
		}
		pump_body(e, r);
		break;
	case PHASE_SYNC:
		io = io_new(e, r, IO_SYNC, 0, 0);
		if (io)
			io_dispatch(e, io);
		else
			r->err = ENOMEM;
		break;
	case PHASE_LOCK:
	case PHASE_OVER:
		break;
	}
}

static enum phase next_phase(const struct engine *e, const struct request *r)
{
	bool flush = e->mutate != ENGINE_FLUSH_EARLY;

	switch ((enum phase)r->phase) {
	case PHASE_LOCK:
		if (r->op == REQUEST_FLUSH)
			return flush ? PHASE_SYNC : PHASE_OVER;
		return r->exclusive ? PHASE_EDGES : PHASE_BODY;
	case PHASE_EDGES:
		return PHASE_BODY;
	case PHASE_BODY:
		return needs_sync(r) ? PHASE_SYNC : PHASE_OVER;
	default:
		return PHASE_OVER;
	}
}

/*
 * FUA by SYNCHRONIZE CACHE. If there was a new login since the body began, the target may have lost
 * power before it, and with it what was written by then: all of it goes again. (What a client wrote without FUA and
 * flushes later can't be helped that way; no initiator can.)
 */
static bool sync_came_too_late(const struct request *r)
{
	return r->phase == PHASE_SYNC && r->volatile_part && r->epoch != r->lun->epoch;
}

/* Nothing of the request is out: go on to what comes next, until something is out or it is over. */
void request_go(struct engine *e, struct request *r)
{
	while (r->ios_out == 0) {
		if (sync_came_too_late(r))
			r->redo = true;
		if (r->redo && !r->err) {
			r->redo = false;
			r->phase = PHASE_BODY;
			r->cursor = r->body_lba;
		} else {
			r->phase = r->err ? PHASE_OVER : next_phase(e, r);
		}
		if (r->phase == PHASE_OVER) {
			if (r->op == REQUEST_READ && !r->err)
				r->err = deliver_read(e, r);
			if (r->op == REQUEST_FLUSH && r->lun->write_lost) {
				r->lun->write_lost = false;
				flight_set_lost(e->flight, lun_flight(e, r->lun), false);
				r->err = EIO;
			}
			request_end(e, r);
			return;
		}
		r->ios_out++; /* the pin: what ends at once must not come back in here */
		begin_phase(e, r);
		r->ios_out--;
	}
}

void io_finish(struct engine *e, struct io *io, int err)
{
	struct request *r = io->req;

	io_free(e, io);
	if (err && !r->err)
		r->err = err;
	assert(r->ios_out > 0);
	r->ios_out--;
	if (r->phase == PHASE_BODY && r->cursor < r->body_end && !r->err && !r->redo) {
		r->ios_out++;
		pump_body(e, r);
		r->ios_out--;
	}
	if (r->ios_out == 0)
		request_go(e, r);
}

/* Room for blocks that are read before the client gets or changes a part of them. */
static int get_bounce(struct engine *e, struct request *r)
{
	uint32_t bs = r->lun->block_size;
	size_t len = r->op == REQUEST_ZERO ? 2 * (size_t)bs : r->blocks * bs;

	r->bounce = buf_get(e->pool, len);
	return r->bounce ? 0 : ENOMEM;
}

/* Sets up the ranges, the lock and the buffers. */
static int prepare(struct engine *e, struct request *r)
{
	uint32_t bs = r->lun->block_size;
	bool partial = head_partial(r) || tail_partial(r);

	r->lba = r->offset / bs;
	r->blocks = (r->offset + r->len + bs - 1) / bs - r->lba;
	if (r->op == REQUEST_FLUSH)
		r->blocks = 0;
	body_range(r);
	r->exclusive = partial && (r->op == REQUEST_WRITE || r->op == REQUEST_ZERO);
	if ((r->op == REQUEST_TRIM && r->lun->no_unmap) || (r->op == REQUEST_CACHE && r->lun->no_prefetch))
		r->cursor = r->body_end; /* advice that nobody wants: done, FUA still holds */
	if (r->op == REQUEST_STATUS)
		return extents_prepare(e, r);
	if (r->op == REQUEST_ZERO && r->fast && r->lun->no_write_same)
		return ENOTSUP;
	if ((partial && r->op == REQUEST_READ) || r->exclusive)
		return get_bounce(e, r);
	return 0;
}

void engine_submit(struct engine *e, struct request *r)
{
	struct lun *l = r->lun;

	r->err = 0;
	r->phase = PHASE_LOCK;
	r->tainted = r->redo = r->exclusive = r->volatile_part = false;
	r->ios_out = 0;
	r->started = e->now;
	r->bounce = NULL;
	list_init(&r->won);
	list_init(&r->wait);
	r->range.linked = false;
	list_add_tail(&r->link, &l->requests);
	l->queued++;
	l->queued_bytes += data_bytes(r);
	e->inflight_bytes += data_bytes(r);

	if (e->stopping)
		r->err = ESHUTDOWN;
	else if (changes_blocks(r) && (l->opt->read_only || l->write_protect))
		r->err = EPERM; /* by a reload, after the client opened it */
	else if (l->no_path_failed)
		r->err = EIO;
	else
		r->err = prepare(e, r);
	if (!r->err && changes_blocks(r) && !writer_enter(r))
		return; /* request_end() of the one it waits for starts it */
	request_start(e, r);
}

/* What waits for lost paths has to leave room for the LUNs that work. */
static uint64_t no_path_bytes(const struct engine *e)
{
	const struct list *pos;
	uint64_t sum = 0;

	list_for_each(pos, &e->luns) {
		const struct lun *l = list_entry(pos, struct lun, in_engine);

		if (l->state == LUN_NO_PATH)
			sum += l->queued_bytes;
	}
	return sum;
}

bool engine_admit(struct engine *e, struct lun *l, uint32_t len)
{
	/* The smallest max_inflight_bytes there may be holds the largest request. */
	bool ok = e->inflight_bytes + len <= e->conf->max_inflight_bytes;

	if (l->state == LUN_NO_PATH && l->queued_bytes &&
	    (l->queued_bytes + len > l->opt->no_path_max_bytes ||
	     no_path_bytes(e) + len > e->conf->max_inflight_bytes / 2))
		ok = false;
	if (!ok)
		e->starved = true;
	return ok;
}

void lun_fail_waiting(struct engine *e, struct lun *l, int err)
{
	struct list *pos;

	while ((pos = list_pop(&l->waiting))) {
		struct io *io = list_entry(pos, struct io, link);

		io->waiting = false;
		l->nwaiting--;
		e->nwaiting--;
		io_finish(e, io, err);
	}
	while ((pos = list_pop(&l->delayed)))
		io_finish(e, list_entry(pos, struct io, link), err);
	while ((pos = list_pop(&l->fenced))) {
		struct request *r = list_entry(pos, struct request, wait);

		l->nfenced--;
		r->err = err;
		request_go(e, r);
	}
}
