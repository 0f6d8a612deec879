/* SPDX-License-Identifier: MIT */
/*
 * Does a login with the ISID of an older session end that one, as RFC 7143 6.3.5 says? Each portal group of a target is
 * asked once, on two sessions without I/O, and once more when there are two portals to do it through.
 */
#include "fence.h"
#include "internal.h"
#include "nexus.h"

#include <stdlib.h>

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

	nexus_aux_end(e, &tr->older, true);
	nexus_aux_end(e, &tr->newer, true);
	engine_disarm(e, &tr->timer);
	tr->state = tr->before = result;
	tr->cross = tr->crossing;
	tr->tries = 0;
	if (result == TRUST_YES)
		fence_trusted(e, tr->target, tr->tpgt);
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
	nexus_aux_end(e, &tr->older, false);
	nexus_aux_end(e, &tr->newer, false);
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
			tr->newer = nexus_aux_start(e, via, aux->isid, newer_told, tr);
		}
		if (!tr->newer)
			trust_failed(e, tr);
		return;
	}
	/* Closed by the target, on the newer one's login: what was asked for. All else says nothing. */
	if (!tr->older_up || !tr->newer || !aux->closed_by_target) {
		trust_failed(e, tr);
	} else {
		nexus_aux_end(e, &tr->older, false);
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
	tr->older = nexus_aux_start(e, via, engine_random(e) & 0xffffff, older_told, tr);
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
void trust_look(struct engine *e, struct session *s)
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

void trust_forget(struct engine *e, struct target *t)
{
	struct list *pos;

	while ((pos = list_pop(&t->trusts))) {
		struct trust *tr = list_entry(pos, struct trust, in_target);

		nexus_aux_end(e, &tr->older, false);
		nexus_aux_end(e, &tr->newer, false);
		engine_disarm(e, &tr->timer);
		free(tr);
	}
}
