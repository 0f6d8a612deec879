/* SPDX-License-Identifier: MIT */
/* A model disk that answers at the level of CDBs. It has a write cache: SYNCHRONIZE CACHE and FUA make it durable. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = v >> 24;
	p[1] = v >> 16;
	p[2] = v >> 8;
	p[3] = v;
}

void disk_init(struct sim *s, struct disk *d, int index)
{
	d->index = index;
	memcpy(d->naa, "\x50\x01\x40\x50\x00\x00\x00\x00", 8);
	d->naa[7] = index + 1;
	d->block_size = sim_chance(s, 60) ? 512 : 4096;
	d->blocks = d->block_size == 512 ? 128 : 24;
	d->data = calloc(d->blocks, d->block_size);
	d->stable = calloc(d->blocks, d->block_size);
	d->sync16 = sim_chance(s, 80);
	d->sync10 = !d->sync16 || sim_chance(s, 50);
	d->has_unmap = sim_chance(s, 60);
	d->has_ws16 = sim_chance(s, 70);
	d->ws_unmap = d->has_ws16 && sim_chance(s, 50);
	d->has_fua = sim_chance(s, 70);
	d->fua_lies = !d->has_fua && sim_chance(s, 50); /* MODE SENSE promises what WRITE refuses */
	d->zero_unmapped = sim_chance(s, 50);
	d->thin = d->has_unmap || sim_chance(s, 50);
	d->has_status = d->thin && sim_chance(s, 80);
	d->has_prefetch = sim_chance(s, 50);
	d->max_transfer = sim_chance(s, 50) ? 1 + sim_below(s, 16) : 0;
	d->max_ws = sim_chance(s, 50) ? 1 + sim_below(s, 16) : 0;
	d->ngranules = d->blocks * d->block_size / GRANULE;
	d->g = calloc(d->ngranules, sizeof(*d->g));
	for (uint64_t i = 0; i < d->ngranules; i++)
		check_begin(&d->g[i], 0, 0, 0, 0)->end = 0;
	alua_init(s, d);
	if (s->reservations && sim_chance(s, 30))
		reserve_foreign(d);
}

void disk_power_loss(struct disk *d, uint64_t now)
{
	d->lost_power = now;
	memcpy(d->data, d->stable, d->blocks * d->block_size);
	reserve_power_loss(d);
	check_power_loss(d);
}

void disk_check_condition(struct answer *a, uint8_t key, uint8_t asc, uint8_t ascq)
{
	a->status = SCSI_ST_CHECK_CONDITION;
	a->key = key;
	a->asc = asc;
	a->ascq = ascq;
}

uint8_t *disk_answer(struct answer *a, uint32_t len)
{
	a->data = calloc(1, len ? len : 1);
	a->len = len;
	return a->data;
}

/* VPD 83h: the LUN, and with port groups the port it is asked through and its group. */
static void vpd_id(const struct disk *d, const struct nexus *x, struct answer *a)
{
	uint8_t *p = disk_answer(a, 4 + 12 + (d->tpgs ? 16 : 0));

	p[1] = 0x83;
	p[3] = a->len - 4;
	p[4] = 0x01; /* binary */
	p[5] = 0x03; /* NAA, of the logical unit */
	p[7] = 8;
	memcpy(p + 8, d->naa, 8);
	for (int i = 0; i < 2 && d->tpgs; i++) {
		uint8_t *q = p + 16 + 8 * i;

		q[0] = 0x51; /* iSCSI, binary */
		q[1] = 0x94 + i; /* of the target port: relative number, port group */
		q[3] = 4;
		q[7] = i ? x->port->tpgt : x->port->index + 1;
	}
}

