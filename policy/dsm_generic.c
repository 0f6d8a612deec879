/* SPDX-License-Identifier: MIT */
/*
 * The generic device-specific module, for storage that nobody else claims: verdicts by the letter
 * of the standards (SAM-5, SPC-4 r37, SBC-3 r36), no habits of any vendor. One table; its first row
 * that matches decides, so special rows stand above general ones, and the last row takes all.
 *
 * Two rules hold whatever a target says: an I/O is done only if all of its bytes have moved, and
 * what is not understood is tried elsewhere (a status) or told to the client (a sense key), never
 * taken for success.
 */
#include <errno.h>
#include "dsm.h"

#define ANY 0x100 /* no value of a byte */

/* For err: no place at this block. A write runs into the end of the device, a read is an error. */
#define ERR_RANGE (-1)

/* How long to wait before the same path is asked again: doubling from min to max. */
enum pause { AT_ONCE, SWEPT, CROWDED, STARTING };

static const struct {
	uint16_t min_ms, max_ms;
} pauses[] = {
	[AT_ONCE] = { 0, 0 },
	[SWEPT] = { 1, 100 },	    /* swept out of a queue: nothing has to become free */
	[CROWDED] = { 10, 500 },    /* a queue has to drain */
	[STARTING] = { 100, 1000 }, /* something starts up: seconds rather */
};

struct row {
	uint16_t status, key, asc, ascq;
	enum dsm_action action;
	unsigned effects;
	int err;
	enum pause pause;
	const char *why;
};

#define CHECK(key, asc, ascq) SCSI_ST_CHECK_CONDITION, SCSI_KEY_##key, asc, ascq
#define STATUS(status) SCSI_ST_##status, ANY, ANY, ANY

