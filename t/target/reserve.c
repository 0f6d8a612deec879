/* SPDX-License-Identifier: MIT */
/* Persistent reservations (SPC-4 5.13, 6.15, 6.16). */
#include "target.h"

#include <string.h>

enum { WE = 1, EA = 3, WE_RO = 5, EA_RO = 6, WE_AR = 7, EA_AR = 8 };

static struct registration *find(struct disk *d, const struct nexus *n)
{
	for (int i = 0; i < d->nreg; i++)
		if (nexus_same(&d->reg[i].who, n))
			return &d->reg[i];
	return NULL;
}

static bool all_registrants(const struct disk *d)
{
	return d->reserved == WE_AR || d->reserved == EA_AR;
}

static bool holds(struct disk *d, const struct nexus *n)
{
	return d->reserved && (all_registrants(d) ? find(d, n) != NULL : nexus_same(&d->holder, n));
}

/* SPC-4 table 65 and SBC-3 table 13, for the commands that there are. */
bool reserve_allow(struct task *t, struct disk *d)
{
	bool registered = find(d, &t->nexus), exclusive = d->reserved == EA || d->reserved == EA_RO || d->reserved == EA_AR;

	if (!d->reserved || holds(d, &t->nexus) || (registered && d->reserved >= WE_RO))
		return true;
	switch (t->cdb[0]) {
	case 0x28:
	case 0x88:
		if (!exclusive)
			return true;
		break;
	case 0x2a:
	case 0x8a:
	case 0x93:
	case 0x42:
	case 0x35:
	case 0x91:
	case 0x1a: /* MODE SENSE too */
	case 0xa4:
		break;
	default:
		return true;
	}
	t->status = 0x18;
	return false;
}

static void ua_to(const struct nexus *n, uint16_t lun, uint8_t asc, uint8_t ascq)
{
	struct list *pos;

	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (T.uas && c->full && nexus_same(&c->nexus, n))
			ua_add(c, lun, asc, ascq);
	}
}

static void remove_at(struct disk *d, int i)
{
	bool holder = d->reserved && !all_registrants(d) && nexus_same(&d->reg[i].who, &d->holder);

	d->reg[i] = d->reg[--d->nreg];
	if (holder || !d->nreg)
		d->reserved = 0;
}

static void reg(struct task *t, struct disk *d, uint64_t key, uint64_t new, bool ignore)
{
	struct registration *r = find(d, &t->nexus);

	if (!ignore && (r ? r->key != key : key != 0)) {
		t->status = 0x18;
	} else if (!r && new && d->nreg < MAX_REGISTRATIONS) {
		d->reg[d->nreg++] = (struct registration){ t->nexus, new };
		d->generation++;
	} else if (r && new) {
		r->key = new;
		d->generation++;
	} else if (r) {
		remove_at(d, (int)(r - d->reg));
		d->generation++;
	}
}

static void reserve(struct task *t, struct disk *d, uint8_t type)
{
	if (d->reserved && (!holds(d, &t->nexus) || d->reserved != type)) {
		t->status = 0x18;
		return;
	}
	d->reserved = type;
	d->holder = t->nexus;
}

static void preempt(struct task *t, struct disk *d, uint64_t victim, uint8_t type, bool abort)
{
	bool found = false;

	for (int i = d->nreg - 1; i >= 0; i--) {
		struct nexus who = d->reg[i].who;

		if (d->reg[i].key != victim || nexus_same(&who, &t->nexus))
			continue;
		found = true;
		if (d->reserved && !all_registrants(d) && nexus_same(&who, &d->holder)) {
			d->holder = t->nexus;
			d->reserved = type;
		}
		remove_at(d, i);
		ua_to(&who, d->lun, 0x2a, 0x05);
		if (abort)
			task_abort_nexus(&who, d);
	}
	if (!found)
		t->status = 0x18;
	else
		d->generation++;
}

static void out(struct task *t, struct disk *d)
{
	uint8_t action = t->cdb[1] & 0x1f, type = t->cdb[2] & 0xf;
	uint64_t key, service;

	if (t->got < 24) {
		check(t, 0x05, 0x1a, 0x00);
		return;
	}
	key = get64(t->data);
	service = get64(t->data + 8);
	if (action != 0 && action != 6 && (!find(d, &t->nexus) || find(d, &t->nexus)->key != key)) {
		t->status = 0x18;
		return;
	}
	switch (action) {
	case 0: reg(t, d, key, service, false); break;
	case 6: reg(t, d, key, service, true); break;
	case 1: reserve(t, d, type); break;
	case 2:
		if (holds(d, &t->nexus))
			d->reserved = 0;
		break;
	case 3:
		d->nreg = 0;
		d->reserved = 0;
		d->generation++;
		break;
	case 4:
	case 5: preempt(t, d, service, type, action == 5); break;
	default: check(t, 0x05, 0x24, 0x00);
	}
}

static void in(struct task *t, struct disk *d)
{
	uint8_t *p = answer(t, 8 + 8 * MAX_REGISTRATIONS);
	uint32_t alloc = get16(t->cdb + 7);

	put32(p, d->generation);
	switch (t->cdb[1] & 0x1f) {
	case 0:
		for (int i = 0; i < d->nreg; i++)
			put64(p + 8 + 8 * i, d->reg[i].key);
		put32(p + 4, 8U * (uint32_t)d->nreg);
		t->in_len = 8 + 8U * (uint32_t)d->nreg;
		break;
	case 1:
		t->in_len = d->reserved ? 24 : 8;
		put32(p + 4, t->in_len - 8);
		if (d->reserved) {
			struct registration *r = find(d, &d->holder);

			put64(p + 8, all_registrants(d) || !r ? 0 : r->key);
			p[21] = d->reserved;
		}
		break;
	default:
		check(t, 0x05, 0x24, 0x00);
		return;
	}
	if (t->in_len > alloc)
		t->in_len = alloc;
}

bool reserve_run(struct task *t, struct disk *d)
{
	if (t->cdb[0] == 0x5f)
		out(t, d);
	else if (t->cdb[0] == 0x5e)
		in(t, d);
	else
		return false;
	return true;
}
