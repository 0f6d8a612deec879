/* SPDX-License-Identifier: MIT */
/* What is outstanding, and how much of it has left. */
#include "iscsi_vet_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include "scsi_internal.h"

enum iscsi_vet_step vet_end(struct iscsi_vet *v, enum iscsi_vet_end why, const char *fmt, ...)
{
	va_list ap;

	if (v->failed)
		return ISCSI_VET_FAIL;
	v->failed = true;
	v->end = why;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	return ISCSI_VET_FAIL;
}

/* ---- header digest (RFC 7143 13.1, CRC32C), four bytes a step ---- */

static void crc_init(struct iscsi_vet *v)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
		v->crc[0][i] = c;
	}
	for (int k = 1; k < 4; k++)
		for (int i = 0; i < 256; i++)
			v->crc[k][i] = v->crc[k - 1][i] >> 8 ^ v->crc[0][v->crc[k - 1][i] & 0xff];
}

uint32_t vet_get_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t vet_digest(const struct iscsi_vet *v, const uint8_t *p)
{
	uint32_t c = ~0u;

	for (int i = 0; i < ISCSI_VET_BHS; i += 4) {
		c ^= vet_get_le32(p + i);
		c = v->crc[3][c & 0xff] ^ v->crc[2][c >> 8 & 0xff] ^ v->crc[1][c >> 16 & 0xff] ^
		    v->crc[0][c >> 24];
	}
	return ~c;
}

void vet_seal(const struct iscsi_vet *v, uint8_t *p)
{
	uint32_t c;

	if (v->header == ISCSI_VET_BHS)
		return;
	c = vet_digest(v, p);
	for (int i = 0; i < 4; i++)
		p[ISCSI_VET_BHS + i] = (uint8_t)(c >> 8 * i);
}

/* ---- what is outstanding ---- */

void iscsi_vet_init(struct iscsi_vet *v, bool header_digest, uint32_t max_burst,
		    uint32_t exp_cmdsn, uint32_t max_cmdsn)
{
	v->header = ISCSI_VET_BHS;
	if (header_digest) {
		v->header += 4;
		crc_init(v);
	}
	/* The lesser of both sides' (13.13). */
	v->max_burst = max_burst && max_burst < ISCSI_VET_SEGMENT ? max_burst : ISCSI_VET_SEGMENT;
	v->exp_cmdsn = exp_cmdsn;
	v->max_cmdsn = max_cmdsn;
}

struct iscsi_vet_cmd **vet_slot(struct iscsi_vet *v, uint32_t itt)
{
	struct iscsi_vet_cmd **at = &v->bucket[itt % ISCSI_VET_BUCKETS];

	while (*at && (*at)->itt != itt)
		at = &(*at)->next;
	return at;
}

void iscsi_vet_add(struct iscsi_vet *v, struct iscsi_vet_cmd *c, struct scsi_cmd *scsi,
		   uint32_t itt)
{
	struct iscsi_vet_cmd **head = &v->bucket[itt % ISCSI_VET_BUCKETS];

	*c = (struct iscsi_vet_cmd){ .next = *head, .scsi = scsi, .itt = itt,
				     .sending = VET_QUEUED };
	*head = c;
}

int vet_other(const struct iscsi_vet *v, uint32_t itt)
{
	for (unsigned i = 0; i < v->others; i++)
		if (v->other[i].itt == itt)
			return (int)i;
	return -1;
}

/* ---- out ---- */

static void begin_sending(struct iscsi_vet *v, const uint8_t *p)
{
	uint32_t n = get_be32(p + 4) & 0xffffff, offset;
	struct iscsi_vet_cmd *c = NULL;

	v->tx_opcode = p[0] & OPCODE_MASK;
	v->tx_flags = p[1];
	v->tx_itt = get_be32(p + 16);
	v->tx_ttt = get_be32(p + 20); /* of a command it is the expected length, and not looked at */
	v->tx_left = v->header + ((n + 3) & ~3u);
	if (v->tx_opcode == OP_COMMAND || v->tx_opcode == OP_DATA_OUT)
		c = *vet_slot(v, v->tx_itt);
	v->tx_cmd = c;
	if (!c)
		return;
	if (v->tx_opcode == OP_COMMAND) {
		c->sending = VET_COMMAND | (v->tx_flags & FLAG_FINAL ? 0 : VET_UNSOLICITED);
		c->out = n;
	} else {
		offset = get_be32(p + 40);
		if (offset <= c->out && offset + n > c->out)
			c->out = offset + n;
	}
	if (n)
		c->scsi->data_out = true;
}

static void end_sending(struct iscsi_vet *v)
{
	struct iscsi_vet_cmd *c = v->tx_cmd;

	switch (v->tx_opcode) {
	case OP_COMMAND:
		if (c)
			c->sending &= (uint8_t)~VET_COMMAND;
		break;
	case OP_DATA_OUT:
		if (c && v->tx_flags & FLAG_FINAL)
			c->sending &= (uint8_t) ~(v->tx_ttt == NO_TAG ? VET_UNSOLICITED : VET_R2T);
		break;
	case OP_NOP_OUT:
		if (v->tx_itt == NO_TAG) {
			v->pings -= v->pings > 0;
			break;
		}
		/* fall through */
	case OP_LOGOUT:
	case OP_TEXT:
		if (v->others == ISCSI_VET_OTHERS) {
			vet_end(v, ISCSI_VET_ERROR, "the target leaves %d requests unanswered",
			    ISCSI_VET_OTHERS);
			break;
		}
		v->other[v->others].itt = v->tx_itt;
		v->other[v->others++].opcode = v->tx_opcode;
		break;
	}
	v->tx_cmd = NULL;
}

void iscsi_vet_sent(struct iscsi_vet *v, const uint8_t *first, size_t n, size_t k)
{
	if (k == 0)
		return;
	if (v->tx_left == 0) {
		if (n < ISCSI_VET_BHS) {
			vet_end(v, ISCSI_VET_ERROR, "libiscsi sends a PDU in pieces");
			return;
		}
		begin_sending(v, first);
	}
	v->tx_left -= k < v->tx_left ? k : v->tx_left;
	if (v->tx_left == 0)
		end_sending(v);
}
