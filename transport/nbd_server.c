/* SPDX-License-Identifier: MIT */
/*
 * The server as a whole: its life, the watchers that work for all connections, the memory of
 * requests, the log.
 *
 * Replies are sent from a watcher of the lowest priority that is fed by the first reply of an
 * iteration: every other callback has run by then, and a reply that comes from a prepare watcher
 * still leaves before the loop sleeps.
 */
#include "nbd_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LOG_LINES 50U /* a second; a client must not be able to fill the log */
#define CHUNK_SLOTS 64U

void nbd_log(struct nbd_server *s, int level, const char *fmt, ...)
{
	ev_tstamp now = ev_now(s->loop);
	char text[512];
	va_list ap;

	if (now - s->log_since >= 1. || now < s->log_since) {
		s->log_since = now;
		s->log_lines = 0;
	}
	if (s->log_lines >= LOG_LINES) {
		s->log_lost++;
		return;
	}
	s->log_lines++;
	if (s->log_lost) {
		snprintf(text, sizeof(text), "%u lines like the last ones left out", s->log_lost);
		s->log_lost = 0;
		s->cb.log(s->arg, LOG_NOTICE, text);
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->cb.log(s->arg, level, text);
}

static int more_slots(struct nbd_server *s)
{
	size_t size = sizeof(struct slot_chunk) + CHUNK_SLOTS * s->slot_size;
	struct slot_chunk *chunk = aligned_alloc(64, size);

	if (!chunk)
		return -1;
	chunk->next = s->chunks;
	s->chunks = chunk;
	for (unsigned i = 0; i < CHUNK_SLOTS; i++) {
		struct slot *slot = (void *)(chunk->bytes + i * s->slot_size);

		slot->state = SLOT_FREE;
		list_init(&slot->req.link);
		list_add_tail(&slot->req.link, &s->free_slots);
	}
	return 0;
}

struct slot *nbd_slot_get(struct nbd_conn *c)
{
	struct nbd_server *s = c->server;
	struct slot *slot;

	if (list_empty(&s->free_slots) && more_slots(s))
		return NULL;
	slot = list_entry(list_pop(&s->free_slots), struct slot, req.link);
	assert(slot->state == SLOT_FREE);
	slot->state = SLOT_TAKING;
	slot->err = 0;
	slot->req.conn = c;
	slot->req.buf = NULL;
	slot->req.data = NULL;
	c->nreqs++;
	return slot;
}

void nbd_slot_put(struct nbd_conn *c, struct slot *slot)
{
	assert(slot->state != SLOT_FREE && c->nreqs > 0);
	if (slot->state == SLOT_REPLY && slot->payload) {
		uint32_t bytes = nbd_admit_bytes(slot->req.op, slot->req.len);

		c->unsent -= bytes;
		c->server->unsent -= bytes;
		nbd_admit_wake(c->server);
	}
	slot->state = SLOT_FREE;
	buf_put(slot->req.buf);
	slot->req.buf = NULL;
	list_del(&slot->req.link);
	list_add_head(&slot->req.link, &c->server->free_slots);
	c->nreqs--;
}

struct nbd_use *nbd_use_get(struct nbd_server *s, void *handle)
{
	struct nbd_use *use;
	struct list *pos;

	list_for_each(pos, &s->uses) {
		use = list_entry(pos, struct nbd_use, link);
		if (use->handle == handle)
			goto found;
	}
	use = calloc(1, sizeof(*use));
	if (!use)
		return NULL;
	use->handle = handle;
	list_add_tail(&use->link, &s->uses);
found:
	use->users++;
	s->cb.users(s->arg, handle, 1);
	return use;
}

void nbd_use_put(struct nbd_server *s, struct nbd_use *use)
{
	void *handle = use->handle;

	if (--use->users == 0) {
		assert(use->nwaiting == 0);
		list_del(&use->link);
		free(use);
	}
	s->cb.users(s->arg, handle, -1);
}

static void on_flush(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct nbd_server *s = w->data;
	struct list *pos;

	(void)loop;
	(void)revents;
	while ((pos = list_pop(&s->dirty)))
		nbd_reply_flush(list_entry(pos, struct nbd_conn, in_dirty));
}

void nbd_ready(struct nbd_conn *c)
{
	struct nbd_server *s = c->server;

	if (!list_linked(&c->in_ready))
		list_add_tail(&c->in_ready, &s->ready);
	/* Not now: a request made in the prepare phase would miss the prepare watchers before ours. */
	if (!ev_is_active(&s->kick)) {
		ev_timer_set(&s->kick, 0., 0.);
		ev_timer_start(s->loop, &s->kick);
	}
}

static void move_all(struct list *from, struct list *to)
{
	struct list *pos;

	while ((pos = list_pop(from)))
		list_add_tail(pos, to);
}

static void on_kick(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct nbd_server *s = t->data;
	struct list todo, *pos;

	(void)loop;
	(void)revents;
	list_init(&todo);
	move_all(&s->ready, &todo);
	while ((pos = list_pop(&todo))) {
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_ready);

		nbd_conn_hold(c);
		nbd_conn_parse(c);
		nbd_conn_check(c);
		nbd_conn_release(c);
	}
}

