/* SPDX-License-Identifier: MIT */
/*
 * The table of verdicts by the letter of the standards (SAM-5, SPC-4 r37, SBC-3 r36, RFC 7143). Its first row
 * that matches decides, so special rows stand above general ones, and the last row takes all.
 */
#ifndef POLICY_VERDICT_H
#define POLICY_VERDICT_H

#include "dsm.h"

#define VERDICT_ANY 0x100 /* no value of a byte */

/* How long to wait before the same path is asked again: doubling from the first figure to the second. */
enum verdict_pause {
	PAUSE_NONE,
	PAUSE_SWEPT,    /* 1..100 ms: swept out of a queue, nothing has to become free */
	PAUSE_CROWDED,  /* 10..500 ms: a queue has to drain */
	PAUSE_STARTING, /* 100..1000 ms: something starts up, seconds rather */
};

/* For err: no place at this block. A write runs into the end of the device (ENOSPC), a read is an EIO. */
#define VERDICT_ERR_RANGE (-1)

struct verdict_row {
	uint8_t outcome;             /* enum scsi_outcome */
	uint16_t status, key, asc, ascq; /* or VERDICT_ANY; looked at when outcome is SCSI_OUT_STATUS */
	uint8_t action;              /* enum dsm_action */
	uint8_t alua;                /* enum dsm_alua */
	uint16_t effects;            /* enum dsm_effect bits */
	uint8_t pause;               /* enum verdict_pause */
	int err;
	const char *clause;          /* of the standard it follows */
	const char *why;             /* "" for success; no two rows have the same */
};

extern const struct verdict_row verdict_rows[];
extern const int verdict_nrows;

/* The row for a command that ended with a status of its own, or below SCSI; never NULL. */
const struct verdict_row *verdict_find(const struct scsi_cmd *c);

/* Milliseconds before try number `attempt` + 1 (0: the first retry). */
uint32_t verdict_pause_ms(enum verdict_pause p, unsigned attempt);

#endif
