/* SPDX-License-Identifier: MIT */
/*
 * Late commands. When a connection is killed, the network, or the target, may hold some of what it
 * sent: a ghost, which is executed in its order some time later, with no answer to anybody. It ends
 * before that when the target learns that its session is no more: at the login that reinstates it. A
 * target that does not reinstate gets what is on its way through a port before a newer login there.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* After it nothing is held any more; the engine's fence_timeout is longer. */
#define LIFE_MAX (10 * SEC)

struct late_cmd {
	struct list link;
	struct scsi_cmd scsi;
	uint8_t payload[];
};

struct ghost {
	struct list link, cmds;
	uint64_t id, dies;
	bool due;            /* waits for the port */
	struct nexus nexus;
};

static uint32_t late_random(struct sim *s)
{
	s->late_rng ^= s->late_rng >> 12;
	s->late_rng ^= s->late_rng << 25;
	s->late_rng ^= s->late_rng >> 27;
	return (s->late_rng * 0x2545f4914f6cdd1dULL) >> 32;
}

/* From half a millisecond on, each doubling as likely as the next. */
static uint64_t hold_time(struct sim *s)
{
	uint64_t base = 500ULL << late_random(s) % 15;

	return base + late_random(s) % base;
}

static void schedule(struct sim *s, struct ghost *g)
{
	uint64_t delay = hold_time(s), left = g->dies > s->now ? g->dies - s->now : 0;

	g->due = false;
	sim_at(s, delay < left ? delay : left, EV_LATE, g->id, 0);
}

static void ghost_free(struct sim *s, struct ghost *g, uint64_t *count)
{
	struct list *pos;

	while ((pos = list_pop(&g->cmds))) {
		(*count)++;
		free(list_entry(pos, struct late_cmd, link));
	}
	list_del(&g->link);
	free(g);
}

/* Commands that change nothing are no harm at any time: they are not kept. */
static bool changes_something(const struct scsi_cmd *c)
{
	return c->dir == SCSI_DIR_OUT && c->niov;
}

static void keep(struct sim *s, struct ghost *g, const struct scsi_cmd *c)
{
	struct late_cmd *l = malloc(sizeof(*l) + c->len);

	l->scsi = *c;
	memcpy(l->payload, c->iov[0].iov_base, c->len);
	l->scsi.iov[0].iov_base = l->payload;
	list_init(&l->link);
	list_add_head(&l->link, &g->cmds);
	s->late.commands++;
}

void late_keep(struct sim *s, struct conn *c)
{
	/* What is younger was in our kernel still, and goes with the connection. */
	uint64_t young = late_random(s) % (2 * MS);
	bool left = false, want = !s->calm && !s->no_late && !c->dropped && late_random(s) % 2;
	struct ghost *g = calloc(1, sizeof(*g));
	struct list *pos;

	list_init(&g->link);
	list_init(&g->cmds);
	for (pos = c->cmds.prev; pos != &c->cmds; pos = pos->prev) {
		struct cmd *k = list_entry(pos, struct cmd, link);

		left |= k->executed || s->now - k->sent > young;
		if (!left)
			k->scsi->data_out = false;
		else if (want && !k->executed && !k->aborted && changes_something(k->scsi))
			keep(s, g, k->scsi);
	}
	if (list_empty(&g->cmds)) {
		free(g);
		return;
	}
	g->id = ++s->next_id;
	g->nexus = c->nexus;
	g->dies = s->now + LIFE_MAX;
	list_add_tail(&g->link, &s->ghosts);
	s->late.ghosts++;
	sim_trace(s, "commands of %s are held", c->session->name);
	schedule(s, g);
}

static void execute_one(struct sim *s, struct ghost *g)
{
	struct late_cmd *l = list_entry(list_pop(&g->cmds), struct late_cmd, link);
	bool taken = disk_execute_late(s, &g->nexus, &l->scsi);

	sim_trace(s, "late from %s: %s on LUN %u is %s", g->nexus.port->addr,
		  scsi_opcode_name(l->scsi.cdb[0]), l->scsi.lun, taken ? "executed" : "refused");
	s->late.refused += !taken;
	free(l);
}

/* The network gives out some of what it holds. */
static void release(struct sim *s, struct ghost *g)
{
	while (!list_empty(&g->cmds)) {
		execute_one(s, g);
		s->late.executed++;
		if (late_random(s) % 2)
			break;
	}
	if (list_empty(&g->cmds))
		ghost_free(s, g, &s->late.lost);
	else
		schedule(s, g);
}

void late_event(struct sim *s, uint64_t id)
{
	struct list *pos;

	list_for_each(pos, &s->ghosts) {
		struct ghost *g = list_entry(pos, struct ghost, link);

		if (g->id != id)
			continue;
		g->due = true;
		if (s->now >= g->dies)
			ghost_free(s, g, &s->late.lost);
		else if (!g->nexus.port->cut)
			release(s, g);
		return;
	}
}

void late_uncut(struct sim *s, const struct port *p)
{
	struct list *pos;

	list_for_each(pos, &s->ghosts) {
		struct ghost *g = list_entry(pos, struct ghost, link);

		if (g->nexus.port == p && g->due)
			schedule(s, g);
	}
}

/* All that is left of it, now: the network is first in, first out. */
static void flush(struct sim *s, struct ghost *g)
{
	while (!list_empty(&g->cmds)) {
		execute_one(s, g);
		s->late.flushed++;
	}
	ghost_free(s, g, &s->late.lost);
}

void late_login(struct sim *s, const struct nexus *x)
{
	struct list *pos, *next;

	for (pos = s->ghosts.next; pos != &s->ghosts; pos = next) {
		struct ghost *g = list_entry(pos, struct ghost, link);

		next = pos->next;
		if (!s->reinstates && g->nexus.port == x->port)
			flush(s, g);
		else if (s->reinstates && g->nexus.isid == x->isid && g->nexus.tpgt == x->tpgt)
			ghost_free(s, g, &s->late.reinstated);
	}
}

void late_drop(struct sim *s, const struct port *p)
{
	struct list *pos, *next;

	for (pos = s->ghosts.next; pos != &s->ghosts; pos = next) {
		struct ghost *g = list_entry(pos, struct ghost, link);

		next = pos->next;
		if (!p || g->nexus.port == p)
			ghost_free(s, g, &s->late.lost);
	}
}

/* Called while a ghost is executed, perhaps: an empty one is freed at its time. */
void late_abort(struct sim *s, const struct disk *d, const struct nexus *x)
{
	struct list *pos, *q, *next;

	list_for_each(pos, &s->ghosts) {
		struct ghost *g = list_entry(pos, struct ghost, link);

		if (!nexus_same(x, &g->nexus))
			continue;
		for (q = g->cmds.next; q != &g->cmds; q = next) {
			struct late_cmd *l = list_entry(q, struct late_cmd, link);

			next = q->next;
			if (x->port->map[l->scsi.lun] != d->index)
				continue;
			list_del(&l->link);
			free(l);
			s->late.aborted++;
		}
	}
}

void late_free(struct sim *s)
{
	late_drop(s, NULL);
}
