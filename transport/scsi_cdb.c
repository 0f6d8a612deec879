/* SPDX-License-Identifier: MIT */
/* Builds CDBs (SPC-4 clause 6, SBC-3 clause 5) and names opcodes. Owns nothing. */
#include <string.h>
#include "scsi.h"
#include "scsi_internal.h"

enum {
	OP_TEST_UNIT_READY = 0x00,
	OP_INQUIRY = 0x12,
	OP_MODE_SENSE6 = 0x1a,
	OP_SYNC_CACHE10 = 0x35,
	OP_UNMAP = 0x42,
	OP_PR_IN = 0x5e,
	OP_PR_OUT = 0x5f,
	OP_READ16 = 0x88,
	OP_WRITE16 = 0x8a,
	OP_PREFETCH16 = 0x90,
	OP_SYNC_CACHE16 = 0x91,
	OP_WRITE_SAME16 = 0x93,
	OP_SERVICE_ACTION_IN16 = 0x9e,
	OP_REPORT_LUNS = 0xa0,
	OP_MAINTENANCE_IN = 0xa3,
	OP_MAINTENANCE_OUT = 0xa4,
};

#define SA_READ_CAPACITY16 0x10
#define SA_GET_LBA_STATUS 0x12
#define SA_TARGET_PORT_GROUPS 0x0a /* the same number to report and to set them */
#define RTPG_EXTENDED 0x20         /* PARAMETER DATA FORMAT 001b */
#define WRITE_FUA 0x08
#define PREFETCH_IMMED 0x02

static void start(struct scsi_cmd *c, uint8_t opcode, uint8_t cdb_len, enum scsi_dir dir,
		  uint32_t len)
{
	memset(c->cdb, 0, sizeof(c->cdb));
	c->cdb[0] = opcode;
	c->cdb_len = cdb_len;
	c->dir = (uint8_t)dir;
	c->len = len;
}

/* The 16-byte commands keep LBA and length in the same places (SBC-3 5.4, 5.11, 5.22, 5.34, 5.41). */
static void start_lba16(struct scsi_cmd *c, uint8_t opcode, enum scsi_dir dir, uint64_t lba,
			uint32_t blocks, uint32_t len)
{
	start(c, opcode, 16, dir, len);
	put_be64(c->cdb + 2, lba);
	put_be32(c->cdb + 10, blocks);
}

void cdb_test_unit_ready(struct scsi_cmd *c)
{
	start(c, OP_TEST_UNIT_READY, 6, SCSI_DIR_NONE, 0);
}

void cdb_inquiry(struct scsi_cmd *c, bool evpd, uint8_t page, uint16_t alloc)
{
	start(c, OP_INQUIRY, 6, SCSI_DIR_IN, alloc);
	c->cdb[1] = evpd;
	c->cdb[2] = evpd ? page : 0;
	put_be16(c->cdb + 3, alloc);
}

void cdb_report_luns(struct scsi_cmd *c, uint32_t alloc)
{
	start(c, OP_REPORT_LUNS, 12, SCSI_DIR_IN, alloc);
	put_be32(c->cdb + 6, alloc);
}

void cdb_read_capacity16(struct scsi_cmd *c, uint32_t alloc)
{
	start(c, OP_SERVICE_ACTION_IN16, 16, SCSI_DIR_IN, alloc);
	c->cdb[1] = SA_READ_CAPACITY16;
	put_be32(c->cdb + 10, alloc);
}

void cdb_mode_sense6(struct scsi_cmd *c, uint8_t page, uint8_t alloc)
{
	start(c, OP_MODE_SENSE6, 6, SCSI_DIR_IN, alloc);
	c->cdb[2] = page & 0x3f;
	c->cdb[4] = alloc;
}

void cdb_read16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks, uint32_t block_size)
{
	start_lba16(c, OP_READ16, SCSI_DIR_IN, lba, blocks, blocks * block_size);
}

void cdb_write16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks, uint32_t block_size, bool fua)
{
	start_lba16(c, OP_WRITE16, SCSI_DIR_OUT, lba, blocks, blocks * block_size);
	if (fua)
		c->cdb[1] = WRITE_FUA;
}

void cdb_sync_cache10(struct scsi_cmd *c, uint32_t lba, uint16_t blocks)
{
	start(c, OP_SYNC_CACHE10, 10, SCSI_DIR_NONE, 0);
	put_be32(c->cdb + 2, lba);
	put_be16(c->cdb + 7, blocks);
}

void cdb_sync_cache16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks)
{
	start_lba16(c, OP_SYNC_CACHE16, SCSI_DIR_NONE, lba, blocks, 0);
}

void cdb_write_same16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks, uint32_t block_size,
		      bool unmap)
{
	start_lba16(c, OP_WRITE_SAME16, SCSI_DIR_OUT, lba, blocks, block_size);
	if (unmap)
		c->cdb[1] = SCSI_WRITE_SAME_UNMAP;
}

void cdb_unmap(struct scsi_cmd *c, uint8_t list[SCSI_UNMAP_LIST_LEN], uint64_t lba,
	       uint32_t blocks)
{
	start(c, OP_UNMAP, 10, SCSI_DIR_OUT, SCSI_UNMAP_LIST_LEN);
	put_be16(c->cdb + 7, SCSI_UNMAP_LIST_LEN);

	memset(list, 0, SCSI_UNMAP_LIST_LEN);
	put_be16(list, SCSI_UNMAP_LIST_LEN - 2);
	put_be16(list + 2, SCSI_UNMAP_LIST_LEN - 8);
	put_be64(list + 8, lba);
	put_be32(list + 16, blocks);
}

