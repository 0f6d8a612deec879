/* SPDX-License-Identifier: MIT */
/*
 * What the engine is made of. Only daemon/ reads this; whoever shows state (the control socket)
 * reads and never writes.
 *
 *   target 1--n session (one portal each) 1--n path n--1 lun
 *
 * A session owns its attempts in flight, a lun its requests and the ios that wait. One function
 * changes session->state (session_set_state), one path->state (path_set_state).
 */
#ifndef DAEMON_MODEL_H
#define DAEMON_MODEL_H

#include "engine.h"
#include "heap.h"
#include "../policy/dsm.h"
#include "../policy/groups.h"
#include "../policy/health.h"
#include "../policy/policy.h"

enum session_state {
	SESSION_DOWN,        /* waits for its back-off timer, or for portal name resolution */
	SESSION_CONNECTING,  /* connect and login under way */
	SESSION_IDENTIFYING, /* logged in; identities are being read, no I/O yet */
	SESSION_UP,
	SESSION_SUSPECT,     /* silent for longer than it should be; a probe is out */
	SESSION_DISABLED,    /* by an administrator */
};

enum path_state {
	PATH_DOWN,        /* its session is not up */
	PATH_IDENTIFYING, /* identity being read on this login */
	PATH_USABLE,
	PATH_REFUSED,     /* another identity or size than before, or the 33rd path */
	PATH_FAILED,      /* the LUN does not answer as it should; re-identified with back-off */
	PATH_DISABLED,    /* by an administrator */
	PATH_DRAINING,    /* by an administrator: takes no new I/O; disabled once empty */
};

struct counters {
	uint64_t reads, writes, read_bytes, write_bytes;
	uint64_t errors;   /* outcomes other than success */
	uint64_t retries;  /* ios that had to be tried again because of this path */
	uint64_t failures; /* times the path went from usable to not usable */
};

/* One try of an io (or of a command of identification: io NULL) on one session. */
struct attempt {
	struct list link;      /* session->inflight, in order of submission */
	struct list sibling;   /* io->attempts; alone when the io is gone (a hedge that lost) */
	struct io *io;
	struct session *session;
	struct path *path;     /* NULL: belongs to the session (REPORT LUNS) */
	void (*done)(struct engine *e, struct attempt *a); /* io NULL: who gets the outcome */
	void (*lost)(struct engine *e, struct attempt *a); /* io NULL: its session is gone, or NULL */
	struct buf *buf;       /* one reference: these bytes are in use until the command is over */
	uint64_t started;
	uint32_t load_bytes;   /* what it added to session->load */
	bool hedge;
	uint32_t record;       /* of the flight recorder, while it changes blocks; 0: none */
	bool wrong_lun;        /* it may be: sent before the path was asked who it is now */
	void *owner;           /* of whom done() is, where the path does not say it */
	struct scsi_cmd *cmd;  /* behind this struct, with ops->attempt_room bytes */
};

enum io_op { IO_READ, IO_WRITE, IO_SYNC, IO_UNMAP, IO_WRITE_SAME, IO_PREFETCH, IO_STATUS };

/* A piece of a request that one SCSI command can do. */
struct io {
	struct request *req;
	struct list link;      /* lun->waiting, lun->delayed, or alone while in flight */
	struct list attempts;  /* tries under way, none or one, two when hedged */
	struct timer timer;    /* a retry after a delay */
	uint32_t stay;         /* id of the path to try again on, 0: any */
	uint64_t lba;
	uint32_t blocks;
	uint8_t op;            /* enum io_op */
	bool waiting;          /* on lun->waiting */
	bool fua;
	uint8_t *data;         /* where its bytes are, inside buf */
	struct buf *buf;       /* borrowed from the request */
	struct buf *won;       /* READ, done: what a hedge brought, while its late twin may still write to data */
	unsigned tries;
	uint64_t failing_since; /* first failure; 0: none yet */
	bool hedged;
	uint32_t tried[4];     /* ids of the last paths that failed it */
	uint8_t ntried;
	struct failover *fo;   /* the first loss that moved it, or NULL */
};

