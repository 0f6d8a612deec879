/* SPDX-License-Identifier: MIT */
/*
 * Two rules hold whatever a target says: an I/O is done only if all of its bytes have moved, and
 * what is not understood is tried elsewhere (a status) or told to the client (a sense key), never
 * taken for success.
 */
#include <errno.h>
#include "verdict.h"

#define ANY VERDICT_ANY
#define CHECK(key, asc, ascq)                                                                      \
	SCSI_OUT_STATUS, SCSI_ST_CHECK_CONDITION, SCSI_KEY_##key, asc, ascq
#define STATUS(status) SCSI_OUT_STATUS, SCSI_ST_##status, ANY, ANY, ANY
#define OUTCOME(out) SCSI_OUT_##out, ANY, ANY, ANY, ANY

#define DONE DSM_DONE, DSM_ALUA_UNKNOWN, 0, PAUSE_NONE, 0
#define CLIENT(err) DSM_CLIENT_ERROR, DSM_ALUA_UNKNOWN, 0, PAUSE_NONE, err
#define UNSUPPORTED DSM_CLIENT_ERROR, DSM_ALUA_UNKNOWN, DSM_UNSUPPORTED, PAUSE_NONE, ENOTSUP
#define SAME(effects, pause) DSM_SAME_PATH, DSM_ALUA_UNKNOWN, effects, pause, 0
#define OTHER(effects) DSM_OTHER_PATH, DSM_ALUA_UNKNOWN, effects, PAUSE_NONE, 0
#define FAIL(effects) DSM_FAIL_PATH, DSM_ALUA_UNKNOWN, effects, PAUSE_NONE, 0
#define ACCESS(state) DSM_OTHER_PATH, DSM_ALUA_##state, DSM_REGROUP, PAUSE_NONE, 0

