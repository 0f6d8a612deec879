/* SPDX-License-Identifier: MIT */
/*
 * Moves bytes: the fd's watcher, the one flush per loop iteration, and after each call into
 * libiscsi the verdict on the session and the delivery of what it recorded.
 *
 * Reading happens in the watcher's callback, sending only in the flush, which runs from a prepare
 * watcher of the lowest priority: after all other callbacks of the iteration, before the loop
 * sleeps. EV_WRITE is asked for only while the socket is full, so a steady load makes no epoll_ctl.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "iscsi_internal.h"

void iscsi_mark_dirty(struct iscsi_session *s)
{
	if (!list_linked(&s->dirty))
		list_add_tail(&s->dirty, &s->loop->dirty);
}

static void watch(struct iscsi_session *s, int events)
{
	if (ev_is_active(&s->io) && (s->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(s->loop->ev, &s->io);
	ev_io_set(&s->io, s->io.fd, events);
	ev_io_start(s->loop->ev, &s->io);
}

/*
 * With reconnects off libiscsi reports the end of a connection as cancelled commands and returns 0,
 * or cancels nothing and returns -1 one call later, or quietly is not logged in any more: any
 * of them is the end.
 */
static void judge(struct iscsi_session *s, int rc)
{
	enum iscsi_loss closed = s->state == ISCSI_LOGIN ? ISCSI_LOSS_LOGIN : ISCSI_LOSS_CLOSED;

	if (s->login_done && s->state == ISCSI_LOGIN)
		iscsi_logged_in(s);
	if (s->detached && s->logged_out)
		iscsi_die(s, ISCSI_LOSS_LOGOUT, "logged out");
	else if (s->vet.failed)
		iscsi_die(s, s->vet.end == ISCSI_VET_LOGOUT ? ISCSI_LOSS_LOGOUT : ISCSI_LOSS_CLOSED,
			  "%s", s->vet.text);
	else if (rc < 0 || s->broken)
		iscsi_die(s, closed, "%s", s->err[0] ? s->err : "connection closed by the target");
	else if (s->state == ISCSI_UP && !iscsi_is_logged_in(s->ctx))
		iscsi_die(s, ISCSI_LOSS_CLOSED, "the target ended the session");
}

static void service(struct iscsi_session *s, int revents)
{
	judge(s, iscsi_log_service(s, revents));
}

/*
 * A socket that is not connected yet also polls writable for an instant, and libiscsi takes
 * POLLOUT for success, so ask the kernel first.
 */
static void finish_connect(struct iscsi_session *s)
{
	struct sockaddr_storage peer;
	socklen_t n = sizeof(int), peer_n = sizeof(peer);
	int err = 0;

	if (getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &err, &n) != 0)
		err = errno;
	if (err) {
		iscsi_die(s, ISCSI_LOSS_CONNECT, "%s", strerror(err));
		return;
	}
	if (getpeername(s->io.fd, (struct sockaddr *)&peer, &peer_n) != 0) {
		/* Reset between the handshake and now; without an error it is just too early. */
		if (errno != ENOTCONN)
			iscsi_die(s, ISCSI_LOSS_CONNECT, "%s", strerror(errno));
		return;
	}
	if (iscsi_log_service(s, POLLOUT) < 0) {
		iscsi_die(s, ISCSI_LOSS_CONNECT, "%s", s->err[0] ? s->err : "connect failed");
		return;
	}
	watch(s, EV_READ);
	iscsi_connected(s);
}

/* libiscsi stops reading when no command is out; what it left the target sent unasked. */
static void read_all(struct iscsi_session *s)
{
	size_t unread;

	do {
		unread = iscsi_batch_unread(s->batch);
		service(s, POLLIN);
	} while (s->state != ISCSI_DEAD && iscsi_batch_unread(s->batch) &&
		 iscsi_batch_unread(s->batch) != unread);
}