struct path {
	char name[192];        /* "TARGET/PORTAL/LUN" */
	uint32_t id;
	struct session *session;
	uint16_t lun_number;
	struct lun *lun;       /* bound at the first identification; NULL before */
	struct list in_lun, in_session;
	enum path_state state;
	uint64_t since;        /* of the last change of state */
	char reason[200];      /* of the last bad state */
	struct policy_path view; /* what a policy sees */
	struct timer timer;    /* re-identification of a failed or refused path */
	unsigned identify_tries;
	struct identify *identify; /* while it is being read */
	int port_group, relative_port; /* of the target port, from VPD 83h; -1: not given */
	uint8_t alua;          /* enum dsm_alua of its port group; AO where there are no groups */
	struct attempt *verify; /* the module's probe under way */
	struct attempt *measure; /* READ CAPACITY(16) under way, for growth */
	uint64_t measured;     /* bytes, as it last said; 0: unreadable */
	uint32_t measured_block;
	uint64_t registered;   /* its key in the persistent reservation; 0: none */
	uint64_t reserve_want, reserve_stale;
	struct attempt *reserve_out; /* while it registers */
	struct attempt *release_out; /* while it gives its registration up */
	unsigned reserve_step, reserve_take, reserve_tries;
	bool size_unread;      /* its port group was not active: to be read before any I/O on it */
	bool mode_unread;      /* MODE SENSE met a reservation: read it once the path has registered */
	bool admin_disabled;
	uint64_t gone_since;   /* the target reports this LUN no more; 0: it does */
	bool ignored;          /* no disk (a controller LUN, say): not shown, not retried */
	uint32_t inflight;     /* ios */
	uint64_t usable_since;
	struct counters n;
};

struct session {
	char name[160];        /* "TARGET/PORTAL", or "TARGET/PORTAL%INTERFACE" */
	uint32_t id;
	struct engine *e;
	struct target *target;
	char *portal;          /* ADDR:PORT as configured or discovered; may hold a host name */
	char *interface;       /* or NULL */
	uint32_t isid;         /* 24 bits; the same for each login of this session */
	int tpgt;              /* target portal group tag of the last login, -1: not known */
	bool closed_by_target; /* how the last login ended */
	bool aux;              /* not a session of a target: see nexus.c */
	void (*told)(struct engine *e, struct session *s, bool up); /* aux: it is up, or lost */
	void *owner;           /* aux */
	bool discovered;       /* not in the configuration */
	unsigned reported;     /* the round of discovery that reported it last */
	unsigned missing;      /* rounds in a row that did not */
	struct list in_target;
	enum session_state state;
	uint64_t since;
	char reason[200];
	struct timer timer;    /* one deadline: back-off, oldest command, probe, idle probe */
	struct health health;
	struct list inflight;  /* struct attempt, oldest first */
	struct list paths;
	struct policy_load load;
	uint32_t window;       /* shrunk by BUSY and TASK SET FULL, grows back */
	uint64_t window_cut;   /* when it was last shrunk */
	uint64_t last_rx;      /* last sign of life, as far as the engine knows */
	uint64_t watch_us;     /* how long silence is fine, as of the last look */
	uint64_t suspect_since; /* 0: not suspect */
	uint64_t probe_sent;   /* when the probe that is out was sent; 0: none is */
	bool scanning, rescan; /* REPORT LUNS is running; once more after it */
	bool identified;       /* all paths were identified since this login */
	unsigned scan_tries;
	bool admin_disabled, removing;
	uint64_t logins, losses;
	uint32_t flight;       /* its number there, of the login recorded_login */
	uint64_t recorded_login;
	void *io;              /* the adapter's */
};

struct target {
	const struct conf_target *conf;
	struct list sessions, in_engine;
	struct list trusts;    /* what is known of its portal groups: nexus.c */
	struct timer discover; /* the next look for portals and LUNs */
	unsigned round, answers; /* of SendTargets: which, and how many portals answered it */
};

#define RESERVE_KEYS 64 /* of one LUN, that are shown */

enum lun_state { LUN_OK, LUN_DEGRADED, LUN_NO_PATH };

