/* SPDX-License-Identifier: MIT */
/*
 * Watching a session that is up: silence makes it suspect, a probe has to be answered, a command must not take for ever.
 * One clock a session, armed for whatever comes first.
 */
#include "internal.h"

#include <stdio.h>

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
	struct health_params hp = session_health_params(e);
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
			session_classify(e, s);
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

void session_watch_fire(struct engine *e, struct timer *t)
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
	s->timer.fire = session_watch_fire;
	engine_arm(e, &s->timer, at);
}

void session_watch_begin(struct engine *e, struct session *s)
{
	s->watch_us = timers_of(e, s).suspect;
	s->timer.fire = session_watch_fire;
	engine_arm(e, &s->timer, e->now + e->conf->defaults.probe_interval_us);
}
