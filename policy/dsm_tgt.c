/* SPDX-License-Identifier: MIT */
/*
 * tgt (tgtd), the userspace target. No target port groups.
 *
 * Its habit: the NAA designators are made of the numbers of target and LUN alone, so LUN 1 of target 1 has
 * the same one on each tgtd of the world. An administrator tells them apart with the LUN parameter
 * scsi_id, which changes the T10 designator only: where that is not the one tgt makes up by itself, it
 * is the identifier.
 *
 * Another: it frees a preempted registration that made a reservation of all registrants, and goes on looking at it for the
 * type (spc_pr_preempt() of 1.0.85). So the reservation is released and made again by a path that stays, before that.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "dsm.h"

#define VENDOR "IET"
#define MADE_UP "t10.IET     " /* and eight hex digits: target and LUN */

static bool claim(const struct dsm_device *d)
{
	return !strcmp(d->inquiry->vendor, VENDOR) && !strcmp(d->inquiry->product, "VIRTUAL-DISK");
}

static bool is_made_up(const char *t10)
{
	size_t n = strlen(MADE_UP), i;

	if (strncmp(t10, MADE_UP, n))
		return false;
	for (i = n; i < n + 8; i++)
		if (!isxdigit((unsigned char)t10[i]))
			return false;
	return t10[i] == '\0';
}

static bool identity(const struct dsm_device *d, char *out, size_t cap)
{
	const char *t10 = d->id->t10;

	if (!t10[0] || is_made_up(t10) || strlen(t10) >= cap)
		return false;
	snprintf(out, cap, "%s", t10);
	return true;
}

const struct dsm dsm_tgt = {
	.name = "tgt",
	.help = "tgt, the userspace target (IET VIRTUAL-DISK)",
	.claim = claim,
	.identity = identity,
	.verdict = dsm_standard_verdict,
	.probe = DSM_PROBE_TUR,
	.reserve_before_preempt = true,
};
