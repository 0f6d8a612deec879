/* SPDX-License-Identifier: MIT */
/* Asymmetric logical unit access (SPC-4 5.15.2): states for each target port group, told, set and
 * enforced. */
#include "target.h"

enum { AO = 0x0, AU = 0x1, STANDBY = 0x2, UNAVAILABLE = 0x3, OFFLINE = 0xe, TRANSITIONING = 0xf };

struct group *group_find(uint16_t id)
{
	for (int i = 0; i < MAX_GROUPS; i++)
		if (T.group[i].used && T.group[i].id == id)
			return &T.group[i];
	return NULL;
}

static uint8_t state_of(const struct disk *d, const struct group *g)
{
	uint8_t own = d->state[g - T.group];

	return own == STATE_SHARED ? g->state : own;
}

void group_set(struct group *g, struct disk *d, uint8_t state, uint8_t why, const struct conn *but)
{
	uint8_t *p = d ? &d->state[g - T.group] : &g->state;

	if (d ? state_of(d, g) == state : g->state == state)
		return;
	*p = state;
	g->why = why;
	ua_all(d ? d->lun : -1, 0x2a, 0x06, but);
}

/* What a state lets pass: SPC-4 5.15.2.4.4 (standby), .5 (unavailable), 5.15.2.5 (transitioning).
 */
static bool always(const uint8_t *cdb, uint8_t state)
{
	bool groups = (cdb[1] & 0x1f) == 0x0a;

	switch (cdb[0]) {
	case 0x03: /* REQUEST SENSE */
	case 0x12: /* INQUIRY */
	case 0xa0:
		return true; /* REPORT LUNS */
	case 0xa3:
		return groups; /* REPORT TARGET PORT GROUPS */
	case 0xa4:
		return groups && state != TRANSITIONING; /* SET TARGET PORT GROUPS */
	case 0x1a:					 /* MODE SENSE */
	case 0x5e:					 /* PERSISTENT RESERVE IN, OUT */
	case 0x5f:
		return state == STANDBY;
	}
	return false;
}

bool groups_allow(struct task *t, const struct disk *d)
{
	const struct group *g = d->tpgs ? group_find(T.portal[t->portal].group) : NULL;
	uint8_t state = g ? state_of(d, g) : AO, ascq;

	if (state == AO || state == AU || always(t->cdb, state))
		return true;
	ascq = state == STANDBY		? 0x0b
	       : state == TRANSITIONING ? 0x0a
	       : state == OFFLINE	? 0x12
					: 0x0c;
	check(t, 0x02, 0x04, ascq);
	return false;
}

static void report(struct task *t, const struct disk *d)
{
	bool ext = t->cdb[1] & 0x20;
	uint8_t *p = answer(t, 8 + 8 * MAX_GROUPS + 4 * MAX_PORTALS);
	uint32_t at = ext ? 8 : 4, alloc = get32(t->cdb + 6);

	if (ext)
		p[4] = 0x10; /* extended header format */
	for (int i = 0; i < MAX_GROUPS; i++) {
		const struct group *g = &T.group[i];
		uint8_t n = 0;

		if (!g->used)
			continue;
		p[at] = (uint8_t)((g->preferred ? 0x80 : 0) | state_of(d, g));
		p[at + 1] =
			0x8f; /* transitioning, unavailable, standby, non-optimized, optimized */
		put16(p + at + 2, g->id);
		p[at + 5] = g->why;
		for (int k = 0; k < T.nportals; k++)
			if (T.portal[k].group == g->id)
				put16(p + at + 8 + 4U * n++ + 2, (uint16_t)(k + 1));
		p[at + 7] = n;
		at += 8 + 4U * n;
	}
	put32(p, at - 4);
	t->in_len = at < alloc ? at : alloc;
}

/* SPC-4 6.45: nothing is done where one of the descriptors is wrong. */
static bool descriptors_are_right(const struct task *t)
{
	for (uint32_t at = 4; at + 4 <= t->got; at += 4)
		if (!group_find(get16(t->data + at + 2)) || (t->data[at] & 0xf) > UNAVAILABLE)
			return false;
	return true;
}

/* Another group that was optimized becomes standby, as in an array of two controllers. */
static void set(struct task *t, struct disk *d)
{
	bool shared = true;

	if (!(d->tpgs & 2)) {
		check(t, 0x05, 0x20, 0x00);
		return;
	}
	if (!descriptors_are_right(t)) {
		check(t, 0x05, 0x26, 0x00);
		return;
	}
	for (int i = 0; i < MAX_GROUPS; i++)
		shared &= d->state[i] == STATE_SHARED;
	for (uint32_t at = 4; at + 4 <= t->got; at += 4) {
		struct group *g = group_find(get16(t->data + at + 2));
		uint8_t state = t->data[at] & 0xf;

		for (int i = 0; state == AO && i < MAX_GROUPS; i++)
			if (T.group[i].used && &T.group[i] != g && state_of(d, &T.group[i]) == AO)
				group_set(&T.group[i], shared ? NULL : d, STANDBY, 1, t->conn);
		group_set(g, shared ? NULL : d, state, 1, t->conn);
	}
}

bool groups_run(struct task *t, struct disk *d)
{
	if (!d->tpgs || (t->cdb[1] & 0x1f) != 0x0a)
		return false;
	if (t->cdb[0] == 0xa3)
		report(t, d);
	else if (t->cdb[0] == 0xa4)
		set(t, d);
	else
		return false;
	return true;
}
