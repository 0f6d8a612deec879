/* SPDX-License-Identifier: MIT */
/*
 * REQUEST_STATUS: which parts of a range hold data, by GET LBA STATUS (SBC-3 5.4), one command after the
 * other. "It holds data" is true of anything; the rest is said only when the storage says it. An
 * answer may stop short of what was asked for, never go past it.
 */
#include "internal.h"

#include <errno.h>

#define COMMANDS_MAX 16 /* for one request: clients ask again from where the answer ends */

static struct request_extent *extents_of(const struct request *r)
{
	return (struct request_extent *)(void *)r->data;
}

static void finish(struct request *r)
{
	r->cursor = r->body_end;
}

/* Nothing is known of what is left: if that is all, it holds data. */
static void give_up(struct request *r)
{
	if (!r->nextents)
		extents_of(r)[r->nextents++] = (struct request_extent){ .len = r->len };
	finish(r);
}

int extents_prepare(struct engine *e, struct request *r)
{
	r->nextents = 0;
	r->asked = 0;
	r->buf = buf_get(e->pool, EXTENTS_BYTES);
	if (!r->buf)
		return ENOMEM;
	r->data = r->buf->data;
	if (r->lun->no_lba_status) {
		give_up(r);
		return 0;
	}
	r->bounce = buf_get(e->pool, LBA_STATUS_BYTES);
	return r->bounce ? 0 : ENOMEM;
}

void extents_ask(struct engine *e, struct request *r)
{
	struct io *io;

	if (r->cursor >= r->body_end || r->err)
		return;
	r->asked++;
	io = io_new(e, r, IO_STATUS, r->cursor, (uint32_t)(r->body_end - r->cursor));
	if (!io) {
		r->err = ENOMEM;
		return;
	}
	io->buf = r->bounce;
	io->data = r->bounce->data;
	io_dispatch(e, io);
}

/* SBC-3 4.7.3: what is not mapped reads as LBPRZ says; an anchored block has its space all the same. */
static uint32_t flags_of(const struct lun *l, const struct scsi_lba_extent *x)
{
	uint32_t zero = l->reads_zero ? REQUEST_EXTENT_ZERO : 0;

	switch (x->status) {
	case 1:
		return REQUEST_EXTENT_HOLE | zero;
	case 2:
		return zero;
	default:
		return 0;
	}
}

/* Adds the part of x that was asked for. false: no room, or that is enough. */
static bool add(struct request *r, const struct scsi_lba_extent *x)
{
	uint64_t bs = r->lun->block_size, from = x->lba * bs, to = (x->lba + x->blocks) * bs;
	uint32_t flags = flags_of(r->lun, x);
	struct request_extent *last = r->nextents ? &extents_of(r)[r->nextents - 1] : NULL;

	if (from < r->offset)
		from = r->offset;
	if (to > r->offset + r->len)
		to = r->offset + r->len;
	if (last && last->flags == flags) {
		last->len += (uint32_t)(to - from);
		return true;
	}
	if (r->nextents == REQUEST_EXTENTS_MAX || (r->one && r->nextents))
		return false;
	extents_of(r)[r->nextents++] = (struct request_extent){ (uint32_t)(to - from), flags };
	return true;
}

void extents_learn(struct io *io, int got)
{
	struct scsi_lba_extent x[(LBA_STATUS_BYTES - 8) / 16];
	struct request *r = io->req;
	int n = got < 0 ? got : scsi_parse_lba_status(io->data, (size_t)got, io->lba, io->blocks, x,
						      (int)(sizeof(x) / sizeof(x[0])));

	if (n <= 0) { /* the next one need not be asked either */
		r->lun->no_lba_status = true;
		give_up(r);
		return;
	}
	for (int i = 0; i < n; i++) {
		if (!add(r, &x[i])) {
			finish(r);
			return;
		}
		r->cursor = x[i].lba + x[i].blocks;
	}
	if (r->asked == COMMANDS_MAX || r->one)
		finish(r);
}
