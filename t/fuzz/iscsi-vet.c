/* SPDX-License-Identifier: MIT */
/*
 * PDUs that come and go, past iscsi_vet. Records of the input: a byte says what happens, the next which command is
 * meant, and mostly a header and data follow. What libiscsi would be shown has to be true.
 */
#include "fuzz.h"
#include "transport/iscsi_vet_internal.h"
#include "transport/scsi_internal.h"

#define NCMD 8

struct command {
	struct iscsi_vet_cmd vet;
	struct scsi_cmd scsi;
	bool used;
};

struct fuzz {
	struct iscsi_vet v;
	struct command cmd[NCMD];
	uint32_t itt; /* the next */
};

/* A command whose answer has been seen is given back, and its memory is used for something else. */
static void command(struct fuzz *z, uint8_t which, uint8_t how)
{
	struct command *c = &z->cmd[which % NCMD];

	if (c->used && !c->vet.answered)
		return;
	memset(c, 0, sizeof(*c));
	c->used = true;
	if (how & 1)
		cdb_write16(&c->scsi, how, how >> 4, 512, false);
	else if (how & 2)
		cdb_inquiry(&c->scsi, true, 0x83, 255);
	else
		cdb_read16(&c->scsi, how, how >> 4, 512);
	iscsi_vet_add(&z->v, &c->vet, &c->scsi, z->itt++);
}

/* What libiscsi sends: whole PDUs, in one or two pieces. */
static void outgoing(struct fuzz *z, uint8_t which, uint8_t opcode, struct feed *f)
{
	struct command *c = &z->cmd[which % NCMD];
	uint8_t h[ISCSI_VET_BHS + 4] = { opcode, feed_u8(f) };
	size_t all = z->v.header, piece;
	uint32_t n = 0;

	if (z->v.tx_left) {
		iscsi_vet_sent(&z->v, NULL, 0, z->v.tx_left);
		return;
	}
	put_be32(h + 20, feed_u8(f) & 1 ? NO_TAG : which);
	if (opcode == OP_COMMAND || opcode == OP_DATA_OUT) {
		if (!c->used || c->vet.answered || (opcode == OP_DATA_OUT) == !!(c->vet.sending & VET_QUEUED))
			return;
		put_be32(h + 16, c->vet.itt);
		if (c->scsi.dir == SCSI_DIR_OUT) {
			n = opcode == OP_COMMAND ? c->scsi.len : c->vet.asked - c->vet.out;
			n = which & 0x80 || n > c->scsi.len ? 0 : n;
		}
		put_be32(h + 40, c->vet.out);
	} else {
		put_be32(h + 16, which & 0x80 ? NO_TAG : z->itt++);
		n = which & 0x70;
	}
	put_be32(h + 4, n);
	all += (n + 3) & ~3U;
	piece = feed_u8(f);
	iscsi_vet_sent(&z->v, h, z->v.header, piece && piece < all ? piece : all);
}

/* Returns false when the session is over. */
static bool shown(struct fuzz *z, uint8_t *p, size_t n)
{
	struct iscsi_vet_pdu out = { 0 };
	enum iscsi_vet_step step = iscsi_vet_pdu(&z->v, p, n, &out);
	const struct iscsi_vet_cmd *c;

	if (step == ISCSI_VET_FAIL) {
		ck_assert(z->v.failed && z->v.text[0]);
		return false;
	}
	ck_assert(!z->v.failed);
	if (step == ISCSI_VET_MORE)
		ck_assert(out.need > n && out.need <= ISCSI_VET_PDU_MAX);
	if (step != ISCSI_VET_PASS)
		return true;
	ck_assert_uint_ge(out.pass, z->v.header);
	ck_assert_uint_le(out.skip + out.pass, ISCSI_VET_PDU_MAX);
	ck_assert_uint_ge(n, out.skip + z->v.header);
	p += out.skip;
	ck_assert_uint_eq(out.pass, z->v.header + ((get_be32(p + 4) + 3) & ~3U));
	if (z->v.header > ISCSI_VET_BHS)
		ck_assert_uint_eq(vet_digest(&z->v, p), vet_get_le32(p + ISCSI_VET_BHS));
	c = *vet_slot(&z->v, get_be32(p + 16));
	ck_assert(!c || !c->answered);
	return true;
}

/* With the tag and the sizes that this byte asks to be right. */
static bool incoming(struct fuzz *z, uint8_t which, uint8_t right, struct feed *f)
{
	size_t got, data = feed_u8(f) * 4U;
	const struct command *c = &z->cmd[which % NCMD];
	uint8_t pdu[ISCSI_VET_BHS + 4 + 1020] = { 0 }, *exact;
	const uint8_t *p = feed_bytes(f, ISCSI_VET_BHS, &got);
	bool on;

	memcpy(pdu, p, got);
	if (right & 1)
		put_be32(pdu + 16, c->used ? c->vet.itt : NO_TAG);
	else if (right & 2 && z->v.others)
		put_be32(pdu + 16, z->v.other[which % z->v.others].itt);
	if (right & 4 && c->used)
		put_be32(pdu + 40, c->scsi.dir == SCSI_DIR_IN ? c->vet.in : c->vet.asked);
	if (right & 8) {
		pdu[4] = 0;
		if (c->used && data > c->scsi.len - c->vet.in)
			data = c->scsi.len - c->vet.in;
		put_be32(pdu + 4, (uint32_t)data);
	}
	if (right & 16)
		put_be32(pdu + 44, data & 1020);
	if (right & 32 && z->v.header > ISCSI_VET_BHS) {
		uint32_t crc = vet_digest(&z->v, pdu);

		for (int i = 0; i < 4; i++)
			pdu[ISCSI_VET_BHS + i] = (uint8_t)(crc >> 8 * i);
	}
	p = feed_bytes(f, data, &got);
	memcpy(pdu + z->v.header, p, got);
	got = right & 64 ? which : z->v.header + data;
	exact = feed_exact(pdu, got);
	on = shown(z, exact, got);
	free(exact);
	return on;
}

static void check_commands(const struct fuzz *z)
{
	for (int i = 0; i < NCMD; i++) {
		const struct command *c = &z->cmd[i];

		if (!c->used)
			continue;
		ck_assert_uint_le(c->vet.in, c->scsi.len);
		ck_assert_uint_le(c->vet.asked, c->scsi.len);
		if (c->vet.answered)
			ck_assert_uint_le(c->vet.got, c->scsi.len);
		if (c->vet.answered && c->vet.outcome == SCSI_OUT_STATUS && c->scsi.dir == SCSI_DIR_IN)
			ck_assert_uint_le(c->vet.got, c->vet.in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t opcodes[] = { OP_COMMAND, OP_DATA_OUT, OP_NOP_OUT, OP_TEXT, OP_LOGOUT };
	struct feed f = { data, size };
	struct fuzz *z = calloc(1, sizeof(*z));
	bool on = true;
	uint8_t how = feed_u8(&f);

	iscsi_vet_init(&z->v, how & 1, how & 2 ? 1024 : 0, 1, 64);
	z->itt = how & 4 ? 0xfffffffc : 1;
	while (f.n && on) {
		uint8_t what = feed_u8(&f), which = feed_u8(&f);

		if (what < 32)
			command(z, which, feed_u8(&f));
		else if (what < 64)
			outgoing(z, which, opcodes[what % 5], &f);
		else
			on = incoming(z, which, feed_u8(&f), &f);
		check_commands(z);
	}
	free(z);
	return 0;
}