void nbd_server_resume(struct nbd_server *s)
{
	struct list todo, served, *pos;

	if (s->resuming || s->quiesced)
		return;
	s->resuming = true;
	list_init(&todo);
	list_init(&served);
	/* All are taken off the list first: an export's next one waits as soon as one was refused. */
	while (!list_empty(&s->waiting)) {
		struct nbd_conn *c = list_entry(s->waiting.next, struct nbd_conn, in_waiting);

		nbd_conn_unpark(c);
		list_add_tail(&c->in_waiting, &todo);
	}
	while ((pos = list_pop(&todo))) {
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_waiting);

		nbd_conn_hold(c);
		if (nbd_conn_parse(c) && c->parked) {
			/* It had its turn: the others need not wait behind it. */
			nbd_conn_unpark(c);
			list_add_tail(&c->in_waiting, &served);
		}
		nbd_conn_check(c);
		nbd_conn_release(c);
	}
	while ((pos = list_pop(&served)))
		nbd_conn_park(list_entry(pos, struct nbd_conn, in_waiting));
	s->resuming = false;
}

struct nbd_server *nbd_server_new(struct ev_loop *loop, struct buf_pool *pool,
				  const struct nbd_limits *lim, const struct nbd_callbacks *cb,
				  void *arg)
{
	struct nbd_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->pool = pool;
	s->lim = *lim;
	s->cb = *cb;
	s->arg = arg;
	s->slot_size = (sizeof(struct slot) + lim->req_priv + 63) & ~(size_t)63;
	list_init(&s->listeners);
	list_init(&s->conns);
	list_init(&s->uses);
	list_init(&s->waiting);
	list_init(&s->ready);
	list_init(&s->dirty);
	list_init(&s->free_slots);
	list_init(&s->inherited);
	list_init(&s->orphans);
	ev_prepare_init(&s->flush, on_flush);
	ev_set_priority(&s->flush, EV_MINPRI);
	s->flush.data = s;
	ev_timer_init(&s->kick, on_kick, 0., 0.);
	s->kick.data = s;
	nbd_admit_init(s);
	ev_timer_init(&s->retry, nbd_accept_again, 0., 0.);
	s->retry.data = s;
	return s;
}

void nbd_server_add_fd(struct nbd_server *s, int fd)
{
	int ret = nbd_conn_new(s, fd);

	if (ret == -EUSERS)
		nbd_log(s, LOG_WARNING, "connection refused: %d are open, and no more are allowed",
			s->nconns);
	else if (ret)
		nbd_log(s, LOG_WARNING, "connection refused: %s", strerror(-ret));
}

int nbd_server_connections(const struct nbd_server *s)
{
	return s->nconns;
}

void nbd_server_close_export(struct nbd_server *s, void *handle)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &s->conns) {
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_server);

		if (c->use && c->use->handle == handle)
			nbd_conn_close(c, LOG_INFO, "its export is gone");
	}
}

void nbd_server_quiesce(struct nbd_server *s)
{
	struct list *pos, *tmp;

	s->quiesced = true;
	nbd_listen_watch(s, false);
	ev_timer_stop(s->loop, &s->retry);
	list_for_each_safe(pos, tmp, &s->conns)
		nbd_conn_check(list_entry(pos, struct nbd_conn, in_server));
}

void nbd_server_stop(struct nbd_server *s)
{
	s->quiesced = true;
	ev_timer_stop(s->loop, &s->retry);
	nbd_listen_close_all(s);
	/* The loop may have been left between the last answer and its way out. */
	on_flush(s->loop, &s->flush, 0);
	ev_clear_pending(s->loop, &s->flush);
	while (!list_empty(&s->conns))
		nbd_conn_close(list_entry(s->conns.next, struct nbd_conn, in_server), LOG_DEBUG,
			       "the server stops");
	ev_timer_stop(s->loop, &s->kick);
	nbd_admit_stop(s);
}

void nbd_server_free(struct nbd_server *s)
{
	struct slot_chunk *chunk;

	nbd_server_stop(s);
	nbd_server_inherit_end(s);
	assert(s->nout == 0 && list_empty(&s->uses));
	while ((chunk = s->chunks)) {
		s->chunks = chunk->next;
		free(chunk);
	}
	free(s);
}
