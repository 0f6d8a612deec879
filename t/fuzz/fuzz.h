/* SPDX-License-Identifier: MIT */
/*
 * For the fuzz targets: the input, taken from its front, and libcheck's assertions as what libFuzzer looks for.
 * So the fake worlds of the unit tests serve here, too; libcheck itself isn't linked.
 */
#ifndef T_FUZZ_FUZZ_H
#define T_FUZZ_FUZZ_H

#include <check.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer calls it with one input after the other; nothing may be left of the last. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct feed {
	const uint8_t *p;
	size_t n;
};

/* Missing bytes are zeroes: an input may end anywhere. */
static inline uint8_t feed_u8(struct feed *f)
{
	if (!f->n)
		return 0;
	f->n--;
	return *f->p++;
}

static inline uint16_t feed_u16(struct feed *f)
{
	uint8_t high = feed_u8(f);

	return (uint16_t)(high << 8 | feed_u8(f));
}

static inline uint32_t feed_u32(struct feed *f)
{
	uint16_t high = feed_u16(f);

	return (uint32_t)high << 16 | feed_u16(f);
}

/* At most n bytes; how many there are in *got. */
static inline const uint8_t *feed_bytes(struct feed *f, size_t n, size_t *got)
{
	const uint8_t *p = f->p;

	*got = n < f->n ? n : f->n;
	f->p += *got;
	f->n -= *got;
	return p;
}

/* A copy that ends where its memory ends, so that the next byte is an error. The caller frees it. */
static inline uint8_t *feed_exact(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n); /* of 0 bytes, too, every access is one too many */

	if (!copy)
		abort();
	if (n)
		memcpy(copy, p, n);
	return copy;
}

/* Pieces whose sizes the input chooses with one byte: all at once (0), or 1 to max bytes each. */
struct pieces {
	uint32_t state;
	uint8_t max;
};

static inline size_t piece(struct pieces *s, size_t left)
{
	size_t n;

	s->state = s->state * 1664525U + 1013904223U;
	if (!s->max)
		return left;
	n = 1 + (s->state >> 16) % s->max;
	return n < left ? n : left;
}

void _mark_point(const char *file, int line)
{
}

void _ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: %s: ", file, line, expr);
	va_start(ap, msg);
	if (msg)
		vfprintf(stderr, msg, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

#endif
