/* SPDX-License-Identifier: MIT */
/*
 * The engine: targets, sessions, paths, pseudo-LUNs and the requests on them, as a state machine
 * that does no I/O. It is told what happened (the engine_… functions) and asks for what shall happen
 * (struct engine_ops). All ops are called from inside engine_… functions; an op must not call back
 * into the engine, except that request_done may lead to engine_submit() of another request.
 * (The adapter defers: it queues what it learns and tells the engine from its event loop.)
 *
 * Ownership: the engine owns targets, sessions, paths, luns and attempts. The owner of the engine
 * owns requests (struct request, embedded in something of its own) from before engine_submit() and
 * again from request_done() on. The engine reads no clock: engine_set_time() comes first, always.
 */
#ifndef DAEMON_ENGINE_H
#define DAEMON_ENGINE_H

#include "../conf/conf.h"
#include "../policy/range.h"
#include "../transport/buf.h"
#include "../transport/list.h"
#include "../transport/scsi.h"

struct engine;
struct target;
struct lun;
struct session;
struct attempt;

enum request_op {
	REQUEST_READ, REQUEST_WRITE, REQUEST_FLUSH, REQUEST_TRIM, REQUEST_ZERO, REQUEST_CACHE, REQUEST_STATUS,
};

/* What REQUEST_STATUS tells of a range. */
struct request_extent {
	uint32_t len;   /* bytes */
	uint32_t flags; /* 1: no space is taken; 2: reads as zeroes */
};
#define REQUEST_EXTENT_HOLE 1U
#define REQUEST_EXTENT_ZERO 2U
#define REQUEST_EXTENTS_MAX 1024

/* One thing a client asked for. The first part is the client's, set before engine_submit(). */
struct request {
	struct lun *lun;
	uint8_t op;          /* enum request_op */
	bool fua, no_hole;
	bool fast;           /* ZERO: ENOTSUP where every block would have to be sent */
	bool one;            /* STATUS: one extent is enough */
	uint64_t offset;     /* bytes, any alignment, checked against the size by the client side */
	uint32_t len;        /* bytes, not 0 but for a flush */
	struct buf *buf;     /* WRITE: payload. STATUS: NULL, then the extents. READ: filled in; the engine may put another in its place */
	uint8_t *data;       /* WRITE: first byte of the payload in buf. READ: set by the engine when done */
	uint32_t nextents;   /* STATUS: how many lie at data, in order from offset, none past the end; at least one */
	int err;             /* result: 0 or a positive errno */

	/* The engine's own. */
	uint8_t phase;
	bool exclusive;      /* partial blocks: read, modify, write */
	bool tainted;        /* a late answer may still write into the buffer */
	struct list won;     /* ios whose bytes are not in the buffer because of that */
	bool volatile_part;  /* FUA, and a part of it was written without */
	uint32_t epoch;      /* lun->epoch when its body began */
	bool redo;           /* the target can't do it this way: the body starts again another way */
	uint16_t ios_out;    /* ios not finished */
	uint16_t asked;      /* STATUS: commands sent */
	uint64_t started;    /* engine time */
	uint64_t lba, blocks; /* the aligned range that covers it */
	uint64_t body_lba, body_end, cursor; /* blocks of the body; the first not yet sent */
	struct buf *bounce;  /* blocks that are read before they are changed */
	uint64_t held;       /* bytes of memory: buf and bounce */
	struct list link;    /* on lun->requests, from engine_submit() to request_done() */
	struct range range;  /* in lun->writers while it changes blocks */
	uint64_t order;      /* among lun->writers */
	unsigned blockers;   /* earlier writers of its blocks that are not done */
	struct list wait;    /* on lun->ready, or lun->fenced */
};

enum event_level { EVENT_INFO, EVENT_WARNING, EVENT_ERROR };

/* The story of one lost session, in microseconds of engine time; 0: it did not happen. */
struct event_failover {
	uint64_t noticed_us, verdict_us, resubmitted_us, first_good_us, fence_end_us;
	unsigned moved;      /* commands that were in flight */
	uint64_t bytes;      /* theirs */
	const char *by;      /* what it was noticed by */
	const char *fence;   /* what ended the last doubt, "" without one */
};

struct event {
	uint64_t seq;        /* 1, 2, 3, ... */
	uint64_t at_us;      /* engine time */
	uint8_t level;
	const char *kind;    /* static: "path-failed", "path-restored", "lun-degraded", ... */
	const char *lun;     /* export name, or NULL */
	const char *path;    /* path or session name, or NULL */
	const char *text;    /* one sentence */
	const struct event_failover *failover; /* of kind "failover", else NULL */
};

struct engine_ops {
	size_t attempt_room; /* bytes of private room behind each struct scsi_cmd the engine makes */