struct lun {
	struct engine *e;
	struct list in_engine;
	char name[SCSI_ID_MAX]; /* of the export */
	char id[SCSI_ID_MAX];
	char serial[64];
	struct scsi_inquiry inquiry;
	uint64_t size;         /* bytes; 0: no path was ever identified, not exported yet */
	uint64_t reported;     /* what the target says it is now: size, or more when it has grown */
	uint32_t block_size;
	struct scsi_block_limits limits;
	struct scsi_provisioning prov;
	bool write_protect, dpofua;
	bool fua_refused, no_write_same, no_unmap, sync10; /* what the target turned out not to do */
	bool no_prefetch, no_lba_status;
	bool reads_zero;       /* what is deallocated reads as zeroes */
	uint64_t key;          /* reservation_key as it was when the LUN was first seen, 0: none */
	bool key_known;
	uint32_t flight;       /* its number in the flight recorder; 0: not asked for yet */
	bool recalled;         /* what an earlier process left there was looked at */
	bool write_lost;       /* the storage reported a deferred write error: the next flush fails */
	const struct dsm *dsm;
	uint8_t tpgs;          /* of INQUIRY; 0: no port groups, or the module does not follow them */
	bool rtpg_short;       /* it does not do the extended form */
	struct scsi_groups groups; /* as last reported */
	uint64_t transition_since; /* since when some group is in transition; 0: none is */
	struct groups_state moves; /* what SET TARGET PORT GROUPS did so far */
	struct attempt *moving; /* SET TARGET PORT GROUPS under way */
	unsigned move_tries;
	struct timer verify;   /* the next probe of all paths */
	unsigned measuring;    /* paths whose size is being read again */
	const struct conf_lun *conf;      /* its section, or NULL */
	const struct conf_hardware *hardware; /* the section of its vendor and product, or NULL */
	struct conf_opts opts;             /* what the configuration says for this LUN */
	const struct conf_opts *opt;       /* &opts */
	const struct policy *policy;
	bool policy_by_admin;
	struct policy_state policy_state;
	struct list paths;
	int npaths;
	enum lun_state state;
	uint64_t since;
	uint32_t epoch;        /* counts identifications: before a new login the target may have lost power */
	struct list requests;  /* all the engine has, oldest first */
	struct list waiting;   /* ios waiting for a path or a window, oldest first */
	struct list delayed;   /* ios waiting for their timer */
	struct range_tree writers; /* requests that change blocks */
	uint64_t writers_seen;
	struct list ready;     /* requests whose last blocker is done */
	struct range_tree fences;
	struct list doubts, fenced; /* struct doubt; requests that wait for them */
	unsigned nfences;
	uint64_t nfenced;
	uint64_t fenced_until; /* which blocks is not known: all of them, until then */
	uint32_t all_record;   /* of the flight recorder, for as long */
	struct timer fence_all;
	struct reserve_view {   /* who holds what, as it was last read */
		struct scsi_reservation held;
		uint64_t keys[RESERVE_KEYS];
		int nkeys;
		uint64_t read_at;  /* 0: never */
		bool unsupported;
		struct attempt *out; /* being read */
	} reservation;
	uint64_t queued, queued_bytes; /* requests inside, and their bytes of data */
	uint64_t nwaiting;     /* ios on waiting */
	uint64_t no_path_since; /* valid while state is LUN_NO_PATH */
	bool no_path_failed;   /* no_path_timeout ran out: fail at once until a path returns */
	bool had_path;         /* there was a usable path once */
	struct timer no_path;
	bool announced;
	int users;             /* NBD connections, kept by the adapter */
	void *io;              /* the adapter's */
};

struct engine {
	const struct engine_ops *ops;
	void *arg;
	struct buf_pool *pool;
	uint64_t now;
	uint64_t seed;
	const struct conf *conf;
	struct list targets, luns;
	struct heap heap;
	uint32_t next_id;
	uint64_t event_seq;
	uint32_t inflight;     /* attempts under way */
	uint64_t inflight_bytes; /* of all requests inside */
	uint64_t nwaiting;     /* ios on the waiting lists of all luns */
	struct buf *zeroes;    /* payload of WRITE SAME and of its fallback */
	bool starved;          /* engine_admit() said no since the last room() */
	bool stopping;
	bool configuring;      /* LUNs without paths may get new ones before this is over */
	struct list doubts, enders, failovers;
	struct flight *flight; /* the owner's; or NULL */
	uint32_t next_key;     /* of persistent reservations, the low 16 bits */
	uint8_t mutate;        /* enum engine_mutation */
	struct list free_attempts, free_ios;
};

/* Ways to break the engine, for t/sim to see that its checks notice. */
enum engine_mutation {
	ENGINE_SOUND,
	ENGINE_SKIP_FENCE,
	ENGINE_DROP_RETRY,
	ENGINE_COMPLETE_TWICE,
	ENGINE_FLUSH_EARLY,
};

const char *session_state_name(enum session_state s);
const char *path_state_name(const struct path *p); /* what users see: also marginal, suspect */
const char *lun_state_name(enum lun_state s);

#endif
