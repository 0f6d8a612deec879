/* SPDX-License-Identifier: MIT */
/*
 * Explicit ALUA: when to move a LUN to another target port group with SET TARGET PORT GROUPS
 * (SPC-4 6.45), and when to leave it alone. Pure: microseconds of any monotonic clock, handed in.
 *
 * Two reasons to move: NEED, no group is active and a healthy one could be (a group that has only just come: others may be
 * about to); FAILBACK, the preferred
 * group (PREF bit) is healthy for long enough and is not active/optimized. Nothing flaps: a move that
 * was undone by somebody else (another host) doubles the pause before the next one.
 */
#ifndef POLICY_GROUPS_H
#define POLICY_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#define GROUPS_MAX 32

struct group_view {
	uint16_t id;            /* target port group */
	uint8_t state;          /* enum dsm_alua */
	bool preferred;         /* PREF */
	bool supports_ao;       /* AO_SUP of RTPG */
	uint64_t healthy_since; /* some path of ours to it is usable since then; UINT64_MAX: none is */
};

struct groups_state {
	uint64_t moved_at;      /* the last SET TARGET PORT GROUPS; 0: never */
	uint16_t moved_to;
	uint64_t pause_us;      /* before the next one; 0: GROUPS_PAUSE_MIN_US */
	bool arrived;           /* the group of the last move was seen active/optimized since */
};

#define GROUPS_PAUSE_MIN_US 5000000ULL
#define GROUPS_PAUSE_MAX_US 600000000ULL
#define GROUPS_SETTLE_US 2000000ULL /* a group that is reachable for less says little about the others */
#define GROUPS_CALM_US 900000000ULL /* a move that lasts so long resets the pause */

struct groups_decision {
	bool move;
	uint16_t to;
	uint64_t again_at;      /* look again then, UINT64_MAX: only on news */
	const char *why;        /* static */
};

/*
 * g in ascending id. failback_us: how long the preferred group must be healthy (0 at once, UINT64_MAX never).
 * Call it whenever the views changed or again_at is over; after a move was sent: groups_moved().
 */
struct groups_decision groups_decide(struct groups_state *st, const struct group_view *g, int n,
				     uint64_t failback_us, uint64_t now);
void groups_moved(struct groups_state *st, uint16_t to, uint64_t now);

#endif
