/* SPDX-License-Identifier: MIT */
/*
 * The kernel tells of a connection that it gave up (NBD_CMD_LINK_DEAD), not of which. It takes new ones for the
 * dead ones only and drops the others without a word, so as many as there are at all are offered: what it does
 * not need closes with our descriptor. No descriptor of its connections is kept here: one that was
 * dropped would look alive.
 */
#include "watch.h"
#include "device.h"
#include "hello.h"
#include "log.h"
#include "../transport/nbd_proto.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define HELLO_MS 5000
#define DELAY_LEAST .1 /* seconds until the next attempt, doubled each time */
#define DELAY_MOST 1.
#define LOOK_EVERY 5.  /* seconds, at the export's size */
#define STOP_EVERY .5  /* seconds, at a device that is in use while we are to stop */
#define AGAIN_AFTER 2. /* seconds; see offered() */
#define GONE_MS 10000
#define UNMOUNT_MS 5000

/* Once per text: an outage may be long. */
static void complain(struct watch *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct watch *w, const char *fmt, ...)
{
	char text[sizeof(w->told)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!strcmp(text, w->told))
		return;
	strcpy(w->told, text);
	attach_log(LOG_ERR, "nbd%d: %s", w->s->index, text);
	sd_notifyf(0, "STATUS=nbd%d: %s", w->s->index, text);
}

static void fine(struct watch *w)
{
	w->told[0] = '\0';
	sd_notifyf(0, "STATUS=/dev/nbd%d: export %s, %d connections", w->s->index, w->s->export,
		   w->connections);
}

static void end(struct watch *w, enum attach_exit status)
{
	w->status = status;
	ev_break(w->loop, EVBREAK_ALL);
}

/*
 * The number may be another device's by now: a disconnection by somebody else is not told, and the kernel looks at the
 * identifier of those only that were connected with one.
 */
static bool is_ours(const struct watch *w)
{
	char id[HELLO_ID_MAX];

	return device_pid(w->s->index) == w->pid && !strcmp(device_backend(w->s->index, id), w->s->id);
}

/* Where --detach has removed the file the number may be another keeper's by now. */
static void forget(struct watch *w)
{
	if (!state_removed(w->lock))
		state_remove(w->s->index);
}

static void gone(struct watch *w)
{
	attach_log(LOG_NOTICE, "nbd%d: was disconnected by somebody else", w->s->index);
	forget(w);
	end(w, ATTACH_DONE);
}

static void retry_in(struct watch *w, double seconds)
{
	ev_timer_stop(w->loop, &w->retry);
	ev_timer_set(&w->retry, seconds, 0.);
	ev_timer_start(w->loop, &w->retry);
}

static void lose(struct watch *w)
{
	if (!w->lost || w->offered) {
		w->lost = true;
		w->since = ev_now(w->loop);
		attach_log(LOG_WARNING, "nbd%d: lost a connection to %s", w->s->index, w->s->socket);
	}
	w->offered = false;
	w->delay = DELAY_LEAST;
	/* The kernel tells before it notes it down, and of each by itself. */
	retry_in(w, w->delay);
}

/* Is this what the device was connected to? Another disk under its file system would be its end. */
static bool is_same(struct watch *w, const struct hello_info *i)
{
	if (strcmp(i->id, w->s->id) != 0) {
		complain(w, "export %s is ANOTHER DISK now, %s: not attached, waiting for %s",
			 w->s->export, i->id, w->s->id);
		return false;
	}
	if (i->size < w->size) {
		complain(w, "export %s has SHRUNK from %llu to %llu bytes: not attached, nothing is changed",
			 w->s->export, (unsigned long long)w->size, (unsigned long long)i->size);
		return false;
	}
	if (i->flags & NBD_FLAG_READ_ONLY && !device_read_only(w->s->index)) {
		complain(w, "export %s is READ-ONLY now: not attached, for writes to the device would fail", w->s->export);
		return false;
	}
	return true;
}

/* fds may be none. 0 or -errno, which has been told. */
static int tell_kernel(struct watch *w, const struct hello_info *i, const int *fds, int n)
{
	const struct netlink_device d = {
		.index = w->s->index, .backend = w->s->id, .fds = fds, .nfds = n,
		.size = i->size > w->size ? i->size : 0,
		.timeout = attach_options_timeout(w->o, w->connections),
		.dead_timeout = w->adopted ? w->o->dead_timeout : 0,
	};
	char why[256];
	int ret = is_ours(w) ? netlink_reconfigure(w->nl, &d, why, sizeof(why)) : -ENODEV;

	if (ret) {
		if (is_ours(w))
			complain(w, "%s", why);
		else
			gone(w);
		return ret;
	}
	w->adopted = false;
	if (d.size) {
		attach_log(LOG_NOTICE, "nbd%d: grown from %llu to %llu bytes", w->s->index,
			   (unsigned long long)w->size, (unsigned long long)d.size);
		w->size = d.size;
	}
	return 0;
}

/* One attempt. What became of it: */
enum offer {
	OFFER_NONE,   /* the kernel has got no connections */
	OFFER_PART,   /* not as many as there were, or some have died meanwhile */
	OFFER_ALL,
};

static enum offer offer(struct watch *w)
{
	int fds[ATTACH_CONNECTIONS_MAX], n, news;
	struct hello_info i;
	char why[256];
	bool ok;

