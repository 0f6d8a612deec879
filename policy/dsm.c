/* SPDX-License-Identifier: MIT */
/*
 * The list of device-specific modules and who claims a LUN. The first that does keeps it; the
 * generic one is asked last and takes whatever is left.
 */
#include <string.h>
#include "dsm.h"

const struct dsm *const dsm_all[] = {
	&dsm_lio,
	&dsm_tgt,
	&dsm_alua,
	&dsm_generic,
	NULL,
};

const struct dsm *dsm_find(const char *name)
{
	const struct dsm *const *d;

	for (d = dsm_all; *d; d++)
		if (!strcmp((*d)->name, name))
			return *d;
	return NULL;
}

const struct dsm *dsm_claim(const struct dsm_device *dev, const char *forced)
{
	const struct dsm *const *d;

	if (forced && dsm_find(forced))
		return dsm_find(forced);
	for (d = dsm_all; *d; d++)
		if ((*d)->claim(dev))
			return *d;
	return &dsm_generic;
}

const char *dsm_default_policy(const struct dsm *m, bool asymmetric)
{
	if (m->policy)
		return m->policy;
	return asymmetric ? "round-robin-subset" : "round-robin";
}

bool dsm_version_ok(const struct scsi_inquiry *inq, bool listed)
{
	return listed || inq->version >= 5;
}
