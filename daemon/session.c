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

static void watch_fire(struct engine *e, struct timer *t);
static void session_leave(struct engine *e, struct session *s);

const char *session_state_name(enum session_state s)
{
	return state_names[s];
}

bool session_connected(const struct session *s)
{
	return s->state >= SESSION_IDENTIFYING && s->state <= SESSION_SUSPECT;
}

static struct health_params health_params(const struct engine *e)
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
static void classify_paths(struct engine *e, struct session *s)
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

static void session_set_state(struct engine *e, struct session *s, enum session_state st,
			      const char *reason)
{
	assert(allowed[s->state] & (1U << st));
	s->state = st;
	s->since = e->now;
	if (reason != s->reason)
		snprintf(s->reason, sizeof(s->reason), "%s", reason);
	classify_paths(e, s);
}

/* FNV-1a */
static uint32_t hash(uint32_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619;
	return h;
}

/*
 * The same after a restart, so that the new daemon's login ends what the old one left (RFC 7143 6.3.5);
 * no two alike on one target, or they would end each other.
 */
static void choose_isid(struct engine *e, struct session *s)
{
	uint32_t h = hash(hash(2166136261U, e->conf->initiator_name), s->target->conf->iqn);
	struct list *pos;

	h = hash(h, s->name);
	s->isid = (h >> 24 ^ h) & 0xffffff;
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
	s->timer.fire = watch_fire;
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
	struct health_params hp = health_params(e);
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

/* The strictest timers of the LUNs behind the session. */
struct timers {
	uint64_t suspect, probe_timeout, probe_interval;
};

static void tighten(struct timers *t, const struct conf_opts *o)
{
	if (o->suspect_after_us < t->suspect)
		t->suspect = o->suspect_after_us;
	if (o->probe_timeout_us < t->probe_timeout)
		t->probe_timeout = o->probe_timeout_us;
	if (o->probe_interval_us < t->probe_interval)
		t->probe_interval = o->probe_interval_us;
}

static struct timers timers_of(const struct engine *e, const struct session *s)
{
	struct timers t = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
	struct health_params hp = health_params(e);
	const struct list *pos;

	list_for_each(pos, &s->paths) {
		const struct path *p = list_entry(pos, struct path, in_session);

		if (p->lun)
			tighten(&t, p->lun->opt);
	}
	if (t.suspect == UINT64_MAX)
		tighten(&t, &e->conf->defaults);
	hp.suspect_floor_us = t.suspect;
	t.suspect = health_suspect_after(&s->health, &hp);
	return t;
}

static void send_probe(struct engine *e, struct session *s)
{
	if (!s->probe_sent && e->ops->probe(e->arg, s) == 0)
		s->probe_sent = e->now;
}

/* When to give up a suspect session; UINT64_MAX: not as long as nobody could take over, for with
 * every path silent the storage is slow, not the paths. One that carries nothing yet gets as long as a login. */
static uint64_t give_up_at(const struct session *s, const struct timers *t)
{
	const struct list *pos;
	bool any = false;

	list_for_each(pos, &s->paths) {
		const struct path *p = list_entry(pos, struct path, in_session);

		if (!p->lun || p->state != PATH_USABLE)
			continue;
		any = true;
		if (lun_has_other_path(p->lun, s))
			return s->suspect_since + t->probe_timeout;
	}
	if (any || s->removing)
		return UINT64_MAX;
	return s->suspect_since + s->target->conf->login_timeout_us;
}

/* Knowledge about the others, fresh, for the time when this one has to be given up. */
static void probe_others(struct engine *e, struct session *s)
{
	struct list *pos, *q;

	list_for_each(pos, &s->paths) {
		struct path *p = list_entry(pos, struct path, in_session);

		if (!p->lun)
			continue;
		list_for_each(q, &p->lun->paths) {
			struct session *o = list_entry(q, struct path, in_lun)->session;

			if (o != s && o->state == SESSION_UP && !o->probe_sent) {
				send_probe(e, o);
				session_watch(e, o);
			}
		}
	}
}

void session_run(struct engine *e, struct session *s)
{
	struct list *first = s->paths.next, *pos;

	if (!e->nwaiting)
		return;
	list_for_each(pos, &s->paths) {
		struct path *p = list_entry(pos, struct path, in_session);

		if (p->lun && p->lun->nwaiting)
			lun_run(e, p->lun);
	}
	/* The next free place is offered to another LUN first. */
	if (!list_empty(&s->paths)) {
		list_del(first);
		list_add_tail(first, &s->paths);
	}
}

static void become_suspect(struct engine *e, struct session *s, uint64_t silent)
{
	char text[80];

	snprintf(text, sizeof(text), "nothing received for %llu ms",
		 (unsigned long long)(silent / US_PER_MS));
	s->suspect_since = e->now;
	session_set_state(e, s, SESSION_SUSPECT, text);
	engine_emit(e, EVENT_INFO, "path-suspect", NULL, s->name, "%s", text);
	send_probe(e, s);
	probe_others(e, s);
	session_hedge_reads(e, s);
	session_run(e, s);
}

void session_alive(struct engine *e, struct session *s)
{
	s->last_rx = e->now;
	if (s->state != SESSION_SUSPECT)
		return;
	s->suspect_since = 0;
	session_set_state(e, s, s->identified ? SESSION_UP : SESSION_IDENTIFYING, "");
	session_run(e, s);
}

void engine_session_pong(struct engine *e, struct session *s)
{
	if (!session_connected(s))
		return;
	s->probe_sent = 0;
	session_alive(e, s);
}

/* The oldest thing that the target owes an answer for; 0: nothing. */
static uint64_t oldest_question(const struct session *s)
{
	uint64_t t = s->probe_sent;

	if (!list_empty(&s->inflight)) {
		const struct attempt *a = list_entry(s->inflight.next, struct attempt, link);

		if (!t || a->started < t)
			t = a->started;
	}
	return t;
}

/* A command that was out for too long ends the session, alive or not: nothing else can end the command. */
static bool command_overdue(struct engine *e, struct session *s, uint64_t *due)
{
	const struct attempt *a;
	const struct conf_opts *o;

	*due = UINT64_MAX;
	if (list_empty(&s->inflight))
		return false;
	a = list_entry(s->inflight.next, struct attempt, link);
	o = a->path && a->path->lun ? a->path->lun->opt : &e->conf->defaults;
	*due = a->started + o->command_timeout_us;
	return e->now >= *due;
}

/* Looks how the session is doing and arms the clock for the next look. */
static void check(struct engine *e, struct session *s)
{
	struct timers t = timers_of(e, s);
	uint64_t asked = oldest_question(s), due, since, silence, next;

	s->watch_us = t.suspect;
	if (command_overdue(e, s, &due)) {
		session_drop(e, s, "session-lost", "a command was not answered within command_timeout");
		return;
	}
	if (!asked) {
		if (e->now >= s->last_rx + t.probe_interval) {
			send_probe(e, s);
			asked = s->probe_sent;
		}
		if (!asked) {
			next = s->last_rx + t.probe_interval;
			engine_arm(e, &s->timer, next > e->now ? next : e->now + t.probe_interval);
			classify_paths(e, s);
			return;
		}
	}
	since = asked > s->last_rx ? asked : s->last_rx;
	if (e->now >= since + t.suspect) {
		silence = e->ops->silence(e->arg, s);
		if (silence < e->now && e->now - silence > s->last_rx)
			s->last_rx = e->now - silence;
		since = asked > s->last_rx ? asked : s->last_rx;
	}
	if (s->state == SESSION_SUSPECT && s->last_rx > s->suspect_since) {
		uint64_t rx = s->last_rx;

		session_alive(e, s);
		s->last_rx = rx;
	}
	next = since + t.suspect;
	if (e->now >= next) {
		if (s->state == SESSION_UP || s->state == SESSION_IDENTIFYING)
			become_suspect(e, s, e->now - since);
		else if (s->state == SESSION_SUSPECT)
			session_hedge_reads(e, s);
		next = e->now + t.suspect;
	}
	if (s->state == SESSION_SUSPECT) {
		uint64_t give_up = give_up_at(s, &t);

		if (e->now >= give_up) {
			session_drop(e, s, "session-lost", "no answer, not even to a probe");
			return;
		}
		if (give_up < next)
			next = give_up;
	}
	if (due < next)
		next = due;
	engine_arm(e, &s->timer, next > e->now ? next : e->now + 1);
}

static void watch_fire(struct engine *e, struct timer *t)
{
	struct session *s = list_entry(t, struct session, timer);

	if (session_connected(s))
		check(e, s);
	else if (s->state == SESSION_CONNECTING)
		session_drop(e, s, "login-failed", "no login within login_timeout");
}

void session_watch(struct engine *e, struct session *s)
{
	uint64_t at = e->now + s->watch_us;

	if (!session_connected(s) || (s->timer.armed && s->timer.at <= at))
		return;
	s->timer.fire = watch_fire;
	engine_arm(e, &s->timer, at);
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
	s->watch_us = timers_of(e, s).suspect;
	session_set_state(e, s, SESSION_IDENTIFYING, "");
	s->timer.fire = watch_fire;
	engine_arm(e, &s->timer, e->now + e->conf->defaults.probe_interval_us);
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