	n = hello_open(w->s->socket, w->s->export, w->connections, HELLO_MS, fds, &i, why, sizeof(why));
	if (n < 0) {
		/* A second time they may be too many, with those that live. */
		if (!w->offered)
			complain(w, "waiting for mpiod: %s", why);
		return OFFER_NONE;
	}
	news = netlink_news(w->nl, w->s->index); /* the first time it is those that this is about */
	ok = is_same(w, &i) && !tell_kernel(w, &i, fds, n);
	for (int k = 0; k < n; k++)
		close(fds[k]);
	if (!ok)
		return OFFER_NONE;
	if (n < w->connections && i.flags & NBD_FLAG_CAN_MULTI_CONN) {
		complain(w, "%d connections instead of %d: %s", n, w->connections, why);
		return OFFER_PART;
	}
	return w->offered && news > 0 ? OFFER_PART : OFFER_ALL;
}

/*
 * A connection whose death the kernel noticed only after it had been offered new ones has none now: the offer is made once more,
 * and until there were enough for all.
 */
static void offered(struct watch *w, enum offer what)
{
	bool second = w->offered;

	if (!second)
		attach_log(LOG_NOTICE, "nbd%d: connected again after %.1f s", w->s->index, ev_time() - w->since);
	w->offered = true;
	if (second && what == OFFER_ALL)
		w->lost = w->offered = false;
	else
		retry_in(w, second || what != OFFER_ALL ? LOOK_EVERY : AGAIN_AFTER);
	if (what == OFFER_ALL)
		fine(w);
}

static void on_retry(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct watch *w = t->data;
	enum offer what;

	if (!is_ours(w)) {
		gone(w);
		return;
	}
	what = offer(w);
	if (what != OFFER_NONE) {
		offered(w, what);
	} else if (w->offered) {
		retry_in(w, LOOK_EVERY);
	} else {
		w->delay = w->delay * 2 < DELAY_MOST ? w->delay * 2 : DELAY_MOST;
		retry_in(w, w->delay);
	}
}

static void on_news(struct ev_loop *loop, ev_io *io, int revents)
{
	struct watch *w = io->data;

	if (netlink_news(w->nl, w->s->index) > 0)
		lose(w);
}

static void look(struct watch *w)
{
	struct hello_info i;
	char why[256];

	if (!is_ours(w)) {
		gone(w);
		return;
	}
	/* While all connections are lost the attempts look at all this, and one that is lost shows up there. */
	if ((w->lost && !w->offered) || hello_ask(w->s->socket, w->s->export, HELLO_MS, &i, why, sizeof(why)))
		return;
	if (is_same(w, &i) && (i.size == w->size || !tell_kernel(w, &i, NULL, 0)) && !w->lost && !w->stopping)
		fine(w);
}

static void on_look(struct ev_loop *loop, ev_timer *t, int revents)
{
	look(t->data);
}

static void on_hup(struct ev_loop *loop, ev_signal *s, int revents)
{
	look(s->data);
}

static void detach(struct watch *w)
{
	int index = w->s->index;
	char why[256];

	if (netlink_disconnect(w->nl, index, why, sizeof(why))) {
		attach_log(LOG_ERR, "nbd%d: %s", index, why);
		end(w, ATTACH_REFUSED);
		return;
	}
	if (!device_wait_gone(index, GONE_MS))
		attach_log(LOG_WARNING, "nbd%d: disconnected, but somebody has it still open", index);
	else
		attach_log(LOG_NOTICE, "nbd%d: detached", index);
	device_changed(index);
	forget(w);
	end(w, ATTACH_DONE);
}

/* Stopping is detaching; but never under somebody's feet. While a shutdown unmounts, the device has to work. */
static void on_stop(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct watch *w = t->data;
	char why[256];

	if (state_removed(w->lock)) { /* --detach has done it, or is about to */
		end(w, ATTACH_DONE);
	} else if (!is_ours(w)) {
		gone(w);
	} else if (!device_busy(w->s->index, w->o->stop_wait ? 0 : UNMOUNT_MS, why, sizeof(why))) {
		detach(w);
	} else if (ev_now(loop) < w->stop_until) {
		complain(w, "to be detached, and still %s", why);
		ev_timer_stop(loop, t);
		ev_timer_set(t, STOP_EVERY, 0.);
		ev_timer_start(loop, t);
	} else {
		attach_log(LOG_ERR, "/dev/nbd%d stays connected, without a keeper: %s", w->s->index, why);
		end(w, ATTACH_REFUSED);
	}
}

/* Twice: now or never. */
static void on_term(struct ev_loop *loop, ev_signal *sig, int revents)
{
	struct watch *w = sig->data;

	sd_notify(0, "STOPPING=1");
	w->stop_until = ev_now(loop) + (w->stopping ? 0. : w->o->stop_wait);
	w->stopping = true;
	on_stop(loop, &w->stop, 0);
}

void watch_signals(struct watch *w)
{
	w->loop = ev_default_loop(0);
	ev_signal_init(&w->term, on_term, SIGTERM);
	ev_signal_init(&w->intr, on_term, SIGINT);
	ev_signal_init(&w->hup, on_hup, SIGHUP);
	w->term.data = w->intr.data = w->hup.data = w;
	ev_signal_start(w->loop, &w->term);
	ev_signal_start(w->loop, &w->intr);
	ev_signal_start(w->loop, &w->hup);
}

enum attach_exit watch_run(struct watch *w)
{
	ev_io_init(&w->news, on_news, netlink_news_fd(w->nl), EV_READ);
	ev_timer_init(&w->retry, on_retry, 0., 0.);
	ev_timer_init(&w->stop, on_stop, 0., 0.);
	ev_timer_init(&w->look, on_look, LOOK_EVERY, LOOK_EVERY);
	w->news.data = w->retry.data = w->look.data = w->stop.data = w;
	ev_io_start(w->loop, &w->news);
	ev_timer_start(w->loop, &w->look);
	w->delay = DELAY_LEAST;
	w->since = ev_now(w->loop);
	fine(w);
	if (w->lost)
		retry_in(w, 0.);
	ev_run(w->loop, 0);
	return w->status;
}
