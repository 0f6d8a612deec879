/* SPDX-License-Identifier: MIT */
/* Size classes of powers of two from 4 KiB to 1 MiB; larger buffers come from malloc each time. */
#include "buf.h"

#include <assert.h>
#include <stdlib.h>

#define MIN_SHIFT 12
#define CLASSES 9 /* 4 KiB .. 1 MiB */
#define CLASS_NONE 0xff

struct buf_pool {
	struct buf *free[CLASSES];
	size_t keep, cached, used;
};

struct buf_pool *buf_pool_new(size_t keep_bytes)
{
	struct buf_pool *p = calloc(1, sizeof(*p));

	if (p)
		p->keep = keep_bytes;
	return p;
}

static void destroy(struct buf *b)
{
	free(b->data);
	free(b);
}

void buf_pool_free(struct buf_pool *pool)
{
	assert(pool->used == 0);
	for (int i = 0; i < CLASSES; i++) {
		while (pool->free[i]) {
			struct buf *b = pool->free[i];

			pool->free[i] = b->next;
			destroy(b);
		}
	}
	free(pool);
}

size_t buf_pool_used(const struct buf_pool *pool)
{
	return pool->used;
}

static unsigned class_of(size_t len)
{
	unsigned c = 0;

	while (c < CLASSES && ((size_t)1 << (MIN_SHIFT + c)) < len)
		c++;
	return c < CLASSES ? c : CLASS_NONE;
}

struct buf *buf_get(struct buf_pool *pool, size_t len)
{
	unsigned c = class_of(len);
	size_t cap = c == CLASS_NONE ? (len + 4095) & ~(size_t)4095 : (size_t)1 << (MIN_SHIFT + c);
	struct buf *b = NULL;

	if (c != CLASS_NONE && pool->free[c]) {
		b = pool->free[c];
		pool->free[c] = b->next;
		pool->cached -= cap;
	} else {
		b = calloc(1, sizeof(*b));
		if (!b || !(b->data = aligned_alloc(4096, cap))) {
			free(b);
			return NULL;
		}
		b->cap = cap;
		b->class_id = c;
		b->pool = pool;
	}
	b->refs = 1;
	b->next = NULL;
	pool->used += cap;
	return b;
}

void buf_put(struct buf *b)
{
	struct buf_pool *pool;

	if (!b || --b->refs)
		return;
	pool = b->pool;
	pool->used -= b->cap;
	if (b->class_id == CLASS_NONE || pool->cached + b->cap > pool->keep) {
		destroy(b);
		return;
	}
	b->next = pool->free[b->class_id];
	pool->free[b->class_id] = b;
	pool->cached += b->cap;
}
