/* SPDX-License-Identifier: MIT */
/*
 * The connections of the control socket. A client may be hostile: whatever it does costs its own
 * connection and a bounded amount of memory. A connection reads its next request only when the
 * answer to the last one has left.
 */
#include "control.h"
#include "control_cmd.h"
#include "control_socket.h"
#include "log.h"
#include "../transport/list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_PAUSE_S 0.2 /* when out of descriptors, instead of spinning */

struct control {
	struct ev_loop *loop;
	struct control_context ctx;
	struct control_socket sock;
	ev_io accept;
	ev_timer pause;
	struct list conns;
	unsigned nconns;
	double idle_s;
};

struct conn {
	struct control *c;
	struct list link;
	int fd;
	ev_io rd, wr;
	ev_timer idle;     /* for followers it runs only while they are behind */
	bool follow;
	bool closing;      /* when the answer has left */
	char *in, *out;
	size_t in_len, out_len, out_cap, out_sent;
};

static void conn_close(struct conn *k)
{
	struct control *c = k->c;

	ev_io_stop(c->loop, &k->rd);
	ev_io_stop(c->loop, &k->wr);
	ev_timer_stop(c->loop, &k->idle);
	close(k->fd);
	list_del(&k->link);
	c->nconns--;
	free(k->in);
	free(k->out);
	free(k);
}

/* Appends a line to the output. False: out of memory. */
static bool conn_put(struct conn *k, json_t *answer)
{
	size_t len = answer ? json_dumpb(answer, NULL, 0, JSON_COMPACT) : 0;
	size_t need = k->out_len + len + 1;

	if (len && need > k->out_cap) {
		char *more = realloc(k->out, need + need / 2);

		if (!more)
			len = 0;
		else {
			k->out = more;
			k->out_cap = need + need / 2;
		}
	}
	if (len) {
		json_dumpb(answer, k->out + k->out_len, len, JSON_COMPACT);
		k->out[k->out_len + len] = '\n';
		k->out_len = need;
	}
	json_decref(answer);
	return len;
}

/* Sends what it can. False: the connection is broken. */
static bool conn_send(struct conn *k)
{
	while (k->out_sent < k->out_len) {
		ssize_t n = send(k->fd, k->out + k->out_sent, k->out_len - k->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		k->out_sent += (size_t)n;
		ev_timer_again(k->c->loop, &k->idle);
	}
	return true;
}

/* Sets the watchers to what the connection waits for now. */
static void conn_arm(struct conn *k)
{
	struct ev_loop *loop = k->c->loop;
	bool behind = k->out_sent < k->out_len;
	bool more = !k->follow && memchr(k->in, '\n', k->in_len);

	if (!behind) { /* nor is the room of a long answer kept */
		free(k->out);
		k->out = NULL;
		k->out_len = k->out_sent = k->out_cap = 0;
	} else if (k->out_sent > CONTROL_BACKLOG_MAX / 4) {
		k->out_len -= k->out_sent;
		memmove(k->out, k->out + k->out_sent, k->out_len);
		k->out_sent = 0;
	}
	if (behind || more) /* more: to have another turn */
		ev_io_start(loop, &k->wr);
	else
		ev_io_stop(loop, &k->wr);
	if ((behind || more) && !k->follow)
		ev_io_stop(loop, &k->rd);
	else
		ev_io_start(loop, &k->rd);
	if (k->follow && !behind)
		ev_timer_stop(loop, &k->idle);
	else if (!ev_is_active(&k->idle))
		ev_timer_again(loop, &k->idle);
}

/* Answers one request; false: close the connection. */
static bool conn_request(struct conn *k, const char *line, size_t len)
{
	bool follow;
	json_t *answer = control_run(&k->c->ctx, line, len, &follow);

	k->follow = follow;
	return conn_put(k, answer) && conn_send(k);
}

/*
 * Answers the next request that came in whole: one in each turn of the loop, since a client that
 * sends thousands must not hold up the I/O. False: close the connection.
 */
static bool conn_next(struct conn *k)
{
	char *end = memchr(k->in, '\n', k->in_len);
	size_t len = end ? (size_t)(end - k->in) : 0;

	if (k->follow || k->closing || k->out_sent < k->out_len)
		return true;
	if (end) {
		if (!conn_request(k, k->in, len))
			return false;
		k->in_len -= len + 1;
		memmove(k->in, end + 1, k->in_len);
		return true;
	}
	if (k->in_len < CONTROL_LINE_MAX)
		return true;
	k->closing = true; /* no end of line in sight: where the next request begins is unknown */
	return conn_put(k, control_error("invalid", "a request is at most %u bytes long",
					 CONTROL_LINE_MAX)) && conn_send(k);
}

/* Goes on after anything happened; may close k. */
static void conn_run(struct conn *k)
{
	if (!conn_next(k) || (k->closing && k->out_sent == k->out_len)) {
		conn_close(k);
		return;
	}
	conn_arm(k);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn *k = w->data;
	char scratch[4096];
	ssize_t n;

	if (k->follow) /* only to notice that it hung up */
		n = recv(k->fd, scratch, sizeof(scratch), 0);
	else
		n = recv(k->fd, k->in + k->in_len, CONTROL_LINE_MAX - k->in_len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(k);
		return;
	}
	if (k->follow)
		return;
	k->in_len += (size_t)n;
	conn_run(k);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn *k = w->data;

	if (!conn_send(k))
		conn_close(k);
	else
		conn_run(k);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	conn_close(w->data);
}

static void on_event(void *arg, const struct events_entry *ev)
{
	struct control *c = arg;
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &c->conns) {
		struct conn *k = list_entry(pos, struct conn, link);

		if (!k->follow)
			continue;
		if (k->out_len - k->out_sent > CONTROL_BACKLOG_MAX) {
			log_msg(LOG_WARNING, "control: a reader of events is too slow, dropped");
			conn_close(k);
		} else if (!conn_put(k, control_event_answer(ev)) || !conn_send(k)) {
			conn_close(k);
		} else {
			conn_arm(k);
		}
	}
}

