/* SPDX-License-Identifier: MIT */
/*
 * After the death of an earlier process: what it had under way (flight.h) is in doubt, as if its sessions had been lost by this
 * one. A login with the ISID of the old session ends it. Whether the target honours that is not known yet; until it is, a pause
 * follows the login.
 */
#include "fence.h"
#include "flight.h"
#include "internal.h"

#include <string.h>

/*
 * The target whose logins end that nexus: it has to be the same initiator port, of name and ISID (RFC 7143 4.4.1), on the same target.
 * The ISID is made of all these names; after a change of one of them it is another.
 */
static struct target *target_of(struct engine *e, const struct flight_nexus *n)
{
	struct list *pos;

	list_for_each(pos, &e->targets) {
		struct target *t = list_entry(pos, struct target, in_engine);

		if (t->conf && !strcmp(t->conf->name, n->target) && session_isid(e, t, n->session) == n->isid)
			return t;
	}
	return NULL;
}

/* This process has logged in with the ISID of the old session already. */
static bool logged_in(const struct doubt *d)
{
	const struct list *pos;

	if (d->target)
		list_for_each(pos, &d->target->sessions) {
			const struct session *s = list_entry(pos, struct session, in_target);

			if (s->isid == d->isid && s->tpgt == d->tpgt && session_connected(s))
				return true;
		}
	return false;
}

/* As the peers do: nobody is to wait, and nothing is kept that nobody waits for. */
static void forget(struct engine *e, struct lun *l)
{
	struct flight_write w;
	uint32_t record;

	flight_end(e->flight, flight_take_all(e->flight, l->id));
	while ((record = flight_take_old(e->flight, l->id, &w)))
		flight_end(e->flight, record);
}

void fence_recall(struct engine *e, struct lun *l)
{
	struct flight_write w;
	struct list *pos, *tmp;
	uint32_t record;

	if (l->recalled)
		return;
	l->recalled = true;
	l->write_lost |= flight_lost(e->flight, l->id);
	if (l->opt->fence == CONF_FENCE_OFF) {
		forget(e, l);
		return;
	}
	l->all_record = flight_take_all(e->flight, l->id);
	if (l->all_record)
		fence_everything(e, l, "which writes an earlier process had under way was not recorded");
	while ((record = flight_take_old(e->flight, l->id, &w)))
		fence_old(e, l, target_of(e, &w.nexus), &w, record);
	list_for_each_safe(pos, tmp, &l->doubts) {
		struct doubt *d = list_entry(pos, struct doubt, in_lun);

		fence_start(e, d);
		if (!logged_in(d))
			continue;
		if (nexus_trusted(d->target, d->tpgt))
			fence_end(e, d, "the path's own new login");
		else
			fence_path_back(e, d);
	}
}

void fence_trusted(struct engine *e, struct target *t, int tpgt)
{
	struct list *pos, *tmp;

	for (pos = e->doubts.next; pos != &e->doubts; pos = tmp) {
		struct doubt *d = list_entry(pos, struct doubt, in_engine);

		tmp = pos->next;
		if (!d->recalled || d->target != t || d->tpgt != tpgt || d->method != CONF_FENCE_HOLD ||
		    d->lun->opt->fence == CONF_FENCE_HOLD)
			continue;
		d->method = CONF_FENCE_REINSTATE;
		if (!d->back) {
			nexus_end(e, t, d->isid, tpgt);
			continue;
		}
		/* what an end wakes may end others */
		fence_end(e, d, "the path's own new login");
		tmp = e->doubts.next;
	}
}
