/* SPDX-License-Identifier: MIT */
/*
 * LIO, the target of the Linux kernel. ALUA both ways, states settable by its administrator.
 *
 * Its habit: whatever goes wrong in the backing store, a medium error too, it reports as NOT READY,
 * LOGICAL UNIT COMMUNICATION FAILURE (02/08/00), "to be retried a finite number of times"
 * (target_core_transport.c, TCM_LOGICAL_UNIT_COMMUNICATION_FAILURE). By the letter it would be tried for as long as a
 * disk takes to start.
 */
#include <errno.h>
#include <string.h>
#include "verdict.h"

#define BACKEND_TRIES 10 /* with the pauses between them six seconds and a half */

static bool claim(const struct dsm_device *d)
{
	return !strcmp(d->inquiry->vendor, "LIO-ORG");
}

static bool backend_failed(const struct scsi_cmd *c)
{
	return c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_CHECK_CONDITION && c->sense.valid &&
	       !c->sense.deferred && c->sense.key == SCSI_KEY_NOT_READY && c->sense.asc == 0x08 &&
	       c->sense.ascq == 0x00;
}

static struct dsm_verdict verdict(const struct scsi_cmd *c, unsigned attempt)
{
	struct dsm_verdict v = dsm_standard_verdict(c, attempt);

	if (!backend_failed(c))
		return v;
	v.why = "the target's backing store failed";
	if (attempt >= BACKEND_TRIES) {
		v.action = DSM_CLIENT_ERROR;
		v.effects = 0;
		v.err = EIO;
		v.delay_ms = 0;
	}
	return v;
}

const struct dsm dsm_lio = {
	.name = "lio",
	.help = "LIO, the target of the Linux kernel (vendor LIO-ORG)",
	.claim = claim,
	.verdict = verdict,
	.probe = DSM_PROBE_RTPG,
	.groups = true,
	.set_groups = true,
};
