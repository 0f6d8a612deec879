/* SPDX-License-Identifier: MIT */
/* Vital product data pages 00h, 80h, B0h, B1h, B2h (SPC-4 7.8, SBC-3 6.5). Page 83h: scsi_id.c. */
#include <errno.h>
#include <string.h>
#include "scsi.h"
#include "scsi_internal.h"

#define VPD_HEADER 4

/*
 * Checks the header of a page. Returns how many of the bytes at p belong to it, or -errno. A page
 * cut short by the allocation length is not an error here: fields that did not arrive are zero.
 */
static int page_bytes(const uint8_t *p, size_t len, uint8_t page)
{
	size_t stated;

	if (len < VPD_HEADER)
		return -ENODATA;
	if (p[1] != page)
		return -EPROTO;
	stated = VPD_HEADER + (size_t)get_be16(p + 2);
	return (int)(stated < len ? stated : len);
}

int scsi_parse_vpd_pages(const uint8_t *p, size_t len, struct scsi_vpd_pages *out)
{
	int n = page_bytes(p, len, 0x00);

	memset(out, 0, sizeof(*out));
	if (n < 0)
		return n;
	for (int i = VPD_HEADER; i < n; i++)
		out->pages[p[i] / 8] |= (uint8_t)(1u << p[i] % 8);
	return 0;
}

bool scsi_vpd_has(const struct scsi_vpd_pages *v, uint8_t page)
{
	return v->pages[page / 8] >> page % 8 & 1;
}

int scsi_parse_vpd_serial(const uint8_t *p, size_t len, char *serial, size_t cap)
{
	char text[256 + 1];
	int n = page_bytes(p, len, 0x80);
	size_t got;

	if (cap > 0)
		serial[0] = '\0';
	if (n < 0)
		return n;
	/* A serial number that was cut could make two units look like one: all of it or nothing. */
	if ((size_t)n != VPD_HEADER + (size_t)get_be16(p + 2) || n - VPD_HEADER > 256)
		return -EPROTO;
	got = scsi_trim(p + VPD_HEADER, (size_t)n - VPD_HEADER, text);
	if (got + 1 > cap)
		return -EPROTO;
	memcpy(serial, text, got + 1);
	return 0;
}

int scsi_parse_vpd_block_limits(const uint8_t *p, size_t len, struct scsi_block_limits *out)
{
	int n = page_bytes(p, len, 0xb0);

	memset(out, 0, sizeof(*out));
	if (n < 0)
		return n;
	if (n < 16) /* SBC-2's page, the shortest there is */
		return -ENODATA;
	out->wsnz = p[4] & 0x01;
	out->optimal_granularity = get_be16(p + 6);
	out->max_transfer = get_be32(p + 8);
	out->optimal_transfer = get_be32(p + 12);
	if (n >= 20)
		out->max_prefetch = get_be32(p + 16);
	if (n >= 24)
		out->max_unmap_blocks = get_be32(p + 20);
	if (n >= 28)
		out->max_unmap_descriptors = get_be32(p + 24);
	if (n >= 32)
		out->unmap_granularity = get_be32(p + 28);
	if (n >= 36 && p[32] & 0x80) /* UGAVALID */
		out->unmap_alignment = get_be32(p + 32) & 0x7fffffff;
	if (n >= 44)
		out->max_write_same = get_be64(p + 36);
	return 0;
}

int scsi_parse_vpd_block_chars(const uint8_t *p, size_t len, uint16_t *rotation)
{
	int n = page_bytes(p, len, 0xb1);

	*rotation = 0;
	if (n < 0)
		return n;
	if (n < 6)
		return -ENODATA;
	*rotation = get_be16(p + 4);
	return 0;
}

int scsi_parse_vpd_provisioning(const uint8_t *p, size_t len, struct scsi_provisioning *out)
{
	int n = page_bytes(p, len, 0xb2);

	memset(out, 0, sizeof(*out));
	if (n < 0)
		return n;
	if (n < 6)
		return -ENODATA;
	out->unmap = p[5] & 0x80;
	out->ws16_unmap = p[5] & 0x40;
	/* One bit in SBC-3; in SBC-4 the lowest of three, and xx1b still means zeroes. */
	out->reads_zero = p[5] & 0x04;
	if (n >= 7)
		out->type = p[6] & 0x07;
	return 0;
}
