/* SPDX-License-Identifier: MIT */
/*
 * The one heap of deadlines: a binary heap of timers embedded in their owners. A timer that is
 * not armed is in no heap (slot 0) and may be freed.
 */
#ifndef DAEMON_HEAP_H
#define DAEMON_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct engine;

struct timer {
	uint64_t at;   /* microseconds */
	size_t slot;   /* 1-based place in the heap; 0: not armed */
	void (*fire)(struct engine *e, struct timer *t);
};

struct heap {
	struct timer **slot; /* [1..n] */
	size_t n, cap;
};

/* Arms t for `at`, or moves it. 0 or -ENOMEM (only when the heap has to grow). */
int heap_arm(struct heap *h, struct timer *t, uint64_t at) __attribute__((warn_unused_result));
void heap_cancel(struct heap *h, struct timer *t);

/* The earliest timer, NULL if none. Stays in the heap. */
struct timer *heap_first(const struct heap *h);
void heap_free(struct heap *h);

#endif
