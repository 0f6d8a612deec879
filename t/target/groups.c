/* SPDX-License-Identifier: MIT */
/* Asymmetric logical unit access (SPC-4 5.15.2): states for each target port group, told, set and enforced. */
#include "target.h"

struct group *group_find(uint16_t id)
{
	for (int i = 0; i < MAX_GROUPS; i++)
		if (T.group[i].used && T.group[i].id == id)
			return &T.group[i];
	return NULL;
}

/* Sets the state, with a unit attention for everybody (SPC-4 5.15.2.5). */
void group_set(struct group *g, uint8_t state)
{
	if (g->state == state)
		return;
	g->state = state;
	for (int i = 0; i < MAX_LUNS; i++)
		if (T.disk[i].used)
			ua_all(T.disk[i].lun, 0x2a, 0x06, NULL);
}

/* What a port that is not active lets pass (SPC-4 5.15.2.4.4 and .5). */
static bool always(uint8_t opcode, uint8_t action)
{
	return opcode == 0x12 || opcode == 0xa0 || opcode == 0x03 || (opcode == 0xa3 && action == 0x0a) ||
	       (opcode == 0xa4 && action == 0x0a) || opcode == 0x5e || opcode == 0x5f;
}

bool groups_allow(struct task *t, const struct disk *d)
{
	const struct group *g = T.alua && d->tpgs ? group_find(T.portal[t->portal].group) : NULL;

	if (!g || g->state <= 1 || always(t->cdb[0], t->cdb[1] & 0x1f))
		return true;
	check(t, 0x02, 0x04, g->state == 2 ? 0x0b : g->state == 0xf ? 0x0a : 0x0c);
	return false;
}

static void report(struct task *t)
{
	bool ext = t->cdb[1] & 0x20;
	uint8_t *p = answer(t, 1024);
	uint32_t at = ext ? 8 : 4, alloc = get32(t->cdb + 6);

	if (ext)
		p[4] = 0x10; /* extended header format */
	for (int i = 0; i < MAX_GROUPS; i++) {
		const struct group *g = &T.group[i];
		uint8_t n = 0;

		if (!g->used)
			continue;
		p[at] = (uint8_t)((g->preferred ? 0x80 : 0) | g->state);
		p[at + 1] = 0x8f; /* transitioning, unavailable, standby, non-optimized, optimized */
		put16(p + at + 2, g->id);
		for (int k = 0; k < T.nportals; k++)
			if (T.portal[k].group == g->id)
				put16(p + at + 8 + 4U * n++ + 2, (uint16_t)(k + 1));
		p[at + 7] = n;
		at += 8 + 4U * n;
	}
	put32(p, at - 4);
	t->in_len = at < alloc ? at : alloc;
}

/* SPC-4 6.45. Another group that was optimized becomes standby, as in an array of two controllers. */
static void set(struct task *t, const struct disk *d)
{
	if (!(d->tpgs & 2)) {
		check(t, 0x05, 0x20, 0x00);
		return;
	}
	for (uint32_t at = 4; at + 4 <= t->got; at += 4) {
		struct group *g = group_find(get16(t->data + at + 2));
		uint8_t state = t->data[at] & 0xf;

		if (!g) {
			check(t, 0x05, 0x26, 0x00);
			return;
		}
		for (int i = 0; state == 0 && i < MAX_GROUPS; i++)
			if (T.group[i].used && &T.group[i] != g && T.group[i].state == 0)
				group_set(&T.group[i], 2);
		group_set(g, state);
	}
}

bool groups_run(struct task *t, struct disk *d)
{
	if (!d->tpgs || (t->cdb[1] & 0x1f) != 0x0a)
		return false;
	if (t->cdb[0] == 0xa3)
		report(t);
	else if (t->cdb[0] == 0xa4)
		set(t, d);
	else
		return false;
	return true;
}
