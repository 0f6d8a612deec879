/* SPDX-License-Identifier: MIT */
/*
 * Persistent reservations of a model disk (SPC-4 5.7, 6.15, 6.16): registrations per nexus, and one
 * type, 7: write exclusive, all registrants. Nothing outlives a power loss (no APTPL).
 */
#include "sim.h"

#include <string.h>

#define TYPE 7

static uint64_t be(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static void put(uint8_t *p, uint64_t v, int n)
{
	for (; n--; v >>= 8)
		p[n] = v;
}

static struct registration *find(const struct reservation *r, const struct nexus *x)
{
	for (int i = 0; i < r->n; i++)
		if (nexus_same(&r->reg[i].of, x))
			return (struct registration *)&r->reg[i];
	return NULL;
}

/* SBC-3 table 13, SPC-4 table 52: what changes the medium is for those that are registered. */
bool reserve_allows(const struct disk *d, const struct nexus *x, const uint8_t *cdb)
{
	switch (cdb[0]) {
	case 0x8a:
	case 0x93:
	case 0x42:
	case 0x35:
	case 0x91:
	case 0xa4:
		return !d->pr.held || find(&d->pr, x);
	case 0x5f: /* all but the two ways to register */
		return (cdb[1] & 0x1f) == SCSI_PR_REGISTER ||
		       (cdb[1] & 0x1f) == SCSI_PR_REGISTER_AND_IGNORE || find(&d->pr, x);
	}
	return true;
}

void reserve_foreign(struct disk *d)
{
	static const struct port elsewhere = { .index = MAX_PORTS };

	d->pr.reg[0] = (struct registration){ { &elsewhere, 0, 0 }, 0xf0f0f0f0f0f0f0f0 };
	d->pr.n = 1;
	d->pr.held = true;
}

void reserve_power_loss(struct disk *d)
{
	memset(&d->pr, 0, sizeof(d->pr));
}

void reserve_in(struct disk *d, const uint8_t *cdb, struct answer *a)
{
	const struct reservation *r = &d->pr;
	uint32_t alloc = be(cdb + 7, 2);
	uint8_t *p;

	switch (cdb[1] & 0x1f) {
	case SCSI_PR_READ_KEYS:
		p = disk_answer(a, 8 + 8 * r->n);
		put(p + 4, 8 * r->n, 4);
		for (int i = 0; i < r->n; i++)
			put(p + 8 + 8 * i, r->reg[i].key, 8);
		break;
	case SCSI_PR_READ_RESERVATION:
		p = disk_answer(a, r->held ? 24 : 8);
		if (r->held) {
			put(p + 4, 16, 4); /* the key of all registrants is 0 */
			p[21] = TYPE;
		}
		break;
	default:
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x24, 0);
		return;
	}
	put(p, r->generation, 4);
	if (a->len > alloc)
		a->len = alloc;
}

static void remove_at(struct reservation *r, int i)
{
	r->reg[i] = r->reg[--r->n];
	if (!r->n)
		r->held = false; /* with the last registrant, SPC-4 5.7.11.2.3 */
}

static void do_register(struct reservation *r, const struct nexus *x, uint64_t key, uint64_t new,
			bool ignore, struct answer *a)
{
	struct registration *mine = find(r, x);

	if (!ignore && key != (mine ? mine->key : 0)) {
		a->status = SCSI_ST_RESERVATION_CONFLICT;
		return;
	}
	if (mine && !new)
		remove_at(r, mine - r->reg);
	else if (mine)
		mine->key = new;
	else if (new && r->n == MAX_REGISTRATIONS)
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x55, 0x04);
	else if (new)
		r->reg[r->n++] = (struct registration){ *x, new };
	r->generation++;
}

/* SPC-4 5.7.11.4.4: with all registrants a key of 0 preempts everybody else, and the reservation. */
static void preempt(struct sim *s, struct disk *d, const struct nexus *x, uint64_t victim, bool abort,
		    struct answer *a)
{
	struct reservation *r = &d->pr;
	bool found = false;

	if (!victim && !r->held) {
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x26, 0);
		return;
	}
	for (int i = r->n - 1; i >= 0; i--) {
		struct nexus of = r->reg[i].of;
		bool mine = nexus_same(&of, x);

		if (victim ? r->reg[i].key != victim : mine)
			continue;
		found = true;
		remove_at(r, i);
		if (abort) {
			late_abort(s, d, &of);
			if (!mine)
				link_abort(s, d, &of);
		}
		if (!mine)
			link_attention(s, d, &of, NULL, 0x2a, 0x05);
	}
	if (victim && !found)
		a->status = SCSI_ST_RESERVATION_CONFLICT;
	else
		r->generation++;
}

void reserve_out(struct sim *s, struct disk *d, const struct nexus *x, const struct scsi_cmd *cmd,
		 struct answer *a)
{
	struct reservation *r = &d->pr;
	const uint8_t *p = cmd->iov[0].iov_base;
	uint8_t action = cmd->cdb[1] & 0x1f, scope_type = cmd->cdb[2];
	struct registration *mine = find(r, x);
	uint64_t key, sa_key;

	if (cmd->len != SCSI_PR_OUT_LEN || be(cmd->cdb + 5, 4) != SCSI_PR_OUT_LEN) {
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x1a, 0);
		return;
	}
	if (p[20]) { /* neither SPEC_I_PT nor ALL_TG_PT nor APTPL */
		disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x26, 0);
		return;
	}
	key = be(p, 8);
	sa_key = be(p + 8, 8);
	if (action != SCSI_PR_REGISTER && action != SCSI_PR_REGISTER_AND_IGNORE &&
	    mine->key != key) { /* it is registered, reserve_allows() says */
		a->status = SCSI_ST_RESERVATION_CONFLICT;
		return;
	}
	switch (action) {
	case SCSI_PR_REGISTER:
	case SCSI_PR_REGISTER_AND_IGNORE:
		do_register(r, x, key, sa_key, action == SCSI_PR_REGISTER_AND_IGNORE, a);
		return;
	case SCSI_PR_RESERVE:
		if (scope_type == TYPE)
			r->held = true;
		else
			disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x24, 0);
		return;
	case SCSI_PR_RELEASE:
		r->held = false;
		link_attention(s, d, NULL, x, 0x2a, 0x04);
		return;
	case SCSI_PR_CLEAR:
		r->n = 0;
		r->held = false;
		r->generation++;
		link_attention(s, d, NULL, x, 0x2a, 0x03);
		return;
	case SCSI_PR_PREEMPT:
	case SCSI_PR_PREEMPT_AND_ABORT:
		preempt(s, d, x, sa_key, action == SCSI_PR_PREEMPT_AND_ABORT, a);
		return;
	}
	disk_check_condition(a, SCSI_KEY_ILLEGAL_REQUEST, 0x24, 0);
}
