/* SPDX-License-Identifier: MIT */
/*
 * Sessions: login, silence, loss, back-off. Every loss comes through session_drop(), which forgets
 * the connection first (so that nothing of it can touch a buffer or reach the target later) and moves
 * what was in flight to other paths after that.
 */
#include "fence.h"
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN_SLACK_US (2 * US_PER_S) /* name resolution, on top of login_timeout */
#define WINDOW_OPEN 1024

static const char *const state_names[] = {
	[SESSION_DOWN] = "down",
	[SESSION_CONNECTING] = "connecting",
	[SESSION_IDENTIFYING] = "identifying",
	[SESSION_UP] = "up",
	[SESSION_SUSPECT] = "suspect",
	[SESSION_DISABLED] = "disabled",
};

/* Which states may follow which, a bit each. */
#define BIT(s) (1U << SESSION_##s)
static const unsigned allowed[] = {
	[SESSION_DOWN] = BIT(CONNECTING) | BIT(DISABLED),
	[SESSION_CONNECTING] = BIT(IDENTIFYING) | BIT(DOWN) | BIT(DISABLED),
	[SESSION_IDENTIFYING] = BIT(UP) | BIT(SUSPECT) | BIT(DOWN) | BIT(DISABLED),
	[SESSION_UP] = BIT(SUSPECT) | BIT(DOWN) | BIT(DISABLED),
	[SESSION_SUSPECT] = BIT(IDENTIFYING) | BIT(UP) | BIT(DOWN) | BIT(DISABLED),
	[SESSION_DISABLED] = BIT(DOWN),
};

static void session_leave(struct engine *e, struct session *s);

const char *session_state_name(enum session_state s)
{
	return state_names[s];
}

bool session_connected(const struct session *s)
{
	return s->state >= SESSION_IDENTIFYING && s->state <= SESSION_SUSPECT;
}

struct health_params session_health_params(const struct engine *e)
{
	const struct conf_opts *o = &e->conf->defaults;

	return (struct health_params){
		.suspect_floor_us = o->suspect_after_us,
		.backoff_min_us = 100 * US_PER_MS,
		.backoff_max_us = 5 * US_PER_S,
		.flap_limit = o->probation_us ? 3 : 0,
		.flap_window_us = 60 * US_PER_S,
		.probation_us = o->probation_us,
	};
}

/* What policies see of this session: how healthy its paths are. */
void session_classify(struct engine *e, struct session *s)
{
	enum policy_class c = POLICY_CLASS_HEALTHY;
	struct list *pos;

	if (s->state == SESSION_SUSPECT)
		c = POLICY_CLASS_SUSPECT;
	else if (health_marginal(&s->health, e->now))
		c = POLICY_CLASS_MARGINAL;
	list_for_each(pos, &s->paths)
		list_entry(pos, struct path, in_session)->view.class_ = c;
}

void session_set_state(struct engine *e, struct session *s, enum session_state st, const char *reason)
{
	assert(allowed[s->state] & (1U << st));
	s->state = st;
	s->since = e->now;
	if (reason != s->reason)
		snprintf(s->reason, sizeof(s->reason), "%s", reason);
	session_classify(e, s);
}

/* FNV-1a */
static uint32_t hash(uint32_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619;
	return h;
}

/* The same after a restart, so that the new daemon's login ends what the old one left (RFC 7143 6.3.5). */
uint32_t session_isid(const struct engine *e, const struct target *t, const char *name)
{
	uint32_t h = hash(hash(hash(2166136261U, e->conf->initiator_name), t->conf->iqn), name);

	return (h >> 24 ^ h) & 0xffffff;
}

/* No two alike on one target, or they would end each other. */
static void choose_isid(struct engine *e, struct session *s)
{
	struct list *pos;

	s->isid = session_isid(e, s->target, s->name);
	for (pos = s->target->sessions.next; pos != &s->target->sessions; pos = pos->next) {
		if (list_entry(pos, struct session, in_target)->isid != s->isid)
			continue;
		s->isid = (s->isid + 1) & 0xffffff;
		pos = &s->target->sessions; /* from the start again */
	}
}

