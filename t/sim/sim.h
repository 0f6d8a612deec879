/* SPDX-License-Identifier: MIT */
/*
 * The engine in a world that is made up: virtual time, a seeded scheduler, model disks, links that
 * are slow, cut, reset and come back. One struct sim is one run; the seed decides all of it.
 *
 * main.c (seeds, processes) -> world.c (faults, the run) -> client.c (requests), link.c (sessions) ->
 * disk.c (CDBs), check.c (what a read may return).
 */
#ifndef T_SIM_H
#define T_SIM_H

#include "../../daemon/model.h"

#define GRANULE 64u  /* bytes that are stamped and checked as one */
#define MAX_PORTS 4
#define MAX_DISKS 3
#define MS 1000ULL
#define SEC 1000000ULL

/* ---- check.c: the values a granule may have, and when ---- */

struct value {
	uint64_t id;         /* of the write; 0: zeroes */
	uint64_t by;         /* the client's slot */
	uint64_t start, end; /* of the write; end UINT64_MAX: under way */
	bool gone;           /* and on the medium too: no power loss brings it back */
	uint64_t dead;       /* when it was certainly overwritten; UINT64_MAX: it may still be there */
};

struct granule {
	struct value *v;
	int n, cap;
	uint64_t flushed;    /* what was dead by then does not come back */
};

/* ---- disk.c ---- */

struct disk {
	int index;
	char naa[16];        /* 8 bytes, as VPD 83h has them */
	uint64_t blocks;
	uint32_t block_size;
	uint8_t *data, *stable;
	bool sync16, sync10;
	bool has_unmap, has_ws16, ws_unmap, has_fua, zero_unmapped, fua_lies;
	uint32_t max_transfer, max_ws;
	uint64_t executed;   /* I/O commands */
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
void disk_init(struct sim *s, struct disk *d, int index);
void disk_power_loss(struct disk *d, uint64_t now);

/* ---- link.c ---- */

struct port {
	int index;
	char addr[32];
	bool cut, down, refuse, slow;
	int map[MAX_DISKS];  /* LUN number -> disk; -1: none */
	bool anchor;         /* never harmed */
};

struct cmd {             /* a command on its way */
	struct list link;
	struct scsi_cmd *scsi;
	uint64_t token;
	bool executed;
	struct answer a;
};

struct conn {
	uint64_t id;
	struct session *session;
	struct port *port;
	struct list link, cmds;
	uint64_t last_rx;
	bool up, pong_due;
	uint8_t seen[MAX_DISKS]; /* identity read on this login, a bit each */
	uint8_t ua[MAX_DISKS];   /* pending unit attention, asc; 0: none */
	uint8_t ua_q[MAX_DISKS];
};

extern const struct engine_ops sim_ops;
void link_event(struct sim *s, int kind, uint64_t conn, uint64_t token);
void link_lose(struct sim *s, struct port *p, enum session_loss why); /* every session on it */
void link_uncut(struct sim *s, struct port *p);

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
struct value *check_begin(struct granule *g, uint64_t id, uint64_t by, uint64_t now,
			  uint64_t oldest);
void check_end(struct granule *g, uint64_t by, uint64_t start, uint64_t now, bool ok, bool sure,
	       bool durable);
bool check_read(const struct granule *g, uint64_t id, uint64_t start);
void check_power_loss(struct disk *d);

/* ---- world.c ---- */

enum event_kind { EV_ARRIVE, EV_ANSWER, EV_LOGIN, EV_PONG, EV_FAULT, EV_CLIENT, EV_HEAL, EV_LOSE };

struct pending {
	uint64_t at, seq, a, b;
	int kind;
};

struct sim {
	uint64_t seed, rng, now;
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
	struct list conns;
	struct list slots;
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
/* One whole run. False: a check failed; s->why says which. */
bool sim_run(struct sim *s);

#endif