static void vpd(struct disk *d, const struct nexus *x, uint8_t page, struct answer *a)
{
	static const uint8_t pages[] = { 0x00, 0x80, 0x83, 0xb0, 0xb2 };
	uint8_t *p;

	switch (page) {
	case 0x00:
		p = disk_answer(a, 4 + sizeof(pages));
		p[3] = sizeof(pages);
		memcpy(p + 4, pages, sizeof(pages));
		break;
	case 0x80:
		p = disk_answer(a, 8);
		p[3] = 4;
		memcpy(p + 4, "SER0", 4);
		break;
	case 0x83:
		vpd_id(d, x, a);
		return;
	case 0xb0:
		p = disk_answer(a, 64);
		p[3] = 60;
		put32(p + 8, d->max_transfer);
		put32(p + 20, d->has_unmap ? 1000 : 0);
		put32(p + 24, d->has_unmap ? 1 : 0);
		put32(p + 40, d->max_ws);
		break;
	case 0xb2:
		p = disk_answer(a, 8);
		p[3] = 4;
		p[5] = d->has_unmap << 7 | d->ws_unmap << 6 | (d->zero_unmapped ? 1 << 2 : 0);
		break;
	default:
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x24, 0);
		return;
	}
	p[1] = page;
}

static void inquiry(struct disk *d, const struct nexus *x, const uint8_t *cdb, struct answer *a)
{
	uint8_t *p;

	if (cdb[1] & 1) {
		vpd(d, x, cdb[2], a);
		return;
	}
	p = disk_answer(a, 36);
	p[2] = 5;
	p[4] = 31;
	p[5] = d->tpgs << 4;
	memcpy(p + 8, "SIM     MODEL DISK      0001", 28);
}

static bool range_ok(const struct disk *d, uint64_t lba, uint64_t n, struct answer *a)
{
	if (lba <= d->blocks && n <= d->blocks - lba)
		return true;
	disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x21, 0);
	return false;
}

static void copy(struct disk *d, uint64_t lba, uint64_t n)
{
	memcpy(d->stable + lba * d->block_size, d->data + lba * d->block_size, n * d->block_size);
}

static bool is_zero(const struct disk *d, uint64_t lba)
{
	const uint8_t *p = d->data + lba * d->block_size;

	return !p[0] && !memcmp(p, p + 1, d->block_size - 1);
}

/* GET LBA STATUS: a few descriptors, the first of which may begin before the block that was asked for. */
static void lba_status(struct sim *s, struct disk *d, uint64_t lba, uint32_t alloc, struct answer *a)
{
	uint32_t n = 0, max = 1 + sim_below(s, 4);
	bool lie = s->mutate && !strcmp(s->mutate, "false-hole") && sim_chance(s, 2);
	uint8_t *p;

	if (!d->has_status) {
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, sim_chance(s, 50) ? 0x20 : 0x24, 0);
		return;
	}
	if (!range_ok(d, lba, 1, a))
		return;
	while (lba && sim_chance(s, 30) && is_zero(d, lba) == is_zero(d, lba - 1))
		lba--;
	p = disk_answer(a, 8 + 16 * max);
	for (; lba < d->blocks && n < max; n++) {
		uint64_t first = lba;

		while (lba < d->blocks && is_zero(d, lba) == is_zero(d, first))
			lba++;
		put32(p + 8 + 16 * n + 4, (uint32_t)first);
		put32(p + 8 + 16 * n + 8, (uint32_t)(lba - first));
		p[8 + 16 * n + 12] = is_zero(d, first) || lie ? 1 + (first & 1) : 0;
	}
	put32(p, 4 + 16 * n);
	a->len = 8 + 16 * n;
	if (a->len > alloc)
		a->len = alloc;
}

