/* SPDX-License-Identifier: MIT */
/* Sense data (SPC-4 4.5), and words for statuses and sense keys. Owns nothing. */
#include <string.h>
#include "scsi.h"
#include "scsi_internal.h"

/* SPC-4 4.5.3: what lies past the additional sense length is not sense data. */
static void parse_fixed(const uint8_t *p, size_t len, struct sense *out)
{
	if (len < 3)
		return;
	out->valid = true;
	out->key = p[2] & 0x0f;
	if (len >= 8 && len > 8u + p[7])
		len = 8u + p[7];
	if (len > 12)
		out->asc = p[12];
	if (len > 13)
		out->ascq = p[13];
}

static void parse_descriptor(const uint8_t *p, size_t len, struct sense *out)
{
	if (len < 2)
		return;
	out->valid = true;
	out->key = p[1] & 0x0f;
	if (len > 2)
		out->asc = p[2];
	if (len > 3)
		out->ascq = p[3];
}

void scsi_parse_sense(const uint8_t *p, size_t len, struct sense *out)
{
	memset(out, 0, sizeof(*out));
	if (len == 0)
		return;
	switch (p[0] & 0x7f) {
	case 0x70:
	case 0x71:
		parse_fixed(p, len, out);
		break;
	case 0x72:
	case 0x73:
		parse_descriptor(p, len, out);
		break;
	default: /* 7Fh is vendor specific, anything else is reserved */
		break;
	}
	out->deferred = out->valid && p[0] & 1;
}

const char *scsi_status_name(uint8_t status)
{
	switch (status) {
	case SCSI_ST_GOOD:
		return "GOOD";
	case SCSI_ST_CHECK_CONDITION:
		return "CHECK CONDITION";
	case SCSI_ST_CONDITION_MET:
		return "CONDITION MET";
	case SCSI_ST_BUSY:
		return "BUSY";
	case SCSI_ST_RESERVATION_CONFLICT:
		return "RESERVATION CONFLICT";
	case SCSI_ST_TASK_SET_FULL:
		return "TASK SET FULL";
	case SCSI_ST_ACA_ACTIVE:
		return "ACA ACTIVE";
	case SCSI_ST_TASK_ABORTED:
		return "TASK ABORTED";
	}
	return "unknown status";
}

const char *scsi_key_name(uint8_t key)
{
	static const char *const names[16] = {
		"NO SENSE",        "RECOVERED ERROR", "NOT READY",      "MEDIUM ERROR",
		"HARDWARE ERROR",  "ILLEGAL REQUEST", "UNIT ATTENTION", "DATA PROTECT",
		"BLANK CHECK",     "VENDOR SPECIFIC", "COPY ABORTED",   "ABORTED COMMAND",
		"reserved key 0xc", "VOLUME OVERFLOW", "MISCOMPARE",     "COMPLETED",
	};

	return names[key & 0x0f];
}