/* Columns: what the target said, action, effects, errno, pause, why. */
static const struct row rows[] = {
	/* SAM-5 5.3.1: no room, in the queue or anywhere. The command has not run. */
	{ STATUS(BUSY), DSM_SAME_PATH, DSM_SHRINK_WINDOW, 0, CROWDED, "busy" },
	{ STATUS(TASK_SET_FULL), DSM_SAME_PATH, DSM_SHRINK_WINDOW, 0, CROWDED, "task set full" },
	/* SAM-5 5.3.1: another initiator's reset or abort took it along (TAS, SPC-4 7.5.8). */
	{ STATUS(TASK_ABORTED), DSM_SAME_PATH, 0, 0, SWEPT, "task aborted" },
	/* SAM-5 5.3.1: an ACA of another command; it goes away when its owner clears it. */
	{ STATUS(ACA_ACTIVE), DSM_SAME_PATH, DSM_COUNTED, 0, CROWDED, "ACA active" },
	/* SPC-4 5.13.1: someone else owns the disk. On another path it might succeed: never try. */
	{ STATUS(RESERVATION_CONFLICT), DSM_CLIENT_ERROR, 0, EIO, AT_ONCE, "reservation conflict" },

	/* SPC-4 4.5.6, key 0h and 1h: the command is completed. All bytes there? See done(). */
	{ CHECK(NO_SENSE, ANY, ANY), DSM_DONE, 0, 0, AT_ONCE, "" },
	{ CHECK(RECOVERED_ERROR, ANY, ANY), DSM_DONE, 0, 0, AT_ONCE, "" },

	/* SPC-4 4.5.6, key 2h. 04/01: in process of becoming ready. */
	{ CHECK(NOT_READY, 0x04, 0x01), DSM_SAME_PATH, DSM_COUNTED, 0, STARTING, "becoming ready" },
	/* 04/03: manual intervention required, as a controller says that loads new firmware. */
	{ CHECK(NOT_READY, 0x04, 0x03), DSM_OTHER_PATH, DSM_COUNTED, 0, AT_ONCE,
	  "not ready, intervention required" },
	/* SPC-4 5.15.2.5 and 5.15.2.4: the port's access state. */
	{ CHECK(NOT_READY, 0x04, 0x0a), DSM_OTHER_PATH, DSM_REIDENTIFY, 0, AT_ONCE,
	  "access state in transition" },
	{ CHECK(NOT_READY, 0x04, 0x0b), DSM_OTHER_PATH, DSM_REIDENTIFY, 0, AT_ONCE,
	  "target port in standby state" },
	{ CHECK(NOT_READY, 0x04, 0x0c), DSM_OTHER_PATH, DSM_REIDENTIFY, 0, AT_ONCE,
	  "target port in unavailable state" },
	{ CHECK(NOT_READY, 0x3a, ANY), DSM_CLIENT_ERROR, 0, EIO, AT_ONCE, "medium not present" },
	{ CHECK(NOT_READY, ANY, ANY), DSM_SAME_PATH, DSM_COUNTED, 0, STARTING, "not ready" },

	/* SPC-4 4.5.6, key 3h and 4h: the same on every path. */
	{ CHECK(MEDIUM_ERROR, ANY, ANY), DSM_CLIENT_ERROR, 0, EIO, AT_ONCE, "medium error" },
	/* 04/67/0A: SET TARGET PORT GROUPS failed (SPC-4 6.45). */
	{ CHECK(HARDWARE_ERROR, 0x67, 0x0a), DSM_OTHER_PATH, DSM_COUNTED, 0, AT_ONCE,
	  "setting the access state failed" },
	{ CHECK(HARDWARE_ERROR, ANY, ANY), DSM_CLIENT_ERROR, 0, EIO, AT_ONCE, "hardware error" },

	/* SPC-4 4.5.6, key 5h. 20/00, 24/00, 26/00: this opcode, CDB or parameter field. */
	{ CHECK(ILLEGAL_REQUEST, 0x20, 0x00), DSM_CLIENT_ERROR, DSM_UNSUPPORTED, ENOTSUP, AT_ONCE,
	  "invalid command operation code" },
	{ CHECK(ILLEGAL_REQUEST, 0x24, 0x00), DSM_CLIENT_ERROR, DSM_UNSUPPORTED, ENOTSUP, AT_ONCE,
	  "invalid field in CDB" },
	{ CHECK(ILLEGAL_REQUEST, 0x26, 0x00), DSM_CLIENT_ERROR, DSM_UNSUPPORTED, ENOTSUP, AT_ONCE,
	  "invalid field in parameter list" },
	/* SPC-4 4.5.6, 21/00: beyond the last block. */
	{ CHECK(ILLEGAL_REQUEST, 0x21, 0x00), DSM_CLIENT_ERROR, 0, ERR_RANGE, AT_ONCE,
	  "logical block address out of range" },
	/* SPC-4 4.5.6, 25/00: there is no such LUN behind this port. */
	{ CHECK(ILLEGAL_REQUEST, 0x25, 0x00), DSM_FAIL_PATH, DSM_COUNTED, 0, AT_ONCE,
	  "logical unit not supported" },
	{ CHECK(ILLEGAL_REQUEST, ANY, ANY), DSM_CLIENT_ERROR, 0, EIO, AT_ONCE, "illegal request" },

	/* SAM-5 5.14, key 6h: news for this nexus; the command has not run. */
	{ CHECK(UNIT_ATTENTION, 0x2a, 0x04), DSM_SAME_PATH, 0, 0, AT_ONCE,
	  "reservations released" },
	/* SPC-4 5.15.2: the path's place among the others has changed. */
	{ CHECK(UNIT_ATTENTION, 0x2a, 0x06), DSM_OTHER_PATH, DSM_REIDENTIFY, 0, AT_ONCE,
	  "asymmetric access state changed" },
	{ CHECK(UNIT_ATTENTION, 0x2a, 0x07), DSM_OTHER_PATH, DSM_REIDENTIFY, 0, AT_ONCE,
	  "implicit access state transition failed" },
	{ CHECK(UNIT_ATTENTION, 0x2a, 0x09), DSM_SAME_PATH, DSM_COUNTED | DSM_REGROW, 0, AT_ONCE,
	  "capacity data has changed" },
	/*
	 * SBC-3 4.7.3: the soft threshold of the thin pool. A warning, there is room still: the command
	 * runs when it is sent again. 07/27/07 is the one that says the pool is full.
	 */
	{ CHECK(UNIT_ATTENTION, 0x38, 0x07), DSM_SAME_PATH, DSM_COUNTED, 0, AT_ONCE,
	  "thin provisioning soft threshold reached" },
	/* SPC-4 6.6 (INQUIRY): it may be another LUN from here on. */
	{ CHECK(UNIT_ATTENTION, 0x3f, 0x03), DSM_OTHER_PATH, DSM_COUNTED | DSM_REIDENTIFY, 0,
	  AT_ONCE, "inquiry data has changed" },
	/* SPC-4 6.33 (REPORT LUNS). */
	{ CHECK(UNIT_ATTENTION, 0x3f, 0x0e), DSM_SAME_PATH, DSM_COUNTED | DSM_RESCAN, 0, AT_ONCE,
	  "reported LUNs data has changed" },
	{ CHECK(UNIT_ATTENTION, ANY, ANY), DSM_SAME_PATH, DSM_COUNTED, 0, AT_ONCE,
	  "unit attention" },

	/* SPC-4 4.5.6, key 7h. 27/07 is SBC-3 4.7.3: no space left in the thin pool. */
	{ CHECK(DATA_PROTECT, 0x27, 0x07), DSM_CLIENT_ERROR, 0, ENOSPC, AT_ONCE,
	  "space allocation failed" },
	{ CHECK(DATA_PROTECT, 0x27, ANY), DSM_CLIENT_ERROR, 0, EPERM, AT_ONCE, "write protected" },
	{ CHECK(DATA_PROTECT, ANY, ANY), DSM_CLIENT_ERROR, 0, EIO, AT_ONCE, "data protect" },

	/* SPC-4 4.5.6, key Bh: the target gave it up; trying again may work. */
	{ CHECK(ABORTED_COMMAND, ANY, ANY), DSM_SAME_PATH, DSM_COUNTED, 0, SWEPT,
	  "aborted command" },
	/* SPC-4 4.5.6, key Eh. */
	{ CHECK(MISCOMPARE, ANY, ANY), DSM_CLIENT_ERROR, 0, EIO, AT_ONCE, "miscompare" },

	/* Keys that disks do not use: 8h, 9h, Ah, Dh, Fh and the reserved ones. */
	{ SCSI_ST_CHECK_CONDITION, ANY, ANY, ANY, DSM_CLIENT_ERROR, 0, EIO, AT_ONCE,
	  "unexpected sense key" },
	/* SAM-5 5.3.1: obsolete and reserved statuses. */
	{ ANY, ANY, ANY, ANY, DSM_OTHER_PATH, DSM_COUNTED, 0, AT_ONCE, "unknown status" },
};