void cdb_prefetch16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks)
{
	start_lba16(c, OP_PREFETCH16, SCSI_DIR_NONE, lba, blocks, 0);
	c->cdb[1] = PREFETCH_IMMED;
}

void cdb_get_lba_status(struct scsi_cmd *c, uint64_t lba, uint32_t alloc)
{
	start_lba16(c, OP_SERVICE_ACTION_IN16, SCSI_DIR_IN, lba, alloc, alloc);
	c->cdb[1] = SA_GET_LBA_STATUS;
}

void cdb_report_groups(struct scsi_cmd *c, uint32_t alloc, bool ext)
{
	start(c, OP_MAINTENANCE_IN, 12, SCSI_DIR_IN, alloc);
	c->cdb[1] = SA_TARGET_PORT_GROUPS | (ext ? RTPG_EXTENDED : 0);
	put_be32(c->cdb + 6, alloc);
}

void cdb_set_group(struct scsi_cmd *c, uint8_t list[SCSI_STPG_LEN], uint8_t state, uint16_t group)
{
	start(c, OP_MAINTENANCE_OUT, 12, SCSI_DIR_OUT, SCSI_STPG_LEN);
	c->cdb[1] = SA_TARGET_PORT_GROUPS;
	put_be32(c->cdb + 6, SCSI_STPG_LEN);

	memset(list, 0, SCSI_STPG_LEN);
	list[4] = state & 0x0f;
	put_be16(list + 6, group);
}

void cdb_pr_in(struct scsi_cmd *c, enum scsi_pr_in action, uint16_t alloc)
{
	start(c, OP_PR_IN, 10, SCSI_DIR_IN, alloc);
	c->cdb[1] = (uint8_t)action & 0x1f;
	put_be16(c->cdb + 7, alloc);
}

void cdb_pr_out(struct scsi_cmd *c, uint8_t list[SCSI_PR_OUT_LEN], enum scsi_pr_out action,
		uint8_t type, uint64_t key, uint64_t sa_key)
{
	start(c, OP_PR_OUT, 10, SCSI_DIR_OUT, SCSI_PR_OUT_LEN);
	c->cdb[1] = (uint8_t)action & 0x1f;
	c->cdb[2] = type & 0x0f; /* scope 0: the logical unit, the only one left */
	put_be32(c->cdb + 5, SCSI_PR_OUT_LEN);

	memset(list, 0, SCSI_PR_OUT_LEN);
	put_be64(list, key);
	put_be64(list + 8, sa_key);
}

const char *scsi_opcode_name(uint8_t opcode)
{
	/* Where an opcode is many commands: those that are built here. */
	static const struct {
		uint8_t opcode;
		const char *name;
	} known[] = {
		{ OP_TEST_UNIT_READY, "TEST UNIT READY" },
		{ OP_INQUIRY, "INQUIRY" },
		{ OP_MODE_SENSE6, "MODE SENSE(6)" },
		{ OP_UNMAP, "UNMAP" },
		{ OP_READ16, "READ(16)" },
		{ OP_WRITE16, "WRITE(16)" },
		{ OP_PREFETCH16, "PRE-FETCH(16)" },
		{ OP_SYNC_CACHE10, "SYNCHRONIZE CACHE(10)" },
		{ OP_SYNC_CACHE16, "SYNCHRONIZE CACHE(16)" },
		{ OP_WRITE_SAME16, "WRITE SAME(16)" },
		{ OP_SERVICE_ACTION_IN16, "READ CAPACITY(16) or GET LBA STATUS" },
		{ OP_REPORT_LUNS, "REPORT LUNS" },
		{ OP_PR_IN, "PERSISTENT RESERVE IN" },
		{ OP_PR_OUT, "PERSISTENT RESERVE OUT" },
		{ OP_MAINTENANCE_IN, "REPORT TARGET PORT GROUPS" },
		{ OP_MAINTENANCE_OUT, "SET TARGET PORT GROUPS" },
	};
	/* Filled at compile time, so that an unknown opcode needs no buffer of the caller's. */
#define ROW(h)                                                                                     \
	"opcode 0x" h "0", "opcode 0x" h "1", "opcode 0x" h "2", "opcode 0x" h "3",                \
		"opcode 0x" h "4", "opcode 0x" h "5", "opcode 0x" h "6", "opcode 0x" h "7",        \
		"opcode 0x" h "8", "opcode 0x" h "9", "opcode 0x" h "a", "opcode 0x" h "b",        \
		"opcode 0x" h "c", "opcode 0x" h "d", "opcode 0x" h "e", "opcode 0x" h "f"
	static const char *const unknown[256] = {
		ROW("0"), ROW("1"), ROW("2"), ROW("3"), ROW("4"), ROW("5"), ROW("6"), ROW("7"),
		ROW("8"), ROW("9"), ROW("a"), ROW("b"), ROW("c"), ROW("d"), ROW("e"), ROW("f"),
	};
#undef ROW

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].opcode == opcode)
			return known[i].name;
	return unknown[opcode];
}
