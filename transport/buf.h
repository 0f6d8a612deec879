/* SPDX-License-Identifier: MIT */
/*
 * Data buffers with a reference count, from a pool with size classes.
 *
 * A READ that is hedged has two buffers, one for each attempt: the loser's stays alive
 * until its session is gone, because the initiator may still write into it. So whoever
 * may touch the bytes later holds a reference. One pool for one thread; no locking.
 */
#ifndef TRANSPORT_BUF_H
#define TRANSPORT_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf_pool;

struct buf {
	uint8_t *data;     /* 4096-byte aligned, `cap` bytes */
	size_t cap;        /* bytes usable, >= what was asked for */
	uint32_t refs;
	uint8_t class_id;  /* private to the pool */
	struct buf_pool *pool;
	struct buf *next;  /* private to the pool */
};

/* keep_bytes: how many free bytes the pool may keep cached. NULL when out of memory. */
struct buf_pool *buf_pool_new(size_t keep_bytes);

/* Every buf must have been put before. */
void buf_pool_free(struct buf_pool *pool);

/* Bytes handed out and not put back. */
size_t buf_pool_used(const struct buf_pool *pool);

/* A buf of at least len bytes with one reference, contents undefined. NULL: out of memory. */
struct buf *buf_get(struct buf_pool *pool, size_t len) __attribute__((warn_unused_result));

static inline struct buf *buf_ref(struct buf *b)
{
	b->refs++;
	return b;
}

/* Drops one reference; b may be NULL. */
void buf_put(struct buf *b);

#endif
