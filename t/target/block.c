/* SPDX-License-Identifier: MIT */
/* Blocks: READ, WRITE, WRITE SAME, UNMAP, SYNCHRONIZE CACHE, GET LBA STATUS (SBC-3 5). */
#include "target.h"

#include <string.h>

#define LBA_STATUS_MAX                                                                             \
	(1 << 20) /* blocks of an extent, so that nobody waits for the scan of a large disk */

/* false: check condition */
static bool inside(struct task *t, const struct disk *d, uint64_t lba, uint64_t blocks)
{
	t->lba = lba;
	t->blocks = (uint32_t)blocks;
	if (lba <= d->blocks && blocks <= d->blocks - lba)
		return true;
	check(t, 0x05, 0x21, 0x00);
	return false;
}

static bool writable(struct task *t, const struct disk *d)
{
	if (d->read_only)
		check(t, 0x07, 0x27, 0x00);
	return !d->read_only;
}

static void read_blocks(struct task *t, const struct disk *d, uint64_t lba, uint32_t blocks)
{
	if (!inside(t, d, lba, blocks))
		return;
	if (blocks > MAX_DATA / d->block_size) {
		check(t, 0x05, 0x24, 0x00);
		return;
	}
	answer(t, blocks * d->block_size);
	memcpy(t->in_data, d->data + lba * d->block_size, t->in_len);
}

static void write_blocks(struct task *t, struct disk *d, uint64_t lba, uint32_t blocks)
{
	if (!inside(t, d, lba, blocks) || !writable(t, d))
		return;
	if ((uint64_t)blocks * d->block_size != t->got) {
		check(t, 0x05, 0x24, 0x00);
		return;
	}
	if (t->got)
		memcpy(d->data + lba * d->block_size, t->data, t->got);
	memset(d->map + lba, MAPPED, blocks);
}

/* What these blocks held is gone. */
static void give_back(struct disk *d, uint64_t lba, uint64_t blocks, bool anchor)
{
	memset(d->data + lba * d->block_size, d->lbprz ? 0 : 0xdb, blocks * d->block_size);
	memset(d->map + lba, anchor ? ANCHORED : DEALLOCATED, blocks);
}

/* Blocks 0: to the end (SBC-3 5.41). */
static void write_same(struct task *t, struct disk *d, uint64_t lba, uint32_t blocks)
{
	uint64_t n = blocks || lba >= d->blocks ? blocks : d->blocks - lba;

	if (!inside(t, d, lba, n) || !writable(t, d))
		return;
	if (t->got != d->block_size || n > MAX_UNMAP) {
		check(t, 0x05, 0x24, 0x00);
		return;
	}
	if (t->cdb[1] & 0x08 && d->thin && d->lbprz && !t->data[0] &&
	    !memcmp(t->data, t->data + 1, d->block_size - 1)) { /* UNMAP, and zeroes */
		give_back(d, lba, n, t->cdb[1] & 0x10);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		memcpy(d->data + (lba + i) * d->block_size, t->data, d->block_size);
	memset(d->map + lba, MAPPED, n);
}

static void unmap(struct task *t, struct disk *d)
{
	uint32_t n = t->got < 8 ? 0 : get16(t->data + 2) / 16U;

	if (!t->got) /* no parameter list is no error, SBC-3 5.28 */
		return;
	if (t->got < 8 || get16(t->data + 2) % 16 || get16(t->data + 2) > t->got - 8 || n > 1) {
		check(t, 0x05, 0x26, 0x00);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t lba = get64(t->data + 8 + 16 * i);
		uint32_t blocks = get32(t->data + 16 + 16 * i);

		if (!inside(t, d, lba, blocks) || !writable(t, d))
			return;
		if (blocks > MAX_UNMAP) {
			check(t, 0x05, 0x26, 0x00);
			return;
		}
		give_back(d, lba, blocks, t->cdb[1] & 1);
	}
}

static void lba_status(struct task *t, const struct disk *d, uint64_t lba)
{
	uint8_t *p = answer(t, 8 + 16 * d->extents);
	uint32_t n = 0;

	if (!inside(t, d, lba, 1))
		return;
	while (lba < d->blocks && n < d->extents) {
		uint64_t first = lba;
		uint8_t what = d->map[lba];

		while (lba < d->blocks && lba - first < LBA_STATUS_MAX && d->map[lba] == what)
			lba++;
		put64(p + 8 + 16 * n, first);
		put32(p + 16 + 16 * n, (uint32_t)(lba - first));
		p[20 + 16 * n++] = what == MAPPED ? 0 : what == ANCHORED ? 2 : 1;
	}
	put32(p, 4 + 16 * n);
	t->in_len = 8 + 16 * n;
	if (t->in_len > get32(t->cdb + 10))
		t->in_len = get32(t->cdb + 10);
}

bool block_run(struct task *t, struct disk *d)
{
	const uint8_t *c = t->cdb;

	switch (c[0]) {
	case 0x28:
		read_blocks(t, d, get32(c + 2), get16(c + 7));
		return true;
	case 0x88:
		read_blocks(t, d, get64(c + 2), get32(c + 10));
		return true;
	case 0x2a:
		write_blocks(t, d, get32(c + 2), get16(c + 7));
		return true;
	case 0x8a:
		write_blocks(t, d, get64(c + 2), get32(c + 10));
		return true;
	case 0x93:
		write_same(t, d, get64(c + 2), get32(c + 10));
		return true;
	case 0x42:
		unmap(t, d);
		return true;
	case 0x35:
	case 0x91:
		return true;
	case 0x90:
		if (inside(t, d, get64(c + 2), get32(c + 10)))
			t->status = 0x04; /* CONDITION MET: all of it is in the cache */
		return true;
	case 0x9e:
		if ((c[1] & 0x1f) != 0x12 || !d->thin || d->no_lba_status)
			return false;
		lba_status(t, d, get64(c + 2));
		return true;
	}
	return false;
}
