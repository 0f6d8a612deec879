/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include "dsm.h"
#include "groups.h"

static bool reachable(const struct group_view *g)
{
	return g->healthy_since != UINT64_MAX;
}

static bool active(const struct group_view *g)
{
	return g->state == DSM_ALUA_AO || g->state == DSM_ALUA_AU;
}

static const struct group_view *find(const struct group_view *g, int n, uint16_t id)
{
	for (int i = 0; i < n; i++)
		if (g[i].id == id)
			return &g[i];
	return NULL;
}

/* Could it be made active/optimized, through a path of ours? */
static bool can_lead(const struct group_view *g)
{
	return reachable(g) && g->supports_ao && (g->state == DSM_ALUA_AU || g->state == DSM_ALUA_STANDBY);
}

/*
 * What became of the last move. One that somebody undid while we could still use the group was a move
 * too many: two hosts that see different halves of the storage would else pull it to and fro for ever.
 */
static void judge_last_move(struct groups_state *st, const struct group_view *g, int n, uint64_t now)
{
	const struct group_view *to = st->moved_at ? find(g, n, st->moved_to) : NULL;

	if (!to)
		return;
	if (to->state == DSM_ALUA_AO) {
		st->arrived = true;
	} else if (st->arrived && reachable(to) && to->state != DSM_ALUA_TRANSITIONING) {
		bool calm = now - st->moved_at >= GROUPS_CALM_US;

		st->pause_us = calm || !st->pause_us ? GROUPS_PAUSE_MIN_US : 2 * st->pause_us;
		if (st->pause_us > GROUPS_PAUSE_MAX_US)
			st->pause_us = GROUPS_PAUSE_MAX_US;
		st->moved_at = now;
		st->arrived = false;
	}
}

/* Not before this. A move that worked holds nothing up: what follows it is news. */
static uint64_t earliest(const struct groups_state *st)
{
	if (!st->moved_at || st->arrived)
		return 0;
	return st->moved_at + (st->pause_us ? st->pause_us : GROUPS_PAUSE_MIN_US);
}

/* The preferred one before others, then the one that is healthy for longest. */
static const struct group_view *best_leader(const struct group_view *g, int n)
{
	const struct group_view *best = NULL;

	for (int i = 0; i < n; i++) {
		if (!can_lead(&g[i]))
			continue;
		if (!best || (g[i].preferred && !best->preferred) ||
		    (g[i].preferred == best->preferred && g[i].healthy_since < best->healthy_since))
			best = &g[i];
	}
	return best;
}

static struct groups_decision stay(uint64_t again_at)
{
	return (struct groups_decision){ .again_at = again_at, .why = "" };
}

static struct groups_decision go(const struct groups_state *st, const struct group_view *to, uint64_t from,
				 uint64_t now, const char *why)
{
	if (from < earliest(st))
		from = earliest(st);
	if (now < from)
		return stay(from);
	return (struct groups_decision){ .move = true, .to = to->id, .again_at = UINT64_MAX, .why = why };
}

struct groups_decision groups_decide(struct groups_state *st, const struct group_view *g, int n,
				     uint64_t failback_us, uint64_t now)
{
	const struct group_view *to;
	bool some_active = false, preferred_leads = false;

	judge_last_move(st, g, n, now);
	for (int i = 0; i < n; i++) {
		if (g[i].state == DSM_ALUA_TRANSITIONING)
			return stay(UINT64_MAX);
		some_active |= reachable(&g[i]) && active(&g[i]);
		preferred_leads |= g[i].preferred && g[i].state == DSM_ALUA_AO;
	}
	to = best_leader(g, n);
	if (!to)
		return stay(UINT64_MAX);
	if (!some_active)
		return go(st, to, to->healthy_since + GROUPS_SETTLE_US, now, "no group that is active can be reached");
	if (!to->preferred || preferred_leads || failback_us == UINT64_MAX)
		return stay(UINT64_MAX);
	return go(st, to, to->healthy_since + failback_us, now, "it is the preferred one");
}

void groups_moved(struct groups_state *st, uint16_t to, uint64_t now)
{
	/* A move that never came about is not tried at once again, nor for ever in the same rhythm. */
	if (st->moved_at && !st->arrived && st->moved_to == to) {
		st->pause_us = st->pause_us ? 2 * st->pause_us : 2 * GROUPS_PAUSE_MIN_US;
		if (st->pause_us > GROUPS_PAUSE_MAX_US)
			st->pause_us = GROUPS_PAUSE_MAX_US;
	}
	st->moved_at = now;
	st->moved_to = to;
	st->arrived = false;
}
