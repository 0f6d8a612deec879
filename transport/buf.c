/* SPDX-License-Identifier: MIT */
/*
 * The pool behind struct buf: free buffers wait in a list for each size class, last in, first
 * out, so that the next user finds them in the cache. Classes are a quarter of a power of two
 * apart: at most a quarter of a buffer is wasted.
 */
#include "buf.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define PAGE 4096
#define NCLASSES 52         /* up to 64 MiB */
#define CLASS_NONE NCLASSES /* larger: never kept */

struct buf_pool {
	struct buf *free[NCLASSES];
	uint64_t filled; /* bit n: free[n] is not empty */
	size_t keep, kept, used;
};

/* Of a buffer of that many pages (at least 1); rounds *pages up to what the class holds. */
static unsigned class_of(size_t *pages)
{
	size_t n = *pages, step;
	unsigned log;

	if (n <= 4)
		return (unsigned)n - 1;
	log = 63 - (unsigned)__builtin_clzl(n - 1);
	step = (size_t)1 << (log - 2);
	*pages = (n + step - 1) & ~(step - 1);
	/* 2^log < n: the quarters above 2^log are 1 to 4 */
	return 4 * (log - 2) + 3 + (unsigned)((*pages - ((size_t)1 << log)) / step);
}

struct buf_pool *buf_pool_new(size_t keep_bytes)
{
	struct buf_pool *pool = calloc(1, sizeof(*pool));

	if (pool)
		pool->keep = keep_bytes;
	return pool;
}

static void release(struct buf *b)
{
	ASAN_UNPOISON_MEMORY_REGION(b->data, b->cap);
	free(b->data);
	free(b);
}

static struct buf *pop(struct buf_pool *pool, unsigned class)
{
	struct buf *b = pool->free[class];

	pool->free[class] = b->next;
	if (!b->next)
		pool->filled &= ~(1ULL << class);
	pool->kept -= b->cap;
	return b;
}

static unsigned largest(const struct buf_pool *pool)
{
	return 63 - (unsigned)__builtin_clzll(pool->filled);
}

void buf_pool_free(struct buf_pool *pool)
{
	if (!pool)
		return;
	assert(pool->used == 0);
	while (pool->filled)
		release(pop(pool, largest(pool)));
	free(pool);
}

size_t buf_pool_used(const struct buf_pool *pool)
{
	return pool->used;
}

static struct buf *fresh(struct buf_pool *pool, unsigned class, size_t cap)
{
	struct buf *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->data = aligned_alloc(PAGE, cap);
	if (!b->data) {
		free(b);
		return NULL;
	}
	b->cap = cap;
	b->class_id = (uint8_t)class;
	b->pool = pool;
	return b;
}

struct buf *buf_get(struct buf_pool *pool, size_t len)
{
	size_t pages = len ? (len - 1) / PAGE + 1 : 1;
	unsigned class;
	struct buf *b;

	if (len > SIZE_MAX / 4)
		return NULL;
	class = class_of(&pages);
	if (class >= NCLASSES)
		class = CLASS_NONE;
	if (class != CLASS_NONE && pool->free[class]) {
		b = pop(pool, class);
		ASAN_UNPOISON_MEMORY_REGION(b->data, b->cap);
	} else {
		b = fresh(pool, class, pages * PAGE);
		if (!b)
			return NULL;
	}
	b->refs = 1;
	b->next = NULL;
	pool->used += b->cap;
	return b;
}

/* Room for b among what is kept: larger ones have to go first, they are the cheaper to get again. */
static bool make_room(struct buf_pool *pool, const struct buf *b)
{
	while (pool->kept + b->cap > pool->keep) {
		if (!pool->filled || largest(pool) <= b->class_id)
			return false;
		release(pop(pool, largest(pool)));
	}
	return true;
}

void buf_put(struct buf *b)
{
	struct buf_pool *pool;

	if (!b)
		return;
	assert(b->refs > 0);
	if (--b->refs > 0)
		return;
	pool = b->pool;
	pool->used -= b->cap;
	if (b->class_id == CLASS_NONE || !make_room(pool, b)) {
		release(b);
		return;
	}
	b->next = pool->free[b->class_id];
	pool->free[b->class_id] = b;
	pool->filled |= 1ULL << b->class_id;
	pool->kept += b->cap;
	ASAN_POISON_MEMORY_REGION(b->data, b->cap);
}
