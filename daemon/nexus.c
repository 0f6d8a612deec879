/* SPDX-License-Identifier: MIT */
/*
 * Ending a lost I_T nexus through another portal. A login with the initiator name, ISID and target
 * portal group of an older session reinstates it: the target ends the older one and its commands before
 * it answers (RFC 7143 6.3.5). Some targets do not: see trust.c.
 *
 * Auxiliary sessions are struct session's that no target lists: they log in, and no more.
 */
#include "fence.h"
#include "internal.h"
#include "nexus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_US (50 * US_PER_MS)
#define RETRY_MAX_US US_PER_S
#define OWN_LOGIN_US (20 * US_PER_MS)

/* A nexus that has to end. */
struct ender {
	struct list in_engine;
	struct target *target;
	uint32_t isid, via;       /* via: id of the portal's session of the last try */
	int tpgt;
	unsigned tries;
	struct session *aux;
	struct timer timer;
};

/* ---- auxiliary sessions ---- */

static void aux_free(struct engine *e, struct session *aux)
{
	engine_disarm(e, &aux->timer);
	free(aux->portal);
	free(aux->interface);
	free(aux);
}

/* s is up or not: with an orderly logout, or by force. */
void nexus_aux_end(struct engine *e, struct session **aux, bool polite)
{
	struct session *a = *aux;

	if (!a)
		return;
	*aux = NULL;
	if (polite)
		e->ops->session_logout(e->arg, a);
	else
		e->ops->session_kill(e->arg, a);
	aux_free(e, a);
}

static void aux_overdue(struct engine *e, struct timer *t)
{
	nexus_told(e, list_entry(t, struct session, timer), false);
}

struct session *nexus_aux_start(struct engine *e, const struct session *via, uint32_t isid,
				 void (*told)(struct engine *e, struct session *aux, bool up), void *owner)
{
	struct session *a = calloc(1, sizeof(*a));

	if (a)
		a->portal = strdup(via->portal);
	if (a && via->interface)
		a->interface = strdup(via->interface);
	if (!a || !a->portal || (via->interface && !a->interface)) {
		if (a)
			aux_free(e, a);
		return NULL;
	}
	a->e = e;
	a->aux = true;
	a->told = told;
	a->owner = owner;
	a->target = via->target;
	a->isid = isid;
	a->tpgt = -1;
	a->state = SESSION_CONNECTING;
	snprintf(a->name, sizeof(a->name), "%s", via->name);
	list_init(&a->in_target);
	list_init(&a->inflight);
	list_init(&a->paths);
	a->timer.fire = aux_overdue;
	engine_arm(e, &a->timer, e->now + via->target->conf->login_timeout_us + 2 * US_PER_S);
	e->ops->session_start(e->arg, a);
	return a;
}

void nexus_told(struct engine *e, struct session *aux, bool up)
{
	engine_disarm(e, &aux->timer);
	aux->told(e, aux, up);
}

/* ---- ending a nexus ---- */

static void ender_go(struct engine *e, struct timer *t);

static struct ender *ender_find(const struct engine *e, const struct target *t, uint32_t isid)
{
	const struct list *pos;

	list_for_each(pos, &e->enders) {
		struct ender *n = list_entry(pos, struct ender, in_engine);

		if (n->target == t && n->isid == isid)
			return n;
	}
	return NULL;
}

static void ender_free(struct engine *e, struct ender *n)
{
	nexus_aux_end(e, &n->aux, false);
	engine_disarm(e, &n->timer);
	list_del(&n->in_engine);
	free(n);
}

bool nexus_busy(const struct engine *e, const struct target *t, uint32_t isid)
{
	const struct ender *n = ender_find(e, t, isid);

	return n && n->aux;
}

