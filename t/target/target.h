/* SPDX-License-Identifier: MIT */
/*
 * A scripted iSCSI target: RAM disks behind several portals, and faults on command (README.md). One
 * thread, one libev loop, one target; enough of RFC 7143, SPC-4 and SBC-3 for an initiator that
 * reads and writes disks.
 */
#ifndef T_TARGET_H
#define T_TARGET_H

#include <ctype.h>
#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include "transport/list.h"

#define MAX_PORTALS 40
#define MAX_GROUPS 16
#define MAX_LUNS 64
#define MAX_REGISTRATIONS 64
#define MAX_DATA (16 << 20)  /* bytes of one command */
#define MAX_UNMAP 0x10000      /* blocks of UNMAP and WRITE SAME */
#define MAX_SEGMENT (256 << 10)
#define FIRST_BURST (64 << 10)
#define MAX_BURST (256 << 10)
#define WINDOW 64
#define MAX_UAS 256

/* iSCSI opcodes, RFC 7143 11.1 */
enum {
	OP_NOP_OUT = 0x00, OP_SCSI = 0x01, OP_TMF = 0x02, OP_LOGIN = 0x03, OP_TEXT = 0x04,
	OP_DATA_OUT = 0x05, OP_LOGOUT = 0x06, OP_NOP_IN = 0x20, OP_SCSI_RSP = 0x21,
	OP_TMF_RSP = 0x22, OP_LOGIN_RSP = 0x23, OP_TEXT_RSP = 0x24, OP_DATA_IN = 0x25,
	OP_LOGOUT_RSP = 0x26, OP_R2T = 0x31, OP_ASYNC = 0x32, OP_REJECT = 0x3f,
};

struct portal {
	char addr[64];       /* ADDR:PORT, as SendTargets and redirects give it */
	uint16_t group;      /* portal group tag, and target port group */
	int fd;
	ev_io io;
	bool told;           /* SendTargets names it */
	bool closed;         /* no new connections: they are reset */
	int refuse;          /* login status to answer with, 0: none */
	char redirect[64];   /* TargetAddress for login status 0101h */
	uint64_t executed;   /* commands that came through it */
	bool no_nops;        /* NOP-Outs are not answered */
	bool stall;          /* nothing is read */
	int window;          /* MaxCmdSN - ExpCmdSN + 1; below 0 makes no sense, on purpose */
};

struct nexus { /* I_T nexus: who, and through which group */
	char initiator[224];
	uint8_t isid[6];
	uint16_t group;
};

struct registration {
	struct nexus who;
	uint64_t key;
};

enum provisioning { DEALLOCATED, MAPPED, ANCHORED };

struct disk {
	bool used;
	uint16_t lun;
	uint64_t portals;    /* a bit for each it is behind */
	uint64_t blocks;
	uint32_t block_size;
	char naa[33];        /* hex of the NAA designator, 16 or 32 digits */
	char serial[33];
	char vendor[9], product[17];
	uint8_t version;     /* of INQUIRY */
	bool read_only;
	uint8_t tpgs;
	uint8_t *data;       /* a mapping of cap bytes, untouched pages cost nothing */
	size_t cap;
	uint8_t *map;        /* a byte for each block: enum provisioning */
	bool thin, lbprz;    /* LBPME; what is not mapped reads as zeroes, else as 0xdb once it was unmapped */
	bool no_lba_status;  /* GET LBA STATUS is refused */
	unsigned extents;    /* at most so many in an answer to it */
	uint8_t state[MAX_GROUPS]; /* of its own in T.group[i], STATE_SHARED: as the group */
	struct registration reg[MAX_REGISTRATIONS];
	int nreg;
	uint32_t generation;
	uint8_t reserved;    /* type of the reservation, 0: none */
	struct nexus holder;
};

#define STATE_SHARED 0xff

struct group {
	bool used;
	uint16_t id;
	uint8_t state;       /* as in RTPG */
	uint8_t why;         /* status code of RTPG: 0 nothing changed it, 1 STPG, 2 by itself */
	bool preferred;
};

struct ua { uint16_t lun; uint8_t asc, ascq; };

struct conn {
	struct list link;
	unsigned id;
	int fd, portal;
	ev_io rd, wr;
	uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_off, out_len, out_cap;
	bool closing;        /* once all is sent; nothing more is taken or sent */
	bool reset;          /* and then with a reset */
	bool dead;           /* to be freed when it is nobody's turn */
	/* login */
	struct nexus nexus;
	bool full, discovery, chap_asked, chap_done;
	uint8_t challenge[16], chap_id;
	uint32_t max_recv;   /* of the initiator */
	uint32_t max_burst, first_burst;
	bool immediate, initial_r2t;
	uint32_t statsn, expcmdsn, maxcmdsn; /* the last one: the highest that was told */
	uint16_t tsih;
	struct ua ua[MAX_UAS];
	int nua;
};

