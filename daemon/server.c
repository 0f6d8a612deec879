/* SPDX-License-Identifier: MIT */
/* The server as a whole: start, clock, reload, stop. */
#include "server.h"
#include "flight.h"
#include "handover.h"
#include "log.h"
#include "metrics.h"
#include "model.h"
#include "notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

#define POOL_KEEP_BYTES (16U << 20)
#define COALESCE_FROM 16   /* commands in flight */
#define COALESCE_S 100e-6
#define TIMER_SLACK_NS 1000 /* the default of 50 us would be added to each such sleep */

static const struct engine_ops ops;

uint64_t server_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void server_enter(struct server *sv)
{
	engine_set_time(sv->engine, server_now());
}

static void on_deadline(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct server *sv = t->data;

	(void)loop;
	(void)revents;
	sv->armed_for = 0;
	server_enter(sv);
	engine_tick(sv->engine);
}

static void arm_deadline(struct server *sv)
{
	uint64_t at = engine_deadline(sv->engine), now;

	if (at == sv->armed_for)
		return;
	ev_timer_stop(sv->loop, &sv->deadline);
	sv->armed_for = 0;
	if (at == UINT64_MAX)
		return;
	now = server_now();
	/* ev_timer counts from ev_now(), which is a little behind. */
	ev_now_update(sv->loop);
	ev_timer_set(&sv->deadline, at > now ? (double)(at - now) / 1e6 : 0., 0.);
	ev_timer_start(sv->loop, &sv->deadline);
	sv->armed_for = at;
}

/*
 * With many commands out the next answers are never far: to sleep a moment and take several at
 * once costs a command some microseconds and saves a wake-up for each. With few of them each answer is
 * somebody's latency, and nothing is held back. (Network cards do the same with interrupts.)
 */
static void coalesce(struct server *sv)
{
	bool busy = sv->engine->inflight >= COALESCE_FROM;

	if (busy == sv->coalescing)
		return;
	sv->coalescing = busy;
	ev_set_io_collect_interval(sv->loop, busy ? COALESCE_S : 0.);
}

/* Once per loop iteration, before the wires are flushed. */
static void on_prepare(struct ev_loop *loop, ev_prepare *p, int revents)
{
	struct server *sv = p->data;

	(void)loop;
	(void)revents;
	if (sv->room) {
		sv->room = false;
		sv->front->room(sv);
	}
	if (sv->unused) {
		sv->unused = false;
		server_enter(sv);
		engine_lun_unused(sv->engine);
	}
	arm_deadline(sv);
	coalesce(sv);
}

static void op_room(void *arg)
{
	struct server *sv = arg;

	sv->room = true;
}

static void op_request_done(void *arg, struct request *r)
{
	struct server *sv = arg;

	sv->front->request_done(sv, r);
}

static void op_lun_ready(void *arg, struct lun *l)
{
	struct server *sv = arg;

	log_msg(LOG_INFO, "export %s: %llu bytes, block size %u, %s %s, %s", l->name,
		(unsigned long long)l->size, l->block_size, l->inquiry.vendor, l->inquiry.product,
		l->opt->read_only || l->write_protect ? "read-only" : "read-write");
	sv->front->lun_ready(sv, l);
}

static void op_lun_gone(void *arg, struct lun *l)
{
	struct server *sv = arg;

	sv->front->lun_gone(sv, l);
	log_msg(LOG_INFO, "export %s is gone", l->name);
}

/* One line for systemctl status. */
static void tell_status(const struct server *sv)
{
	unsigned n = 0, bad = 0, none = 0;
	struct list *pos;

	list_for_each(pos, &sv->engine->luns) {
		const struct lun *l = list_entry(pos, struct lun, in_engine);

		n++;
		bad += l->state == LUN_DEGRADED;
		none += l->state == LUN_NO_PATH;
	}
	notify_status("%u LUNs: %u ok, %u degraded, %u without a path", n, n - bad - none, bad, none);
}

