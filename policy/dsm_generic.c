/* SPDX-License-Identifier: MIT */
/*
 * The generic device-specific module, for storage that nobody else claims: verdicts by the letter
 * of the standards (verdict.c), no habits of any vendor, no target port groups.
 */
#include <errno.h>
#include "verdict.h"

static struct dsm_verdict other_path(unsigned effects, const char *why)
{
	return (struct dsm_verdict){ .action = DSM_OTHER_PATH,
				     .effects = (uint16_t)effects,
				     .alua = DSM_ALUA_UNKNOWN,
				     .why = why };
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
#define PRE_FETCH_10 0x34
#define PRE_FETCH_16 0x90

/*
 * The target says that the command is completed. A residual (RFC 7143 11.4.5) contradicts it for a
 * READ and for all that sends blocks; for INQUIRY and its like it only means a shorter answer than
 * there was room for. So it does for UNMAP, which is advice (SBC-3 4.7.3): tgt says of each that none of
 * its list was transferred, and has done all of it.
 */
static struct dsm_verdict done(const struct scsi_cmd *c)
{
	/* SAM-5 5.3.1: an answer to PRE-FETCH; what it would say about other data nobody knows */
	if (c->status == SCSI_ST_CONDITION_MET && c->cdb[0] != PRE_FETCH_10 && c->cdb[0] != PRE_FETCH_16)
		return other_path(DSM_COUNTED, "condition met, where there is none");
	if (c->got < c->len && c->dir == SCSI_DIR_OUT && c->cdb[0] != UNMAP)
		return other_path(DSM_COUNTED, "short write");
	if (c->got < c->len && is_read(c))
		return other_path(DSM_COUNTED, "short read");
	return (struct dsm_verdict){ .action = DSM_DONE, .alua = DSM_ALUA_UNKNOWN, .why = "" };
}

/*
 * Sense data about an earlier command (SPC-4 4.5.5): this one has not run. If the earlier one failed, a
 * write that was acknowledged from a cache is lost: whoever flushes next has to hear it.
 */
static struct dsm_verdict deferred(const struct scsi_cmd *c)
{
	bool harmless = c->sense.key <= SCSI_KEY_RECOVERED_ERROR || c->sense.key == SCSI_KEY_UNIT_ATTENTION;

	return (struct dsm_verdict){ .action = DSM_SAME_PATH,
				     .effects = harmless ? DSM_COUNTED : DSM_COUNTED | DSM_WRITE_LOST,
				     .alua = DSM_ALUA_UNKNOWN,
				     .why = "deferred error of an earlier command" };
}

struct dsm_verdict dsm_standard_verdict(const struct scsi_cmd *c, unsigned attempt)
{
	const struct verdict_row *r;
	struct dsm_verdict v;

	if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD)
		return done(c);
	if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_CHECK_CONDITION) {
		/* Without sense data (SPC-4 4.5.1) nobody knows what happened, nor whether it ran. */
		if (!c->sense.valid)
			return other_path(DSM_COUNTED, "check condition without sense data");
		if (c->sense.deferred)
			return deferred(c);
	}
	r = verdict_find(c);
	if (r->action == DSM_DONE)
		return done(c);
	v = (struct dsm_verdict){ .action = r->action,
				  .effects = r->effects,
				  .alua = r->alua,
				  .err = r->err,
				  .why = r->why };
	if (v.err == VERDICT_ERR_RANGE)
		v.err = c->dir == SCSI_DIR_OUT ? ENOSPC : EIO;
	if (v.action == DSM_SAME_PATH)
		v.delay_ms = verdict_pause_ms((enum verdict_pause)r->pause, attempt);
	return v;
}

static bool claim(const struct dsm_device *d)
{
	return true;
}

const struct dsm dsm_generic = {
	.name = "generic",
	.help = "disks without asymmetric access, by the letter of the standards",
	.claim = claim,
	.verdict = dsm_standard_verdict,
	.probe = DSM_PROBE_TUR,
};
