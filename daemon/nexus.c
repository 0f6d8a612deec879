/* SPDX-License-Identifier: MIT */
/*
 * Ending a lost I_T nexus through another portal. A login with the initiator name, ISID and target
 * portal group of an older session reinstates it: the target ends the older one and its commands before
 * it answers (RFC 7143 6.3.5). Some targets do not, so each portal group is tested once, on sessions
 * without I/O: does the older one die?
 *
 * Auxiliary sessions are struct session's that no target lists: they log in, and no more.
 */
#include "fence.h"
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_US (50 * US_PER_MS)
#define RETRY_MAX_US US_PER_S
#define OWN_LOGIN_US (20 * US_PER_MS)
#define DEATH_US (3 * US_PER_S)      /* how long the older session of a test may take to die */
#define SETTLE_US (200 * US_PER_MS)  /* how long the others must live after that */
#define TEST_RETRY_US (5 * US_PER_S)
#define TEST_TRIES 5                 /* tests that came to no result */

enum trust_state { TRUST_UNKNOWN, TRUST_TESTING, TRUST_YES, TRUST_NO };

/* What is known of one portal group of a target. */
struct trust {
	struct list in_target;
	struct target *target;
	int tpgt;
	enum trust_state state, before;
	bool cross;               /* tested through two portals */
	bool crossing;            /* the test under way is */
	unsigned tries;
	struct session *older, *newer;
	bool older_up, older_died, newer_up;
	uint32_t via;             /* the session through whose portal the older one went, and its login: */
	uint64_t via_login;       /* it must outlive the older one, or something else killed both */
	struct timer timer;
};

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
static void aux_end(struct engine *e, struct session **aux, bool polite)
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

