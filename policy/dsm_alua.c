/* SPDX-License-Identifier: MIT */
/*
 * Storage of any vendor whose target port groups differ (ALUA, SPC-4 5.15.2): follows the states that
 * REPORT TARGET PORT GROUPS gives, and sets them where the storage wants to be told (TPGS bit 1).
 */
#include "dsm.h"

static bool claim(const struct dsm_device *d)
{
	return d->inquiry->tpgs != 0;
}

const struct dsm dsm_alua = {
	.name = "alua",
	.help = "asymmetric logical unit access, implicit and explicit",
	.claim = claim,
	.verdict = dsm_standard_verdict,
	.probe = DSM_PROBE_RTPG,
	.groups = true,
	.set_groups = true,
};
