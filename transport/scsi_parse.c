/* SPDX-License-Identifier: MIT */
/* Standard INQUIRY data, READ CAPACITY(16), MODE SENSE(6), REPORT LUNS, GET LBA STATUS. Owns nothing. */
#include <errno.h>
#include <string.h>
#include "scsi.h"
#include "scsi_internal.h"

size_t scsi_trim(const uint8_t *p, size_t n, char *out)
{
	while (n > 0 && (*p == ' ' || *p == 0)) {
		p++;
		n--;
	}
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == 0))
		n--;
	for (size_t i = 0; i < n; i++)
		out[i] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '?';
	out[n] = '\0';
	return n;
}

/* SPC-4 6.6.2 */
int scsi_parse_inquiry(const uint8_t *p, size_t len, struct scsi_inquiry *out)
{
	memset(out, 0, sizeof(*out));
	if (len < 5)
		return -ENODATA;
	if (len > 5u + p[4])
		len = 5u + p[4];
	out->qualifier = p[0] >> 5;
	out->type = p[0] & 0x1f;
	out->version = p[2];
	if (len >= 6)
		out->tpgs = p[5] >> 4 & 0x03;
	if (len >= 16)
		scsi_trim(p + 8, 8, out->vendor);
	if (len >= 32)
		scsi_trim(p + 16, 16, out->product);
	if (len >= 36)
		scsi_trim(p + 32, 4, out->revision);
	return 0;
}

/* SBC-3 5.16.2 */
int scsi_parse_capacity16(const uint8_t *p, size_t len, struct scsi_capacity *out)
{
	uint64_t last;
	uint32_t size;

	memset(out, 0, sizeof(*out));
	if (len < 12)
		return -ENODATA;
	last = get_be64(p);
	size = get_be32(p + 8);
	if (size < 512 || size > 65536 || (size & (size - 1)) != 0)
		return -EPROTO;
	if (last >= (UINT64_C(1) << 63) / size)
		return -EPROTO;
	out->blocks = last + 1;
	out->block_size = out->physical_block_size = size;
	if (len >= 14)
		out->physical_block_size = size << (p[13] & 0x0f);
	if (len >= 15) {
		out->thin = p[14] & 0x80;
		out->reads_zero = p[14] & 0x40;
	}
	return 0;
}

/* The page with this code, subpage 0, in a list of mode pages (SPC-4 7.5.7); its bytes in *n. */
static const uint8_t *find_page(const uint8_t *p, size_t len, uint8_t code, size_t *n)
{
	while (len >= 2) {
		bool sub = p[0] & 0x40;
		size_t size;

		if (sub && len < 4)
			return NULL;
		size = sub ? 4 + (size_t)get_be16(p + 2) : 2 + (size_t)p[1];
		if (size > len)
			size = len;
		if (!sub && (p[0] & 0x3f) == code) {
			*n = size;
			return p;
		}
		p += size;
		len -= size;
	}
	return NULL;
}

/* SPC-4 7.5.5, SBC-3 6.4.5 */
int scsi_parse_mode_sense6(const uint8_t *p, size_t len, struct scsi_mode *out)
{
	const uint8_t *page;
	size_t start, n;

	memset(out, 0, sizeof(*out));
	/* A cache nobody told of is assumed: a needless flush is cheap, a missing one loses data. */
	out->write_cache = true;
	if (len < 4)
		return -ENODATA;
	if (len > 1u + p[0])
		len = 1u + p[0];
	if (len < 4)
		return -EPROTO;
	out->write_protect = p[2] & 0x80;
	out->dpofua = p[2] & 0x10;
	start = 4u + p[3];
	if (start > len)
		return -EPROTO;
	page = find_page(p + start, len - start, 0x08, &n);
	if (page && n >= 3)
		out->write_cache = page[2] & 0x04;
	return 0;
}

/* SPC-4 6.33.2 */
int scsi_parse_report_luns(const uint8_t *p, size_t len, uint16_t *luns, int cap)
{
	static const uint8_t zero[6];
	size_t n;
	int found = 0;

	if (len < 8)
		return -ENODATA;
	n = get_be32(p);
	if (n % 8 != 0)
		return -EPROTO;
	if (n > len - 8) /* cut by the allocation length: what is there is good */
		n = len - 8;
	for (p += 8; n >= 8 && found < cap; p += 8, n -= 8)
		if (memcmp(p + 2, zero, sizeof(zero)) == 0)
			luns[found++] = get_be16(p);
	return found;
}

/*
 * SBC-3 5.4.2: the first descriptor holds the block that was asked for, each later one goes on where
 * the one before ended. An answer that does not is no news: a hole taken for data costs time, data
 * taken for a hole is lost.
 */
int scsi_parse_lba_status(const uint8_t *p, size_t len, uint64_t lba, uint64_t blocks,
			  struct scsi_lba_extent *out, int cap)
{
	uint64_t end = blocks > UINT64_MAX - lba ? UINT64_MAX : lba + blocks, next = 0;
	size_t n;
	int found = 0;

	if (len < 8)
		return -ENODATA;
	n = get_be32(p);
	if (n < 4)
		return -EPROTO;
	n -= 4;
	if (n > len - 8)
		n = len - 8;
	for (p += 8; n >= 16 && found < cap && lba < end; p += 16, n -= 16) {
		uint64_t start = get_be64(p);

		if (found ? start != next : start > lba)
			return -EPROTO;
		next = start + get_be32(p + 8);
		if (next <= lba) /* an empty one, or past the last block there can be */
			return found ? found : -EPROTO;
		out[found].lba = lba;
		out[found].blocks = (uint32_t)((next < end ? next : end) - lba);
		/* A status of later standards is one of blocks that may hold data. */
		out[found].status = (p[12] & 0x0f) <= 2 ? p[12] & 0x0f : 0;
		found++;
		lba = next;
	}
	return found;
}
