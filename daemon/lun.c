/* SPDX-License-Identifier: MIT */
/*
 * Pseudo-LUNs: all paths with one device identifier. Found or made when a path is identified,
 * configured by id, and told whenever one of their paths changes.
 */
#include "fence.h"
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDENTIFY_GRACE_US (5 * US_PER_S)

static const char *const state_names[] = {
	[LUN_OK] = "ok",
	[LUN_DEGRADED] = "degraded",
	[LUN_NO_PATH] = "no-path",
};

const char *lun_state_name(enum lun_state s)
{
	return state_names[s];
}

struct lun *lun_find(struct engine *e, const char *id)
{
	struct list *pos;

	list_for_each(pos, &e->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);

		if (!strcmp(l->id, id))
			return l;
	}
	return NULL;
}

/* no_path_timeout ran out: what waits fails, and so does what comes, until a path returns. */
static void no_path_over(struct engine *e, struct timer *t)
{
	struct lun *l = list_entry(t, struct lun, no_path);

	if (l->state != LUN_NO_PATH || l->no_path_failed)
		return;
	l->no_path_failed = true;
	if (l->size)
		engine_emit(e, EVENT_ERROR, "no-path-timeout", l, NULL,
			    "no path came back in time: %llu requests fail with EIO, and new ones at once",
			    (unsigned long long)l->queued);
	lun_fail_waiting(e, l, EIO);
}

struct lun *lun_new(struct engine *e, const char *id)
{
	struct lun *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->e = e;
	snprintf(l->id, sizeof(l->id), "%s", id);
	list_init(&l->paths);
	list_init(&l->requests);
	list_init(&l->waiting);
	list_init(&l->delayed);
	list_init(&l->ready);
	list_init(&l->doubts);
	list_init(&l->fenced);
	l->fence_all.fire = fence_all_over;
	l->dsm = &dsm_generic;
	l->state = LUN_NO_PATH;
	l->since = l->no_path_since = e->now;
	l->no_path.fire = no_path_over;
	list_add_tail(&l->in_engine, &e->luns);
	lun_configure(e, l);
	return l;
}

uint32_t lun_flight(struct engine *e, struct lun *l)
{
	if (!l->flight)
		l->flight = flight_lun(e->flight, l->id);
	return l->flight;
}

void lun_choose_policy(struct lun *l)
{
	const char *name = l->opt->policy;
	const struct policy *p;

	if (l->policy_by_admin)
		return;
	p = policy_find(name ? name : dsm_default_policy(l->dsm, l->tpgs != 0));
	l->policy = p ? p : &policy_round_robin;
}

/*
 * When the no-path clock runs out, from the configuration of now. A LUN that is new has to be given the time for a
 * first path, to register there or to activate it: clients of a restart are there from the first moment.
 */
static void arm_no_path(struct engine *e, struct lun *l)
{
	uint64_t limit = l->opt->no_path_timeout_us;

	engine_disarm(e, &l->no_path);
	if (l->state != LUN_NO_PATH || l->no_path_failed || limit == CONF_QUEUE)
		return;
	if (!l->had_path && limit < IDENTIFY_GRACE_US)
		limit = IDENTIFY_GRACE_US;
	engine_arm(e, &l->no_path, l->no_path_since + limit);
}

void lun_configure(struct engine *e, struct lun *l)
{
	bool known = l->inquiry.vendor[0] || l->inquiry.product[0];
	struct list *pos;

	conf_opts_resolve(e->conf, l->id, known ? l->inquiry.vendor : NULL,
			  known ? l->inquiry.product : NULL, &l->opts, &l->conf, &l->hardware);
	l->opt = &l->opts;
	snprintf(l->name, sizeof(l->name), "%s",
		 !l->conf ? l->id : l->conf->alias ? l->conf->alias : l->conf->name);
	lun_choose_policy(l);
	list_for_each(pos, &l->paths)
		lun_view_path(e, list_entry(pos, struct path, in_lun));
	if (l->no_path_failed && l->opt->no_path_timeout_us == CONF_QUEUE)
		l->no_path_failed = false;
	arm_no_path(e, l);
}