static struct session *aux_start(struct engine *e, const struct session *via, uint32_t isid,
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

/* ---- is the target to be trusted? ---- */

static struct trust *trust_find(const struct target *t, int tpgt)
{
	const struct list *pos;

	list_for_each(pos, &t->trusts) {
		struct trust *tr = list_entry(pos, struct trust, in_target);

		if (tr->tpgt == tpgt)
			return tr;
	}
	return NULL;
}

bool nexus_trusted(const struct target *t, int tpgt)
{
	const struct trust *tr = tpgt < 0 ? NULL : trust_find(t, tpgt);

	if (!tr)
		return false;
	return tr->state == TRUST_YES || (tr->state == TRUST_TESTING && tr->before == TRUST_YES);
}

const char *nexus_trust_name(const struct target *t, int tpgt)
{
	const struct trust *tr = tpgt < 0 ? NULL : trust_find(t, tpgt);

	if (nexus_trusted(t, tpgt))
		return "trusted";
	return tr && (tr->state == TRUST_NO || tr->before == TRUST_NO) ? "ignored" : "unknown";
}

static void trust_result(struct engine *e, struct trust *tr, enum trust_state result)
{
	bool news = tr->state != result && tr->before != result;

	aux_end(e, &tr->older, true);
	aux_end(e, &tr->newer, true);
	engine_disarm(e, &tr->timer);
	tr->state = tr->before = result;
	tr->cross = tr->crossing;
	tr->tries = 0;
	if (!news)
		return;
	if (result == TRUST_YES)
		engine_emit(e, EVENT_INFO, "reinstatement", NULL, tr->target->conf->name,
			    "portal group %d ends an older session with the same ISID: used to end doubts "
			    "about writes (fence = reinstate)", tr->tpgt);
	else
		engine_emit(e, EVENT_WARNING, "reinstatement", NULL, tr->target->conf->name,
			    "portal group %d lets an older session with the same ISID live, against RFC 7143: after "
			    "a path failure, writes to blocks in doubt wait until it is back or for fence_timeout; a "
			    "reservation_key (or, on tgt, CHAP) cures it", tr->tpgt);
}

static void trust_again(struct engine *e, struct timer *t);

/* The network came in between: no result. */
static void trust_failed(struct engine *e, struct trust *tr)
{
	aux_end(e, &tr->older, false);
	aux_end(e, &tr->newer, false);
	tr->state = tr->before;
	tr->timer.fire = trust_again;
	if (++tr->tries < TEST_TRIES)
		engine_arm(e, &tr->timer, e->now + TEST_RETRY_US);
	else
		engine_disarm(e, &tr->timer);
}

static struct session *session_of(const struct target *t, uint32_t id)
{
	const struct list *pos;

	list_for_each(pos, &t->sessions) {
		struct session *s = list_entry(pos, struct session, in_target);

		if (s->id == id)
			return s;
	}
	return NULL;
}

/* The older one is dead. Is it alone in that? A controller that restarts would kill all of them. */
static void settled(struct engine *e, struct timer *t)
{
	struct trust *tr = list_entry(t, struct trust, timer);
	const struct session *via = session_of(tr->target, tr->via);

	if (via && session_connected(via) && via->state != SESSION_SUSPECT && via->logins == tr->via_login)
		trust_result(e, tr, TRUST_YES);
	else
		trust_failed(e, tr);
}

static void settle(struct engine *e, struct trust *tr)
{
	tr->timer.fire = settled;
	engine_arm(e, &tr->timer, e->now + SETTLE_US);
}

static void older_lives(struct engine *e, struct timer *t)
{
	trust_result(e, list_entry(t, struct trust, timer), TRUST_NO);
}

static void newer_told(struct engine *e, struct session *aux, bool up)
{
	struct trust *tr = aux->owner;

	if (!up) {
		trust_failed(e, tr);
		return;
	}
	tr->newer_up = true;
	if (tr->older_died) {
		settle(e, tr);
		return;
	}
	tr->timer.fire = older_lives;
	engine_arm(e, &tr->timer, e->now + DEATH_US);
}

/* Another portal of the group that is up, or the same. */
static struct session *second_portal(const struct trust *tr, uint32_t not_this)
{
	struct session *same = NULL;
	struct list *pos;

	list_for_each(pos, &tr->target->sessions) {
		struct session *s = list_entry(pos, struct session, in_target);

		if (!session_connected(s) || s->tpgt != tr->tpgt || s->removing)
			continue;
		if (s->id != not_this)
			return s;
		same = s;
	}
	return same;
}

static void older_told(struct engine *e, struct session *aux, bool up)
{
	struct trust *tr = aux->owner;
	struct session *via;

	if (up) {
		tr->older_up = true;
		via = second_portal(tr, aux->id);
		if (via) {
			tr->crossing = via->id != aux->id;
			tr->newer = aux_start(e, via, aux->isid, newer_told, tr);
		}
		if (!tr->newer)
			trust_failed(e, tr);
		return;
	}
	/* Closed by the target, on the newer one's login: what was asked for. All else says nothing. */
	if (!tr->older_up || !tr->newer || !aux->closed_by_target) {
		trust_failed(e, tr);
	} else {
		aux_end(e, &tr->older, false);
		tr->older_died = true;
		if (tr->newer_up)
			settle(e, tr);
	}
}

static void trust_test(struct engine *e, struct trust *tr, struct session *via)
{
	engine_disarm(e, &tr->timer); /* the try that was to come */
	tr->before = tr->state;
	tr->state = TRUST_TESTING;
	tr->older_up = tr->older_died = tr->newer_up = tr->crossing = false;
	tr->via = via->id;
	tr->via_login = via->logins;
	tr->older = aux_start(e, via, engine_random(e) & 0xffffff, older_told, tr);
	if (!tr->older) {
		trust_failed(e, tr);
		return;
	}
	tr->older->id = via->id;
}

static void trust_again(struct engine *e, struct timer *t)
{
	struct trust *tr = list_entry(t, struct trust, timer);
	struct session *via = second_portal(tr, 0);

	if (via)
		trust_test(e, tr, via);
}

/* Tests what has not been tested, and once more when there are two portals to do it with. */
static void trust_look(struct engine *e, struct session *s)
{
	struct trust *tr;
	struct session *other;

	if (s->tpgt < 0)
		return;
	tr = trust_find(s->target, s->tpgt);
	if (!tr) {
		tr = calloc(1, sizeof(*tr));
		if (!tr)
			return;
		tr->target = s->target;
		tr->tpgt = s->tpgt;
		list_add_tail(&tr->in_target, &s->target->trusts);
	}
	other = second_portal(tr, s->id);
	if (tr->state == TRUST_TESTING || tr->cross || (tr->state != TRUST_UNKNOWN && (!other || other == s)))
		return;
	trust_test(e, tr, s);
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
	aux_end(e, &n->aux, false);
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
		aux_end(e, &n->aux, true);
		ender_free(e, n);
		fence_nexus_ended(e, t, isid, tpgt, false);
		return;
	}
	aux_end(e, &n->aux, up);
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
	n->aux = aux_start(e, via, n->isid, ender_told, n);
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
	while ((pos = list_pop(&t->trusts))) {
		struct trust *tr = list_entry(pos, struct trust, in_target);

		aux_end(e, &tr->older, false);
		aux_end(e, &tr->newer, false);
		engine_disarm(e, &tr->timer);
		free(tr);
	}
	list_for_each(pos, &e->doubts) {
		struct doubt *d = list_entry(pos, struct doubt, in_engine);

		if (d->target == t)
			d->target = NULL;
	}
}
