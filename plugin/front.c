/* SPDX-License-Identifier: MIT */
/* The engine's thread, and the way in for all others. */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "plugin.h"
#include "../daemon/log.h"
#include "../daemon/model.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_S 0.02
#define PATIENCE_S 1. /* for the other portals, once there is enough to begin with */
#define LOOK_SLACK_S 3. /* for what comes after the login: REPORT LUNS, INQUIRY, ... */

static struct {
	pthread_t thread;
	bool running;
	struct conf *conf;     /* for the thread that begins */
	struct server sv;
	ev_async wake;
	ev_signal hup;
	ev_timer look;
	ev_tstamp look_until;
	enum login seen;       /* what login_look() said last */
	atomic_bool starting;
	char why[2000];
	sem_t begun;           /* the thread has made its first login, or has failed */
	int result;
	pthread_mutex_t lock;  /* of what is below */
	struct list queue;     /* struct job */
	bool closed;           /* nobody looks at the queue any more */
} front = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- on the loop ---- */

static int start(struct server *sv, char *why, size_t cap)
{
	(void)sv;
	(void)why;
	(void)cap;
	return 0;
}

static int reload(struct server *sv, const struct conf *old, const struct conf *new, char *why, size_t cap)
{
	(void)old;
	(void)new;
	return start(sv, why, cap);
}

/* nbdkit listens, not this; and a control socket is only there where one was asked for. */
static void adjust(struct server *sv, struct conf *c)
{
	(void)sv;
	if (!params_control()) {
		free(c->control);
		c->control = NULL;
	}
}

static void lun_change(void *arg, struct lun *l)
{
	(void)arg;
	(void)l;
}

static const struct server_front server_front = {
	.adjust = adjust,
	.start = start,
	.reload = reload,
	.room = requests_room,
	.request_done = requests_done,
	.lun_ready = lun_change,
	.lun_gone = lun_change, /* nobody has it open, or all of it ends: nbdkit does not close what is open then */
};

static void on_wake(struct ev_loop *loop, ev_async *w, int revents)
{
	struct list todo, *pos;

	(void)loop;
	(void)w;
	(void)revents;
	list_init(&todo);
	pthread_mutex_lock(&front.lock);
	while ((pos = list_pop(&front.queue)))
		list_add_tail(pos, &todo);
	pthread_mutex_unlock(&front.lock);
	server_enter(&front.sv);
	while ((pos = list_pop(&todo))) {
		struct job *job = list_entry(pos, struct job, link);

		job->run(&front.sv, job);
	}
}

static void on_hup(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct server *sv = &front.sv;
	char *message = NULL;
	int ret;

	(void)loop;
	(void)w;
	(void)revents;
	if (!sv->conf_file) { /* the parameters are what they are; the storage may not be */
		log_msg(LOG_INFO, "SIGHUP: looking for portals and LUNs again");
		server_enter(sv);
		engine_rescan(sv->engine);
		return;
	}
	ret = server_reload(sv, &message);
	log_lines(ret ? LOG_ERR : LOG_WARNING, message);
	if (!ret)
		log_msg(LOG_INFO, "%s was read again", sv->conf_file);
	free(message);
}

static void on_look(struct ev_loop *loop, ev_timer *t, int revents)
{
	enum login seen = login_look(&front.sv, front.why, sizeof(front.why));

	if (seen == LOGIN_ENOUGH && front.seen != LOGIN_ENOUGH)
		front.look_until = ev_now(loop) + PATIENCE_S;
	(void)revents;
	front.seen = seen;
	if (front.seen < LOGIN_ALL && front.seen != LOGIN_FAILED && ev_now(loop) < front.look_until)
		return;
	ev_timer_stop(loop, t);
	atomic_store(&front.starting, false);
	if (front.running) /* in the thread: somebody waits for that; else it was all that was wanted */
		sem_post(&front.begun);
	else
		ev_break(loop, EVBREAK_ALL);
}

