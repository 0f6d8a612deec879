/* SPDX-License-Identifier: MIT */
/*
 * The configuration as the difference of two sets: what is in the new one and not here is added,
 * what is here and not in the new one is removed, what is the same is left alone, I/O included.
 */
#include "fence.h"
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MISSING_DOWN 2 /* rounds of discovery */
#define MISSING_UP 3

struct target *target_find(struct engine *e, const char *name)
{
	struct list *pos;

	list_for_each(pos, &e->targets) {
		struct target *t = list_entry(pos, struct target, in_engine);

		if (t->conf && !strcmp(t->conf->name, name))
			return t;
	}
	return NULL;
}

static const struct conf_target *find_conf(const struct conf *c, const char *name)
{
	for (int i = 0; i < c->ntargets; i++)
		if (!strcmp(c->targets[i].name, name))
			return &c->targets[i];
	return NULL;
}

static bool same_interface(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool configured_portal(const struct conf_target *c, const struct session *s)
{
	for (int i = 0; i < c->nportals; i++)
		if (!strcmp(c->portals[i].addr, s->portal) &&
		    same_interface(c->portals[i].interface, s->interface))
			return true;
	return false;
}

static struct session *find_session(struct target *t, const char *portal, const char *interface,
				    bool any_interface)
{
	struct list *pos;

	list_for_each(pos, &t->sessions) {
		struct session *s = list_entry(pos, struct session, in_target);

		if (!s->removing && !strcmp(s->portal, portal) &&
		    (any_interface || same_interface(s->interface, interface)))
			return s;
	}
	return NULL;
}

static void add_portal(struct engine *e, struct target *t, const char *portal, const char *interface,
		       bool discovered)
{
	struct session *s = session_new(e, t, portal, interface);

	if (!s) {
		engine_emit(e, EVENT_ERROR, "no-memory", NULL, t->conf->name,
			    "no memory for portal %s", portal);
		return;
	}
	s->discovered = discovered;
	s->reported = t->round;
	session_start_soon(e, s, e->now);
}

static void add_portals(struct engine *e, struct target *t)
{
	for (int i = 0; i < t->conf->nportals; i++) {
		const struct conf_portal *p = &t->conf->portals[i];
		struct session *s = find_session(t, p->addr, p->interface, false);

		if (s)
			s->discovered = false;
		else
			add_portal(e, t, p->addr, p->interface, false);
	}
}

/*
 * Portals that SendTargets found once and that no portal reports any more: gone after two rounds when
 * nobody answers there, after three even then. (Some targets tell only of the portal that is asked;
 * so each is asked, and one answer is enough.)
 */
static void forget_missing(struct engine *e, struct target *t)
{
	struct list *pos, *tmp;

	for (pos = t->sessions.next; t->answers && pos != &t->sessions; pos = tmp) {
		struct session *s = list_entry(pos, struct session, in_target);

		tmp = pos->next;
		if (!s->discovered || s->removing)
			continue;
		s->missing = s->reported == t->round ? 0 : s->missing + 1;
		if (s->missing < (session_connected(s) ? MISSING_UP : MISSING_DOWN))
			continue;
		engine_emit(e, EVENT_WARNING, "portal-gone", NULL, s->name,
			    "SendTargets does not report this portal any more: it is drained and removed");
		session_remove(e, s);
	}
}

void target_discover(struct engine *e, struct target *t)
{
	struct list *pos, *tmp;

	if (t->conf->discovery) {
		forget_missing(e, t);
		t->round++;
		t->answers = 0;
		e->ops->discover(e->arg, t);
	}
	list_for_each_safe(pos, tmp, &t->sessions) {
		struct session *s = list_entry(pos, struct session, in_target);

		if (s->identified && !s->removing)
			session_scan(e, s);
	}
}

static void discover(struct engine *e, struct timer *timer)
{
	struct target *t = list_entry(timer, struct target, discover);

	engine_arm(e, &t->discover, e->now + t->conf->discovery_interval_us);
	target_discover(e, t);
}

static void target_begin(struct engine *e, struct target *t)
{
	uint64_t interval = t->conf->discovery_interval_us;

	t->discover.fire = discover;
	if (!t->discover.armed || t->discover.at > e->now + interval)
		engine_arm(e, &t->discover, e->now + (t->conf->discovery ? 0 : interval));
	add_portals(e, t);
}

static void add_target(struct engine *e, const struct conf_target *c)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t) {
		engine_emit(e, EVENT_ERROR, "no-memory", NULL, c->name, "no memory for this target");
		return;
	}
	t->conf = c;
	list_init(&t->sessions);
	list_init(&t->trusts);
	list_add_tail(&t->in_engine, &e->targets);
	target_begin(e, t);
}

