/* SPDX-License-Identifier: MIT */
/* What a logical unit says of itself (SPC-4 6, 7.8; SBC-3 5, 6.6). */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check(struct task *t, uint8_t key, uint8_t asc, uint8_t ascq)
{
	t->status = 0x02;
	t->sense_valid = true;
	t->key = key;
	t->asc = asc;
	t->ascq = ascq;
}

uint8_t *answer(struct task *t, uint32_t len)
{
	free(t->in_data);
	t->in_data = calloc(1, len ? len : 1);
	if (!t->in_data)
		abort();
	t->in_len = len;
	return t->in_data;
}

/* Cut to the ALLOCATION LENGTH. */
static void allocation(struct task *t, uint32_t alloc)
{
	if (t->in_len > alloc)
		t->in_len = alloc;
}

/* ---- INQUIRY ---- */

static void pad(uint8_t *out, const char *text, size_t n)
{
	memset(out, ' ', n);
	memcpy(out, text, strnlen(text, n));
}

static void standard(struct task *t, const struct disk *d)
{
	uint8_t *p = answer(t, 96);

	p[2] = d->version;
	p[3] = 0x12; /* HISUP, response format 2 */
	p[4] = 91;
	p[5] = (uint8_t)(d->tpgs << 4);
	p[7] = 0x02; /* CMDQUE */
	pad(p + 8, d->vendor, 8);
	pad(p + 16, d->product, 16);
	pad(p + 32, "0001", 4);
}

static size_t designation(uint8_t *p, const struct disk *d, const struct portal *via, int portal)
{
	size_t n = strlen(d->naa) / 2, at = 0;

	p[at] = 0x01; /* binary; logical unit, NAA */
	p[at + 1] = 0x03;
	p[at + 3] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		p[at + 4 + i] = (uint8_t)hex_byte(d->naa + 2 * i);
	at += 4 + n;
	p[at] = 0x02; /* ASCII; logical unit, T10 */
	p[at + 1] = 0x01;
	p[at + 3] = (uint8_t)(8 + strlen(d->serial));
	pad(p + at + 4, d->vendor, 8);
	memcpy(p + at + 12, d->serial, strlen(d->serial));
	at += 12 + strlen(d->serial);
	for (int type = 4; type <= 5; type++) { /* relative target port, target port group */
		p[at] = 0x51;
		p[at + 1] = (uint8_t)(0x90 | type);
		p[at + 3] = 4;
		put16(p + at + 6, type == 4 ? (uint16_t)(portal + 1) : via->group);
		at += 8;
	}
	return at;
}

static void vpd(struct task *t, const struct disk *d)
{
	static const uint8_t pages[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };
	uint8_t *p = answer(t, 512), page = t->cdb[2];
	size_t n = 0;

	p[1] = page;
	switch (page) {
	case 0x00:
		n = sizeof(pages);
		memcpy(p + 4, pages, n);
		break;
	case 0x80:
		n = strlen(d->serial);
		memcpy(p + 4, d->serial, n);
		break;
	case 0x83:
		n = designation(p + 4, d, &T.portal[t->portal], t->portal);
		break;
	case 0xb0:
		n = 60;
		put32(p + 8, MAX_DATA / d->block_size);
		put32(p + 20, MAX_UNMAP);
		put32(p + 24, 1);	  /* descriptors */
		put64(p + 36, MAX_UNMAP); /* WRITE SAME */
		break;
	case 0xb1:
		n = 60;
		put16(p + 4, 1);
		break;
	case 0xb2:
		n = 4;
		if (d->thin)
			p[5] = d->lbprz ? 0xc4 : 0xc0; /* LBPU, LBPWS, LBPRZ */
		p[6] = d->thin ? 2 : 0;
		break;
	default:
		check(t, 0x05, 0x24, 0x00);
		return;
	}
	put16(p + 2, (uint16_t)n);
	t->in_len = (uint32_t)n + 4;
}