static bool wanted(const struct engine *e, const struct ender *n)
{
	const struct list *pos;

	list_for_each(pos, &e->doubts) {
		const struct doubt *d = list_entry(pos, struct doubt, in_engine);

		if (d->target == n->target && d->isid == n->isid && d->method == CONF_FENCE_REINSTATE)
			return true;
	}
	return false;
}

static void ender_told(struct engine *e, struct session *aux, bool up)
{
	struct ender *n = aux->owner;
	const struct target *t = n->target;
	uint64_t d = RETRY_MIN_US << (n->tries < 5 ? n->tries : 5);
	uint32_t isid = n->isid;
	int tpgt = n->tpgt;

	if (up && aux->tpgt == n->tpgt) {
		nexus_aux_end(e, &n->aux, true);
		ender_free(e, n);
		fence_nexus_ended(e, t, isid, tpgt, false);
		return;
	}
	nexus_aux_end(e, &n->aux, up);
	n->tries++;
	engine_arm(e, &n->timer, e->now + (d < RETRY_MAX_US ? d : RETRY_MAX_US));
}

/* The next portal of the group, after the one of the last try, that is up and answers. */
static struct session *next_portal(const struct ender *n)
{
	struct session *first = NULL, *silent = NULL;
	struct list *pos;

	list_for_each(pos, &n->target->sessions) {
		struct session *s = list_entry(pos, struct session, in_target);

		if (!session_connected(s) || s->tpgt != n->tpgt || s->isid == n->isid)
			continue;
		if (s->state == SESSION_SUSPECT) {
			silent = s;
			continue;
		}
		if (s->id > n->via)
			return s;
		if (!first)
			first = s;
	}
	return first ? first : silent;
}

/* The nexus' own session is logging in: it ends the older one itself, and must not be ended by us. */
static bool own_login(const struct ender *n)
{
	const struct list *pos;

	list_for_each(pos, &n->target->sessions) {
		const struct session *s = list_entry(pos, struct session, in_target);

		if (s->isid == n->isid && (s->state == SESSION_CONNECTING || session_connected(s)))
			return true;
	}
	return false;
}

static void ender_go(struct engine *e, struct timer *t)
{
	struct ender *n = list_entry(t, struct ender, timer);
	struct session *via;

	if (!wanted(e, n)) {
		ender_free(e, n);
		return;
	}
	via = own_login(n) ? NULL : next_portal(n);
	if (!via) {
		engine_arm(e, t, e->now + OWN_LOGIN_US);
		return;
	}
	n->via = via->id;
	n->aux = nexus_aux_start(e, via, n->isid, ender_told, n);
	if (!n->aux)
		engine_arm(e, t, e->now + RETRY_MAX_US);
}

void nexus_end(struct engine *e, struct target *t, uint32_t isid, int tpgt)
{
	struct ender *n = ender_find(e, t, isid);

	if (n)
		return;
	n = calloc(1, sizeof(*n));
	if (!n)
		return; /* fence_timeout, or the path's own login, ends the doubt */
	n->target = t;
	n->isid = isid;
	n->tpgt = tpgt;
	n->timer.fire = ender_go;
	list_add_tail(&n->in_engine, &e->enders);
	engine_arm(e, &n->timer, e->now);
}

void nexus_kick(struct engine *e, struct session *s)
{
	struct list *pos;

	list_for_each(pos, &e->enders) {
		struct ender *n = list_entry(pos, struct ender, in_engine);

		if (n->target == s->target && !n->aux)
			engine_arm(e, &n->timer, e->now);
	}
	if (!s->removing && !e->stopping)
		trust_look(e, s);
}

void nexus_forget(struct engine *e, struct target *t)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &e->enders) {
		struct ender *n = list_entry(pos, struct ender, in_engine);

		if (n->target == t)
			ender_free(e, n);
	}
	trust_forget(e, t);
	list_for_each(pos, &e->doubts) {
		struct doubt *d = list_entry(pos, struct doubt, in_engine);

		if (d->target == t)
			d->target = NULL;
	}
}
