/* SPDX-License-Identifier: MIT */
/*
 * Which values a granule may have. A write that was acknowledged ends every value whose write was
 * over before it began; what overlapped in time may have run in either order. A write that failed
 * or is under way may be there or not. A power loss brings back what was overwritten after the last
 * flush that was acknowledged.
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
					.dead = UINT64_MAX };
	return &g->v[g->n++];
}

/*
 * ok: acknowledged; sure: all of the granule was written, for certain (a trim is only advice).
 * durable: FUA.
 */
void check_end(struct granule *g, uint64_t by, uint64_t start, uint64_t now, bool ok, bool sure,
	       bool durable)
{
	for (int i = 0; i < g->n; i++) {
		struct value *v = &g->v[i];

		if (v->by == by && v->end == UINT64_MAX)
			v->end = now;
		else if (ok && sure && v->end < start) {
			if (v->dead == UINT64_MAX)
				v->dead = now;
			v->gone |= durable; /* what is on the medium now is newer, whatever happens */
		}
	}
}

bool check_read(const struct granule *g, uint64_t id, uint64_t start)
{
	for (int i = 0; i < g->n; i++)
		if (g->v[i].id == id && g->v[i].dead >= start)
			return true;
	return false;
}

void check_power_loss(struct disk *d)
{
	for (uint64_t k = 0; k < d->ngranules; k++) {
		struct granule *g = &d->g[k];
		uint64_t sure = g->flushed > d->flushed ? g->flushed : d->flushed;

		for (int i = 0; i < g->n; i++)
			if (g->v[i].dead != UINT64_MAX && g->v[i].dead > sure && !g->v[i].gone)
				g->v[i].dead = UINT64_MAX;
	}
}
