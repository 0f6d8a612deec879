/* SPDX-License-Identifier: MIT */
/*
 * The one heap of deadlines: a pairing heap of timers embedded in their owners, so that arming
 * one can't fail. A timer must be cancelled before its owner is freed; a zeroed one is idle.
 */
#ifndef DAEMON_HEAP_H
#define DAEMON_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct engine;

struct timer {
	uint64_t at; /* microseconds */
	void (*fire)(struct engine *e, struct timer *t);
	bool armed;
	struct timer *child, *next, *prev; /* prev: left sibling, or the parent of a first child */
};

struct heap {
	struct timer *root;
};

/* Arms t for `at`, or moves it there. */
void heap_arm(struct heap *h, struct timer *t, uint64_t at);

/* Does nothing when t is idle. */
void heap_cancel(struct heap *h, struct timer *t);

/* The earliest timer, still armed; NULL if there is none. */
struct timer *heap_first(const struct heap *h);

#endif
