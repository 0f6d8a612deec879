/* SPDX-License-Identifier: MIT */
/*
 * The engine in a world that is made up: virtual time, a seeded scheduler, model disks, links that
 * are slow, cut, reset and come back. One struct sim is one run; the seed decides all of it.
 *
 * main.c (seeds, processes) -> world.c (the run), fault.c -> client.c (requests), link.c (sessions),
 * late.c (what the network holds of dead ones) -> disk.c (CDBs), reserve.c, alua.c; check.c (what a
 * read may return).
 *
 * Two things an engine has to know how to use are off unless compiled in: -DSIM_RESERVATIONS (some
 * runs configure reservation_key), -DSIM_ALUA (some disks have port groups that change state).
 */
#ifndef T_SIM_H
#define T_SIM_H

#include "../../daemon/model.h"

#define GRANULE 64u  /* bytes that are stamped and checked as one */
#define MAX_PORTS 4
#define MAX_DISKS 3
#define MAX_TPGS 2   /* target portal groups; they are the target port groups of ALUA too */
#define MS 1000ULL
#define SEC 1000000ULL

/* ---- check.c: the values a granule may have, and when ---- */

struct value {
	uint64_t id;         /* of the write; 0: zeroes */
	uint64_t by;         /* the client's slot */
	uint64_t start, end; /* of the write; end UINT64_MAX: under way */
	uint64_t dead;       /* when it was certainly overwritten; UINT64_MAX: it may still be there */
	/* Its zone since the last power loss: the first end and the last start of its write and reads. */
	uint64_t first_end, last_start;
	uint64_t zeroed;     /* first end of a read of zeroes that began after first_end */
	bool gone;           /* and on the medium too: no power loss brings it back */
};

struct granule {
	struct value *v;
	int n, cap;
	uint64_t flushed;    /* what was dead by then does not come back */
};

/* ---- disk.c ---- */

struct port;

/* Who a command is from, as far as a target cares. */
struct nexus {
	const struct port *port;
	uint32_t isid;
	int tpgt;
};

#define MAX_REGISTRATIONS 64

struct reservation {
	struct registration {
		struct nexus of;
		uint64_t key;
	} reg[MAX_REGISTRATIONS];
	int n;
	bool held;           /* of type 7: by all that are registered */
	uint32_t generation;
};

struct disk {
	int index;
	char naa[16];        /* 8 bytes, as VPD 83h has them */
	uint64_t blocks;
	uint32_t block_size;
	uint8_t *data, *stable;
	bool sync16, sync10;
	bool thin, has_status, has_prefetch;
	bool has_unmap, has_ws16, ws_unmap, has_fua, zero_unmapped, fua_lies;
	uint32_t max_transfer, max_ws;
	uint64_t executed;   /* I/O commands */
	struct reservation pr;
	uint8_t tpgs;        /* of INQUIRY; 0: no port groups */
	uint8_t access[MAX_TPGS]; /* asymmetric access state of each group */
	bool short_rtpg;     /* does not know the extended header */
	bool capacity_always; /* READ CAPACITY(16) in every state, as LIO does; SPC-4 need not */
	/* the model of the clients' view */
	struct granule *g;
	uint64_t ngranules, flushed, lost_power;
};

struct sim;
struct conn;

struct answer {
	uint8_t status, key, asc, ascq;
	uint8_t *data;       /* malloc'ed, or NULL */
	uint32_t len;
};

/* Runs the command as the target behind conn would, now. */
void disk_execute(struct sim *s, struct conn *c, const struct scsi_cmd *cmd, struct answer *a);
/* The same for a command nobody waits for any more. False: the target refused it. */
bool disk_execute_late(struct sim *s, const struct nexus *x, const struct scsi_cmd *cmd);
void disk_check_condition(struct answer *a, uint8_t key, uint8_t asc, uint8_t ascq);
uint8_t *disk_answer(struct answer *a, uint32_t len); /* len zero bytes */
void disk_init(struct sim *s, struct disk *d, int index);
void disk_power_loss(struct disk *d, uint64_t now);

static inline bool nexus_same(const struct nexus *a, const struct nexus *b)
{
	return a->port == b->port && a->isid == b->isid && a->tpgt == b->tpgt;
}

/* ---- reserve.c: persistent reservations, SPC-4 5.7 ---- */

bool reserve_allows(const struct disk *d, const struct nexus *x, const uint8_t *cdb);
void reserve_in(struct disk *d, const uint8_t *cdb, struct answer *a);
void reserve_out(struct sim *s, struct disk *d, const struct nexus *x, const struct scsi_cmd *cmd,
		 struct answer *a);
void reserve_foreign(struct disk *d); /* another host holds the reservation */
void reserve_power_loss(struct disk *d);

/* ---- alua.c: target port groups, SPC-4 5.15 ---- */

void alua_init(struct sim *s, struct disk *d);
bool alua_allows(const struct disk *d, const struct nexus *x, const uint8_t *cdb, struct answer *a);
void alua_report(struct sim *s, struct disk *d, const uint8_t *cdb, struct answer *a);
void alua_set(struct sim *s, struct disk *d, const struct nexus *x, const struct scsi_cmd *cmd,
	      struct answer *a);
void alua_change(struct sim *s);  /* some group of some disk, at random */
void alua_settle(struct sim *s, uint64_t disk, uint64_t group); /* transitioning is over */
void alua_peace(struct sim *s);   /* all of them active/optimized */

/* ---- link.c ---- */

struct port {
	int index;
	char addr[32];
	int tpgt;            /* its target portal group */
	bool cut, down, refuse, slow;
	int map[MAX_DISKS];  /* LUN number -> disk; -1: none */
	bool anchor;         /* never harmed */
};