/* Its sessions drain; the last one frees it. */
static void remove_target(struct engine *e, struct target *t)
{
	struct list *pos, *tmp;
	bool empty = list_empty(&t->sessions);

	engine_disarm(e, &t->discover);
	nexus_forget(e, t);
	t->conf = NULL;
	if (empty) {
		target_free(e, t);
		return;
	}
	for (pos = t->sessions.next, tmp = pos->next; pos != &t->sessions; pos = tmp) {
		bool last = (tmp = pos->next) == &t->sessions;
		struct session *s = list_entry(pos, struct session, in_target);

		if (!s->removing)
			session_remove(e, s);
		if (last) /* t itself may be gone with its last session */
			break;
	}
}

void target_free(struct engine *e, struct target *t)
{
	while (!list_empty(&t->sessions))
		session_free(e, list_entry(t->sessions.next, struct session, in_target));
	nexus_forget(e, t);
	engine_disarm(e, &t->discover);
	list_del(&t->in_engine);
	free(t);
}

/* A target of the old configuration that the new one has too, changed or not. */
static void update_target(struct engine *e, struct target *t, const struct conf_target *old,
			  const struct conf_target *new)
{
	bool same = conf_target_equal(old, new);
	struct list *pos, *tmp;

	t->conf = new;
	list_for_each_safe(pos, tmp, &t->sessions) {
		struct session *s = list_entry(pos, struct session, in_target);
		bool wanted = configured_portal(new, s) || (s->discovered && new->discovery);

		/* Another IQN, secret or digest is another login: the old one drains, a new one begins. */
		if (!s->removing && (!same || !wanted))
			session_remove(e, s);
	}
	target_begin(e, t);
}

void engine_configure(struct engine *e, const struct conf *c)
{
	struct list *pos, *tmp;

	e->conf = c;
	e->configuring = true;
	/* LUNs first: what follows reads their options, and the old ones are about to go. */
	list_for_each(pos, &e->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);
		bool was_ro = l->opt->read_only;
		uint64_t key = l->opt->reservation_key;
		char was[sizeof(l->name)];

		snprintf(was, sizeof(was), "%s", l->name);
		lun_configure(e, l);
		if (l->opt->reservation_key != key && l->opt->reservation_key != l->key)
			engine_emit(e, EVENT_WARNING, "reservation-key", l, NULL,
				    "another reservation_key takes effect at the next start");
		if (l->announced && (strcmp(was, l->name) || was_ro != l->opt->read_only))
			e->ops->lun_ready(e->arg, l);
	}
	list_for_each_safe(pos, tmp, &e->targets) {
		struct target *t = list_entry(pos, struct target, in_engine);
		const struct conf_target *new = t->conf ? find_conf(c, t->conf->name) : NULL;

		if (!t->conf)
			continue;
		if (new)
			update_target(e, t, t->conf, new);
		else
			remove_target(e, t);
	}
	for (int i = 0; i < c->ntargets; i++)
		if (!target_find(e, c->targets[i].name))
			add_target(e, &c->targets[i]);
	e->configuring = false;
	lun_reap(e);
	if (e->starved) {
		e->starved = false;
		e->ops->room(e->arg);
	}
}

void engine_discovered(struct engine *e, const char *target_name, char *const *portals, int n,
		       const char *text)
{
	struct target *t = target_find(e, target_name);

	if (!t || !t->conf->discovery || e->stopping)
		return;
	if (n < 0) {
		engine_emit(e, EVENT_WARNING, "discovery-failed", NULL, target_name, "%s", text);
		return;
	}
	t->answers++;
	for (int i = 0; i < n; i++) {
		struct session *s = find_session(t, portals[i], NULL, true);

		if (s) {
			s->reported = t->round;
			continue;
		}
		engine_emit(e, EVENT_INFO, "portal-discovered", NULL, target_name,
			    "SendTargets reports portal %s", portals[i]);
		add_portal(e, t, portals[i], NULL, true);
	}
}
