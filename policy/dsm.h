/* SPDX-License-Identifier: MIT */
/*
 * Device-specific modules: which storage is whose, and what an outcome of a command means on it.
 * Pure. Adding one is a new file here and one row in dsm.c (CONTRIBUTING.md).
 *
 * Claim order: vendor modules, then the ALUA-aware generic one, then the generic one, which takes
 * whatever is left; the first claim wins and is exclusive. A [hardware] section may name a module
 * outright.
 */
#ifndef POLICY_DSM_H
#define POLICY_DSM_H

#include <stdbool.h>
#include <stdint.h>
#include "../transport/scsi.h"

/* What a module may look at when it claims a LUN; valid inside the call. */
struct dsm_device {
	const struct scsi_inquiry *inquiry;
	const struct scsi_device_id *id;
	const char *serial; /* VPD 80h, "" without it */
};

enum dsm_action {
	DSM_DONE,        /* success */
	DSM_CLIENT_ERROR,/* the storage said no: give the client `err` */
	DSM_SAME_PATH,   /* again on the same path after delay_ms */
	DSM_OTHER_PATH,  /* again at once, on another path if there is one */
	DSM_FAIL_PATH,   /* this path is no good (the LUN is not behind it): fail it, then as OTHER_PATH */
};

/* Side effects, a bit mask; they apply whatever the action is. */
enum dsm_effect {
	DSM_REIDENTIFY = 1 << 0, /* read the identity again before another I/O goes to that path */
	DSM_RESCAN = 1 << 1,     /* REPORT LUNS again on that session */
	DSM_REGROW = 1 << 2,     /* READ CAPACITY again */
	DSM_SHRINK_WINDOW = 1 << 3, /* the target is overrun: fewer in flight on that session */
	DSM_COUNTED = 1 << 4,    /* counts as a retry in the statistics */
	DSM_UNSUPPORTED = 1 << 5,/* the target does not know this command or a field of it */
	DSM_REGROUP = 1 << 6,    /* read the target port groups again (RTPG) */
	DSM_WRITE_LOST = 1 << 7, /* an acknowledged write failed in the storage's cache: fail the next flush */
};

/* Asymmetric access states as RTPG reports them (SPC-4 6.37, table 307). */
enum dsm_alua {
	DSM_ALUA_AO = 0x0,
	DSM_ALUA_AU = 0x1,
	DSM_ALUA_STANDBY = 0x2,
	DSM_ALUA_UNAVAILABLE = 0x3,
	DSM_ALUA_OFFLINE = 0xe,
	DSM_ALUA_TRANSITIONING = 0xf,
	DSM_ALUA_UNKNOWN = 0xff, /* in a verdict: it says nothing about the state */
};

struct dsm_verdict {
	uint8_t action;      /* enum dsm_action */
	uint16_t effects;    /* enum dsm_effect bits */
	uint8_t alua;        /* enum dsm_alua: what the path's port group turned out to be in */
	int err;             /* positive errno for DSM_CLIENT_ERROR */
	uint32_t delay_ms;   /* for DSM_SAME_PATH */
	const char *why;     /* static text for the log; "" for plain success */
};

/* What tells whether a LUN still answers on an idle path. */
enum dsm_probe { DSM_PROBE_TUR, DSM_PROBE_RTPG };

struct dsm {
	const char *name;
	const char *help;    /* one line: which storage, which habits */
	/* Is this storage ours? */
	bool (*claim)(const struct dsm_device *d);
	/*
	 * Another identifier than the usual choice among the designators (d->id->id). True: it is in
	 * out. NULL: never.
	 */
	bool (*identity)(const struct dsm_device *d, char *out, size_t cap);
	/* c is done; attempt is how often this I/O was tried before (0 = first), for the delay. */
	struct dsm_verdict (*verdict)(const struct scsi_cmd *c, unsigned attempt);
	enum dsm_probe probe;
	bool groups;         /* follow target port groups (RTPG, and STPG where TPGS says explicit) */
	bool set_groups;     /* may change them with SET TARGET PORT GROUPS */
	/* PREEMPT of the key that made the reservation breaks it: it is to be made anew first, by who stays. */
	bool reserve_before_preempt;
	const char *policy;  /* default policy of this storage; NULL: see dsm_default_policy() */
};

/*
 * The LUN's module. forced: the name from a [hardware] section, or NULL; an unknown one is ignored
 * (conf has refused it).
 */
const struct dsm *dsm_claim(const struct dsm_device *d, const char *forced);
const struct dsm *dsm_find(const char *name); /* NULL if there is none of that name */

/*
 * By what the storage reports: round-robin for active/active without ALUA, round-robin-subset where access is
 * asymmetric (facts of Microsoft MPIO); the module's own default goes before.
 */
const char *dsm_default_policy(const struct dsm *m, bool asymmetric);

/* Storage must be SPC-3 or newer (INQUIRY version >= 5) unless a hardware section lists it. */
bool dsm_version_ok(const struct scsi_inquiry *inq, bool listed);

/* The verdict by the letter of the standards; vendor modules call it for what they do not know better. */
struct dsm_verdict dsm_standard_verdict(const struct scsi_cmd *c, unsigned attempt);

extern const struct dsm dsm_lio, dsm_tgt, dsm_alua, dsm_generic;
extern const struct dsm *const dsm_all[]; /* NULL-terminated, in the order of claims */

#endif
