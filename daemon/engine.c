/* SPDX-License-Identifier: MIT */
/* The engine as a whole: its birth, its clock, its end, and how it speaks. */
#include "fence.h"
#include "flight.h"
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZEROES_BYTES (1U << 20) /* as long as the longest WRITE */

struct engine *engine_new(const struct engine_ops *ops, void *arg, struct buf_pool *pool,
			  uint64_t seed)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->ops = ops;
	e->arg = arg;
	e->pool = pool;
	e->seed = seed ? seed : 1;
	e->next_key = engine_random(e); /* a PREEMPT of a process that was killed may still come: to a key that nobody has */
	e->zeroes = buf_get(pool, ZEROES_BYTES);
	if (!e->zeroes) {
		free(e);
		return NULL;
	}
	memset(e->zeroes->data, 0, ZEROES_BYTES);
	list_init(&e->targets);
	list_init(&e->luns);
	list_init(&e->free_attempts);
	list_init(&e->free_ios);
	list_init(&e->doubts);
	list_init(&e->enders);
	list_init(&e->failovers);
	return e;
}

void engine_free(struct engine *e)
{
	struct list *l;

	if (!e)
		return;
	e->stopping = true;
	while (!list_empty(&e->targets))
		target_free(e, list_entry(e->targets.next, struct target, in_engine));
	lun_reap(e);
	failover_free_all(e);
	assert(list_empty(&e->luns) && !heap_first(&e->heap));
	while ((l = list_pop(&e->free_attempts)))
		free(list_entry(l, struct attempt, link));
	while ((l = list_pop(&e->free_ios)))
		free(list_entry(l, struct io, link));
	buf_put(e->zeroes);
	free(e);
}

void engine_set_time(struct engine *e, uint64_t now_us)
{
	if (now_us > e->now)
		e->now = now_us;
}

uint64_t engine_deadline(const struct engine *e)
{
	const struct timer *t = heap_first(&e->heap);

	return t ? t->at : UINT64_MAX;
}

void engine_tick(struct engine *e)
{
	struct timer *t;

	while ((t = heap_first(&e->heap)) && t->at <= e->now) {
		heap_cancel(&e->heap, t);
		t->fire(e, t);
	}
}

void engine_arm(struct engine *e, struct timer *t, uint64_t at)
{
	assert(t->fire);
	heap_arm(&e->heap, t, at);
}

void engine_disarm(struct engine *e, struct timer *t)
{
	heap_cancel(&e->heap, t);
}

/* xorshift64*: for jitter and ISIDs, not for secrets. */
uint32_t engine_random(struct engine *e)
{
	e->seed ^= e->seed >> 12;
	e->seed ^= e->seed << 25;
	e->seed ^= e->seed >> 27;
	return (e->seed * 0x2545f4914f6cdd1dULL) >> 32;
}

void engine_emit(struct engine *e, enum event_level level, const char *kind, const struct lun *l,
		 const char *path, const char *fmt, ...)
{
	char text[512];
	struct event ev = {
		.seq = ++e->event_seq,
		.at_us = e->now,
		.level = level,
		.kind = kind,
		.lun = l ? l->name : NULL,
		.path = path,
		.text = text,
	};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->ops->event(e->arg, &ev);
}

void engine_emit_failover(struct engine *e, const char *session, const struct event_failover *fo,
			  const char *fmt, ...)
{
	char text[700];
	struct event ev = {
		.seq = ++e->event_seq,
		.at_us = e->now,
		.level = EVENT_WARNING,
		.kind = "failover",
		.path = session,
		.text = text,
		.failover = fo,
	};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->ops->event(e->arg, &ev);
}

void engine_record(struct engine *e, struct flight *f)
{
	e->flight = f;
}

void engine_shutdown(struct engine *e)
{
	struct list *t, *pos, *tmp;

	flight_freeze(e->flight);
	e->stopping = true;
	list_for_each(t, &e->targets) {
		struct target *target = list_entry(t, struct target, in_engine);

		engine_disarm(e, &target->discover);
		list_for_each_safe(pos, tmp, &target->sessions) {
			struct session *s = list_entry(pos, struct session, in_target);

			if (!s->load.ios && session_connected(s))
				e->ops->session_logout(e->arg, s);
			else if (s->state == SESSION_CONNECTING || session_connected(s))
				continue; /* engine_free() kills it */
			s->state = SESSION_DISABLED;
			engine_disarm(e, &s->timer);
		}
	}
}

bool engine_in_doubt(const struct engine *e)
{
	const struct list *pos;

	list_for_each(pos, &e->luns)
		if (fence_in_doubt(list_entry(pos, struct lun, in_engine)))
			return true;
	return false;
}

bool engine_idle(const struct engine *e)
{
	const struct list *pos;

	list_for_each(pos, &e->luns)
		if (!list_empty(&list_entry(pos, struct lun, in_engine)->requests))
			return false;
	return true;
}
