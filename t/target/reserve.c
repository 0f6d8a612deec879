/* SPDX-License-Identifier: MIT */
/* Persistent reservations (SPC-4 5.13, 6.15, 6.16). */
#include "target.h"

#include <stdio.h>
#include <string.h>

enum { CONFLICT = 0x18 }; /* status */
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

static bool registrants_only(uint8_t type)
{
	return type >= WE_RO;
}

/* SPC-4 table 65 and SBC-3 table 13, for the commands that there are. */
bool reserve_allow(struct task *t, struct disk *d)
{
	bool registered = find(d, &t->nexus),
	     exclusive = d->reserved == EA || d->reserved == EA_RO || d->reserved == EA_AR;

	if (!d->reserved || holds(d, &t->nexus) || (registered && registrants_only(d->reserved)))
		return true;
	switch (t->cdb[0]) {
	case 0x28:
	case 0x88:
	case 0x9e: /* GET LBA STATUS; READ CAPACITY is let pass */
		if (!exclusive || (t->cdb[0] == 0x9e && (t->cdb[1] & 0x1f) == 0x10))
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
	t->status = CONFLICT;
	return false;
}

/* A unit attention for each registered nexus but one. */
static void ua_others(struct disk *d, const struct nexus *but, uint8_t asc, uint8_t ascq)
{
	for (int i = 0; i < d->nreg; i++)
		if (!nexus_same(&d->reg[i].who, but))
			ua_nexus(&d->reg[i].who, d->lun, asc, ascq);
}

/* The reservation ends; the other registrants are told where they had a share in it
 * (SPC-4 5.13.11.2). */
static void let_go(struct disk *d, const struct nexus *by)
{
	uint8_t type = d->reserved;

	d->reserved = 0;
	if (registrants_only(type))
		ua_others(d, by, 0x2a, 0x04);
}

static void unregister(struct disk *d, int i)
{
	struct nexus who = d->reg[i].who;
	bool holder = d->reserved && !all_registrants(d) && nexus_same(&who, &d->holder);

	d->reg[i] = d->reg[--d->nreg];
	if (holder || (d->reserved && !d->nreg))
		let_go(d, &who);
}

static void reg(struct task *t, struct disk *d, uint64_t key, uint64_t new, bool ignore)
{
	struct registration *r = find(d, &t->nexus);

	if (!ignore && (r ? r->key != key : key != 0)) {
		t->status = CONFLICT;
		return;
	}
	if (!r && new && d->nreg == MAX_REGISTRATIONS) {
		check(t, 0x05, 0x55, 0x04); /* insufficient registration resources */
		return;
	}
	if (!r && new)
		d->reg[d->nreg++] = (struct registration){ t->nexus, new };
	else if (r && new)
		r->key = new;
	else if (r)
		unregister(d, (int)(r - d->reg));
	if (r || new)
		d->generation++;
}

static void reserve(struct task *t, struct disk *d, uint8_t type)
{
	if (d->reserved && (!holds(d, &t->nexus) || d->reserved != type)) {
		t->status = CONFLICT;
		return;
	}
	d->reserved = type;
	d->holder = t->nexus;
}

static void release(struct task *t, struct disk *d, uint8_t type)
{
	if (!holds(d, &t->nexus))
		return; /* no error, SPC-4 5.13.11.2.2 */
	if (d->reserved != type)
		check(t, 0x05, 0x26, 0x04); /* invalid release */
	else
		let_go(d, &t->nexus);
}

static void clear(struct task *t, struct disk *d)
{
	ua_others(d, &t->nexus, 0x2a, 0x03);
	d->nreg = 0;
	d->reserved = 0;
	d->generation++;
}

/* SPC-4 5.13.11.2.6. A victim of 0 means everybody else, where all registrants hold the
 * reservation. */
static void preempt(struct task *t, struct disk *d, uint64_t victim, uint8_t type, bool abort)
{
	bool all = !victim && all_registrants(d), taken = all, found = all;
	const struct registration *holder =
		d->reserved && !all_registrants(d) ? find(d, &d->holder) : NULL;
	uint8_t old = d->reserved;

	if (!victim && !all) {
		check(t, 0x05, 0x26, 0x00);
		return;
	}
	if (holder && holder->key == victim)
		taken = found = true;
	for (int i = d->nreg - 1; i >= 0; i--) {
		struct nexus who = d->reg[i].who;

		if ((!all && d->reg[i].key != victim) || nexus_same(&who, &t->nexus))
			continue;
		found = true;
		d->reg[i] = d->reg[--d->nreg];
		ua_nexus(&who, d->lun, 0x2a, 0x05);
		if (abort)
			task_abort_nexus(&who, d);
	}
	if (!found) {
		t->status = CONFLICT;
		return;
	}
	d->generation++;
	if (!taken)
		return;
	d->reserved = type;
	d->holder = t->nexus;
	if (registrants_only(old) && old != type)
		ua_others(d, &t->nexus, 0x2a, 0x04);
}

enum { REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_ABORT, REGISTER_IGNORE };

static bool type_is_right(uint8_t action, uint8_t byte)
{
	uint8_t type = byte & 0xf;

	if (action == REGISTER || action == REGISTER_IGNORE || action == CLEAR)
		return true;
	return byte >> 4 == 0 && type <= EA_AR && type != 0 && type != 2 && type != 4;
}

static void out(struct task *t, struct disk *d)
{
	uint8_t action = t->cdb[1] & 0x1f, type = t->cdb[2] & 0xf;
	uint64_t key, service;

	if (t->got != 24) {
		check(t, 0x05, 0x1a, 0x00);
		return;
	}
	if (action > REGISTER_IGNORE || !type_is_right(action, t->cdb[2])) {
		check(t, 0x05, 0x24, 0x00);
		return;
	}
	if (t->data[20] & 0x0d) { /* SPEC_I_PT, ALL_TG_PT, APTPL: not supported */
		check(t, 0x05, 0x26, 0x00);
		return;
	}
	key = get64(t->data);
	service = get64(t->data + 8);
	if (action != REGISTER && action != REGISTER_IGNORE &&
	    (!find(d, &t->nexus) || find(d, &t->nexus)->key != key)) {
		t->status = CONFLICT;
		return;
	}
	switch (action) {
	case REGISTER:
		reg(t, d, key, service, false);
		break;
	case REGISTER_IGNORE:
		reg(t, d, key, service, true);
		break;
	case RESERVE:
		reserve(t, d, type);
		break;
	case RELEASE:
		release(t, d, type);
		break;
	case CLEAR:
		clear(t, d);
		break;
	default:
		preempt(t, d, service, type, action == PREEMPT_ABORT);
	}
}

/* ---- PERSISTENT RESERVE IN ---- */

static uint32_t read_keys(const struct disk *d, uint8_t *p)
{
	for (int i = 0; i < d->nreg; i++)
		put64(p + 8 + 8 * i, d->reg[i].key);
	put32(p + 4, 8U * (uint32_t)d->nreg);
	return 8 + 8U * (uint32_t)d->nreg;
}

static uint32_t read_reservation(struct disk *d, uint8_t *p)
{
	const struct registration *r = find(d, &d->holder);

	if (!d->reserved)
		return 8;
	put32(p + 4, 16);
	put64(p + 8, all_registrants(d) || !r ? 0 : r->key);
	p[21] = d->reserved;
	return 24;
}

static uint32_t capabilities(uint8_t *p)
{
	put16(p, 8);
	p[3] = 0x80; /* TMV */
	p[4] = 1 << WE_AR | 1 << EA_RO | 1 << WE_RO | 1 << EA | 1 << WE;
	p[5] = 1; /* EA_AR */
	return 8;
}

/* The TransportID of an initiator port: its name, ",i,0x" and its ISID (SPC-4 7.6.4.6). Length,
 * padded. */
static uint32_t transport_id(const struct nexus *n, uint8_t *p)
{
	int len = snprintf((char *)p + 4, 256, "%s,i,0x%02x%02x%02x%02x%02x%02x", n->initiator,
			   n->isid[0], n->isid[1], n->isid[2], n->isid[3], n->isid[4], n->isid[5]) +
		  1;

	len = (len + 3) & ~3;
	p[0] = 0x45;
	put16(p + 2, (uint16_t)len);
	return 4 + (uint32_t)len;
}

static uint32_t full_status(struct disk *d, uint8_t *p)
{
	uint32_t at = 8;

	for (int i = 0; i < d->nreg; i++) {
		const struct registration *r = &d->reg[i];
		uint32_t id = transport_id(&r->who, p + at + 24);

		put64(p + at, r->key);
		p[at + 12] = holds(d, &r->who);
		if (p[at + 12])
			p[at + 13] = d->reserved;
		for (int k = T.nportals - 1; k >= 0; k--)
			if (T.portal[k].group == r->who.group)
				put16(p + at + 18, (uint16_t)(k + 1));
		put32(p + at + 20, id);
		at += 24 + id;
	}
	put32(p + 4, at - 8);
	return at;
}

static void in(struct task *t, struct disk *d)
{
	uint8_t *p = answer(t, 8 + MAX_REGISTRATIONS * 300);
	uint32_t alloc = get16(t->cdb + 7);

	put32(p, d->generation);
	switch (t->cdb[1] & 0x1f) {
	case 0:
		t->in_len = read_keys(d, p);
		break;
	case 1:
		t->in_len = read_reservation(d, p);
		break;
	case 2:
		t->in_len = capabilities(p);
		break;
	case 3:
		t->in_len = full_status(d, p);
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
