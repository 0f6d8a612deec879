/* SPDX-License-Identifier: MIT */
/*
 * No late write. A command that changes blocks and was in flight on a session that is lost is in
 * doubt: its bytes may sit in a switch or in the target and be executed later. It is retried on another
 * path at once; but until the old attempt is known dead its blocks are fenced, and a newer request
 * that changes them waits. Reads and all other blocks do not. (That two requests change the
 * same block at the same time is ruled out by lock.c, so a fence never stands in the way of its own.)
 *
 * fence.c: doubts and the ranges they fence. nexus.c: ends a lost I_T nexus by logging in with its
 * ISID (RFC 7143 6.3.5), and tests once whether the target honours that. reserve.c: persistent
 * reservations, whose PREEMPT ends it too.
 */
#ifndef DAEMON_FENCE_H
#define DAEMON_FENCE_H

#include "flight.h"
#include "model.h"

/* What a lost session left behind on one LUN. Owned by the LUN; survives path and session. */
struct doubt {
	struct list in_lun, in_engine;
	struct lun *lun;
	struct target *target;  /* NULL: removed from the configuration since */
	char session[160];
	uint32_t isid;
	int tpgt;
	uint64_t login;         /* which login of the session it was */
	uint64_t key;           /* of the lost path in the persistent reservation; 0: none */
	uint8_t method;         /* enum conf_fence: reservation, reinstate or hold */
	uint64_t since;
	struct timer timer;     /* fence_timeout, or the end of the pause after the path's return */
	bool back;              /* the path is, on a target that does not end older sessions */
	struct timer again;     /* the next try of PREEMPT */
	struct attempt *preempt;/* under way */
	unsigned take;         /* reserve.c: which step of the PREEMPT is under way */
	bool no_abort;          /* the target refuses PREEMPT AND ABORT */
	bool recalled;          /* of an earlier process */
	struct list ranges;     /* struct fence */
	unsigned n;
	uint64_t blocks;
	struct failover *fo;
};

struct fence {
	struct range range;
	uint32_t record;        /* of the flight recorder */
	struct list in_doubt;
};

/* a was in flight on a session that is being lost, and still belongs to its io. */
void fence_raise(struct engine *e, struct attempt *a, struct failover *fo);
/* All of s's commands were looked at: does what ends the doubts. */
void fence_begin(struct engine *e, struct session *s);
/* Must r wait? Then it is on lun->fenced and started later. */
bool fence_holds(struct engine *e, struct request *r);
/* A login of the nexus succeeded that ends what was there before. own: through its own portal. */
void fence_nexus_ended(struct engine *e, const struct target *t, uint32_t isid, int tpgt, bool own);
/* The doubt is over: its ranges are free. */
void fence_end(struct engine *e, struct doubt *d, const char *how);
/* A path of l is usable (again): what could not be sent is. */
void fence_kick(struct engine *e, struct lun *l);
/* l is going away, with everything it holds back. */
void fence_drop_all(struct engine *e, struct lun *l);
const char *fence_method_name(uint8_t method);
/* No way to tell which blocks: all of l's, for as long as any fence may last. */
void fence_everything(struct engine *e, struct lun *l, const char *why);
/* Does anything of l's wait for the end of a doubt, or would it? */
bool fence_in_doubt(const struct lun *l);

/* recall.c */
/* l's options are known: raises the doubts that an earlier process left, once. */
void fence_recall(struct engine *e, struct lun *l);
/* It turned out that this port group honours reinstatement: so does what was recalled. */
void fence_trusted(struct engine *e, struct target *t, int tpgt);
/* Steps of it that fence.c has. t may be NULL. The record is the doubt's from here on. */
void fence_old(struct engine *e, struct lun *l, struct target *t, const struct flight_write *w, uint32_t record);
void fence_start(struct engine *e, struct doubt *d);
void fence_path_back(struct engine *e, struct doubt *d);

/* nexus.c */
bool nexus_trusted(const struct target *t, int tpgt);
/* "trusted", "ignored" or "unknown": does the target end an older session of the same ISID? */
const char *nexus_trust_name(const struct target *t, int tpgt);
/* Tries to log in with this ISID, again and again, until fence_nexus_ended() or nobody asks for it. */
void nexus_end(struct engine *e, struct target *t, uint32_t isid, int tpgt);
bool nexus_busy(const struct engine *e, const struct target *t, uint32_t isid);
/* s is up: a test that is due may begin, an end that waits for a portal may go on. */
void nexus_kick(struct engine *e, struct session *s);
/* Stops all that goes on for t; doubts that rely on it are held. */
void nexus_forget(struct engine *e, struct target *t);
/* What the adapter tells of an auxiliary session. */
void nexus_told(struct engine *e, struct session *aux, bool up);

/* reserve.c */
/* Registers the path's key and reserves; path_identified() or path_fail() follows. */
void reserve_start(struct engine *e, struct path *p);
void reserve_abort(struct engine *e, struct path *p);
/* Reads who holds what, for those who want to see it. */
void reserve_look(struct engine *e, struct lun *l);
void reserve_preempt(struct engine *e, struct doubt *d);
/* The key of a path: the configured one and 16 bits of the I_T nexus. */
uint64_t reserve_key(const struct path *p);

/* failover.c: the record of each loss */
struct failover *failover_new(struct engine *e, const struct session *s, const char *by,
			      const char *text);
void failover_moved(struct failover *fo, struct io *io, uint64_t bytes);
void failover_sent(struct engine *e, struct io *io);
void failover_good(struct engine *e, struct io *io);
void failover_leave(struct engine *e, struct io *io);
void failover_doubt(struct failover *fo, int n, uint64_t now, const char *how);
/* Everything has been moved: the record may be told and go from here on. */
void failover_settled(struct engine *e, struct failover *fo);
/* Tells and frees it when nothing is to come any more. */
void failover_check(struct engine *e, struct failover *fo);
void failover_free_all(struct engine *e);

#endif