/* Everything but the running. 0, or -1 with front.why. */
static int begin(struct conf *c)
{
	struct server *sv = &front.sv;
	double wait = 0.;
	int ret;

	for (int i = 0; i < c->ntargets; i++)
		if ((double)c->targets[i].login_timeout_us / 1e6 > wait)
			wait = (double)c->targets[i].login_timeout_us / 1e6;
	log_set_level(c->log_level);
	*sv = (struct server){ .front = &server_front, .conf_file = (char *)params_file() };
	sv->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!sv->loop) {
		snprintf(front.why, sizeof(front.why), "no event loop");
		conf_free(c);
		return -1;
	}
	ret = server_start(sv, c, front.why, sizeof(front.why));
	if (ret)
		return -1;
	ev_async_init(&front.wake, on_wake);
	ev_async_start(sv->loop, &front.wake);
	ev_timer_init(&front.look, on_look, LOOK_S, LOOK_S);
	ev_timer_start(sv->loop, &front.look);
	front.look_until = ev_now(sv->loop) + wait + LOOK_SLACK_S;
	front.seen = LOGIN_WAITS;
	atomic_store(&front.starting, true);
	return 0;
}

static void end(void)
{
	struct server *sv = &front.sv;

	if (!sv->loop)
		return;
	if (sv->engine) {
		server_enter(sv);
		engine_shutdown(sv->engine);
	}
	server_stop(sv);
	ev_loop_destroy(sv->loop);
	sv->loop = NULL;
}

int front_try(struct conf *c)
{
	int ret = begin(c);

	if (!ret) {
		ev_run(front.sv.loop, 0);
		ret = front.seen >= LOGIN_ENOUGH ? 0 : -1;
	}
	if (!ret) { /* registrations in persistent reservations, too */
		login_tell(&front.sv);
		server_drain(&front.sv);
		ev_run(front.sv.loop, 0);
	}
	end();
	if (ret)
		nbdkit_error("%s", front.why);
	return ret;
}

static void *work(void *arg)
{
	struct server *sv = &front.sv;

	(void)arg;
	front.result = begin(front.conf);
	if (front.result) {
		end();
		sem_post(&front.begun);
		return NULL;
	}
	/* nbdkit's own handler would end it */
	ev_signal_init(&front.hup, on_hup, SIGHUP);
	ev_signal_start(sv->loop, &front.hup);
	ev_run(sv->loop, 0);
	ev_signal_stop(sv->loop, &front.hup);
	/* nbdkit does not wait for a client that it has only just let in: what that one asks now finds nobody */
	pthread_mutex_lock(&front.lock);
	front.closed = true;
	pthread_mutex_unlock(&front.lock);
	on_wake(sv->loop, &front.wake, 0);
	end();
	return NULL;
}

int front_start(struct conf *c)
{
	sigset_t all, old;
	int ret;

	front.conf = c;
	front.running = true;
	list_init(&front.queue);
	sem_init(&front.begun, 0, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&front.thread, NULL, work, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret) {
		nbdkit_error("can't start a thread: %s", strerror(ret));
		conf_free(c);
		front.running = false;
		return -1;
	}
	while (sem_wait(&front.begun) < 0 && errno == EINTR)
		;
	if (!front.result) {
		if (front.seen < LOGIN_ENOUGH) /* it was there a moment ago; clients may wait for it */
			nbdkit_error("%s", front.why);
		return 0;
	}
	nbdkit_error("%s", front.why);
	pthread_join(front.thread, NULL);
	front.running = false;
	return -1;
}

/* ---- from other threads ---- */

void front_call(struct job *job)
{
	bool first;

	pthread_mutex_lock(&front.lock);
	if (front.closed) {
		pthread_mutex_unlock(&front.lock);
		return;
	}
	sem_init(&job->done, 0, 0);
	first = list_empty(&front.queue);
	list_add_tail(&job->link, &front.queue);
	if (first) /* else the loop has been woken already and not looked yet */
		ev_async_send(front.sv.loop, &front.wake); /* it may be gone once it has seen the last job */
	pthread_mutex_unlock(&front.lock);
	while (sem_wait(&job->done) < 0 && errno == EINTR)
		;
	sem_destroy(&job->done);
}

bool front_starting(void)
{
	return atomic_load(&front.starting);
}

void job_done(struct job *job)
{
	sem_post(&job->done);
}

static void stop(struct server *sv, struct job *job)
{
	server_drain(sv);
	job_done(job);
}

void front_stop(void)
{
	struct job job = { .run = stop };

	if (!front.running)
		return;
	front_call(&job);
	pthread_join(front.thread, NULL);
	sem_destroy(&front.begun);
	front.running = false;
}
