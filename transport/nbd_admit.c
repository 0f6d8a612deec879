/* SPDX-License-Identifier: MIT */
/*
 * What clients may hold of the daemon's memory. The owner counts the requests it has; payloads that are still on their way in and
 * answers that are still on their way out are counted here and told to it as if they were requests. So a client that stops in the
 * middle of either takes room from others: while some wait for it, who moves nothing is closed.
 */
#include "nbd_internal.h"

#include <syslog.h>

#define OWED_MAX (64U << 20) /* bytes of READs and their answers, of one connection; a single request may be larger */
#define LEAST 4096U          /* bytes of the smallest buffer */
#define LOOKS 5              /* within stall_ms */
#define SLOW_LOOKS (6 * LOOKS)

uint32_t nbd_admit_bytes(uint8_t op, uint32_t len)
{
	if (op == NBD_OP_STATUS)
		return NBD_EXTENTS_MAX * sizeof(struct nbd_extent);
	if (op != NBD_OP_READ && op != NBD_OP_WRITE)
		return 0;
	return len < LEAST ? LEAST : len;
}

static uint64_t held(const struct nbd_server *s)
{
	return s->taking + s->unsent;
}

bool nbd_admit(struct nbd_conn *c, uint8_t op, uint32_t len)
{
	struct nbd_server *s = c->server;
	uint64_t own = nbd_admit_bytes(op, len);

	/* Those who were refused before come first. */
	if (c->use->nwaiting == 0) {
		if (s->cb.admit(s->arg, c->use->handle, own ? own + held(s) : 0))
			return true;
		if (held(s) && s->cb.admit(s->arg, c->use->handle, own)) {
			s->held_up = true;
			if (!ev_is_active(&s->look))
				ev_timer_again(s->loop, &s->look);
		}
	}
	nbd_conn_park(c);
	return false;
}

bool nbd_admit_owes(const struct nbd_conn *c, uint8_t op, uint32_t len)
{
	size_t owes = c->owed + c->unsent;

	return op == NBD_OP_READ && owes && owes + len > OWED_MAX;
}

static void on_wake(struct ev_loop *loop, ev_timer *t, int revents)
{
	nbd_server_resume(t->data);
}

void nbd_admit_wake(struct nbd_server *s)
{
	if (list_empty(&s->waiting) || ev_is_active(&s->wake))
		return;
	ev_timer_set(&s->wake, 0., 0.);
	ev_timer_start(s->loop, &s->wake);
}

/* Has it held memory for so long without a byte, or without the end of a payload or an answer? */
static bool stalls(struct nbd_conn *c)
{
	bool holds = (c->take && c->take_dst) || c->unsent;

	c->quiet = holds && !c->moved ? c->quiet + 1 : 0;
	c->slow = holds && !c->passed ? c->slow + 1 : 0;
	c->moved = c->passed = false;
	return c->quiet > LOOKS || c->slow > SLOW_LOOKS;
}

static void on_look(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct nbd_server *s = t->data;
	struct list *pos, *tmp;

	if (list_empty(&s->waiting) || !s->held_up) {
		s->held_up = false;
		ev_timer_stop(loop, t);
		list_for_each(pos, &s->conns) {
			struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_server);

			c->quiet = c->slow = 0;
		}
		return;
	}
	list_for_each_safe(pos, tmp, &s->conns) {
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_server);

		if (stalls(c))
			nbd_conn_close(c, LOG_WARNING, "it moves nothing, and others wait for the memory that it holds");
	}
}

void nbd_admit_init(struct nbd_server *s)
{
	ev_timer_init(&s->wake, on_wake, 0., 0.);
	ev_timer_init(&s->look, on_look, 0., s->lim.stall_ms / 1e3 / LOOKS);
	s->wake.data = s->look.data = s;
}

void nbd_admit_stop(struct nbd_server *s)
{
	ev_timer_stop(s->loop, &s->wake);
	ev_timer_stop(s->loop, &s->look);
}