struct task {
	struct list link;
	struct conn *conn;   /* NULL: its connection is gone, it runs all the same */
	unsigned conn_id;
	int portal;
	struct nexus nexus;
	uint32_t itt, edtl;
	uint16_t lun;
	uint8_t cdb[16];
	bool write, read;
	uint8_t *data;       /* of a write, edtl bytes */
	uint32_t got;        /* bytes of it that came */
	uint32_t burst_end;  /* where the data asked for ends */
	uint32_t ttt, r2tsn;
	bool ready;          /* all of it is here: only waits to be executed */
	bool held;           /* until "release" */
	bool executed;       /* only the answer is due */
	ev_timer delay;
	/* what becomes of it */
	uint8_t status;
	bool sense_valid, sense_desc, sense_deferred;
	uint8_t key, asc, ascq;
	int sense_bytes;
	uint8_t response;    /* iSCSI response */
	uint8_t *in_data;
	uint32_t in_len;
	uint32_t blocks;     /* for the log */
	uint64_t lba;
};

/* One line of what was executed. */
struct entry {
	unsigned conn;
	int portal;
	uint16_t lun;
	uint8_t opcode, status;
	uint64_t lba;
	uint32_t blocks, crc;
	bool fua; /* of a READ or WRITE */
};

enum fate {
	FATE_PASS, FATE_STATUS, FATE_RESPONSE, FATE_DELAY, FATE_NEVER, FATE_HOLD, FATE_CLOSE,
	FATE_RESET, FATE_CUT, FATE_REJECT, FATE_SHORT, FATE_TRUNCATE, FATE_LONG, FATE_OVER,
	FATE_OVERFLOW, FATE_PAYLOAD, FATE_ITT, FATE_NOR2T, FATE_BADR2T,
};

struct rule {
	struct list link;
	int portal, lun, opcode, action, page; /* -1: any */
	int64_t lba;             /* likewise; else a command whose blocks include it */
	uint32_t skip, count;    /* count 0: for ever */
	uint32_t hits;
	enum fate what;
	bool execute;            /* and do it as well */
	bool reset;
	uint8_t status, key, asc, ascq, code;
	bool sense, desc, deferred;
	int sense_bytes;         /* -1: all */
	uint32_t ms;
	uint32_t bytes, at;
	uint8_t payload[256];
	uint32_t payload_len;
	json_t *then;
};

struct target {
	struct ev_loop *loop;
	char iqn[224];
	char user[64], secret[64];   /* CHAP, "" without */
	char own_user[64], own_secret[64]; /* mutual */
	bool reinstate;              /* RFC 7143 6.3.5; tgt without CHAP does not */
	bool uas;                    /* unit attentions on change and login */
	struct portal portal[MAX_PORTALS];
	int nportals;
	struct group group[MAX_GROUPS];
	uint8_t tpgs;                /* of INQUIRY, 0: no ALUA */
	struct disk disk[MAX_LUNS];
	struct list conns, tasks, rules;
	unsigned next_conn;
	uint32_t next_ttt;
	uint16_t next_tsih;
	struct entry *log;
	size_t nlog, log_cap;
	uint64_t log_lost;
	uint64_t reinstated, logins, logouts, tmfs;
	uint64_t r2ts, immediate, unsolicited, beyond_window, violations;
};
extern struct target T;

/* ---- bytes ---- */
static inline void put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }
static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}
static inline void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}
static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t get24(const uint8_t *p) { return (uint32_t)p[0] << 16 | get16(p + 1); }
static inline uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static inline uint64_t get64(const uint8_t *p) { return (uint64_t)get32(p) << 32 | get32(p + 4); }

/* Two hex digits; -1: they are none. */
static inline int hex_byte(const char *s)
{
	unsigned byte;

	if (!isxdigit((unsigned char)s[0]) || !isxdigit((unsigned char)s[1]))
		return -1;
	return sscanf(s, "%2x", &byte) == 1 ? (int)byte : -1;
}

/* ---- conn.c ---- */
void conn_accept(int portal);
void conn_close(struct conn *c, bool reset); /* at once; c is freed after the current event */
/* Queues a PDU: DataSegmentLength and the window are filled in; with `stat` StatSN, used up. */
void conn_send(struct conn *c, uint8_t bhs[48], const void *data, uint32_t len, bool stat);
void conn_raw(struct conn *c, const void *p, size_t n);
void conn_window(struct conn *c, uint8_t bhs[48]); /* ExpCmdSN and MaxCmdSN */
void conn_window_changed(int portal); /* tells its sessions, with a NOP-In */
void conn_stall(int portal, bool on);
void conn_reject(struct conn *c, const uint8_t bhs[48], uint8_t reason);
void conn_async(struct conn *c, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3);