struct session *session_new(struct engine *e, struct target *t, const char *portal,
			    const char *interface)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s)
		s->portal = strdup(portal);
	if (s && interface)
		s->interface = strdup(interface);
	if (!s || !s->portal || (interface && !s->interface)) {
		if (s)
			free(s->portal);
		free(s);
		return NULL;
	}
	s->e = e;
	s->target = t;
	s->id = ++e->next_id;
	s->tpgt = -1;
	s->window = WINDOW_OPEN;
	s->since = e->now;
	s->state = SESSION_DOWN;
	snprintf(s->name, sizeof(s->name), "%s/%s%s%s", t->conf->name, portal, interface ? "%" : "",
		 interface ? interface : "");
	list_init(&s->inflight);
	list_init(&s->paths);
	health_init(&s->health);
	choose_isid(e, s);
	list_add_tail(&s->in_target, &t->sessions);
	return s;
}

static void start_now(struct engine *e, struct timer *t)
{
	struct session *s = list_entry(t, struct session, timer);

	if (s->state != SESSION_DOWN || s->removing)
		return;
	/* Its older self is being ended through another portal, with its ISID: not both at once. */
	if (nexus_busy(e, s->target, s->isid)) {
		session_start_soon(e, s, e->now + 5 * US_PER_MS);
		return;
	}
	s->closed_by_target = false;
	s->tpgt = -1;
	session_set_state(e, s, SESSION_CONNECTING, s->reason);
	s->timer.fire = session_watch_fire;
	engine_arm(e, &s->timer, e->now + s->target->conf->login_timeout_us + LOGIN_SLACK_US);
	e->ops->session_start(e->arg, s);
}

void session_start_soon(struct engine *e, struct session *s, uint64_t at)
{
	s->timer.fire = start_now;
	engine_arm(e, &s->timer, at);
}

/* Ends all that is in flight on a session whose connection is forgotten. */
static void requeue_inflight(struct engine *e, struct session *s, struct failover *fo)
{
	/* From the newest on, each to the head of its queue: the old order comes out. */
	while (!list_empty(&s->inflight)) {
		struct attempt *a = list_entry(s->inflight.prev, struct attempt, link);

		attempt_detach(e, a);
		if (a->io) {
			if (fo)
				failover_moved(fo, a->io, a->load_bytes);
			fence_raise(e, a, fo);
			io_requeue(e, a);
		} else if (a->lost) {
			a->lost(e, a);
		}
		attempt_free(e, a);
	}
}

static void paths_down(struct engine *e, struct session *s, const char *text)
{
	struct list *pos;

	list_for_each(pos, &s->paths) {
		struct path *p = list_entry(pos, struct path, in_session);
		bool admin = p->state == PATH_DRAINING || p->state == PATH_DISABLED;

		path_set_state(e, p, admin ? PATH_DISABLED : PATH_DOWN, text);
		/* A path that was down for the administrator changes no state, yet may have had
		 * commands in flight, which wait now. */
		if (p->lun && p->lun->no_path_failed)
			lun_fail_waiting(e, p->lun, EIO);
		else if (p->lun && p->lun->nwaiting)
			lun_run(e, p->lun);
	}
}

/* Forgets the connection. Its commands go elsewhere, its paths are down. */
static void disconnect(struct engine *e, struct session *s, struct failover *fo)
{
	struct list *pos;

	list_for_each(pos, &s->paths)
		identify_abort(e, list_entry(pos, struct path, in_session));
	e->ops->session_kill(e->arg, s);
	engine_disarm(e, &s->timer);
	requeue_inflight(e, s, fo);
	s->scanning = s->rescan = s->identified = false;
	s->suspect_since = s->probe_sent = 0;
	s->window = WINDOW_OPEN;
}

void session_drop(struct engine *e, struct session *s, const char *kind, const char *text)
{
	bool was_up = s->identified;
	struct health_params hp = session_health_params(e);
	struct failover *fo = NULL;
	uint64_t wait;
	bool news = was_up || strcmp(s->reason, text), probation;

	if (s->state == SESSION_DOWN || s->state == SESSION_DISABLED)
		return;
	probation = was_up && health_failed(&s->health, &hp, e->now);
	if (was_up || !list_empty(&s->inflight))
		fo = failover_new(e, s, kind, text);
	disconnect(e, s, fo);
	s->losses += was_up;
	session_set_state(e, s, SESSION_DOWN, text);
	wait = health_backoff(&s->health, &hp, engine_random(e));
	if (was_up)
		engine_emit(e, EVENT_WARNING, kind, NULL, s->name,
			    "%s; what was in flight is sent on other paths", text);
	else if (news)
		engine_emit(e, EVENT_WARNING, kind, NULL, s->name,
			    "%s; tried again with back-off, next in %.1f s", text,
			    (double)wait / US_PER_S);
	if (probation)
		engine_emit(e, EVENT_WARNING, "probation", NULL, s->name,
			    "failed too often: used only while no healthy path is left");
	session_start_soon(e, s, e->now + wait);
	paths_down(e, s, text); /* starts the moved commands on the paths that are left */
	fence_begin(e, s);
	if (fo)
		failover_settled(e, fo);
	if (s->removing)
		session_leave(e, s);
}

