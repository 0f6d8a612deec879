/* SPDX-License-Identifier: MIT */
/* What goes wrong: ports, cables, controllers, power, and the administrator. And the peace after it. */
#include "sim.h"
#include "../../daemon/internal.h"

#include <stdio.h>

#ifdef SIM_ALUA
#define KINDS 15 /* from 12 on: a port group changes its state */
#else
#define KINDS 12
#endif

void fault_heal(struct sim *s, struct port *p)
{
	if (p->cut)
		link_uncut(s, p);
	p->refuse = p->slow = false;
	if (p->down) {
		p->down = false;
		engine_link_up(s->engine, NULL);
	}
}

/* The controller behind the port was exchanged, with the LUNs in another order, and put right later. */
static void swap_luns(struct sim *s, struct port *p)
{
	int t = p->map[0];

	if (s->ndisks < 2)
		return;
	p->map[0] = p->map[1];
	p->map[1] = t;
	/* At the same instant: no command of the old login may reach the new LUN. */
	late_drop(s, p);
	engine_set_time(s->engine, s->now);
	link_close(s, p, "controller exchanged");
}

static void power_loss(struct sim *s)
{
	sim_trace(s, "power loss");
	for (int i = 0; i < s->ndisks; i++)
		disk_power_loss(&s->disks[i], s->now);
	late_drop(s, NULL);
	link_close(s, NULL, "power loss");
}

static void admin(struct sim *s, struct port *p)
{
	static const char *const policies[] = { "round-robin", "least-queue-depth", "failover-only" };
	char name[64];

	snprintf(name, sizeof(name), "t/%s", p->addr);
	switch (sim_below(s, 4)) {
	case 0:
		engine_path_disable(s->engine, name);
		break;
	case 1:
		engine_path_drain(s->engine, name);
		break;
	case 2:
		if (!list_empty(&s->engine->luns))
			engine_lun_policy(s->engine,
					  list_entry(s->engine->luns.next, struct lun, in_engine)->id,
					  policies[sim_below(s, 3)]);
		break;
	case 3:
		engine_rescan(s->engine);
		break;
	}
	sim_trace(s, "administrator on %s", name);
}

/* Not where the LUNs are swapped: to enable a refused path is to accept what is there. */
void fault_enable_all(struct sim *s)
{
	for (int i = 0; i < s->nports; i++) {
		char name[64];

		if (s->ndisks > 1 && s->ports[i].map[0] > s->ports[i].map[1])
			continue;
		snprintf(name, sizeof(name), "t/%s", s->ports[i].addr);
		engine_path_enable(s->engine, name);
	}
}

void fault_inject(struct sim *s)
{
	struct port *p = &s->ports[sim_below(s, s->nports)];
	unsigned kind = sim_below(s, KINDS);

	if (!s->faults_on)
		return;
	sim_at(s, 50 * MS + sim_below(s, 700 * MS), EV_FAULT, 0, 0);
	if (p->anchor && kind < 12)
		return;
	sim_trace(s, "fault %u on %s", kind, p->addr);
	switch (kind) {
	case 0:
	case 1:
		p->cut = true;
		break;
	case 2:
		link_lose(s, p, SESSION_LOSS_CLOSED);
		break;
	case 3:
		p->down = true;
		link_lose(s, p, SESSION_LOSS_LINK);
		break;
	case 4:
		p->refuse = true;
		link_lose(s, p, SESSION_LOSS_LOGOUT);
		break;
	case 5:
		p->slow = true;
		break;
	case 6:
		swap_luns(s, p);
		break;
	case 7:
		if (!s->anchored)
			power_loss(s);
		break;
	case 8:
		sim_reload(s);
		break;
	case 9:
		admin(s, p);
		break;
	case 10:
		fault_enable_all(s);
		break;
	case 11:
		for (int i = 0; i < s->nports; i++)
			fault_heal(s, &s->ports[i]);
		break;
	default:
		alua_change(s);
		return;
	}
	if (p->cut || p->down || p->refuse || p->slow)
		sim_at(s, 20 * MS + sim_below(s, 3 * SEC), EV_HEAL, p->index, 0);
}

void fault_peace(struct sim *s)
{
	sim_trace(s, "peace");
	s->faults_on = false;
	s->calm = true;
	for (int i = 0; i < s->nports; i++) {
		bool swapped = s->ports[i].map[0] > s->ports[i].map[1] && s->ndisks > 1;

		fault_heal(s, &s->ports[i]);
		if (swapped)
			swap_luns(s, &s->ports[i]);
	}
	alua_peace(s);
	fault_enable_all(s);
	client_stop(s);
}