struct cmd {             /* a command on its way */
	struct list link;
	struct scsi_cmd *scsi;
	uint64_t token, sent;
	bool executed, aborted;
	struct answer a;
};

struct conn {
	uint64_t id;
	struct session *session;
	struct port *port;
	struct nexus nexus;
	struct list link, cmds;
	uint64_t last_rx;
	bool up, pong_due;
	bool dropped;            /* by the target, which closes it: nothing more is executed */
	uint8_t seen[MAX_DISKS]; /* identity read on this login, a bit each */
	uint8_t ua[MAX_DISKS];   /* pending unit attention, asc; 0: none */
	uint8_t ua_q[MAX_DISKS];
};

extern const struct engine_ops sim_ops;
void link_event(struct sim *s, int kind, uint64_t conn, uint64_t token);
void link_lose(struct sim *s, struct port *p, enum session_loss why); /* every session on it */
/* The target closes every session through p (NULL: through any port), and the engine knows, now. */
void link_close(struct sim *s, const struct port *p, const char *text);
void link_uncut(struct sim *s, struct port *p);
/* A unit attention on every login to the disk but `except`; only on that of `only`, if given. */
void link_attention(struct sim *s, const struct disk *d, const struct nexus *only,
		    const struct nexus *except, uint8_t asc, uint8_t ascq);
/* PREEMPT AND ABORT: what the nexus has under way on the disk is not executed. */
void link_abort(struct sim *s, const struct disk *d, const struct nexus *x);

/* ---- late.c: commands of a killed connection that the network or the target still holds ---- */

struct late_counts {
	uint64_t ghosts;     /* connections that left some */
	uint64_t commands;   /* the sum of those below */
	uint64_t executed, flushed; /* at some time; before a login through the same port */
	uint64_t refused;    /* executed, but no writes of that nexus are taken */
	uint64_t reinstated; /* dropped: their session was reinstated */
	uint64_t aborted;    /* dropped by PREEMPT AND ABORT */
	uint64_t lost;       /* dropped otherwise */
};

void late_keep(struct sim *s, struct conn *c); /* c is being killed */
void late_event(struct sim *s, uint64_t ghost);
void late_login(struct sim *s, const struct nexus *x); /* the target accepts it, now */
void late_uncut(struct sim *s, const struct port *p);
void late_drop(struct sim *s, const struct port *p); /* all that came through it; NULL: all */
void late_abort(struct sim *s, const struct disk *d, const struct nexus *x);
void late_free(struct sim *s);

/* ---- client.c ---- */

void client_event(struct sim *s, uint64_t slot);
void client_room(struct sim *s);
void client_done(struct sim *s, struct request *r);
void client_start(struct sim *s, struct lun *l);
void client_gone(struct sim *s, struct lun *l);
bool client_quiet(const struct sim *s);
void client_stop(struct sim *s);       /* no new requests */
void client_read_all(struct sim *s);   /* the last check: everything is read back */
void client_free(struct sim *s);

/* ---- check.c ---- */

enum check_how {
	CHECK_OK = 1,        /* the write was acknowledged */
	CHECK_SURE = 2,      /* all of the granule was written, for certain (a trim is only advice) */
	CHECK_DURABLE = 4,   /* FUA */
	CHECK_FRESH = 8,     /* it began after the last power loss */
};

struct value *check_begin(struct granule *g, uint64_t id, uint64_t by, uint64_t now,
			  uint64_t oldest);
void check_end(struct granule *g, uint64_t by, uint64_t start, uint64_t now, unsigned how);
/* NULL: a read from start until now may return id. Else why it may not. */
const char *check_read(struct granule *g, uint64_t id, uint64_t start, uint64_t now, unsigned how);
void check_power_loss(struct disk *d);

/* ---- fault.c ---- */

void fault_inject(struct sim *s);
void fault_heal(struct sim *s, struct port *p);
void fault_enable_all(struct sim *s); /* paths, as an administrator would */
void fault_peace(struct sim *s);      /* no more of them, all is repaired */

/* ---- world.c ---- */

enum event_kind { EV_ARRIVE, EV_ANSWER, EV_LOGIN, EV_PONG, EV_FAULT, EV_CLIENT, EV_HEAL, EV_LOSE,
		  EV_LATE, EV_ALUA };

struct pending {
	uint64_t at, seq, a, b;
	int kind;
};

struct sim {
	uint64_t seed, rng, late_rng, now;
	bool no_late, reinstates; /* reinstates: the target ends a session when its ISID logs in again */
	bool verbose, may_fail, faults_on, calm, failed, stopped;
	const char *mutate;
	int watch_disk;      /* -1: none; else every request on this granule is traced */
	uint64_t watch_granule;
	struct engine *engine;
	struct buf_pool *pool;
	struct conf *conf;
	struct pending *q;
	size_t nq, capq;
	uint64_t seq, next_id, steps;
	struct disk disks[MAX_DISKS];
	int ndisks;
	struct port ports[MAX_PORTS];
	int nports;
	struct list conns, slots, ghosts;
	struct late_counts late;
	bool reservations;
	uint64_t writes, requests, stall_us, shrugs;
	bool anchored;
	char why[300];
	uint64_t trace_at;
	char trace[64][160];
};

uint32_t sim_random(struct sim *s);
static inline uint32_t sim_below(struct sim *s, uint32_t n)
{
	return sim_random(s) % n;
}
static inline bool sim_chance(struct sim *s, unsigned percent)
{
	return sim_random(s) % 100 < percent;
}
void sim_at(struct sim *s, uint64_t delay, int kind, uint64_t a, uint64_t b);
void sim_trace(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_reload(struct sim *s); /* perhaps without one of the ports */
/* One whole run. False: a check failed; s->why says which. */
bool sim_run(struct sim *s);

#endif
