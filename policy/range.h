/* SPDX-License-Identifier: MIT */
/*
 * Ranges of blocks in an interval tree: which of them overlap a given one, in logarithmic time. A
 * treap by first block, each node with the highest end below it. The tree owns nothing: nodes are
 * embedded in what they belong to and may not move or change while they are in it.
 */
#ifndef POLICY_RANGE_H
#define POLICY_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct range {
	uint64_t lo, hi; /* [lo, hi), lo < hi; set before range_insert() */
	uint64_t max;
	uint32_t rank;
	bool linked;
	struct range *left, *right;
};

struct range_tree {
	struct range *root;
	uint32_t random; /* of the ranks; any start value will do */
};

void range_insert(struct range_tree *t, struct range *r);
/* Does nothing when r is in no tree. */
void range_remove(struct range_tree *t, struct range *r);

/* One that overlaps [lo, hi), or NULL. */
struct range *range_find(const struct range_tree *t, uint64_t lo, uint64_t hi);

/* Calls fn for each that overlaps [lo, hi), lowest first. fn must not change the tree. */
void range_each(const struct range_tree *t, uint64_t lo, uint64_t hi,
		void (*fn)(struct range *r, void *arg), void *arg);

#endif