/* The answer to one client too many. It fits in an empty socket buffer. */
static void turn_away(int fd)
{
	static const char text[] = "{\"version\":1,\"ok\":false,\"code\":\"refused\","
				   "\"error\":\"too many connections\"}\n";

	if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_msg(LOG_DEBUG, "control: %s", strerror(errno));
	close(fd);
}

static void conn_new(struct control *c, int fd)
{
	struct conn *k = calloc(1, sizeof(*k));

	if (k)
		k->in = malloc(CONTROL_LINE_MAX);
	if (!k || !k->in) {
		free(k);
		close(fd);
		return;
	}
	k->c = c;
	k->fd = fd;
	ev_io_init(&k->rd, on_readable, fd, EV_READ);
	ev_io_init(&k->wr, on_writable, fd, EV_WRITE);
	ev_timer_init(&k->idle, on_idle, 0., c->idle_s);
	k->rd.data = k->wr.data = k->idle.data = k;
	list_add_tail(&k->link, &c->conns);
	c->nconns++;
	conn_arm(k);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct control *c = w->data;
	int fd = accept4(c->sock.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 && c->nconns >= CONTROL_CLIENTS_MAX)
		turn_away(fd);
	else if (fd >= 0)
		conn_new(c, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		log_msg(LOG_ERR, "control: accept: %s", strerror(errno));
		ev_io_stop(loop, &c->accept);
		ev_timer_set(&c->pause, ACCEPT_PAUSE_S, 0.);
		ev_timer_start(loop, &c->pause);
	}
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct control *c = w->data;

	ev_io_start(loop, &c->accept);
}

int control_start(struct control **out, struct ev_loop *loop, const char *path,
		  const struct control_ops *ops, void *arg, struct engine *engine,
		  struct events *events, char *why, size_t whylen)
{
	struct control *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		snprintf(why, whylen, "out of memory");
		return -ENOMEM;
	}
	err = control_socket_open(&c->sock, path, why, whylen);
	if (err) {
		free(c);
		return err;
	}
	c->loop = loop;
	c->idle_s = CONTROL_IDLE_S;
	c->ctx = (struct control_context){ ops, arg, engine, events };
	list_init(&c->conns);
	ev_io_init(&c->accept, on_accept, c->sock.fd, EV_READ);
	ev_timer_init(&c->pause, on_pause_over, ACCEPT_PAUSE_S, 0.);
	c->accept.data = c->pause.data = c;
	ev_io_start(loop, &c->accept);
	events_watch(events, on_event, c);
	*out = c;
	return 0;
}

void control_set_idle(struct control *c, double seconds)
{
	c->idle_s = seconds;
}

void control_stop(struct control *c)
{
	struct list *pos, *tmp;

	if (!c)
		return;
	events_watch(c->ctx.events, NULL, NULL);
	list_for_each_safe(pos, tmp, &c->conns) {
		struct conn *k = list_entry(pos, struct conn, link);

		(void)!conn_send(k); /* the answer to whoever asked for the stop */
		conn_close(k);
	}
	ev_io_stop(c->loop, &c->accept);
	ev_timer_stop(c->loop, &c->pause);
	control_socket_close(&c->sock);
	free(c);
}