static void op_event(void *arg, const struct event *ev)
{
	static const int levels[] = {
		[EVENT_INFO] = LOG_INFO, [EVENT_WARNING] = LOG_WARNING, [EVENT_ERROR] = LOG_ERR,
	};
	struct server *sv = arg;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	events_add(sv->events, ev, (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	log_msg(levels[ev->level], "%s: %s%s%s: %s", ev->kind, ev->lun ? ev->lun : "",
		ev->lun && ev->path ? " via " : "", ev->path ? ev->path : "", ev->text);
	if (!strncmp(ev->kind, "lun-", 4))
		tell_status(sv);
}

static const struct engine_ops ops = {
	.session_start = wire_session_start,
	.session_kill = wire_session_kill,
	.session_logout = wire_session_logout,
	.submit = wire_submit,
	.probe = wire_probe,
	.silence = wire_silence,
	.discover = find_portals,
	.request_done = op_request_done,
	.lun_ready = op_lun_ready,
	.lun_gone = op_lun_gone,
	.room = op_room,
	.event = op_event,
	.attempt_room = sizeof(struct iscsi_cmd) - sizeof(struct scsi_cmd),
};

static void touch(void *arg)
{
	server_enter(arg);
}

static void settle(void *arg)
{
	(void)arg; /* on_prepare() does, before the loop sleeps */
}

static int reload(void *arg, char **message)
{
	return server_reload(arg, message);
}

static int rescan(void *arg)
{
	struct server *sv = arg;

	server_enter(sv);
	engine_rescan(sv->engine);
	return 0;
}

static int restart(void *arg, char *why, size_t cap)
{
	struct server *sv = arg;

	if (!sv->nbd) {
		snprintf(why, cap, "its clients are not mpiod's own");
		return -EOPNOTSUPP;
	}
	return handover_start(sv, why, cap);
}

static unsigned restarts(void *arg)
{
	(void)arg;
	return handover_count();
}

static const struct control_ops control_ops = {
	.touch = touch,
	.settle = settle,
	.reload = reload,
	.rescan = rescan,
	.restart = restart,
	.restarts = restarts,
};

static char *scrape(void *arg, size_t *len)
{
	struct server *sv = arg;

	server_enter(sv);
	return metrics_text(sv->engine, len);
}

/*
 * Serves metrics where the new configuration says so and the old one (NULL: none) did not; *fresh gets
 * that server and takes the place of the old one when all else went well.
 */
static int open_metrics(struct server *sv, const struct conf *old, const struct conf *new,
			struct metrics_http **fresh, char *why, size_t cap)
{
	*fresh = NULL;
	if (!new->metrics || (old && old->metrics && !strcmp(old->metrics, new->metrics)))
		return 0;
	return metrics_http_start(fresh, sv->loop, new->metrics, scrape, sv, why, cap);
}

static const struct netmon_callbacks netmon_callbacks = {
	.link_down = wire_link_down,
	.link_up = wire_link_up,
	.addr_gone = wire_addr_gone,
};

static int start_engine(struct server *sv)
{
	uint64_t seed = 0;

	sv->iscsi = iscsi_loop_new(sv->loop);
	sv->pool = buf_pool_new(POOL_KEEP_BYTES);
	sv->events = events_new(EVENTS_KEPT);
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = server_now();
	if (sv->pool && sv->iscsi)
		sv->engine = engine_new(&ops, sv, sv->pool, seed);
	return sv->engine && sv->events ? 0 : -ENOMEM;
}

/* Under the lock of the control socket, which outlives no process. */
static void open_flight(struct server *sv, const char *control)
{
	char path[4096], why[4400];

	snprintf(path, sizeof(path), "%s.inflight", control);
	sv->flight = flight_open(path, why, sizeof(why));
	if (why[0])
		log_msg(LOG_WARNING, "%s%s", why,
			flight_kept(sv->flight) ? "" : ": after a crash nothing will tell which writes were under way");
	engine_record(sv->engine, sv->flight);
}

int server_start(struct server *sv, struct conf *c, char *why, size_t cap)
{
	int ret, err;

	list_init(&sv->discoveries);
	sv->conf = c;
	if (sv->front->adjust)
		sv->front->adjust(sv, c);
	ev_init(&sv->deadline, on_deadline);
	sv->deadline.data = sv;
	ev_set_priority(&sv->deadline, EV_MINPRI); /* what has arrived is read before it is called late */
	ret = start_engine(sv);
	if (ret) {
		snprintf(why, cap, "out of memory");
		return ret;
	}
	/* The control socket first: it is what tells that another mpiod runs already. */
	if (c->control)
		ret = control_start(&sv->control, sv->loop, c->control, &control_ops, sv,
				    sv->engine, sv->events, why, cap);
	if (ret && !(handover_executed() && handover_do_without("control", why)))
		return ret;
	if (sv->control)
		open_flight(sv, c->control);
	ret = sv->front->start(sv, why, cap);
	if (ret)
		return ret;
	ret = open_metrics(sv, NULL, c, &sv->metrics, why, cap);
	if (ret && !handover_do_without("metrics", why))
		return ret;
	sv->netmon = netmon_start(sv->loop, &netmon_callbacks, sv, &err);
	if (!sv->netmon)
		log_msg(LOG_WARNING, "rtnetlink: %s: a local link that goes down is noticed by "
				     "silence only", strerror(-err));
	ev_prepare_init(&sv->prepare, on_prepare);
	sv->prepare.data = sv;
	ev_set_priority(&sv->prepare, EV_MAXPRI);
	ev_prepare_start(sv->loop, &sv->prepare);
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	server_enter(sv);
	engine_configure(sv->engine, c);
	return 0;
}

/* Keys that only a new start can change. */
static void warn_fixed(const struct conf *old, const struct conf *new)
{
	if (strcmp(old->control ? old->control : "", new->control ? new->control : ""))
		log_msg(LOG_WARNING, "reload: control: changed, takes effect at the next start; do not kill mpiod until then: "
				     "the next one would not find which writes are under way");
	if (old->max_connections != new->max_connections)
		log_msg(LOG_WARNING, "reload: max_connections: changed, takes effect at the next start");
}

static int apply_file(struct server *sv, char **message)
{
	struct conf *new = sv->conf_file ? conf_load(sv->conf_file, message) : NULL, *old = sv->conf;
	struct metrics_http *fresh = NULL;
	const char *key = "metrics";
	char why[256];
	int ret;

	if (!sv->conf_file)
		*message = strdup("there is no file to read again: it was started with parameters");
	if (!new)
		return -EINVAL;
	if (sv->front->adjust)
		sv->front->adjust(sv, new);
	ret = open_metrics(sv, old, new, &fresh, why, sizeof(why));
	if (!ret) {
		key = "listen";
		ret = sv->front->reload(sv, old, new, why, sizeof(why));
	}
	if (ret) {
		metrics_http_stop(fresh);
		free(*message);
		if (asprintf(message, "%s: [mpiod] %s: %s", sv->conf_file, key, why) < 0)
			*message = NULL;
		conf_free(new);
		return -EINVAL;
	}
	if (fresh || !new->metrics) {
		metrics_http_stop(sv->metrics);
		sv->metrics = fresh;
	}
	warn_fixed(old, new);
	log_set_level(new->log_level);
	sv->conf = new;
	server_enter(sv);
	engine_configure(sv->engine, new);
	conf_free(old);
	return 0;
}

int server_reload(struct server *sv, char **message)
{
	int ret;

	notify_reloading();
	ret = apply_file(sv, message);
	log_msg(ret ? LOG_ERR : LOG_INFO, ret ? "reload: nothing was changed" : "reload: done");
	notify_ready();
	return ret;
}

void server_stop(struct server *sv)
{
	control_stop(sv->control);
	metrics_http_stop(sv->metrics);
	netmon_free(sv->netmon);
	ev_prepare_stop(sv->loop, &sv->prepare);
	ev_timer_stop(sv->loop, &sv->deadline);
	find_stop(sv);
	if (sv->nbd)
		nbd_server_stop(sv->nbd);
	engine_free(sv->engine);
	flight_close(sv->flight);
	if (sv->nbd)
		nbd_server_free(sv->nbd);
	events_free(sv->events);
	iscsi_loop_free(sv->iscsi);
	if (sv->pool)
		buf_pool_free(sv->pool);
	conf_free(sv->conf);
}
