/* SPDX-License-Identifier: MIT */
#include "fence.h"
#include "internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A path that is back proves that the network works and so that what was in it has arrived. Not every
 * network is a queue: another flow may overtake, so where the target itself does not end the old session
 * a pause follows.
 */
#define BACK_US (2 * US_PER_S)
/* A process that was killed could not empty its kernel's queues (iscsi_purge.h): a neighbour that is asked for keeps them 3 s. */
#define BACK_RECALLED_US (4 * US_PER_S)

static void wake(struct engine *e, struct lun *l);

const char *fence_method_name(uint8_t method)
{
	static const char *const names[] = {
		[CONF_FENCE_AUTO] = "auto",	      [CONF_FENCE_RESERVATION] = "reservation",
		[CONF_FENCE_REINSTATE] = "reinstate", [CONF_FENCE_HOLD] = "hold",
		[CONF_FENCE_SOLICITED] = "solicited", [CONF_FENCE_OFF] = "off",
	};

	return names[method];
}

static bool changes_blocks(const struct io *io)
{
	return io->op == IO_WRITE || io->op == IO_UNMAP || io->op == IO_WRITE_SAME;
}

/* The strongest method that applies, or the one that was asked for where it can be had. */
static uint8_t method_for(const struct session *s, const struct path *p)
{
	uint8_t wanted = p->lun->opt->fence;

	if (wanted == CONF_FENCE_OFF)
		return CONF_FENCE_OFF;
	if ((wanted == CONF_FENCE_AUTO || wanted == CONF_FENCE_RESERVATION) && p->registered)
		return CONF_FENCE_RESERVATION;
	if ((wanted == CONF_FENCE_AUTO || wanted == CONF_FENCE_REINSTATE) && s->target->conf &&
	    nexus_trusted(s->target, s->tpgt))
		return CONF_FENCE_REINSTATE;
	return CONF_FENCE_HOLD;
}

static void describe(const struct doubt *d, char *out, size_t cap)
{
	const struct list *pos;
	size_t n = 0;
	unsigned shown = 0;

	out[0] = '\0';
	list_for_each(pos, &d->ranges) {
		const struct fence *f = list_entry(pos, struct fence, in_doubt);

		if (shown++ == 8) {
			snprintf(out + n, cap - n, " and %u more", d->n - 8);
			return;
		}
		n += snprintf(out + n, cap - n, "%s%llu-%llu", shown > 1 ? ", " : "",
			      (unsigned long long)f->range.lo, (unsigned long long)f->range.hi - 1);
		if (n >= cap)
			return;
	}
}

/* Nothing proved that the old attempts are dead: the limit of patience. */
static void timed_out(struct engine *e, struct timer *t)
{
	struct doubt *d = list_entry(t, struct doubt, timer);
	char ranges[400];

	if (d->back) {
		fence_end(e, d, "the return of the path");
		return;
	}
	if (d->lun->state == LUN_NO_PATH) { /* nothing could be written now, so nothing is lost by waiting */
		engine_arm(e, t, e->now + US_PER_S);
		return;
	}
	describe(d, ranges, sizeof(ranges));
	engine_emit(e, EVENT_ERROR, "fence-timeout", d->lun, d->session,
		    "after %.0f s nothing shows that writes to blocks %s are dead: newer writes to them go on; "
		    "compare these blocks if the path comes back later",
		    (double)(e->now - d->since) / US_PER_S, ranges);
	fence_end(e, d, "fence_timeout");
}

static void preempt_again(struct engine *e, struct timer *t)
{
	reserve_preempt(e, list_entry(t, struct doubt, again));
}