/* Columns: what happened, what to do, the clause, why. */
const struct verdict_row verdict_rows[] = {
	/* Below SCSI. Lost: it may or may not have run, the fence is about that. */
	{ OUTCOME(LOST), OTHER(DSM_COUNTED), "SAM-5 4.5", "session lost" },
	/* It has not run: not a retry. */
	{ OUTCOME(REFUSED), OTHER(0), "RFC 7143 4.2.2", "not sent" },
	/* The iSCSI layer of the target gave the command up; there is no SCSI status. */
	{ OUTCOME(RESPONSE), OTHER(DSM_COUNTED), "RFC 7143 11.4.3", "target failure" },
	{ OUTCOME(ERROR), OTHER(DSM_COUNTED), "RFC 7143 7.1", "unusable answer" },

	{ STATUS(GOOD), DONE, "SAM-5 5.3.1", "" },
	{ STATUS(CONDITION_MET), DONE, "SAM-5 5.3.1", "" },
	/* No room, in the queue or anywhere. The command has not run. */
	{ STATUS(BUSY), SAME(DSM_SHRINK_WINDOW, PAUSE_CROWDED), "SAM-5 5.3.1", "busy" },
	{ STATUS(TASK_SET_FULL), SAME(DSM_SHRINK_WINDOW, PAUSE_CROWDED), "SAM-5 5.3.1",
	  "task set full" },
	/* Another initiator's reset or abort took it along (TAS). */
	{ STATUS(TASK_ABORTED), SAME(0, PAUSE_SWEPT), "SPC-4 7.5.8", "task aborted" },
	/* An ACA of another command; it goes away when its owner clears it. */
	{ STATUS(ACA_ACTIVE), SAME(DSM_COUNTED, PAUSE_CROWDED), "SAM-5 5.3.1", "ACA active" },
	/* Someone else owns the disk. On another path it might succeed: never try. */
	{ STATUS(RESERVATION_CONFLICT), CLIENT(EIO), "SPC-4 5.13.1", "reservation conflict" },

	/* The command is completed. All bytes there? See done() of dsm_generic.c. */
	{ CHECK(NO_SENSE, ANY, ANY), DONE, "SPC-4 4.5.6", "" },
	{ CHECK(RECOVERED_ERROR, ANY, ANY), DONE, "SPC-4 4.5.6", "" },

	{ CHECK(NOT_READY, 0x04, 0x01), SAME(DSM_COUNTED, PAUSE_STARTING), "SPC-4 4.5.6",
	  "becoming ready" },
	/* As a controller says that loads new firmware. */
	{ CHECK(NOT_READY, 0x04, 0x03), OTHER(DSM_COUNTED), "SPC-4 4.5.6",
	  "not ready, intervention required" },
	{ CHECK(NOT_READY, 0x04, 0x0a), ACCESS(TRANSITIONING), "SPC-4 5.15.2.5",
	  "access state in transition" },
	{ CHECK(NOT_READY, 0x04, 0x0b), ACCESS(STANDBY), "SPC-4 5.15.2.4.4",
	  "target port in standby state" },
	{ CHECK(NOT_READY, 0x04, 0x0c), ACCESS(UNAVAILABLE), "SPC-4 5.15.2.4.5",
	  "target port in unavailable state" },
	{ CHECK(NOT_READY, 0x04, 0x12), ACCESS(OFFLINE), "SPC-4 5.15.2.4.6",
	  "target port offline" },
	{ CHECK(NOT_READY, 0x3a, ANY), CLIENT(EIO), "SPC-4 4.5.6", "medium not present" },
	{ CHECK(NOT_READY, ANY, ANY), SAME(DSM_COUNTED, PAUSE_STARTING), "SPC-4 4.5.6",
	  "not ready" },

	/* The same on every path. */
	{ CHECK(MEDIUM_ERROR, ANY, ANY), CLIENT(EIO), "SPC-4 4.5.6", "medium error" },
	{ CHECK(HARDWARE_ERROR, 0x67, 0x0a), OTHER(DSM_COUNTED | DSM_REGROUP), "SPC-4 6.45",
	  "setting the access state failed" },
	{ CHECK(HARDWARE_ERROR, ANY, ANY), CLIENT(EIO), "SPC-4 4.5.6", "hardware error" },

	{ CHECK(ILLEGAL_REQUEST, 0x20, 0x00), UNSUPPORTED, "SPC-4 4.5.6",
	  "invalid command operation code" },
	{ CHECK(ILLEGAL_REQUEST, 0x24, 0x00), UNSUPPORTED, "SPC-4 4.5.6", "invalid field in CDB" },
	{ CHECK(ILLEGAL_REQUEST, 0x26, 0x00), UNSUPPORTED, "SPC-4 4.5.6",
	  "invalid field in parameter list" },
	{ CHECK(ILLEGAL_REQUEST, 0x21, 0x00), CLIENT(VERDICT_ERR_RANGE), "SBC-3 4.5",
	  "logical block address out of range" },
	/* Gone from this port; the LUN is lost only when every path says so. */
	{ CHECK(ILLEGAL_REQUEST, 0x25, 0x00), FAIL(DSM_COUNTED | DSM_RESCAN), "SAM-5 4.6.4",
	  "logical unit not supported" },
	{ CHECK(ILLEGAL_REQUEST, ANY, ANY), CLIENT(EIO), "SPC-4 4.5.6", "illegal request" },

	/* News for this nexus; the command has not run. */
	{ CHECK(UNIT_ATTENTION, 0x2a, 0x04), SAME(0, PAUSE_NONE), "SPC-4 5.13.11",
	  "reservations released" },
	{ CHECK(UNIT_ATTENTION, 0x2a, 0x06), OTHER(DSM_REGROUP), "SPC-4 5.15.2.5",
	  "asymmetric access state changed" },
	{ CHECK(UNIT_ATTENTION, 0x2a, 0x07), OTHER(DSM_REGROUP), "SPC-4 5.15.2.7",
	  "implicit access state transition failed" },
	{ CHECK(UNIT_ATTENTION, 0x2a, 0x09), SAME(DSM_COUNTED | DSM_REGROW, PAUSE_NONE),
	  "SBC-3 4.8.2", "capacity data has changed" },
	/*
	 * The soft threshold of the thin pool: a warning, there is room still, and the command runs when it is
	 * sent again. 07/27/07 is the one that says the pool is full.
	 */
	{ CHECK(UNIT_ATTENTION, 0x38, 0x07), SAME(DSM_COUNTED, PAUSE_NONE), "SBC-3 4.7.3.8",
	  "thin provisioning soft threshold reached" },
	/* It may be another LUN from here on. */
	{ CHECK(UNIT_ATTENTION, 0x3f, 0x03), OTHER(DSM_COUNTED | DSM_REIDENTIFY), "SPC-4 6.6.1",
	  "inquiry data has changed" },
	{ CHECK(UNIT_ATTENTION, 0x3f, 0x0e), SAME(DSM_COUNTED | DSM_RESCAN, PAUSE_NONE),
	  "SPC-4 6.33", "reported LUNs data has changed" },
	{ CHECK(UNIT_ATTENTION, ANY, ANY), SAME(DSM_COUNTED, PAUSE_NONE), "SAM-5 5.14",
	  "unit attention" },

	{ CHECK(DATA_PROTECT, 0x27, 0x07), CLIENT(ENOSPC), "SBC-3 4.7.3.6",
	  "space allocation failed" },
	{ CHECK(DATA_PROTECT, 0x27, ANY), CLIENT(EPERM), "SBC-3 4.13", "write protected" },
	{ CHECK(DATA_PROTECT, ANY, ANY), CLIENT(EIO), "SPC-4 4.5.6", "data protect" },

	/* The target gave it up; trying again may work. */
	{ CHECK(ABORTED_COMMAND, ANY, ANY), SAME(DSM_COUNTED, PAUSE_SWEPT), "SPC-4 4.5.6",
	  "aborted command" },
	{ CHECK(MISCOMPARE, ANY, ANY), CLIENT(EIO), "SPC-4 4.5.6", "miscompare" },

	/* Keys that disks do not use: 8h, 9h, Ah, Dh, Fh and the reserved ones. */
	{ SCSI_OUT_STATUS, SCSI_ST_CHECK_CONDITION, ANY, ANY, ANY, CLIENT(EIO), "SPC-4 4.5.6",
	  "unexpected sense key" },
	/* Obsolete and reserved statuses. */
	{ SCSI_OUT_STATUS, ANY, ANY, ANY, ANY, OTHER(DSM_COUNTED), "SAM-5 5.3.1",
	  "unknown status" },
};
const int verdict_nrows = sizeof(verdict_rows) / sizeof(verdict_rows[0]);