void session_free(struct engine *e, struct session *s)
{
	s->removing = true;
	if (s->state != SESSION_DOWN && s->state != SESSION_DISABLED)
		disconnect(e, s, NULL);
	fence_begin(e, s);
	engine_disarm(e, &s->timer);
	while (!list_empty(&s->paths))
		path_free(e, list_entry(s->paths.next, struct path, in_session));
	list_del(&s->in_target);
	free(s->portal);
	free(s->interface);
	free(s);
}

/* Empty and on its way out: log out and forget. */
static void session_leave(struct engine *e, struct session *s)
{
	struct target *t = s->target;

	if (session_connected(s))
		e->ops->session_logout(e->arg, s);
	else if (s->state == SESSION_CONNECTING)
		e->ops->session_kill(e->arg, s);
	s->state = SESSION_DISABLED;
	session_free(e, s);
	if (list_empty(&t->sessions) && !t->conf)
		target_free(e, t);
	lun_reap(e);
}

void session_remove(struct engine *e, struct session *s)
{
	struct list *pos;

	s->removing = true;
	list_for_each(pos, &s->paths) {
		struct path *p = list_entry(pos, struct path, in_session);

		if (p->lun)
			lun_update(e, p->lun);
	}
	if (!s->load.ios)
		session_leave(e, s);
}

void session_idle(struct engine *e, struct session *s)
{
	if (s->removing)
		session_leave(e, s);
}

void engine_session_up(struct engine *e, struct session *s)
{
	if (s->aux) {
		nexus_told(e, s, true);
		return;
	}
	if (s->state != SESSION_CONNECTING)
		return;
	s->logins++;
	s->last_rx = e->now;
	session_set_state(e, s, SESSION_IDENTIFYING, "");
	session_watch_begin(e, s);
	fence_nexus_ended(e, s->target, s->isid, s->tpgt, true);
	session_scan(e, s);
}

void session_scanned(struct engine *e, struct session *s)
{
	struct list *pos;
	bool usable = false;

	if (!session_connected(s) || s->scanning)
		return;
	list_for_each(pos, &s->paths) {
		struct path *p = list_entry(pos, struct path, in_session);

		if (p->state == PATH_IDENTIFYING)
			return;
		usable |= p->state == PATH_USABLE;
	}
	if (usable)
		health_reset_backoff(&s->health);
	s->identified = true;
	lun_reap(e);
	if (s->state == SESSION_IDENTIFYING) {
		session_set_state(e, s, SESSION_UP, "");
		nexus_kick(e, s);
	}
}

void engine_session_lost(struct engine *e, struct session *s, enum session_loss why, const char *text)
{
	const char *kind = "session-lost";

	s->closed_by_target = why == SESSION_LOSS_CLOSED;
	if (s->aux) {
		nexus_told(e, s, false);
		return;
	}
	if (why == SESSION_LOSS_CONNECT || why == SESSION_LOSS_LOGIN)
		kind = "login-failed";
	else if (why == SESSION_LOSS_LINK)
		kind = "link-down";
	session_drop(e, s, kind, text);
}

void engine_link_up(struct engine *e, const char *interface)
{
	struct list *t, *pos;

	(void)interface; /* any way to the target may have come back with it: the routing knows */
	list_for_each(t, &e->targets) {
		list_for_each(pos, &list_entry(t, struct target, in_engine)->sessions) {
			struct session *s = list_entry(pos, struct session, in_target);

			if (s->state != SESSION_DOWN || s->removing)
				continue;
			health_reset_backoff(&s->health);
			session_start_soon(e, s, e->now);
		}
	}
}