static struct doubt *doubt_of(struct engine *e, struct lun *l, struct target *t, const struct flight_nexus *n,
			      uint64_t login)
{
	struct list *pos;
	struct doubt *d;

	list_for_each(pos, &l->doubts) {
		d = list_entry(pos, struct doubt, in_lun);
		if (d->login == login && d->target == t && d->tpgt == n->tpgt && d->isid == n->isid &&
		    !strcmp(d->session, n->session))
			return d;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->lun = l;
	d->target = t;
	snprintf(d->session, sizeof(d->session), "%s", n->session);
	d->isid = n->isid;
	d->tpgt = n->tpgt;
	d->login = login;
	d->since = e->now;
	d->timer.fire = timed_out;
	d->again.fire = preempt_again;
	list_init(&d->ranges);
	list_init(&d->in_engine);
	list_add_tail(&d->in_lun, &l->doubts);
	list_add_tail(&d->in_engine, &e->doubts);
	return d;
}

/* false: out of memory, so all is fenced. */
static bool add_range(struct engine *e, struct doubt *d, struct lun *l, uint64_t lo, uint64_t hi, uint32_t record)
{
	struct fence *f = d ? malloc(sizeof(*f)) : NULL;

	if (!f) {
		fence_everything(e, l, "no memory for a fence");
		return false;
	}
	f->record = record;
	f->range = (struct range){ .lo = lo, .hi = hi };
	range_insert(&l->fences, &f->range);
	list_add_tail(&f->in_doubt, &d->ranges);
	d->n++;
	d->blocks += hi - lo;
	l->nfences++;
	return true;
}

void fence_everything(struct engine *e, struct lun *l, const char *why)
{
	if (!l->all_record)
		l->all_record = flight_put_all(e->flight, lun_flight(e, l));
	l->fenced_until = e->now + l->opt->fence_timeout_us;
	engine_arm(e, &l->fence_all, l->fenced_until);
	engine_emit(e, EVENT_ERROR, "fence-all", l, NULL, "%s: all writes wait for fence_timeout", why);
}

void fence_raise(struct engine *e, struct attempt *a, struct failover *fo)
{
	struct session *s = a->session;
	struct io *io = a->io;
	struct path *p = a->path;
	struct flight_nexus n = { .session = s->name, .isid = s->isid, .tpgt = s->tpgt };
	uint8_t method;
	struct doubt *d;

	if (!changes_blocks(io) || !a->cmd->data_out || e->mutate == ENGINE_SKIP_FENCE)
		return;
	method = method_for(s, p);
	if (method == CONF_FENCE_OFF || (method == CONF_FENCE_HOLD && s->closed_by_target))
		return;
	d = doubt_of(e, p->lun, s->target, &n, s->logins);
	if (d && !d->method) {
		d->method = method;
		d->key = p->registered;
		d->fo = fo;
		if (fo)
			failover_doubt(fo, 1, e->now, NULL);
	}
	if (add_range(e, d, p->lun, io->lba, io->lba + io->blocks, a->record))
		a->record = 0;
}

void fence_old(struct engine *e, struct lun *l, struct target *t, const struct flight_write *w, uint32_t record)
{
	struct doubt *d = doubt_of(e, l, t, &w->nexus, 0);

	if (d) {
		d->recalled = true;
		d->method = CONF_FENCE_HOLD;
	}
	add_range(e, d, l, w->lo, w->hi, record);
}

/* What has to happen for d to end. */
void fence_start(struct engine *e, struct doubt *d)
{
	engine_arm(e, &d->timer, d->since + d->lun->opt->fence_timeout_us);
	engine_emit(e, EVENT_INFO, "fence", d->lun, d->session,
		    "%u writes (%llu blocks)%s may still be executed there: newer ones to these blocks wait (%s)",
		    d->n, (unsigned long long)d->blocks, d->recalled ? " of an earlier process" : "",
		    fence_method_name(d->method));
	if (d->method == CONF_FENCE_REINSTATE)
		nexus_end(e, d->target, d->isid, d->tpgt);
	else if (d->method == CONF_FENCE_RESERVATION)
		reserve_preempt(e, d);
}

void fence_begin(struct engine *e, struct session *s)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &e->doubts) {
		struct doubt *d = list_entry(pos, struct doubt, in_engine);

		if (d->login == s->logins && d->target == s->target && !d->timer.armed &&
		    !strcmp(d->session, s->name))
			fence_start(e, d);
	}
}

static bool fenced(const struct engine *e, const struct request *r)
{
	const struct lun *l = r->lun;

	if (e->now < l->fenced_until)
		return true;
	return l->nfences && range_find(&l->fences, r->lba, r->lba + r->blocks);
}

bool fence_holds(struct engine *e, struct request *r)
{
	if (!fenced(e, r))
		return false;
	list_add_tail(&r->wait, &r->lun->fenced);
	r->lun->nfenced++;
	return true;
}

