/* SPDX-License-Identifier: MIT */
#include "range.h"

#include <assert.h>
#include <stddef.h>

static bool before(const struct range *a, const struct range *b)
{
	return a->lo != b->lo ? a->lo < b->lo : (uintptr_t)a < (uintptr_t)b;
}

static void measure(struct range *r)
{
	r->max = r->hi;
	if (r->left && r->left->max > r->max)
		r->max = r->left->max;
	if (r->right && r->right->max > r->max)
		r->max = r->right->max;
}

static uint32_t next_rank(struct range_tree *t)
{
	t->random = t->random * 1664525 + 1013904223;
	return t->random;
}

/* Everything before r goes to *left, the rest to *right. */
static void split(struct range *root, const struct range *r, struct range **left,
		  struct range **right)
{
	if (!root) {
		*left = *right = NULL;
		return;
	}
	if (before(root, r)) {
		split(root->right, r, &root->right, right);
		*left = root;
	} else {
		split(root->left, r, left, &root->left);
		*right = root;
	}
	measure(root);
}

static struct range *join(struct range *left, struct range *right)
{
	if (!left || !right)
		return left ? left : right;
	if (left->rank > right->rank) {
		left->right = join(left->right, right);
		measure(left);
		return left;
	}
	right->left = join(left, right->left);
	measure(right);
	return right;
}

static struct range *insert(struct range *root, struct range *r)
{
	if (!root || r->rank > root->rank) {
		split(root, r, &r->left, &r->right);
		measure(r);
		return r;
	}
	if (before(r, root))
		root->left = insert(root->left, r);
	else
		root->right = insert(root->right, r);
	measure(root);
	return root;
}

static struct range *remove_from(struct range *root, struct range *r)
{
	assert(root);
	if (root == r)
		return join(r->left, r->right);
	if (before(r, root))
		root->left = remove_from(root->left, r);
	else
		root->right = remove_from(root->right, r);
	measure(root);
	return root;
}

void range_insert(struct range_tree *t, struct range *r)
{
	assert(!r->linked && r->lo < r->hi);
	r->linked = true;
	r->left = r->right = NULL;
	r->rank = next_rank(t);
	t->root = insert(t->root, r);
}

void range_remove(struct range_tree *t, struct range *r)
{
	if (!r->linked)
		return;
	t->root = remove_from(t->root, r);
	r->linked = false;
}

struct range *range_find(const struct range_tree *t, uint64_t lo, uint64_t hi)
{
	struct range *r = t->root;

	while (r) {
		if (r->lo < hi && lo < r->hi)
			return r;
		/* If the left side reaches lo, an overlap is there or nowhere. */
		r = r->left && r->left->max > lo ? r->left : r->right;
	}
	return NULL;
}

static void each(struct range *r, uint64_t lo, uint64_t hi, void (*fn)(struct range *r, void *arg),
		 void *arg)
{
	if (!r || r->max <= lo)
		return;
	each(r->left, lo, hi, fn, arg);
	if (r->lo < hi && lo < r->hi)
		fn(r, arg);
	if (r->lo < hi)
		each(r->right, lo, hi, fn, arg);
}

void range_each(const struct range_tree *t, uint64_t lo, uint64_t hi,
		void (*fn)(struct range *r, void *arg), void *arg)
{
	each(t->root, lo, hi, fn, arg);
}
