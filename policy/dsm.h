/* SPDX-License-Identifier: MIT */
/*
 * Device-specific modules: what an outcome of a command means on this storage. Pure.
 */
#ifndef POLICY_DSM_H
#define POLICY_DSM_H

#include <stdbool.h>
#include <stdint.h>
#include "../transport/scsi.h"

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
	DSM_UNSUPPORTED = 1 << 5 /* the target does not know this command or a field of it */
};

struct dsm_verdict {
	uint8_t action;      /* enum dsm_action */
	uint8_t effects;     /* enum dsm_effect bits */
	int err;             /* positive errno for DSM_CLIENT_ERROR */
	uint32_t delay_ms;   /* for DSM_SAME_PATH */
	const char *why;     /* static text for the log; "" for plain success */
};

struct dsm {
	const char *name;
	/* Is this storage ours? Asked in the order of dsm_all; the first yes keeps the LUN. */
	bool (*claim)(const struct scsi_inquiry *inq);
	/* c is done; attempt is how often this I/O was tried before (0 = first), for the delay. */
	struct dsm_verdict (*verdict)(const struct scsi_cmd *c, unsigned attempt);
};

extern const struct dsm dsm_generic;
extern const struct dsm *const dsm_all[]; /* NULL-terminated; generic, which claims all, last */

const struct dsm *dsm_claim(const struct scsi_inquiry *inq);

#endif
