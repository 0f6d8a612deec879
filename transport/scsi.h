/* SPDX-License-Identifier: MIT */
/*
 * SCSI commands, answers and sense data as plain C. Pure: no allocation, no I/O.
 * Builders fill a CDB; parsers take the bytes a target sent and how many arrived, check
 * every length before use, and return 0 or -EPROTO (malformed) / -ENODATA (too short to
 * say anything). Numbers of clauses are those of SPC-4 r37 and SBC-3 r36.
 */
#ifndef TRANSPORT_SCSI_H
#define TRANSPORT_SCSI_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/uio.h>

enum scsi_dir { SCSI_DIR_NONE, SCSI_DIR_IN, SCSI_DIR_OUT };

/* SAM-5 5.3.1, status codes. */
enum scsi_st {
	SCSI_ST_GOOD = 0x00,
	SCSI_ST_CHECK_CONDITION = 0x02,
	SCSI_ST_CONDITION_MET = 0x04,
	SCSI_ST_BUSY = 0x08,
	SCSI_ST_RESERVATION_CONFLICT = 0x18,
	SCSI_ST_TASK_SET_FULL = 0x28,
	SCSI_ST_ACA_ACTIVE = 0x30,
	SCSI_ST_TASK_ABORTED = 0x40,
};

/* SPC-4 4.5.6, sense keys. */
enum scsi_key {
	SCSI_KEY_NO_SENSE = 0x0,
	SCSI_KEY_RECOVERED_ERROR = 0x1,
	SCSI_KEY_NOT_READY = 0x2,
	SCSI_KEY_MEDIUM_ERROR = 0x3,
	SCSI_KEY_HARDWARE_ERROR = 0x4,
	SCSI_KEY_ILLEGAL_REQUEST = 0x5,
	SCSI_KEY_UNIT_ATTENTION = 0x6,
	SCSI_KEY_DATA_PROTECT = 0x7,
	SCSI_KEY_ABORTED_COMMAND = 0xb,
	SCSI_KEY_MISCOMPARE = 0xe,
};

struct sense {
	bool valid; /* false: the target sent no usable sense data */
	bool deferred; /* about an earlier command (SPC-4 4.5.5), not the one it came with */
	uint8_t key, asc, ascq;
};

/* What became of a command below SCSI. */
enum scsi_outcome {
	SCSI_OUT_STATUS,  /* the target answered: see status, sense, got */
	SCSI_OUT_LOST,    /* the session ended first: the command may or may not have run */
	SCSI_OUT_REFUSED, /* never sent (out of memory, session closing): it has not run */
	SCSI_OUT_ERROR,   /* the target answered what can't be used (short data, reject) */
	SCSI_OUT_RESPONSE, /* an iSCSI response other than "command completed": see response */
};

/*
 * One command. The first part is set by whoever submits, the second by the initiator.
 * The bytes behind iov stay untouched by others until the command is done or its session
 * has been killed. A transport may change iov while the command is in flight.
 */
struct scsi_cmd {
	uint8_t cdb[16];
	uint8_t cdb_len;
	uint8_t dir;        /* enum scsi_dir */
	uint16_t lun;       /* first two bytes of the LUN field, as REPORT LUNS gave them */
	uint8_t niov;
	struct iovec iov[2];
	uint32_t len;       /* bytes to move, the sum of iov */

	uint8_t outcome;    /* enum scsi_outcome */
	uint8_t status;     /* enum scsi_st, when outcome is SCSI_OUT_STATUS */
	struct sense sense;
	uint32_t got;       /* bytes moved, <= len */
	uint8_t response;   /* RFC 7143 11.4.3, when outcome is SCSI_OUT_RESPONSE; 01h: target failure */
	bool data_out;      /* valid any time after submit: some of its data may have left this machine */
};

/* ---- CDBs. Each sets cdb, cdb_len, dir, len; the caller sets lun and iov. ---- */
void cdb_test_unit_ready(struct scsi_cmd *c);
void cdb_inquiry(struct scsi_cmd *c, bool evpd, uint8_t page, uint16_t alloc);
void cdb_report_luns(struct scsi_cmd *c, uint32_t alloc);
void cdb_read_capacity16(struct scsi_cmd *c, uint32_t alloc);
void cdb_mode_sense6(struct scsi_cmd *c, uint8_t page, uint8_t alloc);
void cdb_read16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks, uint32_t block_size);
void cdb_write16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks, uint32_t block_size,
		      bool fua);
/* blocks 0: to the end of the medium (SBC-3 5.22) */
void cdb_sync_cache10(struct scsi_cmd *c, uint32_t lba, uint16_t blocks);
void cdb_sync_cache16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks);
#define SCSI_WRITE_SAME_UNMAP 0x08 /* in byte 1 of the CDB, SBC-3 5.44 */
/* One zeroed logical block is the payload (block_size bytes). unmap: the UNMAP bit (SBC-3 5.41). */
void cdb_write_same16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks, uint32_t block_size,
			   bool unmap);