static void wake(struct engine *e, struct lun *l)
{
	struct list again, *pos;

	list_init(&again);
	while ((pos = list_pop(&l->fenced)))
		list_add_tail(pos, &again);
	while ((pos = list_pop(&again))) {
		struct request *r = list_entry(pos, struct request, wait);

		if (fenced(e, r)) {
			list_add_tail(pos, &l->fenced);
			continue;
		}
		l->nfenced--;
		request_go(e, r);
	}
}

static void all_known(struct engine *e, struct lun *l)
{
	flight_end(e->flight, l->all_record);
	l->all_record = 0;
}

void fence_all_over(struct engine *e, struct timer *t)
{
	struct lun *l = list_entry(t, struct lun, fence_all);

	all_known(e, l);
	wake(e, l);
}

bool fence_in_doubt(const struct lun *l)
{
	return !list_empty(&l->doubts) || l->fence_all.armed;
}

static void doubt_free(struct engine *e, struct doubt *d)
{
	struct lun *l = d->lun;
	struct list *pos;

	while ((pos = list_pop(&d->ranges))) {
		struct fence *f = list_entry(pos, struct fence, in_doubt);

		range_remove(&l->fences, &f->range);
		l->nfences--;
		flight_end(e->flight, f->record);
		free(f);
	}
	if (d->preempt) {
		d->preempt->done = NULL;
		d->preempt->owner = NULL;
	}
	engine_disarm(e, &d->timer);
	engine_disarm(e, &d->again);
	list_del(&d->in_lun);
	list_del(&d->in_engine);
	free(d);
}

void fence_end(struct engine *e, struct doubt *d, const char *how)
{
	struct lun *l = d->lun;
	struct failover *fo = d->fo;

	engine_emit(e, EVENT_INFO, "fence-ended", l, d->session, "after %.3f s, by %s",
		    (double)(e->now - d->since) / US_PER_S, how);
	doubt_free(e, d);
	if (fo) {
		failover_doubt(fo, -1, e->now, how);
		failover_check(e, fo);
	}
	wake(e, l);
}

void fence_path_back(struct engine *e, struct doubt *d)
{
	uint64_t over = e->now + (d->recalled ? BACK_RECALLED_US : BACK_US);

	if (d->back || (d->timer.armed && d->timer.at <= over))
		return;
	d->back = true;
	engine_arm(e, &d->timer, over);
}

void fence_nexus_ended(struct engine *e, const struct target *t, uint32_t isid, int tpgt, bool own)
{
	struct list *pos, *tmp;
	struct list over;

	list_init(&over);
	for (pos = e->doubts.next; pos != &e->doubts; pos = tmp) {
		struct doubt *d = list_entry(pos, struct doubt, in_engine);

		tmp = pos->next;
		if (d->target != t || d->isid != isid || (!own && d->tpgt != tpgt))
			continue;
		if (own && !(d->tpgt == tpgt && nexus_trusted(t, tpgt))) {
			fence_path_back(e, d);
			continue;
		}
		list_del(pos);
		list_add_tail(pos, &over);
	}
	/* One at a time: what an end wakes may end others. */
	while (!list_empty(&over)) {
		struct doubt *d = list_entry(over.next, struct doubt, in_engine);

		fence_end(e, d, own ? "the path's own new login" : "reinstatement through another portal");
	}
}

void fence_kick(struct engine *e, struct lun *l)
{
	struct list *pos;

	list_for_each(pos, &l->doubts) {
		struct doubt *d = list_entry(pos, struct doubt, in_lun);

		if (d->method == CONF_FENCE_RESERVATION && !d->preempt)
			engine_arm(e, &d->again, e->now);
	}
}

void fence_drop_all(struct engine *e, struct lun *l)
{
	while (!list_empty(&l->doubts)) {
		struct doubt *d = list_entry(l->doubts.next, struct doubt, in_lun);

		if (d->fo)
			failover_doubt(d->fo, -1, e->now, "the LUN was removed");
		doubt_free(e, d);
	}
	engine_disarm(e, &l->fence_all);
	l->fenced_until = 0;
	all_known(e, l);
}