static bool in_list(char *const *list, int n, const char *s)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(list[i], s))
			return true;
	return false;
}

void lun_view_path(struct engine *e, struct path *p)
{
	const struct conf_lun *c = p->lun ? p->lun->conf : NULL;
	const char *portal = p->session->portal;

	(void)e;
	p->view.id = p->id;
	p->view.load = &p->session->load;
	p->view.active = !c || !c->nactive || in_list(c->active, c->nactive, portal);
	p->view.preferred = c && c->preferred && !strcmp(c->preferred, portal);
	p->view.weight = 0;
	for (int i = 0; c && i < c->nweights; i++)
		if (!strcmp(c->weights[i].portal, portal))
			p->view.weight = c->weights[i].weight;
}

void lun_attach_path(struct engine *e, struct lun *l, struct path *p)
{
	struct list *pos = l->paths.prev;

	assert(!p->lun);
	/* Ascending ids: the order policies rely on. */
	while (pos != &l->paths && list_entry(pos, struct path, in_lun)->id > p->id)
		pos = pos->prev;
	list_add_after(&p->in_lun, pos);
	p->lun = l;
	l->npaths++;
	lun_view_path(e, p);
}

void lun_detach_path(struct engine *e, struct path *p)
{
	struct lun *l = p->lun;

	if (!l)
		return;
	list_del(&p->in_lun);
	p->lun = NULL;
	l->npaths--;
	lun_update(e, l);
}

static bool has_path_on(const struct lun *l, const struct session *s)
{
	const struct list *pos;

	list_for_each(pos, &l->paths)
		if (list_entry(pos, struct path, in_lun)->session == s)
			return true;
	return false;
}

/* Sessions of l's targets that never got as far as to show whether l is behind them. */
static int count_unknown(const struct lun *l)
{
	const struct list *t, *pos;
	int n = 0;

	list_for_each(t, &l->e->targets) {
		const struct target *target = list_entry(t, struct target, in_engine);
		bool ours = false;
		int dark = 0;

		list_for_each(pos, &target->sessions) {
			const struct session *s = list_entry(pos, struct session, in_target);

			if (has_path_on(l, s))
				ours = true;
			else if (!s->logins && !s->removing && !s->admin_disabled)
				dark++;
		}
		if (ours)
			n += dark;
	}
	return n;
}

/* Usable paths; *all: those that an administrator did not take away. */
static int count_usable(const struct lun *l, int *all)
{
	const struct list *pos;
	int n = 0;

	*all = count_unknown(l);
	list_for_each(pos, &l->paths) {
		const struct path *p = list_entry(pos, struct path, in_lun);

		if (path_takes_io(p) && p->view.alua <= ALUA_WORST)
			n++;
		if (!p->admin_disabled && !p->session->admin_disabled)
			(*all)++;
	}
	return n;
}

/* A path is being identified anew on a session that lives, or is in transition: it is a matter of moments. */
static bool about_to_return(const struct lun *l)
{
	const struct list *pos;

	list_for_each(pos, &l->paths) {
		const struct path *p = list_entry(pos, struct path, in_lun);

		if (!session_connected(p->session))
			continue;
		if (p->state == PATH_IDENTIFYING ||
		    (p->state == PATH_USABLE && p->alua == DSM_ALUA_TRANSITIONING))
			return true;
	}
	return false;
}

/* no_path_timeout = fail: at once, but for a path that only has to show who it is again. */
static void fail_or_wait(struct engine *e, struct lun *l)
{
	if ((about_to_return(l) || !l->had_path) && l->no_path.armed)
		return;
	if (about_to_return(l))
		engine_arm(e, &l->no_path, e->now + IDENTIFY_GRACE_US);
	else
		no_path_over(e, &l->no_path);
}