/* An outcome that nobody knows is an unusable answer. */
static uint8_t outcome_of(const struct scsi_cmd *c)
{
	return c->outcome <= SCSI_OUT_RESPONSE ? c->outcome : (uint8_t)SCSI_OUT_ERROR;
}

static bool matches(uint16_t want, uint8_t have)
{
	return want == ANY || want == have;
}

const struct verdict_row *verdict_find(const struct scsi_cmd *c)
{
	const struct verdict_row *r = verdict_rows;
	uint8_t outcome = outcome_of(c);

	while (r->outcome != outcome || !matches(r->status, c->status) ||
	       !matches(r->key, c->sense.key) || !matches(r->asc, c->sense.asc) ||
	       !matches(r->ascq, c->sense.ascq))
		r++;
	return r;
}

uint32_t verdict_pause_ms(enum verdict_pause p, unsigned attempt)
{
	static const struct {
		uint16_t min_ms, max_ms;
	} pauses[] = {
		[PAUSE_NONE] = { 0, 0 },
		[PAUSE_SWEPT] = { 1, 100 },
		[PAUSE_CROWDED] = { 10, 500 },
		[PAUSE_STARTING] = { 100, 1000 },
	};
	uint32_t ms = pauses[p].min_ms, max = pauses[p].max_ms;

	while (attempt-- && ms < max)
		ms *= 2;
	return ms < max ? ms : max;
}