static void inquiry(struct task *t, const struct disk *d)
{
	if (!d) { /* no LUN here: qualifier 3, type 1Fh */
		answer(t, 96)[0] = 0x7f;
		t->in_data[4] = 91;
	} else if (t->cdb[1] & 1) {
		vpd(t, d);
	} else {
		standard(t, d);
	}
	allocation(t, get16(t->cdb + 3));
}

/* Sense data comes with the status: there is none to ask for (SPC-4 6.39). */
static void request_sense(struct task *t)
{
	uint8_t *p = answer(t, t->cdb[1] & 1 ? 8 : 18);

	p[0] = t->cdb[1] & 1 ? 0x72 : 0x70;
	p[7] = t->cdb[1] & 1 ? 0 : 10;
	allocation(t, t->cdb[4]);
}

static void report_luns(struct task *t)
{
	uint8_t *p = answer(t, 8 + 8 * MAX_LUNS);
	uint32_t n = 0;

	for (int i = 0; i < MAX_LUNS; i++)
		if (T.disk[i].used && T.disk[i].portals >> t->portal & 1)
			put16(p + 8 + 8 * n++, T.disk[i].lun);
	put32(p, 8 * n);
	t->in_len = 8 + 8 * n;
	allocation(t, get32(t->cdb + 6));
}

static void read_capacity10(struct task *t, const struct disk *d)
{
	uint8_t *p = answer(t, 8);

	put32(p, d->blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)d->blocks - 1);
	put32(p + 4, d->block_size);
}

static void read_capacity16(struct task *t, const struct disk *d)
{
	uint8_t *p = answer(t, 32);

	put64(p, d->blocks - 1);
	put32(p + 8, d->block_size);
	p[14] = d->thin ? d->lbprz ? 0xc0 : 0x80 : 0; /* LBPME, LBPRZ */
	allocation(t, get32(t->cdb + 10));
}

/* There is one page, caching (SBC-3 6.5.6). */
static void mode_sense(struct task *t, const struct disk *d)
{
	uint8_t *p = answer(t, 24), page = t->cdb[2] & 0x3f;

	if (page != 0x08 && page != 0x3f) {
		check(t, 0x05, 0x24, 0x00);
		return;
	}

	p[0] = 23;
	p[2] = (uint8_t)((d->read_only ? 0x80 : 0) | 0x10); /* WP, DPOFUA */
	p[4] = 0x08;
	p[5] = 18;
	p[6] = 0x04; /* WCE */
	allocation(t, t->cdb[4]);
}

/* ---- a command ---- */

static bool needs_no_lun(const struct task *t)
{
	return t->cdb[0] == 0x12 || t->cdb[0] == 0xa0 || t->cdb[0] == 0x03;
}

void scsi_run(struct task *t)
{
	struct disk *d = disk_find(t->portal, t->lun);

	if (!d && !needs_no_lun(t)) {
		check(t, 0x05, 0x25, 0x00);
	} else if (!needs_no_lun(t) && ua_take(t)) {
		;
	} else if (d && (!reserve_allow(t, d) || !groups_allow(t, d))) {
		;
	} else {
		switch (t->cdb[0]) {
		case 0x00:
			break;
		case 0x03:
			request_sense(t);
			break;
		case 0x12:
			inquiry(t, d);
			break;
		case 0xa0:
			report_luns(t);
			break;
		case 0x25:
			read_capacity10(t, d);
			break;
		case 0x1a:
			mode_sense(t, d);
			break;
		case 0x9e:
			if ((t->cdb[1] & 0x1f) == 0x10) {
				read_capacity16(t, d);
				break;
			}
			/* fall through */
		default:
			if (!block_run(t, d) && !groups_run(t, d) && !reserve_run(t, d))
				check(t, 0x05, 0x20, 0x00);
		}
	}
	log_add(t);
}