static void set_state(struct engine *e, struct lun *l, enum lun_state st, int usable, int all)
{
	enum lun_state old = l->state;

	if (st == old)
		return;
	l->state = st;
	l->since = e->now;
	if (e->stopping)
		return;
	if (st == LUN_NO_PATH) {
		l->no_path_since = e->now;
		engine_emit(e, EVENT_ERROR, "lun-no-path", l, NULL,
			    "no usable path is left; requests are %s",
			    l->opt->no_path_timeout_us ? "held" : "answered with EIO");
		if (l->opt->no_path_timeout_us)
			arm_no_path(e, l);
		else
			fail_or_wait(e, l);
		return;
	}
	l->had_path = true;
	l->no_path_failed = false;
	engine_disarm(e, &l->no_path);
	if (st == LUN_OK)
		engine_emit(e, EVENT_INFO, "lun-ok", l, NULL, "all %d paths are usable", all);
	else
		engine_emit(e, EVENT_WARNING, "lun-degraded", l, NULL, "%d of %d paths are usable",
			    usable, all);
	if (old == LUN_NO_PATH && e->starved) {
		e->starved = false;
		e->ops->room(e->arg);
	}
}

void lun_update(struct engine *e, struct lun *l)
{
	int all, usable = count_usable(l, &all);

	set_state(e, l, !usable ? LUN_NO_PATH : usable < all ? LUN_DEGRADED : LUN_OK, usable, all);
	if (!usable && !l->no_path_failed && !l->opt->no_path_timeout_us && l->announced)
		fail_or_wait(e, l);
	if (usable && l->nwaiting)
		lun_run(e, l);
	if (usable && !list_empty(&l->doubts))
		fence_kick(e, l);
	groups_look(e, l);
}

bool lun_has_other_path(const struct lun *l, const struct session *not_this)
{
	const struct list *pos;

	list_for_each(pos, &l->paths) {
		const struct path *p = list_entry(pos, struct path, in_lun);

		if (p->session != not_this && path_takes_io(p) &&
		    p->session->state != SESSION_SUSPECT)
			return true;
	}
	return false;
}

void lun_free(struct engine *e, struct lun *l)
{
	assert(list_empty(&l->paths));
	l->no_path_failed = true;
	fence_drop_all(e, l);
	lun_fail_waiting(e, l, e->stopping ? ESHUTDOWN : EIO);
	assert(list_empty(&l->requests));
	e->ops->lun_gone(e->arg, l);
	engine_disarm(e, &l->no_path);
	engine_disarm(e, &l->verify);
	list_del(&l->in_engine);
	free(l);
}

static bool has_unknown_path(const struct session *s)
{
	const struct list *pos;

	list_for_each(pos, &s->paths) {
		const struct path *p = list_entry(pos, struct path, in_session);

		if (!p->lun && !p->ignored)
			return true;
	}
	return false;
}

/* A session that has not shown yet what is behind it may bring a path back. */
static bool more_to_come(const struct engine *e)
{
	const struct list *t, *pos;

	list_for_each(t, &e->targets) {
		list_for_each(pos, &list_entry(t, struct target, in_engine)->sessions) {
			const struct session *s = list_entry(pos, struct session, in_target);

			if (!s->removing && (!s->identified || has_unknown_path(s)))
				return true;
		}
	}
	return false;
}

void lun_reap(struct engine *e)
{
	struct list *pos, *tmp;

	if (!e->stopping && (e->configuring || more_to_come(e)))
		return;
	list_for_each_safe(pos, tmp, &e->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);

		if (list_empty(&l->paths) && (e->stopping || (!l->users && list_empty(&l->requests) && !fence_in_doubt(l))))
			lun_free(e, l);
	}
}

void engine_lun_unused(struct engine *e)
{
	lun_reap(e);
}
