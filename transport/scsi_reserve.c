/* SPDX-License-Identifier: MIT */
/* PERSISTENT RESERVE IN: keys and reservation (SPC-4 6.15). Owns nothing. */
#include <errno.h>
#include <string.h>
#include "scsi.h"
#include "scsi_internal.h"

#define PR_HEADER 8 /* generation and additional length */
#define RESERVATION_BYTES 16

int scsi_parse_pr_keys(const uint8_t *p, size_t len, uint32_t *generation, uint64_t *keys, int cap)
{
	size_t n;

	*generation = 0;
	if (len < PR_HEADER)
		return -ENODATA;
	n = get_be32(p + 4);
	if (n % 8 != 0)
		return -EPROTO;
	if (n > len - PR_HEADER) /* cut by the allocation length: what is there is good */
		n = len - PR_HEADER;
	n /= 8;
	*generation = get_be32(p);
	for (size_t i = 0; i < n && i < (size_t)cap; i++)
		keys[i] = get_be64(p + PR_HEADER + i * 8);
	return (int)n;
}

int scsi_parse_pr_reservation(const uint8_t *p, size_t len, struct scsi_reservation *out)
{
	uint32_t n;

	memset(out, 0, sizeof(*out));
	if (len < PR_HEADER)
		return -ENODATA;
	n = get_be32(p + 4);
	out->generation = get_be32(p);
	if (n == 0)
		return 0;
	/* A half of it must not pass for "nobody holds one". */
	if (n < RESERVATION_BYTES || len < PR_HEADER + RESERVATION_BYTES)
		return -EPROTO;
	out->held = true;
	out->key = get_be64(p + 8);
	out->type = p[21] & 0x0f;
	return 0;
}

/* SPC-4 6.15.3.4 */
const char *scsi_pr_type_name(uint8_t type)
{
	switch (type) {
	case 1:
		return "write exclusive";
	case 3:
		return "exclusive access";
	case 5:
		return "write exclusive, registrants only";
	case 6:
		return "exclusive access, registrants only";
	case SCSI_PR_WRITE_EXCLUSIVE_ALL:
		return "write exclusive, all registrants";
	case 8:
		return "exclusive access, all registrants";
	}
	return "unknown type";
}
