/* SPDX-License-Identifier: MIT */
/*
 * Target port groups of a model disk (SPC-4 5.15, 6.37, 6.45): their states are enforced, change at
 * random, and can be set where TPGS says so. Without -DSIM_ALUA no disk has any.
 */
#include "sim.h"
#include "../../policy/dsm.h"

#include <string.h>

#define SETTLE_MAX (2 * SEC)
#define SUPPORTED 0x8f /* T, U, S, AN, AO; not O, LBD */

void alua_init(struct sim *s, struct disk *d)
{
#ifdef SIM_ALUA
	d->tpgs = sim_below(s, 4);
	d->short_rtpg = sim_chance(s, 30);
	d->capacity_always = sim_chance(s, 50);
	if (d->tpgs && !s->anchored && sim_chance(s, 50))
		d->access[1] = sim_chance(s, 50) ? DSM_ALUA_AU : DSM_ALUA_STANDBY;
#else
	(void)s;
	(void)d;
#endif
}

/* SPC-4 5.15.2.4: what works in every state. */
static bool always(const struct disk *d, const uint8_t *cdb)
{
	switch (cdb[0]) {
	case 0x12:
	case 0x1a:
	case 0x5e:
	case 0x5f:
	case 0xa0:
	case 0xa3:
	case 0xa4:
		return true;
	case 0x9e:
		return d->capacity_always;
	}
	return false;
}

bool alua_allows(const struct disk *d, const struct nexus *x, const uint8_t *cdb, struct answer *a)
{
	uint8_t state = d->tpgs ? d->access[x->port->tpgt - 1] : DSM_ALUA_AO;

	if (state == DSM_ALUA_AO || state == DSM_ALUA_AU || always(d, cdb))
		return true;
	disk_check_condition(a, SCSI_KEY_NOT_READY, 0x04,
			     state == DSM_ALUA_STANDBY	 ? 0x0b
			     : state == DSM_ALUA_UNAVAILABLE ? 0x0c
							 : 0x0a);
	return false;
}

/* Is there a port in the group? */
static int ports_of(const struct sim *s, int group, uint8_t *list)
{
	int n = 0;

	for (int i = 0; i < s->nports; i++) {
		if (s->ports[i].tpgt != group + 1)
			continue;
		list[4 * n + 3] = i + 1;
		n++;
	}
	return n;
}

void alua_report(struct sim *s, struct disk *d, const uint8_t *cdb, struct answer *a)
{
	bool ext = cdb[1] >> 5 == 1;
	uint8_t *p, *q;

	if (!d->tpgs || (cdb[1] & 0x1f) != 0x0a) {
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x20, 0);
		return;
	}
	if (cdb[1] >> 5 > 1 || (ext && d->short_rtpg)) {
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x24, 0);
		return;
	}
	p = disk_answer(a, 8 + MAX_TPGS * (8 + 4 * MAX_PORTS));
	p[4] = ext ? 0x10 : 0;
	p[5] = ext ? 10 : 0; /* seconds that a transition may take */
	q = p + (ext ? 8 : 4);
	for (int i = 0; i < MAX_TPGS; i++) {
		int n = ports_of(s, i, q + 8);

		if (!n)
			continue;
		q[0] = d->access[i] | (i == 0) << 7;
		q[1] = SUPPORTED;
		q[3] = i + 1;
		q[7] = n;
		q += 8 + 4 * n;
	}
	p[3] = q - p - 4;
	a->len = q - p;
}

static void set_state(struct sim *s, struct disk *d, int group, uint8_t state, const struct nexus *by)
{
	if (d->access[group] == state)
		return;
	sim_trace(s, "disk %d: port group %d goes to state %u", d->index, group + 1, state);
	d->access[group] = state;
	link_attention(s, d, NULL, by, 0x2a, 0x06);
	if (state == DSM_ALUA_TRANSITIONING)
		sim_at(s, sim_below(s, SETTLE_MAX), EV_ALUA, d->index, group);
}

void alua_set(struct sim *s, struct disk *d, const struct nexus *x, const struct scsi_cmd *cmd,
	      struct answer *a)
{
	const uint8_t *p = cmd->iov[0].iov_base;

	if (!(d->tpgs & 2) || (cmd->cdb[1] & 0x1f) != 0x0a) {
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x20, 0);
		return;
	}
	for (uint32_t i = 4; i + 4 <= cmd->len; i += 4) {
		uint8_t state = p[i] & 0xf;
		int group = p[i + 2] << 8 | p[i + 3];

		if (group < 1 || group > MAX_TPGS || state > DSM_ALUA_UNAVAILABLE) {
			disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x26, 0);
			return;
		}
		set_state(s, d, group - 1, state, x);
	}
}

/* A port that is never harmed has a group that stays as it is. */
static bool anchored(const struct sim *s, int group)
{
	return s->anchored && s->ports[0].tpgt == group + 1;
}

void alua_change(struct sim *s)
{
	static const uint8_t states[] = { DSM_ALUA_AO, DSM_ALUA_AU, DSM_ALUA_STANDBY,
					  DSM_ALUA_UNAVAILABLE, DSM_ALUA_TRANSITIONING };
	struct disk *d = &s->disks[sim_below(s, s->ndisks)];
	int group = sim_below(s, MAX_TPGS);

	if (d->tpgs && !anchored(s, group))
		set_state(s, d, group, states[sim_below(s, sizeof(states))], NULL);
}

void alua_settle(struct sim *s, uint64_t disk, uint64_t group)
{
	struct disk *d = &s->disks[disk];

	if (d->access[group] == DSM_ALUA_TRANSITIONING)
		set_state(s, d, group, sim_below(s, DSM_ALUA_UNAVAILABLE + 1), NULL);
}

void alua_peace(struct sim *s)
{
	for (int i = 0; i < s->ndisks; i++)
		for (int k = 0; k < MAX_TPGS && s->disks[i].tpgs; k++)
			set_state(s, &s->disks[i], k, DSM_ALUA_AO, NULL);
}
