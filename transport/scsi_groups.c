/* SPDX-License-Identifier: MIT */
/* REPORT TARGET PORT GROUPS (SPC-4 6.37). Owns nothing. */
#include <errno.h>
#include <string.h>
#include "scsi.h"
#include "scsi_internal.h"

#define GROUP_BYTES 8 /* of a descriptor, before its ports */
#define PORT_BYTES 4

static void take_group(const uint8_t *p, size_t len, struct scsi_port_group *g)
{
	size_t n = p[7];

	g->preferred = p[0] & 0x80;
	g->state = p[0] & 0x0f;
	g->supported = p[1];
	g->id = get_be16(p + 2);
	g->status = p[5];
	if (n > (len - GROUP_BYTES) / PORT_BYTES)
		n = (len - GROUP_BYTES) / PORT_BYTES;
	if (n > SCSI_GROUP_PORTS)
		n = SCSI_GROUP_PORTS;
	g->nports = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		g->ports[i] = get_be16(p + GROUP_BYTES + i * PORT_BYTES + 2);
}

/*
 * Where the descriptors begin. A target older than the extended header answers without it; the
 * three bits that name the format (byte 4) are zero in the first descriptor of its short form.
 */
static size_t header_bytes(const uint8_t *p, size_t len, bool ext)
{
	return ext && len >= 8 && (p[4] & 0x70) == 0x10 ? 8 : 4;
}

int scsi_parse_groups(const uint8_t *p, size_t len, bool ext, struct scsi_groups *out)
{
	size_t at, end;

	memset(out, 0, sizeof(*out));
	if (len < 4)
		return -ENODATA;
	end = 4 + (size_t)get_be32(p);
	at = header_bytes(p, len < end ? len : end, ext);
	if (at == 8)
		out->transition_s = p[5];

	/* What the allocation length cut off is left out; what the answer's own length cuts is a lie. */
	while (at < end && out->n < SCSI_GROUPS_MAX) {
		size_t size;

		if (end - at < GROUP_BYTES)
			goto lie;
		if (at > len || len - at < GROUP_BYTES)
			return 0;
		size = GROUP_BYTES + p[at + 7] * (size_t)PORT_BYTES;
		if (size > end - at)
			goto lie;
		take_group(p + at, len - at, &out->g[out->n++]);
		at += size;
	}
	return 0;
lie:
	out->n = 0;
	return -EPROTO;
}