static void receive(struct iscsi_session *s)
{
	if (s->state == ISCSI_LOGIN && !iscsi_login_gate(s))
		return;
	iscsi_batch_readable(s->batch);
	read_all(s);
	/* A held answer: the flush stops asking for EV_READ until something has been sent. */
	if (s->state != ISCSI_DEAD && (s->vet.held || iscsi_which_events(s->ctx) & POLLOUT))
		iscsi_mark_dirty(s);
}

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
	struct iscsi_session *s = w->data;

	if (revents & EV_ERROR) {
		iscsi_die(s, ISCSI_LOSS_CLOSED, "the event loop lost the socket");
	} else if (s->state == ISCSI_CONNECTING) {
		finish_connect(s);
	} else {
		if (revents & EV_WRITE)
			iscsi_mark_dirty(s);
		if (revents & EV_READ)
			receive(s);
	}
	iscsi_deliver(s);
}

void iscsi_io_start(struct iscsi_session *s, int fd)
{
	ev_io_init(&s->io, on_io, fd, EV_WRITE);
	s->io.data = s;
	ev_io_start(s->loop->ev, &s->io);
}

/* Everything that was submitted in this loop iteration goes out together. */
static void flush(struct iscsi_session *s)
{
	int full;

	service(s, POLLOUT);
	if (s->state == ISCSI_DEAD)
		return;
	full = iscsi_batch_flush(s->batch, s->io.fd);
	if (full < 0) {
		iscsi_die(s, ISCSI_LOSS_CLOSED, "send: %s", strerror(-full));
		return;
	}
	if (s->vet.held) {
		read_all(s);
		if (s->state == ISCSI_DEAD)
			return;
		if (!s->vet.held && iscsi_which_events(s->ctx) & POLLOUT)
			iscsi_mark_dirty(s);
	}
	watch(s, (s->vet.held ? 0 : EV_READ) |
			 (full || iscsi_which_events(s->ctx) & POLLOUT ? EV_WRITE : 0));
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int revents)
{
	struct iscsi_loop *loop = w->data;
	struct list *l;

	/* lost() may submit on other sessions: they join the list and are sent now, too. */
	while ((l = list_pop(&loop->dirty)) != NULL) {
		struct iscsi_session *s = list_entry(l, struct iscsi_session, dirty);

		flush(s);
		iscsi_deliver(s);
	}
}

static bool listening(const struct iscsi_session *s)
{
	return !s->killed && !s->detached;
}

void iscsi_deliver(struct iscsi_session *s)
{
	struct list *l;

	s->delivering = true;
	if (s->up_due && s->state == ISCSI_UP && listening(s)) {
		s->up_due = false;
		s->cb.up(s->arg);
	}
	while (listening(s) && (l = list_pop(&s->done)) != NULL)
		s->cb.done(s->arg, list_entry(l, struct iscsi_cmd, done));
	while (listening(s) && s->pongs > 0) {
		s->pongs--;
		if (s->cb.pong)
			s->cb.pong(s->arg);
	}
	if (listening(s) && s->lost_due) {
		s->lost_due = false;
		s->cb.lost(s->arg, s->why, s->text);
	}
	s->delivering = false;
	if (s->killed)
		free(s);
	else if (s->detached && s->state == ISCSI_DEAD)
		iscsi_session_kill(s);
}

struct iscsi_loop *iscsi_loop_new(struct ev_loop *ev)
{
	struct iscsi_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->ev = ev;
	list_init(&loop->dirty);
	list_init(&loop->sessions);
	ev_prepare_init(&loop->prepare, on_prepare);
	ev_set_priority(&loop->prepare, EV_MINPRI);
	loop->prepare.data = loop;
	ev_prepare_start(ev, &loop->prepare);
	ev_unref(ev); /* it alone is no reason for the loop to run */
	return loop;
}

void iscsi_loop_free(struct iscsi_loop *loop)
{
	if (!loop)
		return;
	while (!list_empty(&loop->sessions))
		iscsi_session_kill(list_entry(loop->sessions.next, struct iscsi_session, all));
	ev_ref(loop->ev);
	ev_prepare_stop(loop->ev, &loop->prepare);
	free(loop);
}