/* READ, WRITE, WRITE SAME, UNMAP, PRE-FETCH and GET LBA STATUS. */
static void io(struct sim *s, struct disk *d, const struct scsi_cmd *c, struct answer *a)
{
	uint64_t lba = be64(c->cdb + 2), n = be32(c->cdb + 10);
	uint32_t bs = d->block_size;
	const uint8_t *p = c->iov[0].iov_base;
	bool lose = s->mutate && !strcmp(s->mutate, "lose-acked-write") && sim_chance(s, 1);

	d->executed++;
	switch (c->cdb[0]) {
	case 0x88:
		if (!range_ok(d, lba, n, a))
			return;
		if (d->max_transfer && n > d->max_transfer)
			sim_fail(s, "READ of %llu blocks, the limit is %u", (unsigned long long)n,
				 d->max_transfer);
		if (s->mutate && !strcmp(s->mutate, "stale-read") && sim_chance(s, 2))
			memcpy(disk_answer(a, n * bs), d->stable + lba * bs, n * bs);
		else
			memcpy(disk_answer(a, n * bs), d->data + lba * bs, n * bs);
		return;
	case 0x8a:
		if (!range_ok(d, lba, n, a))
			return;
		if (c->len != n * bs)
			sim_fail(s, "WRITE: %u bytes for %llu blocks", c->len, (unsigned long long)n);
		if (c->cdb[1] & 8 && !d->has_fua) {
			disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x24, 0);
			return;
		}
		if (d->max_transfer && n > d->max_transfer)
			sim_fail(s, "WRITE over the limit");
		if (!lose)
			memcpy(d->data + lba * bs, p, n * bs);
		if (c->cdb[1] & 8 && !(s->mutate && !strcmp(s->mutate, "early-fua")))
			copy(d, lba, n);
		return;
	case 0x93:
		if (!d->has_ws16) {
			disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x20, 0);
			return;
		}
		if ((d->max_ws && n > d->max_ws) || (c->cdb[1] & 8 && !d->ws_unmap)) {
			disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x24, 0);
			return;
		}
		if (!range_ok(d, lba, n, a))
			return;
		for (uint64_t i = 0; i < n && !lose; i++)
			memcpy(d->data + (lba + i) * bs, p, bs);
		return;
	case 0x9e:
		lba_status(s, d, lba, (uint32_t)n, a);
		return;
	case 0x90:
		if (!d->has_prefetch)
			disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x20, 0);
		else if (range_ok(d, lba, n, a))
			a->status = SCSI_ST_CONDITION_MET;
		return;
	case 0x42:
		if (!d->has_unmap) {
			disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x20, 0);
			return;
		}
		lba = be64(p + 8);
		n = be32(p + 16);
		if (range_ok(d, lba, n, a) && d->zero_unmapped)
			memset(d->data + lba * bs, 0, n * bs);
		return;
	}
}

static void report_luns(struct sim *s, struct conn *c, struct answer *a)
{
	uint8_t *p = disk_answer(a, 8 + 8 * MAX_DISKS);
	int n = 0;

	for (int i = 0; i < s->ndisks; i++)
		if (c->port->map[i] >= 0)
			p[8 + 8 * n++ + 1] = i;
	put32(p, 8 * n);
	a->len = 8 + 8 * n;
}

enum { SEEN_INQUIRY = 1, SEEN_ID = 2, SEEN_SIZE = 4, SEEN_ALL = 7 };

static void note_seen(struct conn *c, unsigned lun, const uint8_t *cdb)
{
	if (cdb[0] == 0x12)
		c->seen[lun] |= !(cdb[1] & 1) ? SEEN_INQUIRY : cdb[2] == 0x83 ? SEEN_ID : 0;
	else if (cdb[0] == 0x9e && (cdb[1] & 0x1f) == 0x10)
		c->seen[lun] |= SEEN_SIZE;
}

static void other(struct sim *s, struct disk *d, const struct nexus *x, const struct scsi_cmd *cmd,
		  struct answer *a)
{
	uint8_t *p;

	switch (cmd->cdb[0]) {
	case 0x00:
		break;
	case 0x12:
		inquiry(d, x, cmd->cdb, a);
		break;
	case 0x1a:
		p = disk_answer(a, 4 + 20);
		p[0] = 23;
		p[2] = d->has_fua || d->fua_lies ? 0x10 : 0;
		p[4] = 0x08;
		p[5] = 18;
		p[6] = 4;
		break;
	case 0x9e:
		p = disk_answer(a, 32);
		put32(p + 4, d->blocks - 1);
		put32(p + 8, d->block_size);
		p[14] = d->thin << 7 | d->zero_unmapped << 6;
		break;
	case 0x35:
	case 0x91:
		if (cmd->cdb[0] == 0x35 ? !d->sync10 : !d->sync16) {
			disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x20, 0);
			break;
		}
		if (!s->mutate || strcmp(s->mutate, "early-flush"))
			copy(d, 0, d->blocks);
		break;
	case 0x5e:
		reserve_in(d, cmd->cdb, a);
		break;
	case 0x5f:
		reserve_out(s, d, x, cmd, a);
		break;
	case 0xa3:
		alua_report(s, d, cmd->cdb, a);
		break;
	case 0xa4:
		alua_set(s, d, x, cmd, a);
		break;
	default:
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x20, 0);
	}
}

