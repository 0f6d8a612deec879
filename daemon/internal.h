/* SPDX-License-Identifier: MIT */
/*
 * The functions the engine's own files share. Arrows: engine.c, configure.c, admin.c ->
 * session.c -> scan.c -> path.c, identify.c -> lun.c -> request.c -> dispatch.c -> attempt.c.
 * Two run back up: an outcome that ends a path or a session (dispatch.c -> path.c, session.c).
 */
#ifndef DAEMON_INTERNAL_H
#define DAEMON_INTERNAL_H

#include "model.h"

#define US_PER_MS 1000ULL
#define US_PER_S 1000000ULL

/* engine.c */
void engine_emit(struct engine *e, enum event_level level, const char *kind, const struct lun *l,
		 const char *path, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
struct failover;
void engine_emit_failover(struct engine *e, const char *session, const struct event_failover *fo,
			  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
uint32_t engine_random(struct engine *e);
void engine_arm(struct engine *e, struct timer *t, uint64_t at);
void engine_disarm(struct engine *e, struct timer *t);

/* attempt.c: one command on one session */

/* A new attempt with one reference on buf (may be NULL); NULL: out of memory. */
struct attempt *attempt_new(struct engine *e, struct session *s, struct path *p, struct buf *buf)
	__attribute__((warn_unused_result));
void attempt_set_data(struct attempt *a, void *data, uint32_t len);
/* Sends a->cmd. On failure the attempt is freed and -errno returned. */
int attempt_send(struct engine *e, struct attempt *a) __attribute__((warn_unused_result));
/* Takes it off its session's list and load. */
void attempt_detach(struct engine *e, struct attempt *a);
void attempt_free(struct engine *e, struct attempt *a);

/* outcome.c: what an answer means */

/* An attempt of an io is over; it is off its session's list already. */
void io_outcome(struct engine *e, struct attempt *a);
/* Side effects of a verdict on a command on p: enum dsm_effect bits. */
void apply_effects(struct engine *e, struct path *p, unsigned effects, const char *why);
/* a's session is gone: its io, if it has no other try under way, goes to the head of the queue. */
void io_requeue(struct engine *e, struct attempt *a);

/* dispatch.c: which path */

/* Starts io on a path, or puts it on lun->waiting. */
void io_dispatch(struct engine *e, struct io *io);
/* Puts io on lun->waiting: at the head, or at the end. */
void io_wait(struct engine *e, struct io *io, bool first);
/* Starts it after us microseconds; the usual delay before its next try. */
void io_delay(struct engine *e, struct io *io, uint64_t us);
uint64_t io_retry_delay(const struct io *io);
/* Another try of every READ on s that has none yet, on a path that is not suspect. */
void session_hedge_reads(struct engine *e, struct session *s);
/* Starts what waits, as far as there are paths and windows. */
void lun_run(struct engine *e, struct lun *l);

struct explain {
	const struct path *path;
	bool chosen;
	char why[POLICY_WHY_MAX];
};

/* For the next I/O of a client on l: each path, and why it would be chosen or not. Returns how many. */
int lun_explain(struct lun *l, struct explain *out, int cap);

/* request.c */
struct io *io_new(struct engine *e, struct request *r, enum io_op op, uint64_t lba, uint32_t blocks)
	__attribute__((warn_unused_result));
/* io is over: err 0 or a positive errno. It is freed; its request goes on or comes to its end. */
void io_finish(struct engine *e, struct io *io, int err);
/* Nothing of r is out: goes on to what comes next. */
void request_go(struct engine *e, struct request *r);
/* Ends every io that waits or is delayed, and so their requests, with err. */
void lun_fail_waiting(struct engine *e, struct lun *l, int err);

/* extents.c: REQUEST_STATUS */

#define EXTENTS_BYTES (REQUEST_EXTENTS_MAX * sizeof(struct request_extent))
#define LBA_STATUS_BYTES (8 + 16 * 256) /* of one answer */

/* Room for the answer, and the answer itself where the storage can't be asked. 0 or an errno. */
int extents_prepare(struct engine *e, struct request *r) __attribute__((warn_unused_result));
/* Asks about what is left. */
void extents_ask(struct engine *e, struct request *r);
/* The storage said so, in got bytes at io->data; < 0: it does not say. */
void extents_learn(struct io *io, int got);

/* lock.c: one writer a block */

/* Makes r a writer of its blocks. True: go ahead; false: not before a later writer_leave(). */
bool writer_enter(struct request *r);
/* Takes r off; those that may go ahead now are returned by writer_next() until NULL. */
void writer_leave(struct request *r);
struct request *writer_next(struct lun *l);

/* lun.c */
struct lun *lun_find(struct engine *e, const char *id);
struct lun *lun_new(struct engine *e, const char *id);
void lun_configure(struct engine *e, struct lun *l);
/* Its number in the flight recorder. 0: there is none, or no room. */
uint32_t lun_flight(struct engine *e, struct lun *l);
/* The administrator's, the configuration's, the module's, or by what the storage reports. */
void lun_choose_policy(struct lun *l);
/* Counts the usable paths and says so when the state changed; starts or stops the no-path clock. */
void lun_update(struct engine *e, struct lun *l);
void lun_attach_path(struct engine *e, struct lun *l, struct path *p);
void lun_detach_path(struct engine *e, struct path *p);
/* Fails its requests and frees it. No path may be attached. */
void lun_free(struct engine *e, struct lun *l);
/* Frees every LUN that lost its last path with the sessions that were removed, once no other can bring one. */
/* One that clients have open stays, without a path, until they leave. */
void lun_reap(struct engine *e);
void fence_all_over(struct engine *e, struct timer *t); /* fence.c */
void lun_view_path(struct engine *e, struct path *p); /* configuration -> p->view */
bool lun_has_other_path(const struct lun *l, const struct session *not_this);

/* path.c */
struct path *path_new(struct engine *e, struct session *s, uint16_t number);
void path_free(struct engine *e, struct path *p);
void path_set_state(struct engine *e, struct path *p, enum path_state st, const char *reason);
/* The LUN is not as it should be behind this path: no I/O until it was identified anew. */
void path_fail(struct engine *e, struct path *p, enum path_state st, const char *kind,
	       const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* All of its identification is done, the reservation too: it carries I/O. */
void path_identified(struct engine *e, struct path *p);
void path_drained(struct engine *e, struct path *p); /* called when p->inflight went down */
/* Standby: the worst access state that still may get an I/O (policy.h). */
#define ALUA_WORST 2
bool path_takes_io(const struct path *p);

/* identify.c */
void identify_start(struct engine *e, struct path *p);
void identify_abort(struct engine *e, struct path *p);

/* verify.c: the module's probe, target port groups */

/* Arms the clock for the probe of l's paths. */
void verify_arm(struct engine *e, struct lun *l);
/* Probes p now; done already when one is out. */
void verify_path(struct engine *e, struct path *p);
/* g was reported on a path of l: every path's access state follows. */
void groups_learn(struct engine *e, struct lun *l, const struct scsi_groups *g);
/* A command on p told the access state of its group. */
void groups_told(struct engine *e, struct path *p, uint8_t state);
/* Paths came or went: is another group to be made active? */
void groups_look(struct engine *e, struct lun *l);
const char *groups_state_name(uint8_t state);

/* grow.c: the size of a LUN that changes */
void grow_look(struct engine *e, struct lun *l);

/* scan.c */
void session_scan(struct engine *e, struct session *s);

/* session.c */
struct session *session_new(struct engine *e, struct target *t, const char *portal,
			    const char *interface);
/* Kills it at once, if it lives, and frees it and its paths. */
void session_free(struct engine *e, struct session *s);
/* Takes no more I/O, logs out when it is empty, then is freed. */
void session_remove(struct engine *e, struct session *s);
void session_start_soon(struct engine *e, struct session *s, uint64_t at);
/* by: what noticed it, for the record. */
void session_drop(struct engine *e, struct session *s, const char *kind, const char *text);
void session_alive(struct engine *e, struct session *s);
/* A place in its window is free, or its paths changed: starts what waits, for any LUN behind it. */
void session_run(struct engine *e, struct session *s);
void session_idle(struct engine *e, struct session *s); /* called when its last command is over */
void session_classify(struct engine *e, struct session *s); /* tells policies how healthy its paths are */
void session_set_state(struct engine *e, struct session *s, enum session_state st, const char *reason);

/* session_watch.c */
void session_watch(struct engine *e, struct session *s); /* a command went out: arm the clock */
void session_watch_begin(struct engine *e, struct session *s); /* it is logged in */
void session_watch_fire(struct engine *e, struct timer *t); /* what that clock calls */
struct health_params session_health_params(const struct engine *e);
void session_scanned(struct engine *e, struct session *s); /* all its paths were identified */
bool session_connected(const struct session *s);
/* The ISID of the session of this name: the same in each process while the names are. */
uint32_t session_isid(const struct engine *e, const struct target *t, const char *name);
struct session *session_find(struct engine *e, const char *name);

/* configure.c */
struct target *target_find(struct engine *e, const char *name);
/* SendTargets, where it is wanted, and REPORT LUNS on each session: now. */
void target_discover(struct engine *e, struct target *t);
void target_free(struct engine *e, struct target *t);

#endif