	/*
	 * Connect and log in to session->portal. The answer is engine_session_up() or
	 * engine_session_lost(), never from inside. *io of session_io() may be set.
	 */
	void (*session_start)(void *arg, struct session *s);
	/* Forget this session's connection, now: afterwards none of its commands' buffers is touched. */
	void (*session_kill)(void *arg, struct session *s);
	/* The same with a polite logout; nothing is in flight. */
	void (*session_logout)(void *arg, struct session *s);
	/* Send cmd. 0, or -errno: it was not sent. The answer is engine_cmd_done(). */
	int (*submit)(void *arg, struct session *s, struct scsi_cmd *cmd);
	/* Send a NOP-Out. The answer is engine_session_pong(). */
	int (*probe)(void *arg, struct session *s);
	/* Microseconds since this session's connection received any byte. */
	uint64_t (*silence)(void *arg, struct session *s);
	/* SendTargets on every portal of a target. Each answer is an engine_discovered(). */
	void (*discover)(void *arg, struct target *t);
	/* The request is the owner's again; r->err is set. */
	void (*request_done)(void *arg, struct request *r);
	/* An export appeared or its name, size or read-only flag changed. */
	void (*lun_ready)(void *arg, struct lun *l);
	/* The export is going away: l is freed when this returns. Nothing is queued on it. */
	void (*lun_gone)(void *arg, struct lun *l);
	/* There may be room again for requests that engine_admit() refused. */
	void (*room)(void *arg);
	/* Something an administrator wants to know. ev is valid inside the call. */
	void (*event)(void *arg, const struct event *ev);
};

/* seed: for jitter and ISIDs. pool: data buffers; may be shared with the owner. NULL: out of memory. */
struct engine *engine_new(const struct engine_ops *ops, void *arg, struct buf_pool *pool,
			  uint64_t seed);

struct flight;
/* Before the first engine_configure(): writes under way are recorded there, and what it holds already is fenced. It stays the owner's. */
void engine_record(struct engine *e, struct flight *f);

/* Kills all sessions and gives every request back with ESHUTDOWN, which no client gets to see. */
void engine_free(struct engine *e);

/* Monotonic microseconds; never goes back. Call before any other engine_… function of a turn. */
void engine_set_time(struct engine *e, uint64_t now_us);

/* When the engine wants engine_tick(); UINT64_MAX: never. */
uint64_t engine_deadline(const struct engine *e);

/* Runs what is due. */
void engine_tick(struct engine *e);

/*
 * Applies c as a difference to what runs; called once to begin, then at each reload. The engine keeps
 * pointers into c until the next engine_configure() has returned: free the old one after that.
 */
void engine_configure(struct engine *e, const struct conf *c);

/* ---- what the client side tells ---- */

/* Takes r over. It comes back through request_done, possibly before this returns. */
void engine_submit(struct engine *e, struct request *r);

/* May a request of len bytes be taken in? Bounds memory: see max_inflight_bytes, no_path_max_bytes. */
bool engine_admit(struct engine *e, struct lun *l, uint64_t len);

/* lun->users went down to 0: one whose last path was removed may go now (lun_gone). */
void engine_lun_unused(struct engine *e);

/* ---- what the wire side tells ---- */

void engine_session_up(struct engine *e, struct session *s);

enum session_loss {
	SESSION_LOSS_CONNECT,
	SESSION_LOSS_LOGIN,
	SESSION_LOSS_CLOSED, /* the target closed or reset the connection: it knows that the session is over */
	SESSION_LOSS_ERROR,  /* this side gave it up, after an error of the connection or the protocol */
	SESSION_LOSS_LOGOUT,
	SESSION_LOSS_LINK, /* the local interface lost its carrier or its address */
};

/*
 * The session is gone, or never came up. The engine calls session_kill() itself. Ignored when the
 * session is down already.
 */
void engine_session_lost(struct engine *e, struct session *s, enum session_loss why,
			 const char *text);

/* cmd (from submit) has finished; its outcome is filled in. */
void engine_cmd_done(struct engine *e, struct scsi_cmd *cmd);

void engine_session_pong(struct engine *e, struct session *s);

/* portals: numeric; n < 0: discovery failed, text says why. t by name: it may be gone by now. */
void engine_discovered(struct engine *e, const char *target_name, char *const *portals, int n,
		       const char *text);

/* A local interface came back: sessions that wait to log in through it try at once. interface NULL: all. */
void engine_link_up(struct engine *e, const char *interface);

/* ---- what the administrator asks; 0 or -errno (-ENOENT unknown, -EINVAL) ---- */

int engine_path_disable(struct engine *e, const char *path);
int engine_path_enable(struct engine *e, const char *path);
int engine_path_drain(struct engine *e, const char *path);
/* REPORT LUNS on every session, SendTargets on every target with discovery, now. */
void engine_rescan(struct engine *e);
int engine_lun_policy(struct engine *e, const char *lun, const char *policy);

/* Stop taking new work: kill every session politely once it is idle. engine_idle() tells when. */
void engine_shutdown(struct engine *e);
bool engine_idle(const struct engine *e);
/* Is any write of a lost session still in doubt? */
bool engine_in_doubt(const struct engine *e);

/*
 * Before the end, when nothing is under way any more: gives the registrations of all paths up (persistent
 * reservations, SPC-4 5.13.11). True while answers are outstanding: to be called again.
 */
bool engine_release(struct engine *e);

#endif