static bool is_io(const uint8_t *cdb)
{
	return cdb[0] == 0x88 || cdb[0] == 0x8a || cdb[0] == 0x93 || cdb[0] == 0x42 || cdb[0] == 0x90 ||
	       (cdb[0] == 0x9e && (cdb[1] & 0x1f) == 0x12);
}

static void perform(struct sim *s, struct disk *d, const struct nexus *x, const struct scsi_cmd *cmd,
		    struct answer *a)
{
	if (!reserve_allows(d, x, cmd->cdb))
		a->status = SCSI_ST_RESERVATION_CONFLICT;
	else if (!alua_allows(d, x, cmd->cdb, a))
		return;
	else if (is_io(cmd->cdb))
		io(s, d, cmd, a);
	else
		other(s, d, x, cmd, a);
}

/* Troubles of a target that works. */
static bool trouble(struct sim *s, struct answer *a)
{
	if (s->calm || !sim_chance(s, 3))
		return false;
	switch (sim_below(s, 7)) {
	case 0:
		a->status = SCSI_ST_BUSY;
		break;
	case 1:
		a->status = SCSI_ST_TASK_SET_FULL;
		break;
	case 2:
		disk_check_condition(a, SCSI_KEY_UNIT_ATTENTION, 0x29, 0);
		break;
	case 3:
		disk_check_condition(a, SCSI_KEY_ABORTED_COMMAND, 0x47, 0);
		break;
	case 4:
		disk_check_condition(a, SCSI_KEY_NOT_READY, 0x04, 0x01);
		break;
	case 5:
		disk_check_condition(a, SCSI_KEY_UNIT_ATTENTION, 0x3f, sim_chance(s, 50) ? 0x03 : 0x0e);
		break;
	case 6:
		a->status = SCSI_ST_CHECK_CONDITION; /* without sense data: key 0xff */
		a->key = 0xff;
		break;
	}
	return true;
}

void disk_execute(struct sim *s, struct conn *c, const struct scsi_cmd *cmd, struct answer *a)
{
	uint8_t op = cmd->cdb[0];
	unsigned lun = cmd->lun;
	struct disk *d;

	memset(a, 0, sizeof(*a));
	if (op == 0xa0) {
		report_luns(s, c, a);
		return;
	}
	if (lun >= MAX_DISKS || c->port->map[lun] < 0) {
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x25, 0);
		return;
	}
	d = &s->disks[c->port->map[lun]];
	if (s->mutate && !strcmp(s->mutate, "wrong-lun") && is_io(cmd->cdb) && sim_chance(s, 2))
		d = &s->disks[sim_below(s, s->ndisks)];
	if (c->ua[lun] && op != 0x12) {
		disk_check_condition(a, SCSI_KEY_UNIT_ATTENTION, c->ua[lun], c->ua_q[lun]);
		c->ua[lun] = 0;
		return;
	}
	if (trouble(s, a))
		return;
	if (is_io(cmd->cdb) && c->seen[lun] != SEEN_ALL)
		sim_fail(s, "I/O on LUN %u of %s before its identity was read on this login", lun,
			 c->port->addr);
	perform(s, d, &c->nexus, cmd, a);
	if (a->status == SCSI_ST_GOOD)
		note_seen(c, lun, cmd->cdb);
}

bool disk_execute_late(struct sim *s, const struct nexus *x, const struct scsi_cmd *cmd)
{
	struct answer a = { 0 };

	if (cmd->lun >= MAX_DISKS || x->port->map[cmd->lun] < 0)
		return false;
	perform(s, &s->disks[x->port->map[cmd->lun]], x, cmd, &a);
	free(a.data);
	return a.status == SCSI_ST_GOOD;
}
