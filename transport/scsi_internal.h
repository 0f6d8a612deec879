/* SPDX-License-Identifier: MIT */
/*
 * Big-endian fields, for the SCSI codec's own files. None of these checks a bound: the caller has.
 */
#ifndef TRANSPORT_SCSI_INTERNAL_H
#define TRANSPORT_SCSI_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

static inline uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16(p + 2, (uint16_t)v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32(p + 4, (uint32_t)v);
}

/*
 * A fixed ASCII field as text: padding (blanks, NULs) at both ends cut off, unprintable bytes
 * as '?'.
 * out has room for n + 1 bytes. Returns the length.
 */
size_t scsi_trim(const uint8_t *p, size_t n, char *out);

#endif
