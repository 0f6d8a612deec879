/* SPDX-License-Identifier: MIT */
/*
 * Answers of real targets, and the two ways every parser is mistreated with them: cut at each
 * length, in a heap block of exactly that size (so that the sanitizer sees one byte too far), and
 * with random bytes changed.
 */
#ifndef T_UNIT_TRANSPORT_GOLDEN_H
#define T_UNIT_TRANSPORT_GOLDEN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* tgt 1.0.85, a disk-backed LUN */
static const uint8_t tgt_inquiry[] = {
	0x00, 0x00, 0x05, 0x12, 0x3d, 0x00, 0x00, 0x02, 'I', 'E', 'T', ' ', ' ', ' ', ' ', ' ',
	'V', 'I', 'R', 'T', 'U', 'A', 'L', '-', 'D', 'I', 'S', 'K', ' ', ' ', ' ', ' ',
	'0', '0', '0', '1', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x04, 0xc0, 0x09, 0x60, 0x03, 0x00, 0, 0,
};
static const uint8_t tgt_pages[] = { 0x00, 0x00, 0x00, 0x06, 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };
static const uint8_t tgt_serial[] = {
	0x00, 0x80, 0x00, 0x24, ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ',
	' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ',
	'b', 'e', 'a', 'f', '1', '1',
};
static const uint8_t tgt_id[] = {
	0x00, 0x83, 0x00, 0x48,
	0x02, 0x01, 0x00, 0x24, 'I', 'E', 'T', ' ', ' ', ' ', ' ', ' ', '0', '0', '0', '1', '0', '0',
	'0', '1', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0x01, 0x03, 0x00, 0x08, 0x30, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01,
	0x01, 0x03, 0x00, 0x10, 0x60, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0e, 0x00, 0x00, 0x00,
	0x00, 0x01, 0x00, 0x01,
};
static const uint8_t tgt_capacity[32] = { 0, 0, 0, 0, 0, 0x01, 0xff, 0xff, 0, 0, 0x02, 0, 0, 0x03 };
static const uint8_t tgt_mode[] = {
	0x1f, 0x00, 0x10, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x08, 0x12, 0x14, 0x00,
	0xff, 0xff, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x80, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};
static const uint8_t tgt_luns[] = {
	0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
};

/* In the shape istgt and LIO answer: unit, port and target device designators in one page. */
static const uint8_t full_id[] = {
	0x00, 0x83, 0x00, 0x74,
	/* unit: NAA */
	0x01, 0x03, 0x00, 0x10, 0x60, 0x01, 0x40, 0x5a, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
	0x11, 0x22, 0x33, 0x44,
	/* unit: T10 */
	0x02, 0x01, 0x00, 0x14, 'L', 'I', 'O', '-', 'O', 'R', 'G', ' ', 'F', 'I', 'L', 'E', 'I', 'O', ':',
	'a', 'b', 'c', 0, 0,
	/* port: relative port 2, group 7 */
	0x51, 0x94, 0x00, 0x04, 0x00, 0x00, 0x00, 0x02,
	0x51, 0x95, 0x00, 0x04, 0x00, 0x00, 0x00, 0x07,
	/* unit: logical unit group */
	0x51, 0x06, 0x00, 0x04, 0x00, 0x00, 0x00, 0x01,
	/* port: name, longer and of a better type than anything of the unit's */
	0x53, 0x98, 0x00, 0x18, 'i', 'q', 'n', '.', '2', '0', '0', '3', ':', 'x', ',', 't', ',', '0',
	'x', '0', '0', '0', '1', 0, 0, 0, 0, 0,
	/* target device: NAA */
	0x51, 0xa3, 0x00, 0x08, 0x50, 0, 0, 0, 0, 0, 0, 1,
	/* target device: nothing in it */
	0x53, 0xa8, 0x00, 0x04, 0, 0, 0, 0,
};

typedef int (*parse_fn)(const uint8_t *p, size_t len);

/* An own heap block for each: an overread is a report, not luck. */
static inline int parse_exact(parse_fn parse, const uint8_t *p, size_t len)
{
	uint8_t *copy = calloc(len, 1);
	int r;

	if (len)
		memcpy(copy, p, len);
	r = parse(copy, len);
	free(copy);
	return r;
}

static inline void mistreat(parse_fn parse, const uint8_t *golden, size_t len)
{
	uint8_t *bad = malloc(len);

	for (size_t n = 0; n <= len; n++)
		(void)parse_exact(parse, golden, n);
	/* Every single byte at its extremes: lengths lie upwards and downwards. */
	for (size_t i = 0; i < len; i++) {
		static const uint8_t extremes[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };

		for (size_t e = 0; e < sizeof(extremes); e++) {
			memcpy(bad, golden, len);
			bad[i] = extremes[e];
			(void)parse_exact(parse, bad, len);
		}
	}
	srandom(1);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)random() % (len + 1);

		memcpy(bad, golden, len);
		for (int k = (int)(random() % 8); k >= 0 && len; k--)
			bad[(size_t)random() % len] = (uint8_t)random();
		(void)parse_exact(parse, bad, n);
	}
	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < len; i++)
			bad[i] = (uint8_t)random();
		(void)parse_exact(parse, bad, len);
	}
	free(bad);
}

#endif