/* ---- login.c, chap.c, text.c ---- */
struct text {
	char buf[8192];
	size_t len;
};
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* true: security is done with this PDU. *status: a login status instead. */
bool chap_step(struct conn *c, struct text *t, const char *text, uint32_t len, uint16_t *status);
void login_pdu(struct conn *c, const uint8_t bhs[48], char *text, uint32_t len);
void text_pdu(struct conn *c, const uint8_t bhs[48], char *text, uint32_t len);
const char *text_find(const char *text, size_t len, const char *key);
bool nexus_same(const struct nexus *a, const struct nexus *b);

/* ---- task.c ---- */
void task_add(struct task *t);                /* a command, its data is still to come */
void task_ready(struct task *t); /* all of its data is here; t and its connection may be gone then */
struct task *task_find(const struct conn *c, uint32_t itt);
void task_conn_gone(struct conn *c); /* commands that are not complete go with it, others stay */
void task_abort_nexus(const struct nexus *n, const struct disk *d); /* NULL: of all, on all LUNs */
void task_release(void);
void task_free(struct task *t);
void task_management(struct conn *c, const uint8_t bhs[48]);

/* ---- receive.c: commands and their data ---- */
void receive_command(struct conn *c, const uint8_t bhs[48], const uint8_t *data, uint32_t len);
void receive_data(struct conn *c, const uint8_t bhs[48], const uint8_t *data, uint32_t len);

/* ---- answer.c: rule NULL, or one that changes the answer; c may be dead afterwards ---- */
void answer_send(struct conn *c, struct task *t, const struct rule *rule);

/* ---- scsi.c, block.c, groups.c, reserve.c: run a command; status and in_data are set ---- */
void scsi_run(struct task *t);
bool block_run(struct task *t, struct disk *d); /* false: not one of its commands */
bool groups_run(struct task *t, struct disk *d);
bool groups_allow(struct task *t, const struct disk *d); /* false: status is set */
struct group *group_find(uint16_t id);
/* d NULL: for all LUNs; but: who asked for it needs no unit attention (SPC-4 5.15.2.6) */
void group_set(struct group *g, struct disk *d, uint8_t state, uint8_t why, const struct conn *but);
bool reserve_run(struct task *t, struct disk *d);
bool reserve_allow(struct task *t, struct disk *d);

/* ---- disk.c ---- */
struct disk *disk_find(int portal, uint16_t lun); /* portal -1: the first one behind any */
struct disk *disk_new(uint16_t lun, uint64_t blocks); /* NULL: too many, too large */
/* false: no such size, nothing changed */
bool disk_resize(struct disk *d, uint64_t blocks, uint32_t block_size);
bool disk_name(struct disk *d, const char *naa); /* false: not 16 or 32 hex digits */
void disk_remove(struct disk *d);

/* ---- scsi.c, attention.c ---- */
void check(struct task *t, uint8_t key, uint8_t asc, uint8_t ascq);
uint8_t *answer(struct task *t, uint32_t len); /* zeroed room for data-in */
void ua_add(struct conn *c, uint16_t lun, uint8_t asc, uint8_t ascq);
void ua_all(int lun, uint8_t asc, uint8_t ascq, const struct conn *but); /* lun -1: all */
void ua_nexus(const struct nexus *n, uint16_t lun, uint8_t asc, uint8_t ascq);
bool ua_take(struct task *t); /* true: there was one, status is set */

/* ---- log.c ---- */
void log_add(const struct task *t);
void log_free(void);
json_t *log_show(size_t from);
json_t *log_counts(void);

/* ---- inject.c ---- */
enum moment { ON_ARRIVAL, ON_R2T, WHEN_READY };
struct rule *rule_match(const struct task *t, enum moment m);
int rule_add(const json_t *o, char *err, size_t cap);
void rules_clear(void);
json_t *rule_then(const struct rule *r); /* to be run and dropped; NULL: nothing */

/* ---- control.c: the socket; command.c, command_lun.c: what comes in through it ---- */
void control_start(const char *path);
json_t *command_run(const json_t *o); /* the answer */
int json_int(const json_t *o, const char *key, int def);
bool json_is(const json_t *o, const char *key, bool def);
json_t *command_lun(const json_t *o);

#endif
