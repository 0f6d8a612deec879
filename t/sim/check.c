/* SPDX-License-Identifier: MIT */
/*
 * Which values a granule may have. A write that was acknowledged ends every value whose write was
 * over before it began; what overlapped in time may have run in either order. A write that failed
 * or is under way may be there or not. A power loss brings back what was overwritten after the last
 * flush that was acknowledged.
 *
 * Above that, between two power losses each granule has to be linearizable. Every write but that of
 * zeroes is unique, so it is enough to look at zones (Gibbons and Korach, Testing Shared Memories, 1997):
 * a value was there from the first end of an operation that knew it to the last start of one, and two
 * of them can be put in order unless each was there before the other's last. Equal times count as
 * overlapping. Of zeroes there are many, but a value that was there before a read of zeroes and is
 * back after it was written twice.
 */
#include "sim.h"

#include <stdlib.h>

/* Forgets what nobody can read any more: dead before `oldest` and not to be brought back. */
static void prune(struct granule *g, uint64_t oldest)
{
	int n = 0;

	for (int i = 0; i < g->n; i++)
		if (g->v[i].dead >= oldest || (g->v[i].dead > g->flushed && !g->v[i].gone))
			g->v[n++] = g->v[i];
	g->n = n;
}

struct value *check_begin(struct granule *g, uint64_t id, uint64_t by, uint64_t now, uint64_t oldest)
{
	if (g->n == g->cap && g->n)
		prune(g, oldest);
	if (g->n == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 4;
		g->v = realloc(g->v, g->cap * sizeof(*g->v));
	}
	g->v[g->n] = (struct value){ .id = id, .by = by, .start = now, .end = UINT64_MAX,
				     .dead = UINT64_MAX, .first_end = UINT64_MAX,
				     .last_start = now, .zeroed = UINT64_MAX };
	return &g->v[g->n++];
}

void check_end(struct granule *g, uint64_t by, uint64_t start, uint64_t now, unsigned how)
{
	for (int i = 0; i < g->n; i++) {
		struct value *v = &g->v[i];

		if (v->by == by && v->end == UINT64_MAX) {
			v->end = now;
			/* One that failed may be executed at any time: it has no end. */
			if (how & CHECK_OK && how & CHECK_FRESH && v->first_end == UINT64_MAX)
				v->first_end = now;
		} else if (how & CHECK_OK && how & CHECK_SURE && v->end < start) {
			if (v->dead == UINT64_MAX)
				v->dead = now;
			/* What is on the medium now is newer, whatever happens. */
			v->gone |= (how & CHECK_DURABLE) != 0;
		}
	}
}

/* Zeroes were read: what is read again that was there before had been overwritten. */
static void note_zeroes(struct granule *g, uint64_t start, uint64_t now)
{
	for (int i = 0; i < g->n; i++)
		if (g->v[i].first_end < start && g->v[i].zeroed == UINT64_MAX)
			g->v[i].zeroed = now;
}

static const char *check_zone(struct granule *g, struct value *v, uint64_t start, uint64_t now)
{
	if (v->first_end == UINT64_MAX)
		v->first_end = now;
	if (v->last_start < start)
		v->last_start = start;
	if (v->zeroed < v->last_start)
		return "which zeroes had replaced";
	for (int i = 0; i < g->n; i++) {
		const struct value *o = &g->v[i];

		if (o->first_end < v->last_start && v->first_end < o->last_start && o->id && o != v)
			return "which another had replaced";
	}
	return NULL;
}

const char *check_read(struct granule *g, uint64_t id, uint64_t start, uint64_t now, unsigned how)
{
	int i;

	for (i = 0; i < g->n; i++)
		if (g->v[i].id == id && g->v[i].dead >= start)
			break;
	if (i == g->n)
		return "which is overwritten or never was";
	if (!(how & CHECK_FRESH)) /* it may be of before the power loss: nothing follows from it */
		return NULL;
	if (id)
		return check_zone(g, &g->v[i], start, now);
	note_zeroes(g, start, now);
	return NULL;
}

void check_power_loss(struct disk *d)
{
	for (uint64_t k = 0; k < d->ngranules; k++) {
		struct granule *g = &d->g[k];
		uint64_t sure = g->flushed > d->flushed ? g->flushed : d->flushed;

		for (int i = 0; i < g->n; i++) {
			struct value *v = &g->v[i];

			if (v->dead != UINT64_MAX && v->dead > sure && !v->gone)
				v->dead = UINT64_MAX;
			v->first_end = v->zeroed = UINT64_MAX;
			v->last_start = 0;
		}
	}
}