/* The parameter list (SCSI_UNMAP_LIST_LEN bytes, one descriptor, SBC-3 5.28) is written to list. */
#define SCSI_UNMAP_LIST_LEN 24
void cdb_unmap(struct scsi_cmd *c, uint8_t list[SCSI_UNMAP_LIST_LEN], uint64_t lba,
		    uint32_t blocks);

/* Returns at once and lets the target read the blocks into its cache (SBC-3 5.9). */
void cdb_prefetch16(struct scsi_cmd *c, uint64_t lba, uint32_t blocks);
void cdb_get_lba_status(struct scsi_cmd *c, uint64_t lba, uint32_t alloc);

/* REPORT TARGET PORT GROUPS with the extended header (SPC-4 6.37); ext false: the short form. */
void cdb_report_groups(struct scsi_cmd *c, uint32_t alloc, bool ext);
/* SET TARGET PORT GROUPS: one descriptor (SPC-4 6.45), SCSI_STPG_LEN bytes, written to list. */
#define SCSI_STPG_LEN 8
void cdb_set_group(struct scsi_cmd *c, uint8_t list[SCSI_STPG_LEN], uint8_t state, uint16_t group);

/* PERSISTENT RESERVE IN (SPC-4 6.15) and OUT (6.16). The parameter list (24 bytes) is written to list. */
enum scsi_pr_in { SCSI_PR_READ_KEYS = 0, SCSI_PR_READ_RESERVATION = 1, SCSI_PR_READ_FULL_STATUS = 3 };
enum scsi_pr_out {
	SCSI_PR_REGISTER = 0, SCSI_PR_RESERVE = 1, SCSI_PR_RELEASE = 2, SCSI_PR_CLEAR = 3,
	SCSI_PR_PREEMPT = 4, SCSI_PR_PREEMPT_AND_ABORT = 5, SCSI_PR_REGISTER_AND_IGNORE = 6,
};
#define SCSI_PR_OUT_LEN 24
#define SCSI_PR_WRITE_EXCLUSIVE_ALL 7 /* write exclusive, all registrants (SPC-4 table 224) */
void cdb_pr_in(struct scsi_cmd *c, enum scsi_pr_in action, uint16_t alloc);
void cdb_pr_out(struct scsi_cmd *c, uint8_t list[SCSI_PR_OUT_LEN], enum scsi_pr_out action,
		uint8_t type, uint64_t key, uint64_t sa_key);

/* A word for the log: "READ(16)", "opcode 0x9e" for one it does not know (static storage). */
const char *scsi_opcode_name(uint8_t opcode);
const char *scsi_status_name(uint8_t status);
const char *scsi_key_name(uint8_t key);

/* ---- Answers ---- */

/* Fixed (70h, 71h) and descriptor (72h, 73h) format, SPC-4 4.5. out->valid tells. */
void scsi_parse_sense(const uint8_t *p, size_t len, struct sense *out);

struct scsi_inquiry {
	uint8_t qualifier, type; /* peripheral qualifier and device type; 0, 0 is a disk here */
	uint8_t version;         /* 5 = SPC-3 */
	uint8_t tpgs;            /* target port group support, 2 bits */
	char vendor[9], product[17], revision[5]; /* trimmed, unprintable bytes become '?' */
};
int scsi_parse_inquiry(const uint8_t *p, size_t len, struct scsi_inquiry *out)
	__attribute__((warn_unused_result));

/* VPD 00h: bit n of pages[n / 8] is set where page n is supported. */
struct scsi_vpd_pages {
	uint8_t pages[32];
};
int scsi_parse_vpd_pages(const uint8_t *p, size_t len, struct scsi_vpd_pages *out)
	__attribute__((warn_unused_result));
bool scsi_vpd_has(const struct scsi_vpd_pages *v, uint8_t page);

/* VPD 80h. serial is trimmed and NUL-terminated. */
int scsi_parse_vpd_serial(const uint8_t *p, size_t len, char *serial, size_t cap)
	__attribute__((warn_unused_result));

/*
 * VPD 83h. The best designator of the logical unit (association 0) as text: name.… (type 8),
 * naa.… (3), eui.… (2), t10.… (1), vendor.… (0), in this order of preference, the longer one on a tie.
 * Hex is lower case; unprintable bytes in t10 and vendor become \xNN. relative_port and
 * port_group are -1 where the page does not give them (association 1, types 4 and 5).
 */
#define SCSI_ID_MAX 300
struct scsi_device_id {
	char id[SCSI_ID_MAX];
	char t10[SCSI_ID_MAX]; /* the T10 designator alone, as id would have it; "" without one */
	int relative_port, port_group;
};
int scsi_parse_vpd_device_id(const uint8_t *p, size_t len, struct scsi_device_id *out)
	__attribute__((warn_unused_result));

