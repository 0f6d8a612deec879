/* SPDX-License-Identifier: MIT */
/*
 * The list of device-specific modules and who claims a LUN. The first that does keeps it; the
 * generic one is asked last and takes whatever is left.
 */
#include "dsm.h"

const struct dsm *const dsm_all[] = { &dsm_generic, NULL };

const struct dsm *dsm_claim(const struct scsi_inquiry *inq)
{
	const struct dsm *const *d;

	for (d = dsm_all; *d; d++) {
		if ((*d)->claim(inq))
			return *d;
	}
	return &dsm_generic;
}