static bool matches(uint16_t want, uint8_t have)
{
	return want == ANY || want == have;
}

/* The last row matches all, so there is always one. */
static const struct row *lookup(const struct scsi_cmd *c)
{
	const struct row *r = rows;

	while (!matches(r->status, c->status) || !matches(r->key, c->sense.key) ||
	       !matches(r->asc, c->sense.asc) || !matches(r->ascq, c->sense.ascq))
		r++;
	return r;
}

static uint32_t pause_ms(enum pause p, unsigned attempt)
{
	uint32_t ms = pauses[p].min_ms, max = pauses[p].max_ms;

	while (attempt-- && ms < max)
		ms *= 2;
	return ms < max ? ms : max;
}

static struct dsm_verdict other_path(unsigned effects, const char *why)
{
	return (struct dsm_verdict){ .action = DSM_OTHER_PATH, .effects = effects, .why = why };
}

/* READ(6), (10), (12), (16): the client gets these bytes, so all of them must have come. */
static bool is_read(const struct scsi_cmd *c)
{
	switch (c->cdb[0]) {
	case 0x08:
	case 0x28:
	case 0xa8:
	case 0x88:
		return true;
	default:
		return false;
	}
}

#define UNMAP 0x42

/*
 * The target says that the command is completed. A residual (RFC 7143 11.4.5) contradicts it for a
 * READ and for all that sends blocks; for INQUIRY and its like it only means a shorter answer than
 * there was room for. So it does for UNMAP, which is advice (SBC-3 4.7.3): tgt says of each that none of
 * its list was transferred, and has done all of it.
 */
static struct dsm_verdict done(const struct scsi_cmd *c)
{
	if (c->got < c->len && c->dir == SCSI_DIR_OUT && c->cdb[0] != UNMAP)
		return other_path(DSM_COUNTED, "short write");
	if (c->got < c->len && is_read(c))
		return other_path(DSM_COUNTED, "short read");
	return (struct dsm_verdict){ .action = DSM_DONE, .why = "" };
}

static struct dsm_verdict answered(const struct scsi_cmd *c, unsigned attempt)
{
	const struct row *r;
	struct dsm_verdict v;

	if (c->status == SCSI_ST_GOOD || c->status == SCSI_ST_CONDITION_MET)
		return done(c);
	/* Without sense data (SPC-4 4.5.1) nobody knows what happened, nor whether it ran. */
	if (c->status == SCSI_ST_CHECK_CONDITION && !c->sense.valid)
		return other_path(DSM_COUNTED, "check condition without sense data");
	r = lookup(c);
	if (r->action == DSM_DONE)
		return done(c);
	v = (struct dsm_verdict){ .action = (uint8_t)r->action,
				  .effects = (uint8_t)r->effects,
				  .err = r->err,
				  .why = r->why };
	if (v.err == ERR_RANGE)
		v.err = c->dir == SCSI_DIR_OUT ? ENOSPC : EIO;
	if (v.action == DSM_SAME_PATH)
		v.delay_ms = pause_ms(r->pause, attempt);
	return v;
}

struct dsm_verdict dsm_standard_verdict(const struct scsi_cmd *c, unsigned attempt)
{
	switch ((enum scsi_outcome)c->outcome) {
	case SCSI_OUT_STATUS:
		return answered(c, attempt);
	case SCSI_OUT_LOST:
		return other_path(DSM_COUNTED, "session lost");
	case SCSI_OUT_REFUSED: /* it has not run: not a retry */
		return other_path(0, "not sent");
	case SCSI_OUT_RESPONSE:
	case SCSI_OUT_ERROR:
		break;
	}
	return other_path(DSM_COUNTED, "unusable answer");
}

static bool claim(const struct dsm_device *d)
{
	return true;
}

const struct dsm dsm_generic = {
	.name = "generic",
	.claim = claim,
	.verdict = dsm_standard_verdict,
	.probe = DSM_PROBE_TUR,
};