/* VPD B0h (block limits), in blocks; 0 = the target sets no limit / does not support it. */
struct scsi_block_limits {
	uint32_t optimal_granularity, max_transfer, optimal_transfer;
	uint32_t max_prefetch;
	uint32_t max_unmap_blocks, max_unmap_descriptors, unmap_granularity, unmap_alignment;
	uint64_t max_write_same;
	bool wsnz; /* WRITE SAME with 0 blocks is refused */
};
int scsi_parse_vpd_block_limits(const uint8_t *p, size_t len, struct scsi_block_limits *out)
	__attribute__((warn_unused_result));

/* VPD B1h: medium rotation rate, 1 = solid state. */
int scsi_parse_vpd_block_chars(const uint8_t *p, size_t len, uint16_t *rotation)
	__attribute__((warn_unused_result));

/* VPD B2h (logical block provisioning). */
struct scsi_provisioning {
	bool unmap;          /* LBPU: UNMAP works */
	bool ws16_unmap;     /* LBPWS: WRITE SAME(16) with UNMAP works */
	bool reads_zero;     /* LBPRZ: unmapped blocks read as zeroes */
	uint8_t type;        /* 1 = resource, 2 = thin */
};
int scsi_parse_vpd_provisioning(const uint8_t *p, size_t len, struct scsi_provisioning *out)
	__attribute__((warn_unused_result));

/* READ CAPACITY(16). Refuses (-EPROTO) block sizes that are no power of two in 512..65536 and sizes over 2^63. */
struct scsi_capacity {
	uint64_t blocks;
	uint32_t block_size;          /* bytes */
	uint32_t physical_block_size; /* bytes */
	bool thin, reads_zero;        /* LBPME, LBPRZ */
};
int scsi_parse_capacity16(const uint8_t *p, size_t len, struct scsi_capacity *out)
	__attribute__((warn_unused_result));

/*
 * MODE SENSE(6), header's device-specific byte and the caching page (08h); without that page
 * write_cache is true (a cache nobody told of is assumed).
 */
struct scsi_mode {
	bool write_protect, dpofua, write_cache;
};
int scsi_parse_mode_sense6(const uint8_t *p, size_t len, struct scsi_mode *out)
	__attribute__((warn_unused_result));

/*
 * REPORT LUNS. Writes at most cap values (first two bytes of each LUN, big endian) to luns;
 * entries whose lower six bytes are not zero are skipped. Returns how many, or -EPROTO.
 */
int scsi_parse_report_luns(const uint8_t *p, size_t len, uint16_t *luns, int cap)
	__attribute__((warn_unused_result));

/* REPORT TARGET PORT GROUPS: at most cap groups; the answer's own count may be larger. */
struct scsi_port_group {
	uint16_t id;
	uint8_t state;       /* asymmetric access state, 4 bits */
	bool preferred;
	uint8_t supported;   /* byte 1 of the descriptor: T U O S LBD U S AN AO */
	uint8_t status;      /* why the state is what it is */
	uint8_t nports;      /* relative target port identifiers that follow, at most SCSI_GROUP_PORTS kept */
#define SCSI_GROUP_PORTS 16
	uint16_t ports[SCSI_GROUP_PORTS];
};
struct scsi_groups {
	int n;
	uint8_t transition_s; /* implicit transition time, 0: not given */
#define SCSI_GROUPS_MAX 32
	struct scsi_port_group g[SCSI_GROUPS_MAX];
};
int scsi_parse_groups(const uint8_t *p, size_t len, bool ext, struct scsi_groups *out)
	__attribute__((warn_unused_result));

/* PERSISTENT RESERVE IN, READ KEYS: at most cap keys, returns how many there are in the answer, or -EPROTO. */
int scsi_parse_pr_keys(const uint8_t *p, size_t len, uint32_t *generation, uint64_t *keys, int cap)
	__attribute__((warn_unused_result));
/* READ RESERVATION: held says whether there is one; with all registrants key is 0. */
struct scsi_reservation {
	uint32_t generation;
	bool held;
	uint64_t key;
	uint8_t type;
};
int scsi_parse_pr_reservation(const uint8_t *p, size_t len, struct scsi_reservation *out)
	__attribute__((warn_unused_result));
const char *scsi_pr_type_name(uint8_t type);

/* GET LBA STATUS (SBC-3 5.4): extents in order, clipped to [lba, lba + blocks). Returns how many, or -EPROTO. */
struct scsi_lba_extent {
	uint64_t lba;
	uint32_t blocks;
	uint8_t status;      /* 0 mapped, 1 deallocated, 2 anchored */
};
int scsi_parse_lba_status(const uint8_t *p, size_t len, uint64_t lba, uint64_t blocks,
			  struct scsi_lba_extent *out, int cap) __attribute__((warn_unused_result));

#endif
